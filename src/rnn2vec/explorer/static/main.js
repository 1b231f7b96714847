// The page: what is selected decides what the side shows.

import { get, isStatic } from "./api.js";
import { ask } from "./ask.js";
import { card, names } from "./card.js";
import { compare } from "./compare.js";
import { byId, fill, h, shown, titleOf } from "./dom.js";
import { MapView } from "./map.js";
import { change, followLinks, onChange, read, state } from "./state.js";
import { TableView } from "./table.js";
import { exports, uploads } from "./tools.js";

const TABS = ["card", "ask", "compare"];
const CHECK_EVERY = 20000;
let turn = 0;

function say(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

async function start() {
  read();
  const collection = await get("collection");
  document.title = `${collection.name}: rnn2vec explorer`;
  byId("name").textContent = collection.name;
  byId("about").textContent = `${shown(collection.rnns)} RNNs · ${collection.encoder}`;
  const map = new MapView(collection, say);
  const table = new TableView(() => map.chosen());
  tabs();
  uploads(collection, say);
  exports(map, say);
  const showTable = () => {
    byId("table").hidden = !state.table;
    byId("plot").hidden = byId("legend").hidden = Boolean(state.table);
    byId("show-table").setAttribute("aria-pressed", String(Boolean(state.table)));
    if (state.table) table.show().catch((error) => say(error.message));
  };
  map.onSelection = () => { if (state.table) showTable(); };
  map.onLayout = () => { if (state.id.startsWith("upload-")) side(collection, map); };
  byId("show-table").addEventListener("click", () => change({ table: state.table ? "" : "1" }));
  onChange((changed) => {
    if (["id", "tab", "a", "b"].some((name) => changed.has(name))) side(collection, map);
    if (changed.has("table") || (state.table && changed.has("id"))) showTable();
  });
  followLinks();
  await map.start();
  showTable();
  await side(collection, map);
  document.documentElement.dataset.ready = "true";
  if (!isStatic) setInterval(watch, CHECK_EVERY);
}

async function watch() {
  if (document.hidden) return;
  try {
    const { message } = await get("change");
    if (message) say(message);
  } catch (error) {
    say(error.message);
  }
}

function tabs() {
  TABS.forEach((name, at) => {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => change(name === "compare" && !state.a ? { tab: name, a: state.id } : { tab: name }));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = byId(`tab-${TABS[(at + by + TABS.length) % TABS.length]}`);
      next.focus();
      next.click();
    });
  });
}

async function side(collection, map) {
  const mine = (turn += 1);
  const isCurrent = () => mine === turn;
  for (const name of TABS) {
    byId(`tab-${name}`).setAttribute("aria-selected", String(name === state.tab));
    byId(`tab-${name}`).tabIndex = name === state.tab ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${state.tab}`);
  try {
    const element = await content(collection, map, isCurrent);
    if (isCurrent() && element) {
      fill(byId("panel"), element);
      byId("panel").scrollTop = 0;
    }
  } catch (error) {
    if (isCurrent()) fill(byId("panel"), h("p", { className: "problem" }, error.message));
  }
}

async function content(collection, map, isCurrent) {
  if (state.tab === "compare") {
    if (!collection.interface) return h("p", { className: "quiet" }, collection.model);
    return compare(state.a, state.b, collection);
  }
  if (!state.id) return welcome(collection);
  if (state.tab === "ask") {
    if (!collection.interface) return h("p", { className: "quiet" }, collection.model);
    const known = (await names([state.id]))[state.id];
    return ask(state.id, collection, isCurrent, known ? titleOf(known.properties, known.name) : "A dropped file");
  }
  const found = await card(state.id, isCurrent);
  if (!found) return null;
  map.mark(found.found);
  return found.element;
}

function welcome(collection) {
  return h("article", { className: "welcome" },
    h("h2", {}, `${shown(collection.rnns)} recurrent networks, by what they do`),
    h("p", {}, "Each dot is one RNN, placed by its representation: dots lie together when the RNNs behave alike."),
    h("p", {}, "Click a dot to see what is known of it, to ask it, or to compare it with another. Drag to move the map, scroll or pinch to zoom, and draw a lasso to select."),
    h("p", { className: "quiet" }, collection.model),
    h("p", { className: "quiet" }, isStatic ? "This is a static copy: some RNNs have their cards and dialogues here, and none can be asked anew." : "Drop a checkpoint on the page to see where it lies."));
}

start().catch((error) => say(error.message));
