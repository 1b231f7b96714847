// What is shown, in the address: a link restores the view. Everything else follows from it.

const DEFAULTS = { colour: "", layout: "pca", filter: "", step: "", runs: "", tab: "card", id: "", a: "", b: "", table: "" };

export const state = { ...DEFAULTS };
const listeners = [];

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(DEFAULTS)) state[name] = given.get(name) ?? DEFAULTS[name];
}

export function change(changes) {
  const before = { ...state };
  Object.assign(state, changes);
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== DEFAULTS[name]) query.set(name, value);
  const hash = `#${query}`;
  if (hash !== (location.hash || "#")) history.replaceState(null, "", hash);
  notify(before);
}

export function onChange(listener) {
  listeners.push(listener);
}

function notify(before) {
  const changed = new Set(Object.keys(DEFAULTS).filter((name) => state[name] !== before[name]));
  if (changed.size) for (const listener of listeners) listener(changed);
}

export function followLinks() {
  addEventListener("hashchange", () => {
    const before = { ...state };
    read();
    notify(before);
  });
}
