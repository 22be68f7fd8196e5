// Line and point charts by uPlot, in the page's colours.

function axis(options = {}) {
  return {
    stroke: () => colour("--dim"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1 },
    font: "11px system-ui, sans-serif",
    labelFont: "11px system-ui, sans-serif",
    labelSize: 18,
    size: 46,
    ...options,
  };
}

/** A logarithmic axis: lines and numbers at powers of ten alone, and at few of them. */
function decadeAxis(options) {
  const power = (v) => Math.log10(v);
  const whole = (v) => Math.abs(power(v) - Math.round(power(v))) < 1e-6;
  const filter = (_, splits) => {
    const found = splits.filter((v) => v != null && whole(v)).map((v) => Math.round(power(v)));
    const every = Math.ceil((found.length || 1) / 7);
    return splits.map((v) => (v != null && whole(v) && Math.round(power(v)) % every === 0 ? v : null));
  };
  const values = (_, splits) => splits.map((v) => (v == null ? "" : `1e${Math.round(power(v))}`.replace("-", "−")));
  return axis({ filter, values, ...options, grid: { stroke: () => colour("--line"), width: 1, filter }, ticks: { show: false } });
}

/** A chart that fills its parent's width, and follows it. */
function chart(parent, options, data) {
  const width = () => Math.max(parent.clientWidth, 200);
  const made = new uPlot({ width: width(), legend: { show: false }, ...options }, data, parent);
  new ResizeObserver(() => {
    if (Math.abs(made.width - width()) > 1) made.setSize({ width: width(), height: options.height });
  }).observe(parent);
  return made;
}

function points(name, size, extra = {}) {
  return {
    stroke: () => colour(name),
    paths: () => null,
    points: { show: true, size, stroke: () => colour(name), fill: () => colour(name), width: 0 },
    ...extra,
  };
}

const line = (name, extra = {}) => ({
  stroke: () => colour(name), width: 1.5, points: { show: false }, ...extra,
});

/** Counts of both sides over the same stretches of values. */
function histogramChart(parent, histogram) {
  const [low, high] = histogram.range;
  const step = (high - low) / histogram.reference.length;
  const x = histogram.reference.map((_, i) => low + (i + 0.5) * step);
  const bars = uPlot.paths.stepped({ align: 0 });
  chart(parent, {
    height: 190,
    scales: { x: { time: false } },
    cursor: { drag: { x: false } },
    series: [
      {},
      line("--ref", { paths: bars, fill: () => `${colour("--ref")}22` }),
      line("--cand", { paths: bars, dash: [5, 3] }),
    ],
    axes: [axis({ label: "value", size: 34 }), axis({ label: "elements" })],
  }, [x, histogram.reference, histogram.candidate]);
}

/** The error of single elements over their magnitude, both logarithmic. */
function scatterChart(parent, scatter) {
  const order = scatter.x.map((_, i) => i).sort((a, b) => scatter.x[a] - scatter.x[b]);
  const x = order.map((i) => scatter.x[i]);
  if (!x.length) {
    parent.append(el("p", { class: "dim" }, "No element differs that is not zero."));
    return;
  }
  chart(parent, {
    height: 190,
    scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
    cursor: { drag: { x: false } },
    series: [{}, points("--bad", 3), line("--dim", { dash: [4, 4], width: 1 })],
    axes: [
      decadeAxis({ label: "magnitude in the reference", size: 34 }),
      decadeAxis({ label: "error" }),
    ],
  }, [x, order.map((i) => scatter.y[i]), x.map((v) => v * 1.2e-7)]);
}

/** The error of one tap over its calls, with the floor. */
function callsChart(parent, rows, taps, chosen) {
  const drawn = taps.filter((row) => rows.columns.compared[row]);
  if (drawn.length < 2) return false;
  const clip = (value) => (value == null ? null : Math.max(value, 1e-10));
  const one = drawn.indexOf(chosen);
  chart(parent, {
    height: 170,
    scales: { x: { time: false }, y: { distr: 3 } },
    cursor: { drag: { x: false } },
    series: [
      {},
      line("--good", { fill: () => colour("--band"), fillTo: (u) => u.scales.y.min, width: 1 }),
      line("--bad", { points: { show: true, size: 4 } }),
      points("--ink", 10),
    ],
    axes: [axis({ label: "call, in execution order", size: 34 }), decadeAxis({ label: "relative error" })],
  }, [
    drawn.map((_, i) => i),
    drawn.map((row) => clip(rows.columns.floor[row])),
    drawn.map((row) => clip(rows.columns.rel_l2[row])),
    drawn.map((row, i) => (i === one ? clip(rows.columns.rel_l2[row]) : null)),
  ]);
  return true;
}

/** A signal of one row: what both sides span, stretch by stretch, and their largest error. */
function traceChart(parent, trace) {
  const mix = (side) => [trace[side][0], trace[side][1]];
  chart(parent, {
    height: 190,
    scales: { x: { time: false } },
    cursor: { drag: { x: false } },
    series: [
      {},
      line("--ref", { width: 1 }), line("--ref", { width: 1 }),
      line("--cand", { width: 1 }), line("--cand", { width: 1 }),
    ],
    bands: [
      { series: [2, 1], fill: () => `${colour("--ref")}55` },
      { series: [4, 3], fill: () => `${colour("--cand")}40` },
    ],
    axes: [axis({ label: "index", size: 34 }), axis({ label: "lowest and highest" })],
  }, [trace.x, ...mix("reference"), ...mix("candidate")]);
}
