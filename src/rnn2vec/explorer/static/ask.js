// The encoder's dialogue with one RNN, step by step, with what is believed after each answer.

import { whenReady } from "./api.js";
import { bars, lines, tile } from "./charts.js";
import { fill, h, percent, shown, task } from "./dom.js";
import { own } from "./own.js";
import { tokenColour } from "./palette.js";

const SEQUENCES_SHOWN = 3;
const PLAY_PAUSE = 700;

export async function ask(id, collection, isCurrent, title) {
  const said = await whenReady("ask", { id }, isCurrent);
  if (!said) return null;
  const { asks, interface: kinds } = collection;
  const intro = asks
    ? "What the encoder asks this RNN, and what comes back. Each question may depend on the answers before."
    : "The fixed random inputs that RNNs are compared by, and this RNN's answers. Nothing is learned, so nothing is believed step by step: a trained probing encoder (--model) asks for itself.";
  return h("article", { className: "ask" },
    h("h2", {}, title),
    h("p", { className: "quiet" }, intro),
    dialogue(said, kinds, collection),
    h("h3", {}, "Ask it yourself"),
    own(id, collection));
}

function dialogue(said, kinds, collection) {
  const [sequences, steps] = said.asked.shape;
  const grid = h("div", { className: "dialogue", tabIndex: 0, role: "group", "aria-label": "Questions and answers" });
  const belief = h("div", { className: "belief", "aria-live": "polite" });
  const range = h("input", { type: "range", min: 1, max: steps, value: steps, "aria-label": "Answers so far" });
  const count = h("output", {});
  const play = h("button", { type: "button" }, "Play");
  let timer = 0;
  const show = () => {
    const now = Number(range.value);
    count.textContent = `${now} of ${steps} answers`;
    fill(grid, Array.from({ length: Math.min(sequences, SEQUENCES_SHOWN) }, (_, at) => sequence(said, at, now, kinds, collection)));
    if (said.beliefs) fill(belief, beliefs(said.beliefs, now - 1));
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(range.value) === steps) range.value = "1";
    show();
    play.textContent = "Pause";
    timer = setInterval(() => {
      range.value = String(Number(range.value) + 1);
      show();
      if (Number(range.value) >= steps || !grid.isConnected) stop();
    }, PLAY_PAUSE);
    return undefined;
  });
  range.addEventListener("input", show);
  show();
  const more = sequences > SEQUENCES_SHOWN ? h("p", { className: "quiet" }, `${sequences} sequences are asked side by side; the first ${SEQUENCES_SHOWN} are shown.`) : null;
  return h("div", {}, h("div", { className: "player" }, play, range, count), grid, more, belief);
}

function step(values, sequence, at) {
  const [, steps, width] = values.shape;
  return values.subarray((sequence * steps + at) * width, (sequence * steps + at + 1) * width);
}

function sequence(said, at, now, kinds, collection) {
  const rows = [["asked", kinds.input_kind, kinds.input_names, said.asked], ["answered", kinds.output_kind, kinds.output_names, said.answered]];
  const lineOf = ([name, kind, names, values]) => {
    const [, steps, width] = values.shape;
    if (kind === "continuous" && !(name === "asked" && collection.tile_size)) {
      const series = Array.from({ length: Math.min(width, 4) }, (_, feature) => ({ kind: `s${feature}`, values: Array.from({ length: now }, (__, one) => step(values, at, one)[feature]) }));
      return h("div", { className: "row wide" }, h("span", { className: "who" }, name), lines(series, { height: 60, label: `${name}, ${width} numbers over ${now} steps` }));
    }
    const cells = Array.from({ length: steps }, (_, one) => (one < now ? cell(step(values, at, one), kind, names, collection, kinds) : h("span", { className: "cell" })));
    return h("div", { className: `row ${name}` }, h("span", { className: "who" }, name), h("span", { className: "cells" }, cells));
  };
  return h("div", { className: "sequence" }, rows.map(lineOf));
}

function cell(values, kind, names, collection, kinds) {
  if (kind === "continuous") return h("span", { className: "cell" }, tile(values, collection.tile_size, kinds.input_range));
  const best = values.indexOf(Math.max(...values));
  const name = names ? names[best] : String(best);
  return h("span", { className: "cell", title: `${name} ${percent(values[best])}`, style: { "--t": tokenColour(best), "--p": values[best].toFixed(2) } }, name);
}

function beliefs({ source, number, properties }, at) {
  const words = source === "predictors"
    ? "Properties as predictors learned on the collection say; tasks as shares among the "
    : "Shares among the ";
  const choices = properties.filter((one) => one.steps.every(([first]) => first && first.share !== null));
  const sure = Array.from({ length: properties[0]?.steps.length || 0 }, (_, step) => choices.reduce((sum, one) => sum + one.steps[step][0].share, 0) / choices.length);
  const certainty = choices.length && sure.length > 1
    ? [h("h4", {}, "share of the likeliest value after each answer, mean over choices"), lines([{ kind: "s0", values: sure }], { height: 50, label: "Certainty after each answer" })]
    : [];
  const ordered = [...properties].sort((one, other) => (other.name === "task") - (one.name === "task"));
  return [
    h("h3", {}, "What is believed now"),
    h("p", { className: "quiet" }, `${words}${number} nearest RNNs of the collection, if the dialogue ended here.`),
    ...certainty,
    ...ordered.map((one) => h("div", { className: "property" }, h("h4", {}, one.name), property(one.steps[at], one.name))),
  ];
}

function property(values, name) {
  const label = (value) => (name === "task" ? task(value) : shown(value));
  if (values.length === 1 && values[0].interval) {
    const [{ value, interval }] = values;
    return h("p", {}, shown(value), h("span", { className: "quiet" }, ` ${shown(interval[0])} to ${shown(interval[1])}`));
  }
  return bars(values.map(({ value, share }) => ({ label: label(value), share: share ?? 0, note: percent(share ?? 0) })));
}
