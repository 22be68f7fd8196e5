// One tensor: its numbers, its error over the calls, and where it was kept, its pictures.

class Sheet {
  constructor(root, rows, pictures, view) {
    this.dialog = part(root, "sheet");
    this.rows = rows;
    this.pictures = new Map(pictures.map((picture) => [picture.row, picture]));
    this.view = view;
    // A click beside the sheet closes it.
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  open(row) {
    const body = el("div");
    this.dialog.replaceChildren(this.head(row), body);
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    body.append(...this.facts(row));
    this.calls(body, row);
    const picture = this.pictures.get(row);
    if (picture) this.draw(body, picture);
    else body.append(this.elsewhere(row));
  }

  head(row) {
    const { rows } = this;
    const neighbours = [["←", -1, "previous tensor"], ["→", 1, "next tensor"]].map(([text, by, label]) =>
      el("button", { type: "button", "aria-label": label, disabled: row + by < 0 || row + by >= rows.count, onclick: () => this.open(row + by) }, text));
    return el("div", { class: "head" },
      el("div", {}, el("h2", {}, el("code", {}, rows.text("tap", row))),
        el("p", { class: "dim" }, rows.place(row)),
        el("p", {}, verdictChip(rows, row), " ", originChip(rows, row), " ", rows.text("reason", row))),
      el("div", { class: "row" }, ...neighbours, el("button", { type: "button", autofocus: true, onclick: () => this.dialog.close() }, "Close")));
  }

  facts(row) {
    const { columns } = this.rows;
    const names = [["rel_l2", "relative error"], ["floor", "noise floor"], ["max_abs", "max |Δ|"], ["one_minus_cosine", "1 − cosine"],
      ["one_minus_pearson", "1 − Pearson"], ["snr_db", "SNR dB"], ["max_ulp", "ULP"]];
    const texts = [["reference", this.rows.text("reference", row)], ["candidate", this.rows.text("candidate", row)], ["made at", this.rows.text("source", row)]];
    const found = [
      ...texts.filter(([, text]) => text),
      ...(columns.compared[row] ? names.map(([name, title]) => [title, short(columns[name][row], 3)]) : []),
    ];
    return [el("dl", { class: "metrics" }, ...found.map(([title, text]) => el("div", {}, el("dt", {}, title), el("dd", {}, text))))];
  }

  calls(body, row) {
    const { rows } = this;
    const tap = rows.rowsOfTap[rows.columns.tap.codes[row]].filter((one) => rows.columns.port.codes[one] === rows.columns.port.codes[row]);
    if (tap.length < 2) return;
    const holder = el("div");
    body.append(el("h3", {}, `All ${tap.length.toLocaleString("en")} calls of this tap`), holder);
    if (!callsChart(holder, rows, tap, row)) holder.previousSibling.remove();
  }

  elsewhere(row) {
    const kept = [...this.pictures.keys()].find((one) => this.rows.columns.tap.codes[one] === this.rows.columns.tap.codes[row]);
    const words = el("p", { class: "dim" }, "To stay small, the page holds pictures of a few tensors only. ");
    if (kept != null) words.append(el("button", { type: "button", onclick: () => this.open(kept) }, `See ${this.rows.place(kept)} of this tap`));
    return words;
  }

  draw(body, picture) {
    this.heat(body, picture);
    const [left, right, trace] = [el("div"), el("div"), el("div")];
    const pair = el("div", { class: "pair" }, el("figure", {}, el("figcaption", {}, ...sides("Values: "), this.summary(picture)), left),
      el("figure", {}, el("figcaption", {}, this.sample(picture)), right));
    if (picture.trace) body.append(el("h3", {}, "Signal"), el("p", { class: "dim" }, ...sides("")), trace);
    body.append(el("h3", {}, "Values and errors"), pair, el("h3", {}, "Worst elements"), worstTable(picture));
    if (picture.trace) traceChart(trace, picture.trace);
    histogramChart(left, picture.histogram);
    scatterChart(right, picture.scatter);
  }

  sample(picture) {
    const { x, of } = picture.scatter;
    return `Error against magnitude, ${x.length.toLocaleString("en")} of ${counted(of, "element")}; the dashed line is float32's rounding.`;
  }

  summary(picture) {
    const side = (facts) => Object.entries(facts).map(([name, text]) => `${name} ${text}`).join(", ");
    return el("span", {}, el("br"), `reference: ${side(picture.summary[0])}`, el("br"), `candidate: ${side(picture.summary[1])}`);
  }

  heat(body, picture) {
    const { heat } = picture;
    const [low, high, top] = heat.range;
    const kinds = [["reference", "value", `reference, ${short(low)} to ${short(high)}`], ["candidate", "value", "candidate, same colours"],
      ["error", "error", top ? `error, up to ${short(top)}; three decades` : "error: none"]];
    const readout = el("p", { class: "readout", "aria-live": "polite" }, this.shapeWords(picture));
    const figures = kinds.map(([name, ramp, caption]) => {
      const bytes = bytesOf(heat[name]);
      const image = bitmap(bytes, heat.rows, heat.columns, painter(ramp), { role: "img", "aria-label": `${caption}: ${this.shapeWords(picture)}` });
      image.addEventListener("mousemove", (event) => { readout.textContent = this.under(event, image, picture); });
      return el("figure", {}, el("figcaption", {}, caption), image);
    });
    body.append(el("h3", {}, "Side by side"), el("div", { class: "triple" }, ...figures), readout);
  }

  shapeWords({ shape, heat }) {
    const [down, across] = heat.block;
    const block = down * across > 1 ? `; each cell stands for ${down} × ${across} elements` : "";
    return `[${shape.join(", ")}] with the last axis across and the others down${block}`;
  }

  under(event, image, { heat }) {
    const box = image.getBoundingClientRect();
    const at = [[event.clientY - box.top, box.height, heat.rows], [event.clientX - box.left, box.width, heat.columns]]
      .map(([place, size, count]) => Math.min(Math.max(Math.floor((place / size) * count), 0), count - 1));
    const code = (name) => bytesOf(heat[name])[at[0] * heat.columns + at[1]];
    const [low, high, top] = heat.range;
    const value = (name) => (code(name) ? short(low + ((code(name) - 1) / 254) * (high - low)) : "not finite");
    const error = code("error") ? (code("error") === 1 ? "below a thousandth of the largest" : `about ${short(top * 10 ** (3 * ((code("error") - 1) / 254 - 1)))}`) : "not finite";
    return `rows from ${at[0] * heat.block[0]}, columns from ${at[1] * heat.block[1]}: reference ${value("reference")}, candidate ${value("candidate")}, error ${error}`;
  }
}

const sides = (text) => {
  const mark = (name, label) => {
    const span = el("b", {}, label);
    span.style.color = `var(${name})`;
    return span;
  };
  return [text, mark("--ref", "reference"), " and ", mark("--cand", "candidate")];
};

function worstTable({ worst }) {
  const line = (one) => el("tr", {}, el("th", { scope: "row" }, `[${one.at.join(", ")}]`), ...["reference", "candidate", "error"].map((name) => el("td", { class: "number" }, one[name])));
  const head = ["index", "reference", "candidate", "|Δ|"].map((title) => el("th", { scope: "col" }, title));
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...worst.map(line))));
}

/** One small picture a tensor, each a button that opens it. */
function thumbnails(parent, rows, pictures, view) {
  if (!parent) return;
  parent.replaceChildren(...pictures.map((picture) => {
    const { heat, row } = picture;
    const image = bitmap(bytesOf(heat.error), heat.rows, heat.columns, painter("error"), { "aria-hidden": "true" });
    return el("button", { type: "button", onclick: () => view.open(row), title: rows.text("tap", row) },
      image, el("b", {}, el("bdi", {}, rows.text("tap", row))), el("span", { class: "dim" }, rows.size(row)));
  }));
}
