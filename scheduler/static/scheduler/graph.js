// Graphs: zoom and move by wheel, fingers, buttons and keys; what leads to a task and what follows from it lights up.
"use strict";
(() => {
  const LEAST = 0.06, MOST = 2, LEGIBLE = 0.62, START = 0.8, FAR = 0.42, STEP = 1.25;
  const views = new WeakMap(); // by frame
  const places = new Map(); // by id of the frame: they outlive it, when it is replaced because colours changed
  const bounded = (value, least, most) => Math.min(Math.max(value, least), most);

  class View {
    constructor(frame) {
      this.frame = frame;
      this.fingers = new Map();
      frame.addEventListener("keydown", (event) => this.onKey(event));
      frame.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
      frame.addEventListener("pointerdown", (event) => this.onDown(event));
      frame.addEventListener("pointermove", (event) => this.onMove(event));
      for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => this.onUp(event));
      frame.addEventListener("click", (event) => { if (this.wasMoved) event.preventDefault(); }, true);
      frame.addEventListener("dragstart", (event) => event.preventDefault());
      frame.addEventListener("pointerover", (event) => this.light(event.target.closest(".g-node")));
      frame.addEventListener("pointerleave", () => this.light(null));
      frame.addEventListener("focusin", (event) => this.onFocus(event.target.closest(".g-node")));
      frame.addEventListener("focusout", () => this.light(null));
      for (const button of frame.querySelectorAll("[data-zoom]")) {
        button.addEventListener("click", () => this.press(button.dataset.zoom));
      }
      new ResizeObserver(() => this.draw()).observe(frame);
    }

    take(svg) {
      if (this.svg === svg) return;
      this.svg = svg;
      this.edges = this.lit = null;
      this.width = Number(svg.dataset.width);
      this.height = Number(svg.dataset.height);
      this.frame.dataset.ready = "1";
      const kept = places.get(this.frame.id);
      if (kept) Object.assign(this, kept);
      else this.begin();
      this.draw();
    }

    // --- place ---------------------------------------------------------------------------------

    room() {
      const across = this.frame.clientWidth || 600;
      const least = Math.min(this.height, 120);
      return [across, bounded(this.height * Math.min(across / this.width, 1), least, Math.round(window.innerHeight * 0.7))];
    }

    begin() {
      const [across, down] = this.size = this.room();
      const whole = Math.min(across / this.width, down / this.height, 1);
      this.scale = whole >= LEGIBLE ? whole : START;
      if (this.scale > whole) { // the picture is moved and not shown whole, so it may be as high as there is room
        this.size[1] = bounded(this.height * this.scale, 120, Math.round(window.innerHeight * 0.7));
      }
      const current = this.svg.querySelector(".g-current");
      const { x, y } = current ? this.placeOf(current) : { x: 0, y: 0 };
      this.x = current ? x + 94 - this.size[0] / this.scale / 2 : 0;
      this.y = current ? y + 21 - this.size[1] / this.scale / 2 : 0;
      if (whole === this.scale) [this.x, this.y] = this.centre();
      this.keepInside();
    }

    centre() {
      return [(this.width - this.size[0] / this.scale) / 2, (this.height - this.size[1] / this.scale) / 2];
    }

    placeOf(node) {
      const { e, f } = node.transform.baseVal.getItem(0).matrix;
      return { x: e + 12, y: f + 12 };
    }

    keepInside() {
      const [across, down] = [this.size[0] / this.scale, this.size[1] / this.scale];
      const [middleX, middleY] = this.centre();
      this.x = across >= this.width ? middleX : bounded(this.x, 0, this.width - across);
      this.y = down >= this.height ? middleY : bounded(this.y, 0, this.height - down);
    }

    draw() {
      if (!this.svg) return;
      this.size[0] = this.frame.clientWidth || this.size[0];
      this.keepInside();
      const [across, down] = this.size;
      this.svg.setAttribute("height", String(Math.round(down)));
      const box = [this.x - 12, this.y - 12, across / this.scale, down / this.scale];
      this.svg.setAttribute("viewBox", box.map((value) => Math.round(value * 100) / 100).join(" "));
      this.svg.classList.toggle("g-far", this.scale < FAR);
      this.frame.dataset.scale = this.scale.toFixed(3);
      places.set(this.frame.id, { x: this.x, y: this.y, scale: this.scale, size: [...this.size] });
    }

    // Zooms so that a point of the frame, by default its middle, stays where it is.
    zoom(factor, left = this.size[0] / 2, top = this.size[1] / 2) {
      const whole = Math.min(this.size[0] / this.width, this.size[1] / this.height, 1);
      const scale = bounded(this.scale * factor, Math.min(LEAST, whole), MOST);
      this.x += left / this.scale - left / scale;
      this.y += top / this.scale - top / scale;
      this.scale = scale;
      this.draw();
    }

    move(right, down) {
      this.x += right / this.scale;
      this.y += down / this.scale;
      this.draw();
    }

    press(what) {
      if (what === "all") {
        this.scale = Math.min(this.size[0] / this.width, this.size[1] / this.height, 1);
        this.draw();
      } else this.zoom(what === "in" ? STEP : 1 / STEP);
    }

    // --- hands ---------------------------------------------------------------------------------

    onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const does = {
        "+": () => this.press("in"), "=": () => this.press("in"), "-": () => this.press("out"), _: () => this.press("out"),
        0: () => this.press("all"), ArrowLeft: () => this.move(-80, 0), ArrowRight: () => this.move(80, 0),
        ArrowUp: () => this.move(0, -80), ArrowDown: () => this.move(0, 80),
      }[event.key];
      if (!does) return;
      event.preventDefault();
      does();
    }

    onWheel(event) {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      const { left, top } = this.svg.getBoundingClientRect();
      this.zoom(Math.exp(-bounded(event.deltaY, -60, 60) / 150), event.clientX - left, event.clientY - top);
    }

    onDown(event) {
      if (event.button !== 0 || event.target.closest(".g-foot")) return;
      this.fingers.set(event.pointerId, event);
      this.travelled = 0;
      this.wasMoved = false;
    }

    onMove(event) {
      const before = this.fingers.get(event.pointerId);
      if (!before) return;
      const [right, down] = [before.clientX - event.clientX, before.clientY - event.clientY];
      this.travelled += Math.abs(right) + Math.abs(down);
      if (!this.wasMoved && this.travelled < 5) return this.fingers.set(event.pointerId, event);
      if (!this.wasMoved) this.frame.setPointerCapture(event.pointerId);
      this.wasMoved = true;
      this.frame.classList.add("g-moving");
      const apart = this.distance();
      this.fingers.set(event.pointerId, event);
      if (this.fingers.size === 1) return this.move(right, down);
      const { left, top } = this.svg.getBoundingClientRect();
      const all = [...this.fingers.values()];
      const middle = (name) => all.reduce((sum, finger) => sum + finger[name], 0) / all.length;
      this.move(right / 2, down / 2);
      return this.zoom(this.distance() / (apart || 1), middle("clientX") - left, middle("clientY") - top);
    }

    distance() {
      const [one, other] = [...this.fingers.values()];
      return other ? Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) : 0;
    }

    onUp(event) {
      this.fingers.delete(event.pointerId);
      if (!this.fingers.size) this.frame.classList.remove("g-moving");
      // The click that the browser makes of it comes right after; later ones are meant.
      window.setTimeout(() => { this.wasMoved = false; }, 0);
    }

    onFocus(node) {
      this.light(node);
      if (!node || !node.matches(":focus-visible")) return;
      const { x, y } = this.placeOf(node);
      const [across, down] = [this.size[0] / this.scale, this.size[1] / this.scale];
      if (x < this.x || x + 188 > this.x + across) this.x = x + 94 - across / 2;
      if (y < this.y || y + 42 > this.y + down) this.y = y + 21 - down / 2;
      this.draw();
    }

    // --- paths ---------------------------------------------------------------------------------

    read() {
      if (this.edges) return;
      this.edges = [];
      this.above = new Map();
      this.below = new Map();
      const add = (map, key, edge) => { if (!map.has(key)) map.set(key, []); map.get(key).push(edge); };
      for (const line of this.svg.querySelectorAll(".g-edge")) {
        const [up, down] = line.dataset.edge.split(" ");
        const edge = { line, up, down };
        this.edges.push(edge);
        add(this.below, up, edge);
        add(this.above, down, edge);
      }
    }

    light(node) {
      if (!this.svg || node === this.lit) return;
      this.lit = node;
      for (const element of this.svg.querySelectorAll(".g-on")) element.classList.remove("g-on");
      this.svg.classList.toggle("g-path", Boolean(node));
      if (!node) return;
      this.read();
      const unitOf = (element) => element.dataset.unit || element.id.slice(1);
      const units = new Set();
      const follow = (map, end) => {
        const waiting = [unitOf(node)], seen = new Set(waiting);
        while (waiting.length) {
          for (const edge of map.get(waiting.pop()) || []) {
            edge.line.classList.add("g-on");
            units.add(edge[end]);
            if (!seen.has(edge[end])) { seen.add(edge[end]); waiting.push(edge[end]); }
          }
        }
      };
      follow(this.above, "up");
      follow(this.below, "down");
      for (const other of this.svg.querySelectorAll(".g-node")) {
        if (other === node || units.has(unitOf(other))) other.classList.add("g-on");
      }
    }
  }

  function find() {
    for (const frame of document.querySelectorAll("[data-graph]")) {
      const svg = frame.querySelector(".g-graph");
      if (!svg) continue;
      if (!views.has(frame)) views.set(frame, new View(frame));
      views.get(frame).take(svg);
    }
  }

  document.addEventListener("DOMContentLoaded", find);
  document.addEventListener("htmx:afterSwap", find);
})();
