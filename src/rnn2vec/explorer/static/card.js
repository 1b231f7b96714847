// The card of one RNN.

import { get, whenReady } from "./api.js";
import { h, percent, shown, task, titleOf } from "./dom.js";
import { change, state } from "./state.js";

export async function card(id, isCurrent) {
  const found = await whenReady("card", { id, method: state.layout }, isCurrent);
  return found && { found, element: view(found, isCurrent) };
}

function view(found, isCurrent) {
  const predicted = h("div", { className: "predicted" });
  fillPredictions(predicted, found, isCurrent);
  return h("article", { className: "card" },
    h("h2", {}, titleOf(found.properties, found.name)),
    h("p", { className: "quiet", title: found.path }, [found.name, found.architecture].filter(Boolean).join(" · ")),
    found.problem ? h("p", { className: "problem" }, found.problem) : null,
    h("p", { className: "actions" },
      h("button", { type: "button", onclick: () => change({ tab: "ask" }) }, "Ask it"),
      h("button", { type: "button", onclick: () => change({ tab: "compare", a: found.id, b: "" }) }, "Compare it with …")),
    familiarity(found.unusual),
    predicted,
    run(found),
    h("h3", {}, "Most like it"),
    h("ol", { className: "neighbours" }, found.neighbours.map((one) => neighbour(one, found))));
}

function familiarity(unusual) {
  if (!unusual) return null;
  const { distance, typical, p } = unusual;
  const word = p <= 0.01 ? "Unusual" : p <= 0.05 ? "Rather unusual" : "Of a usual kind";
  const times = typical ? `, ${shown(distance / typical)} times the median` : "";
  return h("p", { className: p <= 0.05 ? "warn" : "quiet" }, `${word}: ${percent(p)} of RNNs are at least as far from their neighbours${times}.`);
}

async function fillPredictions(place, found, isCurrent) {
  const constant = new Set(["seed", "spec", "run", "split", "task"]);
  const truths = found.properties.filter((one) => one.value !== null);
  const rows = new Map(truths.filter((one) => !constant.has(one.name)).map((one) => [one.name, { value: one.value }]));
  place.replaceChildren(...table(rows, "being computed …"));
  try {
    const answer = await whenReady("predictions", { id: found.id }, isCurrent);
    if (!answer) return;
    for (const one of answer.predictions) rows.set(one.name, { ...rows.get(one.name), predicted: one });
    place.replaceChildren(...table(rows, answer.predictions.length ? "" : "too few RNNs to learn from"));
  } catch (error) {
    place.replaceChildren(...table(rows, error.message));
  }
}

function table(rows, note) {
  if (!rows.size && !note) return [];
  const head = h("tr", {}, h("th", { scope: "col" }, "property"), h("th", { scope: "col" }, "true"), h("th", { scope: "col" }, "predicted"));
  const lines = [...rows].map(([name, { value, predicted }]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value === undefined ? "–" : shown(value)), h("td", { title: predicted ? trust(predicted) : "" }, predicted ? guess(predicted) : "")));
  const caption = note ? h("p", { className: "quiet" }, `Predictions: ${note}`) : h("p", { className: "quiet" }, "Predicted from its representation. The predictors learned on this collection, without its validation split where there is one.");
  return [h("table", { className: "plain" }, h("thead", {}, head), h("tbody", {}, lines)), caption];
}

function guess({ value, probability, interval }) {
  if (interval) return [shown(value), h("span", { className: "quiet" }, ` ${shown(interval[0])} to ${shown(interval[1])}`)].map(asElement);
  return [shown(value), h("span", { className: "quiet" }, ` ${percent(probability)}`)].map(asElement);
}

function asElement(one) {
  return typeof one === "string" ? h("span", {}, one) : one;
}

function trust({ interval, coverage, score }) {
  return interval
    ? `such intervals hold ${percent(coverage)} on held-out RNNs; R² ${score.toFixed(2)}`
    : `right for ${percent(score)} of held-out RNNs`;
}

function run(found) {
  if (found.run.length < 2) return null;
  const steps = found.run.map(({ id, step }) =>
    h("button", { type: "button", "aria-pressed": String(id === found.id), onclick: () => change({ id }) }, shown(step)));
  return h("div", { className: "run" }, h("h3", {}, "Its run, by step"), h("div", { className: "steps" }, steps));
}

function neighbour(one, found) {
  const step = one.properties.find((property) => property.name === "step");
  const known = one.properties.find((property) => property.name === "task");
  const verdict = one.verdict ? h("span", { className: `verdict ${one.verdict.kind.replace(" ", "-")}`, title: one.verdict.text }, one.verdict.kind) : null;
  return h("li", {},
    h("button", { type: "button", className: "link", onclick: () => change({ id: one.id }) },
      known ? task(known.value) : one.name, step ? h("span", { className: "quiet" }, ` step ${shown(step.value)}`) : null),
    verdict,
    h("button", { type: "button", className: "small", title: "Compare the two", "aria-label": `Compare with ${one.name}`, onclick: () => change({ tab: "compare", a: found.id, b: one.id }) }, one.distance.toFixed(3)));
}

export async function names(ids) {
  const rows = ids.filter((id) => /^\d+$/.test(id));
  if (!rows.length) return {};
  const { columns, rows: found } = await get("rows", { rows: rows.join(",") });
  return Object.fromEntries(found.map((one) => [one.id, { ...one, properties: columns.map((name, at) => ({ name, value: one.values[at] })) }]));
}
