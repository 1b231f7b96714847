// Small pictures: lines, bars, tiles and grids of probabilities.

import { h, svg } from "./dom.js";

export function lines(series, { width = 360, height = 120, label }) {
  const values = series.flatMap(({ values: own }) => [...own]).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const place = (value) => height - 6 - ((value - low) / (high - low || 1)) * (height - 12);
  const paths = series.map(({ values: own, kind }) => {
    const across = (at) => (own.length > 1 ? (at / (own.length - 1)) * (width - 8) : 0) + 4;
    const points = [...own].map((value, at) => `${across(at).toFixed(1)} ${place(value).toFixed(1)}`);
    return svg("path", { d: `M${points.join("L")}`, class: `line ${kind}`, fill: "none" });
  });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label }, paths);
  return h("figure", { className: "lines" }, picture, h("figcaption", {}, `${low.toPrecision(3)} to ${high.toPrecision(3)}`.replaceAll("-", "−")));
}

export function bars(items) {
  return h("ul", { className: "bars" }, items.map(({ label, share, colour, note }) =>
    h("li", {}, h("span", { className: "label" }, label), h("span", { className: "track" }, h("i", { style: { width: `${(100 * share).toFixed(1)}%`, background: colour || "var(--accent)" } })), h("span", { className: "value" }, note))));
}

// A grid of probabilities: a row for each class, a column for each step, ink for probability.
export function heat(values, names, label) {
  const [steps, classes] = values.shape;
  const cells = [];
  for (let row = 0; row < classes; row += 1) {
    for (let step = 0; step < steps; step += 1) {
      const share = values[step * classes + row];
      if (share > 0.02) cells.push(svg("rect", { x: step, y: row, width: 1.02, height: 0.94, class: "heat", "fill-opacity": share.toFixed(2) }));
    }
  }
  const picture = svg("svg", { viewBox: `0 0 ${steps} ${classes}`, preserveAspectRatio: "none", class: "chart grid", role: "img", "aria-label": label }, cells);
  return h("div", { className: "heatmap" }, h("ol", {}, names.map((name) => h("li", {}, name))), picture);
}

// A step of numbers as a small image, where it is a square tile; as bars otherwise.
export function tile(values, side, [low, high]) {
  const canvas = h("canvas", { width: side, height: side, className: "tile" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  values.forEach((value, at) => {
    const ink = Math.max(0, Math.min(1, (value - low) / (high - low)));
    image.data.set([120, 130, 140, Math.round(255 * ink)], 4 * at);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}
