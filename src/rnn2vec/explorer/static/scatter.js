// Points on a canvas: drawing, panning, zooming, picking, lasso, and the same picture as SVG.
//
// A library was measured first: plotly's WebGL scatter needs `eval` (which the page's policy forbids) and half a second
// to load; a canvas needs neither.

const LARGE = 20000;
const PICKED_WITHIN = 12;

export class Scatter {
  constructor(canvas, { onPick, onHover, onLasso }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.x = this.y = new Float32Array();
    this.shades = new Uint8Array();
    this.palette = [];
    this.visible = null;
    this.paths = [];
    this.extra = null;
    this.marks = [];
    this.view = { scale: 1, x: 0, y: 0 };
    this.isLassoing = false;
    this.lasso = [];
    this.pointers = new Map();
    this.calls = { onPick, onHover, onLasso };
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  place(x, y) {
    this.x = x;
    this.y = y;
    this.fit();
  }

  fit() {
    const seen = (values) => (this.visible?.includes(1) ? values.filter((_, at) => this.visible[at]) : values);
    const [left, right] = ends(seen(this.x));
    const [bottom, top] = ends(seen(this.y));
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const margin = Math.min(48, width / 10);
    const scale = Math.min((width - 2 * margin) / (right - left || 1), (height - 2 * margin) / (top - bottom || 1));
    this.view = { scale: Math.max(scale, 1e-12), x: (left + right) / 2, y: (bottom + top) / 2 };
    this.draw();
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#paint();
    });
  }

  toScreen(x, y) {
    const { scale, x: cx, y: cy } = this.view;
    return [this.canvas.clientWidth / 2 + (x - cx) * scale, this.canvas.clientHeight / 2 - (y - cy) * scale];
  }

  size() {
    return this.x.length > LARGE ? 2 : this.x.length > 2000 ? 3 : 4.5;
  }

  // -- drawing -----------------------------------------------------------------------------------

  #paint() {
    const { context, canvas } = this;
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    this.#points();
    for (const path of this.paths) this.#line(path);
    for (const mark of this.marks) this.#ring(mark);
    if (this.lasso.length) this.#lassoLine();
    canvas.dataset.drawn = String(this.palette.length ? this.x.length : 0);
  }

  #buckets() {
    const { x, y, visible, shades, palette, canvas, view } = this;
    const buckets = palette.map(() => []);
    const hidden = [];
    const [halfX, halfY] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    for (let at = 0; at < x.length; at += 1) {
      const across = halfX + (x[at] - view.x) * view.scale;
      const down = halfY - (y[at] - view.y) * view.scale;
      if (across < -8 || down < -8 || across > 2 * halfX + 8 || down > 2 * halfY + 8) continue;
      (visible && !visible[at] ? hidden : buckets[shades[at]])?.push(across, down);
    }
    return { buckets, hidden };
  }

  #points() {
    const { buckets, hidden } = this.#buckets();
    const radius = this.size();
    this.context.globalAlpha = 0.35;
    this.#fill(hidden, this.faintColour, radius * 0.6);
    this.context.globalAlpha = this.x.length > LARGE ? 0.75 : 0.88;
    buckets.forEach((points, shade) => this.#fill(points, this.palette[shade], radius));
    this.context.globalAlpha = 1;
  }

  #fill(points, colour, radius) {
    const { context } = this;
    if (!points.length) return;
    context.fillStyle = colour;
    if (this.x.length > LARGE) {
      for (let at = 0; at < points.length; at += 2) context.fillRect(points[at] - radius / 2, points[at + 1] - radius / 2, radius, radius);
      return;
    }
    context.beginPath();
    for (let at = 0; at < points.length; at += 2) {
      context.moveTo(points[at] + radius, points[at + 1]);
      context.arc(points[at], points[at + 1], radius, 0, 2 * Math.PI);
    }
    context.fill();
  }

  #line({ rows, colour, width }) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.globalAlpha = width > 1 ? 1 : 0.35;
    context.beginPath();
    rows.forEach((row, at) => {
      const [x, y] = this.toScreen(this.x[row], this.y[row]);
      if (at) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
    context.globalAlpha = 1;
  }

  #ring({ x, y, colour, isFilled }) {
    const [across, down] = this.toScreen(x, y);
    const { context } = this;
    context.lineWidth = 2.5;
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.beginPath();
    context.arc(across, down, this.size() + 4, 0, 2 * Math.PI);
    if (isFilled) context.fill();
    context.stroke();
  }

  #lassoLine() {
    const { context } = this;
    context.strokeStyle = this.inkColour;
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.beginPath();
    this.lasso.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.stroke();
    context.setLineDash([]);
  }

  #resize() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const isFirst = this.canvas.width !== Math.round(width * ratio) && !this.wasMoved;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (isFirst && this.x.length) this.fit();
    else this.draw();
  }

  // -- pointing ----------------------------------------------------------------------------------

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => this.calls.onHover(null));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.start = [event.offsetX, event.offsetY];
    this.moved = false;
    if (this.isLassoing || event.shiftKey) this.lasso = [this.start];
  }

  #move(event) {
    const now = [event.offsetX, event.offsetY];
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.calls.onHover(this.nearest(...now), now);
      return;
    }
    if (Math.hypot(now[0] - this.start[0], now[1] - this.start[1]) > 4) this.moved = true;
    if (this.lasso.length) this.lasso.push(now);
    else if (this.pointers.size === 2) this.#pinch(event.pointerId, now);
    else if (this.moved) this.#pan(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
    this.draw();
  }

  #up(event) {
    const wasDown = this.pointers.delete(event.pointerId);
    if (!wasDown) return;
    if (this.lasso.length > 2) this.calls.onLasso(this.#inside(this.lasso));
    else if (!this.moved && event.type === "pointerup") this.calls.onPick(this.nearest(...this.start));
    this.lasso = [];
    this.draw();
  }

  #pan(across, down) {
    this.wasMoved = true;
    this.view.x -= across / this.view.scale;
    this.view.y += down / this.view.scale;
  }

  #pinch(id, now) {
    const [[other]] = [[...this.pointers].filter(([key]) => key !== id).map(([, place]) => place)];
    const before = this.pointers.get(id);
    const distance = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
    this.zoom(distance(now) / distance(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
  }

  zoom(factor, across, down) {
    this.wasMoved = true;
    const { view, canvas } = this;
    const [dx, dy] = [across - canvas.clientWidth / 2, down - canvas.clientHeight / 2];
    view.x += (dx / view.scale) * (1 - 1 / factor);
    view.y -= (dy / view.scale) * (1 - 1 / factor);
    view.scale *= factor;
    this.draw();
  }

  nearest(across, down) {
    let best = -1;
    let least = PICKED_WITHIN ** 2;
    const { x, y, view, canvas, visible } = this;
    const cx = view.x + (across - canvas.clientWidth / 2) / view.scale;
    const cy = view.y - (down - canvas.clientHeight / 2) / view.scale;
    for (let at = 0; at < x.length; at += 1) {
      if (visible && !visible[at]) continue;
      const distance = ((x[at] - cx) ** 2 + (y[at] - cy) ** 2) * view.scale ** 2;
      if (distance < least) [least, best] = [distance, at];
    }
    return best;
  }

  #inside(polygon) {
    const rows = [];
    for (let at = 0; at < this.x.length; at += 1) {
      if (this.visible && !this.visible[at]) continue;
      if (contains(polygon, ...this.toScreen(this.x[at], this.y[at]))) rows.push(at);
    }
    return rows;
  }

  // -- pictures ----------------------------------------------------------------------------------

  toSvg() {
    const { buckets, hidden } = this.#buckets();
    const radius = this.size();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dots = (points, size) => {
      let path = "";
      for (let at = 0; at < points.length; at += 2) path += `M${points[at].toFixed(1)} ${points[at + 1].toFixed(1)}h0`;
      return [path, size];
    };
    const group = (points, colour, size) => {
      const [path, thickness] = dots(points, 2 * size);
      return path ? `<path d="${path}" stroke="${colour}" stroke-width="${thickness}" stroke-linecap="round"/>` : "";
    };
    const lines = this.paths.map(({ rows, colour, width: thickness }) => {
      const places = rows.map((row) => this.toScreen(this.x[row], this.y[row]).map((one) => one.toFixed(1)).join(" "));
      return `<path d="M${places.join("L")}" fill="none" stroke="${colour}" stroke-width="${thickness}"/>`;
    });
    const body = [group(hidden, this.faintColour, radius * 0.6), ...buckets.map((points, at) => group(points, this.palette[at], radius)), ...lines];
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="${this.groundColour}"/>${body.join("")}</svg>\n`;
  }
}

function ends(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return values.length ? [low, high] : [0, 1];
}

function contains(polygon, x, y) {
  let isInside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [ax, ay] = polygon[at];
    const [bx, by] = polygon[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) isInside = !isInside;
  }
  return isInside;
}
