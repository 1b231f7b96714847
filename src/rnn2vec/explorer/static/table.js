// The table: the same RNNs for keyboards and screen readers, a page at a time.

import { get } from "./api.js";
import { byId, fill, h, shown, task } from "./dom.js";
import { change, state } from "./state.js";

const ROWS = 50;

export class TableView {
  constructor(chosen) {
    this.chosen = chosen;
    this.page = 0;
  }

  async show() {
    const rows = this.chosen();
    this.page = Math.max(0, Math.min(this.page, Math.ceil(rows.length / ROWS) - 1));
    const here = rows.slice(this.page * ROWS, (this.page + 1) * ROWS);
    if (!here.length) {
      fill(byId("table"), h("p", { className: "quiet" }, "No RNN is selected."));
      return;
    }
    const found = await get("rows", { rows: here.join(",") });
    const head = h("tr", {}, ["RNN", ...found.columns].map((name) => h("th", { scope: "col" }, name)));
    const lines = found.rows.map((row) => this.#line(row, found.columns));
    const moves = h("div", { className: "pages" }, this.#move("Previous", -1, this.page > 0), `${shown(this.page * ROWS + 1)} to ${shown(this.page * ROWS + here.length)} of ${shown(rows.length)}`, this.#move("Next", 1, (this.page + 1) * ROWS < rows.length));
    fill(byId("table"), moves, h("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "Rows" }, h("table", { className: "plain" }, h("caption", { className: "unseen" }, "RNNs of the collection"), h("thead", {}, head), h("tbody", {}, lines))));
  }

  #line(row, columns) {
    const pick = () => change(state.tab === "compare" ? (state.a ? { b: row.id } : { a: row.id }) : { id: row.id });
    const cells = row.values.map((value, at) => h("td", {}, columns[at] === "task" && value ? task(value) : shown(value)));
    return h("tr", { className: row.id === state.id ? "selected" : "" }, h("th", { scope: "row" }, h("button", { type: "button", className: "link", onclick: pick }, row.name)), cells);
  }

  #move(name, by, isPossible) {
    return h("button", { type: "button", disabled: !isPossible, onclick: () => { this.page += by; this.show(); } }, name);
  }
}
