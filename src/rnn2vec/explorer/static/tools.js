// A checkpoint dropped on the page, and what can be taken away from it.

import { download, isStatic, post } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { change } from "./state.js";

const LARGEST = 64 * 2 ** 20;

export function uploads(collection, say) {
  const input = byId("file");
  const isPossible = !isStatic && collection.interface !== null;
  byId("add").hidden = !isPossible;
  if (!isPossible) return;
  input.addEventListener("change", () => {
    if (input.files.length) add(input.files[0], say);
    input.value = "";
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) add(event.dataTransfer.files[0], say);
  });
}

async function add(file, say) {
  if (file.size > LARGEST) {
    say(`${file.name} has ${Math.round(file.size / 2 ** 20)} MB; at most ${LARGEST / 2 ** 20} MB are read.`);
    return;
  }
  say(`Reading ${file.name} …`);
  try {
    const { id, name, assumed } = await post("upload", file, { name: file.name });
    say(assumed.length ? `${name} was read; assumed: ${assumed.join("; ")}` : "");
    change({ id, tab: "card" });
  } catch (error) {
    say(error.message);
  }
}

export function exports(map, say) {
  const menu = document.querySelector("#export .menu");
  const count = h("p", { className: "quiet" });
  const save = async (name, make) => {
    try {
      const blob = await make();
      const link = h("a", { href: URL.createObjectURL(blob), download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      byId("export").open = false;
    } catch (error) {
      say(error.message);
    }
  };
  const rows = () => Uint32Array.from(map.chosen()).buffer;
  const canvas = byId("canvas");
  const button = (label, name, make) => h("button", { type: "button", onclick: () => save(name, make) }, label);
  const data = isStatic ? [] : [
    button("CSV", "selection.csv", () => download("export", rows(), { format: "csv" })),
    button("Parquet", "selection.parquet", () => download("export", rows(), { format: "parquet" })),
  ];
  fill(menu, count, data, button("PNG", "map.png", () => picture(canvas, map.scatter)), button("SVG", "map.svg", () => new Blob([map.scatter.toSvg()], { type: "image/svg+xml" })));
  byId("export").addEventListener("toggle", () => { count.textContent = `${map.chosen().length.toLocaleString("en-US")} RNNs selected`; });
}

function picture(canvas, scatter) {
  const copy = h("canvas", { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d");
  context.fillStyle = scatter.groundColour;
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
}
