// Colours: those of the scheme come from the style sheet, so that light and dark are decided in one place.

// Beginning with the categories of the tour's page; the last is for "others".
export const CATEGORIES = [
  "#5468dc", "#1592c4", "#159a76", "#b08d12", "#e0701f", "#cf3579",
  "#8a5cd0", "#4f8f2f", "#b4532a", "#0f8a9d", "#a64ca6", "#84898f",
];
export const SHADES = 32;

export function scheme() {
  const style = getComputedStyle(document.documentElement);
  const one = (name) => style.getPropertyValue(name).trim();
  return {
    ground: one("--ground"), ink: one("--ink"), faint: one("--faint"), grid: one("--grid"), accent: one("--accent"),
    second: one("--second"), unknown: one("--unknown"), scale: scaleOf(one("--scale").split(",").map((text) => text.trim())),
  };
}

function scaleOf(stops) {
  const colours = stops.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  return Array.from({ length: SHADES }, (_, shade) => {
    const place = (shade / (SHADES - 1)) * (colours.length - 1);
    const low = Math.min(Math.floor(place), colours.length - 2);
    const mixed = colours[low].map((value, at) => Math.round(value + (place - low) * (colours[low + 1][at] - value)));
    return `rgb(${mixed.join(",")})`;
  });
}

export function tokenColour(token) {
  return CATEGORIES[token % (CATEGORIES.length - 1)];
}

// A shade for each value, and the ends of the scale; values beyond the 1 % and 99 % quantiles get the end colours.
export function shadesOf(column, colours) {
  if (column.kind === "category") {
    const last = column.categories.length - 1;
    const palette = column.categories.map((_, at) => (column.has_others && at === last ? colours.unknown : CATEGORIES[at]));
    return { shades: Uint8Array.from(column.values), palette };
  }
  const finite = Float32Array.from(column.values.filter(Number.isFinite)).sort();
  const at = (share) => finite[Math.round(share * (finite.length - 1))];
  const [low, high] = finite.length ? [at(0.01), at(0.99)] : [0, 0];
  const factor = high > low ? (SHADES - 1) / (high - low) : 0;
  const shades = new Uint8Array(column.values.length);
  column.values.forEach((value, place) => {
    shades[place] = Number.isFinite(value) ? Math.max(0, Math.min(SHADES - 1, Math.round((value - low) * factor))) : SHADES;
  });
  const ends = { low, high, isCut: finite.length > 0 && (finite[0] < low || finite[finite.length - 1] > high) };
  return { shades, palette: [...colours.scale, colours.unknown], ends };
}
