// Layers × steps: a heat map that goes into modules, by mouse, touch and keys.

const GRID_ROWS = 34;
const GRID_COLUMNS = 240;
const ROW_HEIGHT = 15;
const PAPER_ROWS = 55;

/** Rows for the heat map below a node: parts are opened, the largest first, while there is room. */
function layersBelow(node) {
  let rows = [...node.children.values()];
  if (node.own.length && node.path) rows.unshift({ ...node, children: new Map(), taps: node.own });
  for (;;) {
    const open = rows
      .filter((row) => row.children.size && rows.length + row.children.size <= GRID_ROWS)
      .sort((a, b) => b.taps.length - a.taps.length)[0];
    if (!open) return rows;
    const own = open.own.length ? [{ ...open, children: new Map(), taps: open.own }] : [];
    rows.splice(rows.indexOf(open), 1, ...own, ...open.children.values());
  }
}

/** The columns of all phases side by side, those of long phases merged. */
function phaseColumns(rows, taps) {
  const lengths = new Map();
  for (const tap of taps) {
    for (const row of rows.rowsOfTap[tap]) {
      const phase = rows.text("phase", row);
      lengths.set(phase, Math.max(lengths.get(phase) ?? 0, rows.column(row) + 1));
    }
  }
  const total = [...lengths.values()].reduce((sum, n) => sum + n, 0);
  const merge = Math.max(1, Math.ceil(total / GRID_COLUMNS));
  let start = 0;
  const phases = new Map();
  for (const [phase, length] of lengths) {
    const columns = Math.ceil(length / merge);
    phases.set(phase, { start, columns, length });
    start += columns;
  }
  return { phases, merge, count: start };
}

class Grid {
  constructor(root, rows, view) {
    this.rows = rows;
    this.view = view;
    this.parts = Object.fromEntries(
      ["grid", "grid-readout", "crumbs", "scale", "scale-legend"].map((n) => [n, part(root, n)]),
    );
    this.at = [0, 0];
    this.parts.scale.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.parts.grid);
    view.onFocus(() => this.show());
    this.show();
  }

  show() {
    let node = this.rows.node(this.view.focus) ?? this.rows.tree;
    while (node.children.size === 1 && !node.own.length) node = [...node.children.values()][0];
    this.layers = layersBelow(node);
    if (!this.layers.length) this.layers = [node];
    this.frame = phaseColumns(this.rows, node.taps);
    this.cells = this.layers.map((layer) => this.cellsOf(layer));
    this.at = [0, 0];
    this.crumbs();
    this.draw();
  }

  /** For each column the worst row of a layer, or nothing. */
  cellsOf(layer) {
    const cells = new Map();
    for (const tap of layer.taps) {
      for (const row of this.rows.rowsOfTap[tap]) {
        const phase = this.frame.phases.get(this.rows.text("phase", row));
        const column = phase.start + Math.floor(this.rows.column(row) / this.frame.merge);
        const known = cells.get(column);
        if (known == null || this.rows.badness(row) > this.rows.badness(known)) cells.set(column, row);
      }
    }
    return cells;
  }

  crumbs() {
    const names = this.view.focus ? this.view.focus.split(".") : [];
    const steps = names.map((name, i) => [name, names.slice(0, i + 1).join(".")]);
    this.parts.crumbs.replaceChildren(
      ...[["whole model", ""], ...steps].flatMap(([name, path], i) => [
        i ? " › " : "",
        el("button", { type: "button", onclick: () => this.view.setFocus(path) }, name),
      ]),
    );
  }

  draw() {
    const labels = this.layers.map((layer) => this.label(layer));
    this.parts.grid.classList.toggle("tall", this.layers.length > PAPER_ROWS);
    const holder = el("div");
    this.parts.grid.replaceChildren(el("div", { class: "lines" }, el("div", { class: "labels" }, ...labels), holder));
    const width = Math.max(holder.clientWidth - 2, 120);
    this.width = width;
    this.cell = Math.min(width / Math.max(this.frame.count, 1), 26);
    const height = this.layers.length * ROW_HEIGHT + 18;
    const label = `Heat map of ${counted(this.layers.length, "layer")} by ${counted(this.frame.count, "step")}; arrow keys move, Enter opens`;
    [this.canvas, this.context] = canvas(width, height, { tabindex: 0, role: "application", "aria-label": label });
    holder.append(this.canvas);
    this.paint();
    this.listen();
    this.legend();
  }

  label(layer) {
    const text = this.view.focus && layer.path.startsWith(`${this.view.focus}.`)
      ? layer.path.slice(this.view.focus.length + 1) : layer.path;
    const leaf = !layer.children.size;
    const inner = el("bdi", {}, leaf ? text : `${text} ▸`);
    const attributes = { type: "button", title: layer.path, class: leaf ? "leaf" : "",
      "aria-label": leaf ? `${layer.path}, look at its worst tensor` : `go into ${layer.path}, ${counted(layer.taps.length, "tap")}`,
      onclick: () => (leaf ? this.open(layer) : this.view.setFocus(layer.path)) };
    const button = el("button", attributes, inner);
    button.style.height = button.style.lineHeight = `${ROW_HEIGHT}px`;
    return button;
  }

  open(layer) {
    const worst = this.rows.worst(layer.taps.flatMap((tap) => this.rows.rowsOfTap[tap]));
    if (worst >= 0) this.view.open(worst);
  }

  paint() {
    const { context, cell } = this;
    const scale = this.parts.scale.value;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.fillStyle = colour("--shade");
    context.fillRect(0, 0, this.frame.count * cell, this.layers.length * ROW_HEIGHT);
    const gap = cell > 5 ? 1 : 0;
    this.cells.forEach((cells, y) => {
      for (const [x, row] of cells) {
        context.fillStyle = css(this.rows.paint(row, scale));
        context.fillRect(x * cell, y * ROW_HEIGHT, Math.max(cell - gap, 0.8), ROW_HEIGHT - 1);
      }
    });
    this.phases();
    this.cursor();
  }

  phases() {
    const { context, cell } = this;
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour("--dim");
    const bottom = this.layers.length * ROW_HEIGHT;
    let free = 0;
    for (const [phase, { start }] of this.frame.phases) {
      const x = start * cell;
      if (start) context.fillRect(x - 1, 0, 1, bottom + 4);
      const text = phase || "whole run";
      const length = context.measureText(text).width;
      const left = Math.min(x + 2, this.width - length);
      if (left >= free) {
        context.fillText(text, left, bottom + 14);
        free = left + length + 8;
      }
    }
  }

  cursor() {
    if (document.activeElement !== this.canvas) return;
    this.context.strokeStyle = colour("--ink");
    this.context.lineWidth = 2;
    const [x, y] = this.at;
    this.context.strokeRect(x * this.cell, y * ROW_HEIGHT, Math.max(this.cell - 1, 3), ROW_HEIGHT - 1);
  }

  rowAt([x, y]) {
    return this.cells[y]?.get(x) ?? -1;
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) / this.cell);
    const y = Math.floor((event.clientY - box.top) / ROW_HEIGHT);
    return x >= 0 && x < this.frame.count && y >= 0 && y < this.layers.length ? [x, y] : null;
  }

  listen() {
    this.canvas.addEventListener("mousemove", (event) => {
      const at = this.under(event);
      if (at) this.say(at);
    });
    this.canvas.addEventListener("click", (event) => {
      const at = this.under(event);
      if (at) this.at = at;
      if (at && this.rowAt(at) >= 0) this.view.open(this.rowAt(at));
      this.paint();
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["focus", "blur"]) this.canvas.addEventListener(name, () => this.paint());
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (move) {
      const limits = [this.frame.count - 1, this.layers.length - 1];
      this.at = this.at.map((at, i) => Math.min(Math.max(at + move[i], 0), limits[i]));
      this.say(this.at);
      this.paint();
      this.follow();
    } else if (event.key === "Enter" && this.rowAt(this.at) >= 0) {
      this.view.open(this.rowAt(this.at));
    } else if (event.key === "Backspace" && this.view.focus) {
      this.view.setFocus(this.view.focus.split(".").slice(0, -1).join("."));
    } else return;
    event.preventDefault();
  }

  /** Keeps the cell that the keys are at within the part of a tall map that shows. */
  follow() {
    const { grid } = this.parts;
    const top = this.at[1] * ROW_HEIGHT;
    grid.scrollTop = Math.min(Math.max(grid.scrollTop, top + 2 * ROW_HEIGHT - grid.clientHeight), top);
  }

  say(at) {
    const row = this.rowAt(at);
    const layer = this.layers[at[1]];
    this.parts["grid-readout"].textContent = row < 0
      ? `${layer.path}: nothing was recorded there`
      : `${this.rows.text("tap", row)} (${this.rows.place(row)}): ${this.rows.size(row)}; ${this.rows.verdict(row)}`;
  }

  legend() {
    const entry = (paint, text) => {
      const mark = el("i");
      mark.style.background = css(paint);
      return el("li", {}, mark, text);
    };
    const entries = this.parts.scale.value === "ratio"
      ? [[shade("good", 0), "identical"], [shade("good", 1), "within the noise"], [shade("bad", 0), "just above"],
        [shade("bad", 0.33), "100 ×"], [shade("bad", 0.67), "10,000 ×"], [shade("bad", 1), "a million × the floor"]]
      : [[shade("error", 0), "1e−8 or less"], [shade("error", 0.5), "1e−4"], [shade("error", 1), "1 or more"]];
    this.parts["scale-legend"].replaceChildren(
      ...entries.map(([paint, text]) => entry(paint, text)),
      entry(NOT_FINITE(), "NaN or infinite"), entry(ABSENT(), "not compared"),
    );
  }
}
