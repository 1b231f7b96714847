// The map with its controls, legend and filter.

import { get, isStatic, whenReady } from "./api.js";
import { byId, fill, h, shown, titleOf } from "./dom.js";
import { scheme, shadesOf } from "./palette.js";
import { Scatter } from "./scatter.js";
import { change, onChange, state } from "./state.js";

const MOST_RUNS_DRAWN = 3000;
const HOVER_PAUSE = 60;

export class MapView {
  constructor(collection, say) {
    this.collection = collection;
    this.say = say;
    this.columns = new Map();
    this.rows = new Map();
    this.filterMask = this.stepMask = this.lassoMask = null;
    this.selected = null; // an upload's card holds its place
    const onPick = (row) => this.#pick(row);
    this.scatter = new Scatter(byId("canvas"), { onPick, onHover: (...where) => this.#hover(...where), onLasso: (rows) => this.#lasso(rows) });
    this.#controls();
    onChange((changed) => this.#follow(changed).catch((error) => say(error.message)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
  }

  async start() {
    const names = [...this.collection.columns.map((one) => one.name), ...this.collection.derived];
    if (!names.includes(state.colour)) state.colour = preferred(this.collection);
    byId("colour").value = state.colour;
    await this.#layout("pca");
    await this.#colour();
    if (state.layout !== "pca") this.#layout(state.layout).catch((error) => this.say(error.message));
    await this.#filter();
    await this.#runs();
    await this.#steps();
    this.#marks();
  }

  // -- controls ----------------------------------------------------------------------------------

  #controls() {
    const { columns, derived } = this.collection;
    const options = [...columns.filter((one) => !one.is_constant).map((one) => one.name), ...derived];
    fill(byId("colour"), options.map((name) => h("option", { value: name }, name)));
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("colour").addEventListener("change", (event) => change({ colour: event.target.value }));
    byId("layout").addEventListener("change", (event) => change({ layout: event.target.value }));
    byId("filter").addEventListener("change", (event) => change({ filter: event.target.value.trim() }));
    byId("step").addEventListener("input", (event) => change({ step: stepAt(this.allSteps, event.target.value) }));
    byId("runs").addEventListener("change", (event) => change({ runs: event.target.checked ? "1" : "" }));
    byId("fit").addEventListener("click", () => this.scatter.fit());
    byId("lasso").addEventListener("click", () => this.#toggleLasso());
    byId("filter").value = state.filter;
    byId("filter").disabled = isStatic;
    byId("layout").value = state.layout;
    byId("runs").checked = state.runs !== "";
    byId("step-label").hidden = byId("runs-label").hidden = !this.collection.has_runs;
  }

  #toggleLasso() {
    this.scatter.isLassoing = !this.scatter.isLassoing;
    byId("lasso").setAttribute("aria-pressed", String(this.scatter.isLassoing));
    if (!this.scatter.isLassoing && this.lassoMask) this.#lasso(null);
  }

  async #follow(changed) {
    if (changed.has("layout")) await this.#layout(state.layout);
    if (changed.has("colour")) await this.#colour();
    if (changed.has("filter")) await this.#filter();
    if (changed.has("runs")) await this.#runs();
    if (changed.has("step")) await this.#steps();
    if (["id", "a", "b", "layout", "tab"].some((name) => changed.has(name))) this.#marks();
  }

  // -- what is shown -----------------------------------------------------------------------------

  async #layout(method) {
    byId("layout").value = method;
    const wait = (seconds) => {
      this.#note(`t-SNE is being computed, ${Math.round(seconds)} s so far; the map shows PCA meanwhile.`);
      return state.layout === method;
    };
    const found = await whenReady("map", { method }, method === "pca" ? null : wait);
    if (!found || state.layout !== method && method !== "pca") return;
    this.scatter.place(found.x, found.y);
    this.#note(noteOn(found, this.collection.rnns));
    this.onLayout?.(method);
  }

  #note(text) {
    byId("note").textContent = text;
  }

  async #colour() {
    const name = state.colour;
    byId("colour").value = name;
    if (!this.columns.has(name)) {
      const found = await whenReady("column", { name }, () => {
        fill(byId("legend"), `${name} is being computed …`);
        return state.colour === name;
      });
      if (!found) return;
      this.columns.set(name, found);
    }
    if (state.colour === name) this.#recolour();
  }

  #recolour() {
    const column = this.columns.get(state.colour);
    if (!column) return;
    const colours = scheme();
    const { shades, palette, ends } = shadesOf(column, colours);
    Object.assign(this.scatter, { shades, palette, faintColour: colours.grid, inkColour: colours.ink, groundColour: colours.ground });
    this.#legend(column, ends, palette);
    this.#paths();
    this.#marks();
    this.scatter.draw();
  }

  #legend(column, ends, palette) {
    if (ends) {
      const signs = ends.isCut ? ["≤ ", "≥ "] : ["", ""];
      fill(byId("legend"), h("span", { className: "name" }, column.name), signs[0] + shown(ends.low), h("i", { className: "ramp" }), signs[1] + shown(ends.high));
      return;
    }
    const items = column.categories.map(({ name, count, note }, at) =>
      h("li", { title: note }, h("i", { style: { background: palette[at] } }), titleOf([{ name: "task", value: name }]), h("span", { className: "quiet" }, ` ${shown(count)}`)));
    fill(byId("legend"), h("span", { className: "name" }, column.name), h("ul", {}, items));
  }

  async #filter() {
    byId("filter").value = state.filter;
    const where = state.filter.split(";").map((one) => one.trim()).filter(Boolean);
    byId("filter").removeAttribute("aria-invalid");
    try {
      this.filterMask = where.length ? (await get("matches", { where })).mask : null;
    } catch (error) {
      byId("filter").setAttribute("aria-invalid", "true");
      this.say(error.message);
      return;
    }
    this.#mask();
  }

  async #loadRuns() {
    if (this.run || !this.collection.has_runs) return;
    const { run, step } = await get("runs");
    Object.assign(this, { run, step, allSteps: [...new Set(step)].filter(Number.isFinite).sort((a, b) => a - b) });
    byId("step").max = String(this.allSteps.length);
  }

  async #steps() {
    await this.#loadRuns();
    if (!this.run) return;
    const at = state.step === "" ? -1 : this.allSteps.indexOf(Number(state.step));
    byId("step").value = String(at + 1);
    byId("step-value").textContent = at < 0 ? "all" : shown(this.allSteps[at]);
    this.stepMask = at < 0 ? null : Uint8Array.from(this.step, (one) => one === this.allSteps[at]);
    this.#mask();
  }

  async #runs() {
    await this.#loadRuns();
    byId("runs").checked = state.runs !== "";
    this.#paths();
    this.scatter.draw();
  }

  #mask() {
    const masks = [this.filterMask, this.stepMask, this.lassoMask].filter(Boolean);
    this.scatter.visible = masks.length ? Uint8Array.from(this.scatter.x, (_, at) => masks.every((mask) => mask[at])) : null;
    this.scatter.draw();
    this.onSelection?.(this.chosen());
  }

  chosen() {
    const { visible, x } = this.scatter;
    const rows = [];
    for (let at = 0; at < x.length; at += 1) if (!visible || visible[at]) rows.push(at);
    return rows;
  }

  #lasso(rows) {
    this.lassoMask = null;
    if (rows && rows.length) {
      this.lassoMask = new Uint8Array(this.scatter.x.length);
      for (const row of rows) this.lassoMask[row] = 1;
    }
    this.#mask();
  }

  // -- trajectories and marks --------------------------------------------------------------------

  #paths() {
    const colours = scheme();
    const paths = [];
    if (this.run && state.runs) for (const rows of this.#byRun().slice(0, MOST_RUNS_DRAWN)) paths.push({ rows, colour: colours.faint, width: 0.8 });
    const row = this.#selectedRow();
    if (this.run && row !== null) {
      const rows = this.#byRun().find((one) => one.includes(row));
      if (rows) paths.push({ rows, colour: colours.ink, width: 1.6 });
    }
    this.scatter.paths = paths;
  }

  #byRun() {
    if (this.grouped) return this.grouped;
    const groups = new Map();
    this.run.forEach((run, row) => {
      if (run < 0) return;
      if (!groups.has(run)) groups.set(run, []);
      groups.get(run).push(row);
    });
    this.grouped = [...groups.values()].filter((rows) => rows.length > 1);
    for (const rows of this.grouped) rows.sort((a, b) => this.step[a] - this.step[b]);
    return this.grouped;
  }

  #selectedRow() {
    return /^\d+$/.test(state.id) ? Number(state.id) : null;
  }

  mark(card) {
    this.selected = card;
    this.#marks();
  }

  #marks() {
    const { scatter } = this;
    const colours = scheme();
    const at = (id, colour) => {
      if (/^\d+$/.test(id)) return Number(id) < scatter.x.length ? [{ x: scatter.x[id], y: scatter.y[id], colour }] : [];
      const place = this.selected?.id === id ? this.selected.place : null;
      return place ? [{ x: place[0], y: place[1], colour, isFilled: true }] : [];
    };
    const compared = state.tab === "compare" ? [...at(state.a, colours.accent), ...at(state.b, colours.second)] : [];
    scatter.marks = compared.length ? compared : at(state.id, colours.ink);
    this.#paths();
    scatter.draw();
  }

  #pick(row) {
    if (row < 0) return;
    const id = String(row);
    if (state.tab === "compare" && state.a && state.a !== id) change({ b: id });
    else if (state.tab === "compare") change({ a: id });
    else change({ id });
  }

  // -- what the pointer is over ------------------------------------------------------------------

  #hover(row, place) {
    clearTimeout(this.hovering);
    byId("canvas").classList.toggle("over", row !== null && row >= 0);
    if (row === null || row < 0) {
      byId("tip").hidden = true;
      return;
    }
    this.hovering = setTimeout(() => this.#tip(row, place).catch(() => { byId("tip").hidden = true; }), HOVER_PAUSE);
  }

  async #tip(row, [x, y]) {
    if (!this.rows.has(row)) {
      if (isStatic) return;
      const { columns, rows: [found] } = await get("rows", { rows: row });
      if (this.rows.size > 2000) this.rows.clear();
      this.rows.set(row, { ...found, properties: columns.map((name, at) => ({ name, value: found.values[at] })) });
    }
    const { name, properties } = this.rows.get(row);
    const value = properties.find((one) => one.name === state.colour);
    const step = properties.find((one) => one.name === "step");
    const line = [step && step !== value ? `step ${shown(step.value)}` : null, value && value.name !== "task" ? `${value.name} ${shown(value.value)}` : null];
    const tip = byId("tip");
    fill(tip, h("strong", {}, titleOf(properties, name)), h("span", {}, line.filter(Boolean).join(", ")));
    tip.hidden = false;
    const room = byId("plot").clientWidth - tip.offsetWidth - 8;
    tip.style.setProperty("left", `${Math.max(4, Math.min(x + 14, room))}px`);
    tip.style.setProperty("top", `${Math.max(4, y - tip.offsetHeight - 12)}px`);
  }
}

function preferred(collection) {
  const names = collection.columns.filter((one) => !one.is_constant).map((one) => one.name);
  return ["performance", "step", ...names, ...collection.derived].find((name) => names.includes(name) || collection.derived.includes(name)) || "";
}

function stepAt(steps, value) {
  return Number(value) === 0 ? "" : String(steps[Number(value) - 1]);
}

function noteOn({ method, explained, laid_out: laidOut }, total) {
  if (method === "pca") return explained === null ? "PCA" : `PCA: ${Math.round(100 * explained)} % of the variance`;
  const some = laidOut < total ? `; ${shown(laidOut)} were laid out, the others placed among their nearest` : "";
  return `t-SNE: neighbours stay together, distances between groups mean nothing${some}`;
}

