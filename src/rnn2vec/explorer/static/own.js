// Questions of the reader's own: letters typed, a digit drawn, a series pasted or drawn.

import { get, post } from "./api.js";
import { bars, heat, lines } from "./charts.js";
import { fill, h, percent } from "./dom.js";
import { tokenColour } from "./palette.js";

const SIDE = 28;
const PAD = 196;

export function own(id, collection) {
  const { interface: kinds, family, input_size: size } = collection;
  if (kinds.input_kind === "categorical") return prefix(id, kinds, size, collection.begins);
  return h("div", {}, family === "tiled-mnist" ? digit(id, collection) : null, series(id, kinds, size));
}

function guarded(problem, action) {
  return async (...given) => {
    try {
      problem.hidden = true;
      await action(...given);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
}

// -- letters -----------------------------------------------------------------------------------------

function prefix(id, kinds, size, begins) {
  const names = kinds.input_names || Array.from({ length: size }, (_, at) => String(at));
  const first = begins ? kinds.first_input.indexOf(1) : -1;
  const tokens = [];
  const problem = h("p", { className: "problem", hidden: true });
  const typed = h("div", { className: "typed", "aria-live": "polite" });
  const next = h("div", { className: "next" });
  let latest = 0;
  const show = guarded(problem, async () => {
    const asked = (latest += 1);
    if (!tokens.length && !begins) {
      fill(typed, h("span", { className: "quiet" }, "type a token"));
      return;
    }
    const { answers } = await get("prefix", { id, tokens: tokens.join(",") });
    if (asked !== latest) return;
    const read = begins ? [first, ...tokens] : tokens;
    fill(typed, read.map((token, at) => h("span", { className: "cell", style: { "--t": tokenColour(token), "--p": at ? answers[at - 1][token].toFixed(2) : "0" }, title: at ? `expected with ${percent(answers[at - 1][token])}` : "the beginning" }, names[token])));
    const last = answers[answers.length - 1];
    if (kinds.output_kind !== "categorical") {
      fill(next, lines([{ kind: "s0", values: answers.map((answer) => answer[0]) }], { label: "its answers" }));
      return;
    }
    const outputs = kinds.output_names || last.map((_, at) => String(at));
    fill(next, h("p", { className: "quiet" }, "What it expects next:"), bars(last.map((share, at) => ({ label: outputs[at], share, colour: tokenColour(at), note: percent(share) }))));
  });
  const add = (token) => {
    if (tokens.length < 200) tokens.push(token);
    show();
  };
  const keys = names.slice(0, 40).map((name, token) => (token === first ? null : h("button", { type: "button", className: "key", onclick: () => add(token) }, name)));
  const back = h("button", { type: "button", className: "key", "aria-label": "Take the last one back", onclick: () => { tokens.pop(); show(); } }, "⌫");
  const area = h("div", { className: "prefix", tabIndex: 0, role: "group", "aria-label": "Type letters; each answer is what the RNN expects next" }, typed, h("div", { className: "keys" }, keys, back), problem, next);
  area.addEventListener("keydown", (event) => {
    const token = names.indexOf(event.key);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Backspace") tokens.pop();
    else if (token < 0 || token === first) return;
    event.preventDefault();
    if (event.key === "Backspace") show();
    else add(token);
  });
  show();
  return area;
}

// -- a digit -----------------------------------------------------------------------------------------

function digit(id, collection) {
  const pixels = Array.from({ length: SIDE }, () => new Array(SIDE).fill(0));
  const canvas = h("canvas", { width: PAD, height: PAD, className: "pad", role: "img", "aria-label": "Draw a digit here" });
  const context = canvas.getContext("2d");
  const angle = h("input", { type: "range", min: 0, max: 359, value: 0, "aria-label": "Angle" });
  const degrees = h("output", {}, "0°");
  const result = h("div", { "aria-live": "polite" });
  const problem = h("p", { className: "problem", hidden: true });
  const choices = h("div", { className: "keys" });
  const paint = () => {
    const style = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    context.clearRect(0, 0, PAD, PAD);
    context.fillStyle = style;
    pixels.forEach((row, down) => row.forEach((value, across) => {
      if (!value) return;
      context.globalAlpha = value / 255;
      context.fillRect((across * PAD) / SIDE, (down * PAD) / SIDE, PAD / SIDE, PAD / SIDE);
    }));
    context.globalAlpha = 1;
  };
  const send = guarded(problem, async () => {
    const found = await post("digit", { id, pixels, angle: [[Number(angle.value)]] });
    const last = found.answers.subarray(found.answers.length - 10);
    fill(result, h("p", { className: "quiet" }, "What it believes after each of 49 tiles, from the left; then at the end:"), heat(found.answers, [..."0123456789"], "Probability of each digit after each tile"), bars([...last].map((share, at) => ({ label: String(at), share, note: percent(share) }))));
  });
  drawing(canvas, (x, y) => {
    stamp(pixels, x / PAD * SIDE, y / PAD * SIDE);
    paint();
  }, send);
  angle.addEventListener("input", () => { degrees.textContent = `${angle.value}°`; });
  angle.addEventListener("change", send);
  const clear = h("button", { type: "button", onclick: () => { pixels.forEach((row) => row.fill(0)); paint(); fill(result); } }, "Clear");
  angleOf(id).then((own) => {
    if (own === null) return;
    angle.value = String(Math.round(own) % 360);
    degrees.textContent = `${angle.value}°`;
  });
  get("digits").then(({ labels, images }) => {
    if (!labels.length) {
      fill(choices, h("p", { className: "quiet" }, "MNIST is not on this machine (RNN2VEC_MNIST), so digits cannot be chosen; draw one."));
      return;
    }
    fill(choices, labels.map((label, at) => h("button", { type: "button", className: "key", onclick: () => {
      pixels.forEach((row, down) => row.forEach((_, across) => { row[across] = images[(at * SIDE + down) * SIDE + across]; }));
      paint();
      send();
    } }, String(label))));
  }).catch((error) => fill(choices, h("p", { className: "quiet" }, error.message)));
  return h("div", { className: "digit" },
    h("p", { className: "quiet" }, "Draw a digit, or choose one that no RNN was trained on. It is rotated by the angle and read tile by tile; the angle begins as this RNN's own."),
    h("div", { className: "pads" }, canvas, h("div", {}, h("label", {}, "Angle ", angle, degrees), choices, clear)), problem, result);
}

async function angleOf(id) {
  if (!/^\d+$/.test(id)) return null;
  const { columns, rows: [row] } = await get("rows", { rows: id });
  return row.values[columns.indexOf("angle")] ?? null;
}

function stamp(pixels, x, y) {
  for (let down = Math.floor(y) - 2; down <= y + 2; down += 1) {
    for (let across = Math.floor(x) - 2; across <= x + 2; across += 1) {
      if (down < 0 || across < 0 || down >= SIDE || across >= SIDE) continue;
      const distance = Math.hypot(across + 0.5 - x, down + 0.5 - y);
      pixels[down][across] = Math.max(pixels[down][across], Math.round(255 * Math.max(0, Math.min(1, 1.9 - distance))));
    }
  }
}

function drawing(canvas, onPoint, onEnd) {
  let before = null;
  const at = (event) => [(event.offsetX / canvas.clientWidth) * canvas.width, (event.offsetY / canvas.clientHeight) * canvas.height];
  const along = (event) => {
    const now = at(event);
    const count = Math.max(1, Math.round(Math.hypot(now[0] - before[0], now[1] - before[1]) / 3));
    for (let part = 1; part <= count; part += 1) onPoint(...now.map((one, axis) => before[axis] + ((one - before[axis]) * part) / count));
    before = now;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    before = at(event);
    along(event);
  });
  canvas.addEventListener("pointermove", (event) => before && along(event));
  canvas.addEventListener("pointerup", () => {
    before = null;
    onEnd();
  });
}

// -- a series ----------------------------------------------------------------------------------------

function series(id, kinds, size) {
  const [low, high] = kinds.input_range;
  const problem = h("p", { className: "problem", hidden: true });
  const result = h("div", { "aria-live": "polite" });
  const text = h("textarea", { rows: 3, spellcheck: false, placeholder: `a step a line, ${size} number${size > 1 ? "s" : ""} each`, "aria-label": "A series of numbers, a step a line" });
  const send = guarded(problem, async () => {
    const values = parse(text.value, size);
    const found = await post("series", { id, values });
    const [steps, width] = found.answers.shape;
    const one = (array, feature, of) => Array.from({ length: steps }, (_, at) => array[at * of + feature]);
    const answers = kinds.output_kind === "categorical"
      ? heat(found.answers, kinds.output_names || Array.from({ length: width }, (_, at) => String(at)), "Probabilities after each step")
      : lines(Array.from({ length: Math.min(4, width) }, (_, at) => ({ kind: `s${at}`, values: one(found.answers, at, width) })), { label: "Its answers" });
    const given = lines(Array.from({ length: Math.min(4, size) }, (_, at) => ({ kind: `s${at}`, values: one(found.inputs, at, size) })), { height: 70, label: "The series" });
    fill(result, h("p", { className: "quiet" }, "The series, and its answers:"), given, answers);
  });
  const parts = [h("p", { className: "quiet" }, "Paste a series, a step a line", size === 1 ? ", or draw one:" : ":")];
  if (size === 1) parts.push(curve(low, high, (values) => { text.value = values.map((value) => value.toFixed(3)).join("\n"); send(); }));
  return h("div", { className: "series" }, parts, text, h("p", {}, h("button", { type: "button", onclick: send }, "Ask")), problem, result);
}

export function parse(text, size) {
  const numbers = text.split(/\n/).filter((line) => line.trim()).map((line) => line.trim().split(/[\s,;]+/).map(Number));
  const steps = size === 1 ? numbers.flat().map((value) => [value]) : numbers;
  if (!steps.length) throw new Error("There is no number in it.");
  const wrong = steps.findIndex((step) => step.length !== size || !step.every(Number.isFinite));
  if (wrong >= 0) throw new Error(`Step ${wrong + 1} is not ${size} number${size > 1 ? "s" : ""}.`);
  return steps;
}

function curve(low, high, onEnd) {
  const [width, height] = [360, 90];
  const canvas = h("canvas", { width, height, className: "pad curve", role: "img", "aria-label": "Draw a series here, from left to right" });
  const context = canvas.getContext("2d");
  const values = new Array(60).fill((low + high) / 2);
  const paint = () => {
    context.clearRect(0, 0, width, height);
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    context.lineWidth = 2;
    context.beginPath();
    values.forEach((value, at) => context.lineTo((at / (values.length - 1)) * width, height - ((value - low) / (high - low)) * height));
    context.stroke();
  };
  drawing(canvas, (x, y) => {
    const at = Math.max(0, Math.min(values.length - 1, Math.round((x / width) * (values.length - 1))));
    values[at] = low + (1 - Math.max(0, Math.min(1, y / height))) * (high - low);
    paint();
  }, () => onEnd(values));
  paint();
  return canvas;
}
