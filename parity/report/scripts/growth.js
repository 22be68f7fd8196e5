// The error of every tensor along the run, over what rounding explains.

const MOST_PHASES = 16;

// Between the numbers of an axis that counts.
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];

class Growth {
  constructor(root, rows, view) {
    this.rows = rows;
    this.view = view;
    this.parent = part(root, "growth");
    this.readout = part(root, "growth-readout");
    view.onFocus(() => this.show());
    this.show();
  }

  show() {
    const taps = new Set(this.rows.tapsUnder(this.view.focus));
    const codes = this.rows.columns.tap.codes;
    this.shown = [];
    for (let row = 0; row < this.rows.count; row++) {
      if (this.rows.columns.compared[row] && taps.has(codes[row])) this.shown.push(row);
    }
    this.parent.replaceChildren();
    this.plot = this.shown.length ? this.draw() : null;
    if (this.plot) this.listen();
  }

  data() {
    const { columns } = this.rows;
    const errors = this.shown.map((row) => columns.rel_l2[row]);
    const top = 10 * errors.reduce((most, e) => Math.max(most, e ?? 0), 1e-3);
    // A logarithmic axis has no zero: exact agreement lies at the bottom, NaN at the top.
    const height = errors.map((e, i) => (e == null ? (this.rows.ok(this.shown[i]) ? 1e-9 : top) : Math.max(e, 1e-9)));
    const lost = (row) => !this.rows.ok(row) && columns.rel_l2[row] == null;
    const origin = (code) => (row) => !this.rows.ok(row) && !lost(row) && columns.origin[row] === code;
    const only = (keep) => this.shown.map((row, i) => (keep(row) ? height[i] : null));
    return [
      this.shown.map((_, i) => i),
      this.shown.map((row) => Math.max(columns.floor[row] ?? 1e-9, 1e-9)),
      only((row) => this.rows.ok(row)), only(origin(2)), only(origin(0)), only(origin(1)), only(lost),
    ];
  }

  draw() {
    const data = this.data();
    const dots = this.shown.length > 4000 ? 3 : 4;
    const made = chart(this.parent, {
      height: 300,
      // Half a tensor on both sides, so that none lies on the border.
      scales: { x: { time: false, range: (_, low, high) => [low - 0.5, high + 0.5] }, y: { distr: 3, range: (_, low, high) => [Math.max(low / 2, 5e-10), high * 4] } },
      cursor: { points: { show: false }, y: false, drag: { x: true, y: false } },
      series: [
        {},
        line("--good", { width: 0, fill: () => colour("--band"), fillTo: (u) => u.scales.y.min }),
        points("--good", dots),
        points("--inherited", dots),
        points("--bad", dots),
        points("--origin", dots + 2),
        points("--lost", dots + 2),
      ],
      axes: [axis({ label: "tensor, in execution order", size: 34, incrs: WHOLE }), decadeAxis({ label: "relative error" })],
      hooks: { drawClear: [(u) => this.phases(u)] },
    }, data);
    this.legend(data);
    made.root.querySelector("canvas").setAttribute("role", "img");
    made.root.querySelector("canvas").setAttribute("aria-label", this.words());
    return made;
  }

  legend(data) {
    const kinds = [["--band", "noise floor", 1], ["--good", "accepted", 2], ["--inherited", "not accepted, inherited from upstream", 3],
      ["--bad", "not accepted", 4], ["--origin", "not accepted, enters here", 5],
      ["--lost", "NaN or infinite on one side, drawn at the top", 6]];
    const entries = kinds.filter(([, , series]) => data[series].some((v) => v != null)).map(([name, text]) => {
      const mark = el("i");
      mark.style.background = `var(${name})`;
      return el("li", {}, mark, text);
    });
    this.parent.append(el("ul", { class: "legend" }, ...entries));
  }

  words() {
    const bad = this.shown.filter((row) => !this.rows.ok(row));
    const first = bad.length ? `; the first is ${this.rows.text("tap", bad[0])}` : "";
    return `Relative error of ${counted(this.shown.length, "tensor")} along the run: ${counted(bad.length, "tensor")} not accepted${first}. The table below has every number.`;
  }

  /** Where one phase ends and the next begins. */
  phases(u) {
    const { ctx, bbox } = u;
    const ratio = window.devicePixelRatio || 1;
    const at = (x) => u.valToPos(x, "x", true);
    ctx.save();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    let last = null;
    let free = 0;
    const seen = this.shown.map((row, i) => [i, this.rows.text("phase", row)])
      .filter(([i]) => i >= u.scales.x.min && i <= u.scales.x.max)
      .filter(([, phase]) => { const changed = phase !== last; last = phase; return changed; });
    // Phases that take turns at every step would be a fence; zooming in shows them.
    if (seen.length > MOST_PHASES) seen.length = 0;
    seen.forEach(([i, phase]) => {
      const x = Math.max(at(i - 0.5), bbox.left);
      ctx.fillStyle = colour("--line");
      ctx.fillRect(x, bbox.top, ratio, bbox.height);
      if (x < free || !phase) return;
      ctx.fillStyle = colour("--dim");
      ctx.fillText(phase, x + 5 * ratio, bbox.top + 3 * ratio);
      free = x + ctx.measureText(phase).width + 12 * ratio;
    });
    ctx.restore();
  }

  /** The shown row nearest to the pointer. */
  nearest(event) {
    const { plot } = this;
    const box = plot.over.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    const middle = Math.round(plot.posToVal(left, "x"));
    let best = -1;
    let least = Infinity;
    const reach = Math.ceil((12 * (plot.scales.x.max - plot.scales.x.min)) / box.width) + 1;
    for (let i = Math.max(middle - reach, 0); i <= Math.min(middle + reach, this.shown.length - 1); i++) {
      const height = plot.data.slice(2).map((series) => series[i]).find((v) => v != null);
      if (height == null) continue;
      const distance = Math.hypot(plot.valToPos(i, "x") - left, plot.valToPos(height, "y") - top);
      if (distance < least) [best, least] = [i, distance];
    }
    return best < 0 ? -1 : this.shown[best];
  }

  listen() {
    let pressed = 0;
    this.plot.over.addEventListener("mousemove", (event) => {
      const row = this.nearest(event);
      if (row < 0) return;
      const origin = this.rows.origin(row);
      this.readout.textContent = `${this.rows.text("tap", row)} (${this.rows.place(row)}): ${this.rows.size(row)}${origin ? `; ${origin}` : ""}`;
    });
    this.plot.over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
    this.plot.over.addEventListener("mouseup", (event) => {
      const row = Math.abs(event.clientX - pressed) < 3 ? this.nearest(event) : -1;
      if (row >= 0) this.view.open(row);
    });
  }
}
