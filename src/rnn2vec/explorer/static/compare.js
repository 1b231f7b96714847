// Two RNNs side by side.

import { get, isStatic } from "./api.js";
import { names } from "./card.js";
import { heat, lines } from "./charts.js";
import { fill, h, percent, shown, titleOf } from "./dom.js";
import { tokenColour } from "./palette.js";
import { change, state } from "./state.js";

export async function compare(a, b, collection) {
  const known = await names([a, b]);
  const heads = h("div", { className: "pair" }, slot("A", a, known[a]), slot("B", b, known[b]));
  if (!a || !b) return h("article", { className: "compare" }, heads, h("p", { className: "quiet" }, "Click an RNN on the map or a row of the table to choose it."));
  if (a === b) return h("article", { className: "compare" }, heads, h("p", { className: "quiet" }, "These are one and the same. Choose another for B."));
  const found = await get("compare", { a, b });
  const search = h("div", { "aria-live": "polite" });
  const find = h("button", { type: "button", onclick: () => shortest(a, b, collection, search) }, "Find the shortest input on which they disagree");
  return h("article", { className: "compare" },
    heads,
    h("p", { className: `verdict-line ${found.verdict.kind.replace(" ", "-")}` }, sentence(found.verdict.text)),
    distances(found),
    h("h3", {}, "The same input"),
    h("p", { className: "quiet" }, `Both read ${found.input}.`),
    sideBySide(found, collection),
    parting(found),
    h("p", {}, isStatic ? null : find), search);
}

function slot(letter, id, known) {
  const title = known ? titleOf(known.properties, known.name) : id ? "a dropped file" : "not chosen";
  const step = known?.properties.find((one) => one.name === "step");
  const other = letter === "A" ? { a: "" } : { b: "" };
  return h("div", { className: `slot ${letter.toLowerCase()}` }, h("h2", {}, h("span", { className: "letter" }, letter), " ", title),
    h("p", { className: "quiet" }, [known?.name, step ? `step ${shown(step.value)}` : null].filter(Boolean).join(" · ")),
    id ? h("button", { type: "button", className: "small", "aria-label": `Choose another for ${letter}`, onclick: () => change(other) }, "other") : null);
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function distances({ representation_distance: apart, typical_distance: typical, weight_distance: weights }) {
  const row = (name, value) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value));
  return h("table", { className: "plain" }, h("tbody", {},
    row("distance of representations", `${apart.toFixed(3)} (median of pairs: ${typical.toFixed(3)})`),
    row("distance of weights", weights === null ? "none: two architectures" : `${percent(weights)} of the length of A's`)));
}

function sideBySide(found, collection) {
  const { input_kind: input, output_kind: output, input_names: names_, output_names: outputs } = collection.interface;
  const [steps, width] = found.a.shape;
  const parts = [];
  if (input === "categorical") parts.push(tokens("input", found.inputs, names_));
  if (output === "categorical" && width <= 30 && input === "categorical") {
    parts.push(tokens("A", found.a, outputs), tokens("B", found.b, outputs));
  } else if (output === "categorical") {
    const labels = outputs || Array.from({ length: width }, (_, at) => String(at));
    parts.push(h("h4", {}, "A"), heat(found.a, labels, "Probabilities of A"), h("h4", {}, "B"), heat(found.b, labels, "Probabilities of B"));
  } else {
    const one = (array) => Array.from({ length: steps }, (_, at) => array[at * width]);
    parts.push(lines([{ kind: "a", values: one(found.a) }, { kind: "b", values: one(found.b) }], { label: "Answers of A and B" }));
  }
  parts.push(h("h4", {}, "how far apart, step by step"), lines([{ kind: "s0", values: found.apart }], { height: 60, label: "Distance of answers at each step" }));
  return h("div", { className: "dialogue", tabIndex: 0, role: "group", "aria-label": "Answers side by side" }, parts);
}

function tokens(name, values, names_) {
  const [steps, width] = values.shape;
  const cells = Array.from({ length: steps }, (_, at) => {
    const own = values.subarray(at * width, (at + 1) * width);
    const best = own.indexOf(Math.max(...own));
    const text = names_ ? names_[best] : String(best);
    return h("span", { className: "cell", title: `${text} ${percent(own[best])}`, style: { "--t": tokenColour(best), "--p": own[best].toFixed(2) } }, text);
  });
  return h("div", { className: "row" }, h("span", { className: "who" }, name), h("span", { className: "cells" }, cells));
}

function parting({ parting: steps }) {
  if (!steps || steps.length < 2) return null;
  return h("div", {}, h("h3", {}, "Where in training they part"),
    lines([{ kind: "s0", values: steps.map((one) => one.distance) }], { height: 80, label: "Distance of their representations by step" }),
    h("p", { className: "quiet" }, `Distance of their runs' representations, from step ${shown(steps[0].step)} to ${shown(steps[steps.length - 1].step)}.`));
}

async function shortest(a, b, collection, place) {
  fill(place, h("p", { className: "quiet" }, "Searching …"));
  try {
    const found = await get("disagreement", { a, b });
    if (state.a === a && state.b === b) fill(place, disagreement(found, collection.interface));
  } catch (error) {
    fill(place, h("p", { className: "problem" }, error.message));
  }
}

function disagreement({ found, margin, text }, kinds) {
  if (!found) return [h("p", {}, `None was found on which they differ by more than ${margin}. ${sentence(text)}`)];
  const flat = (steps) => Object.assign(Float32Array.from(steps.flat()), { shape: [steps.length, steps[0].length] });
  const kind = found.is_shortest ? "The shortest input on which they disagree" : "The shortest that was found";
  const head = h("p", {}, `${kind}: ${found.inputs.length} step${found.inputs.length > 1 ? "s" : ""}, answers ${found.distance.toFixed(2)} apart.`);
  if (kinds.input_kind === "categorical") {
    const ends = found.answers.map((answer, at) => tokens("AB"[at], flat([answer]), kinds.output_names));
    return [head, tokens("input", flat(found.inputs), kinds.input_names), ...ends];
  }
  const width = found.inputs[0].length;
  const series = Array.from({ length: Math.min(4, width) }, (_, at) => ({ kind: `s${at}`, values: found.inputs.map((step) => step[at]) }));
  const answers = found.answers.map((answer, at) => h("p", {}, `${"AB"[at]}: ${answer.slice(0, 10).map(shown).join("  ")}`));
  return [head, lines(series, { height: 80, label: "The input" }), ...answers];
}
