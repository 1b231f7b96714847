// Elements from data. Text is only ever set as text, so that no name from a file can become markup.

export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  set(element, properties || {});
  element.append(...children.flat().filter((child) => child !== null && child !== undefined).map(asNode));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, String(value));
  element.append(...children.flat().map(asNode));
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "role") element[name] = value;
    else element.setAttribute(name, String(value));
  }
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

export function byId(id) {
  return document.getElementById(id);
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined).map(asNode));
}

// A language such as a^n b^(n+1), with its exponents raised; any other text stays as it is.
export function task(text) {
  const parts = [];
  let at = 0;
  for (const match of String(text).matchAll(/\^(?:\(([\w+-]+)\)|(\w+))/g)) {
    parts.push(text.slice(at, match.index), h("sup", {}, (match[1] || match[2]).replace("-", "−")));
    at = match.index + match[0].length;
  }
  parts.push(String(text).slice(at));
  return h("span", { className: parts.length > 1 ? "task" : "" }, parts);
}

export function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US").replace("-", "−");
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 1e5) ? value.toExponential(1) : value.toFixed(size < 10 ? 3 : 1);
  return text.replace(/^-/, "−");
}

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

export function titleOf(properties, name) {
  const found = properties.find((one) => one.name === "task");
  return found ? task(found.value) : h("span", {}, name);
}
