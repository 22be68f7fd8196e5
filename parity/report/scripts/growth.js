// The error of every tensor along the run, over what rounding explains.

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
    const origin = (code) => (row) => !this.rows.ok(row) && columns.origin[row] === code;
    const only = (keep) => this.shown.map((row, i) => (keep(row) ? height[i] : null));
    return [
      this.shown.map((_, i) => i),
      this.shown.map((row) => Math.max(columns.floor[row] ?? 1e-9, 1e-9)),
      only((row) => this.rows.ok(row)), only(origin(2)), only(origin(0)), only(origin(1)),
    ];
  }

  draw() {
    const data = this.data();
    const known = this.rows.columns.origin.some((code) => code);
    const dots = this.shown.length > 4000 ? 3 : 4;
    const made = chart(this.parent, {
      height: 300,
      scales: { x: { time: false }, y: { distr: 3, range: (_, low, high) => [Math.max(low / 2, 5e-10), high * 4] } },
      cursor: { points: { show: false }, y: false, drag: { x: true, y: false } },
      legend: { show: true, live: false, markers: { width: 0, fill: (_, i) => colour(["", "--good", "--good", "--inherited", "--bad", "--origin"][i]) } },
      series: [
        { label: "tensor" },
        line("--good", { label: "noise floor", width: 0.5, fill: () => colour("--band"), fillTo: (u) => u.scales.y.min }),
        points("--good", dots, { label: "accepted" }),
        points("--inherited", dots, { label: "inherited", show: known }),
        points("--bad", dots + 1, { label: "not accepted", show: !known || data[4].some((v) => v != null) }),
        points("--origin", dots + 3, { label: "enters here", show: known }),
      ],
      axes: [axis({ label: "tensor, in execution order", size: 34 }), axis({ label: "relative error", values: decades })],
      hooks: { drawClear: [(u) => this.phases(u)] },
    }, data);
    for (const [i, row] of [...made.root.querySelectorAll(".u-series")].entries()) {
      if (!made.series[i].show || i === 0) row.hidden = true;
    }
    made.root.querySelector("canvas").setAttribute("role", "img");
    made.root.querySelector("canvas").setAttribute("aria-label", this.words());
    return made;
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
    this.shown.forEach((row, i) => {
      const phase = this.rows.text("phase", row);
      if (phase === last || i < u.scales.x.min || i > u.scales.x.max) return;
      last = phase;
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
