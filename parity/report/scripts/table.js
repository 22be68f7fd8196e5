// Every row, to filter and to sort; one page of them at a time.

const PAGE = 50;

const COLUMNS = [
  { name: "order", title: "order", number: true, key: (_, row) => row, text: (_, row) => String(row), wide: true },
  { name: "tap", title: "tap", key: (rows, row) => rows.text("tap", row) },
  { name: "place", title: "where", key: (rows, row) => `${rows.text("phase", row)} ${String(rows.column(row)).padStart(7)}`, text: whereOf },
  { name: "verdict", title: "verdict", key: (rows, row) => rows.columns.verdict[row] },
  { name: "origin", title: "origin", key: (rows, row) => [3, 1, 2][rows.columns.origin[row]], wide: true },
  { name: "rel_l2", title: "rel. error", number: true },
  { name: "ratio", title: "× floor", number: true, key: (rows, row) => rows.ratio(row) },
  { name: "max_abs", title: "max |Δ|", number: true, wide: true },
  { name: "one_minus_cosine", title: "1 − cosine", number: true, wide: true },
  { name: "snr_db", title: "SNR dB", number: true, wide: true },
  { name: "max_ulp", title: "ULP", number: true, wide: true },
  { name: "reference", title: "tensor", key: (rows, row) => rows.text("reference", row) || rows.text("candidate", row), wide: true },
];

class Table {
  constructor(root, rows, view) {
    this.rows = rows;
    this.view = view;
    this.sort = { name: "order", down: false };
    this.page = 0;
    this.build(part(root, "table"), root.id);
    view.onFocus(() => {
      this.search.value = view.focus ? `${view.focus}` : "";
      this.refresh();
    });
    this.refresh();
  }

  build(parent, id) {
    const again = () => this.refresh();
    this.search = el("input", { type: "search", placeholder: "filter by name: parts, * for anything", "aria-label": "Filter rows by the tap's name", oninput: again });
    this.verdict = this.select("Verdict", [["", "all verdicts"], ["!", "not accepted"], ...this.present()], again);
    this.phase = this.select("Phase", [["", "all phases"], ...this.rows.texts("phase").filter(Boolean).map((p) => [p, p])], again);
    this.origin = this.select("Origin", [["", "any origin"], ["1", "enters here"], ["2", "inherited"]], again);
    // What fails is what one came for.
    if (this.rows.columns.ok.includes(0)) this.verdict.value = "!";
    this.origin.hidden = !this.rows.columns.origin.some((code) => code);
    this.once = el("input", { type: "checkbox", onchange: again });
    this.status = el("span", { role: "status", class: "dim" });
    this.head = el("tr");
    this.body = el("tbody");
    const table = el("table", { class: "rows", id: `${id}-table` }, el("caption", { class: "sr" }, "All compared tensors"), el("thead", {}, this.head), this.body);
    const step = (by) => () => { this.page += by; this.draw(); };
    this.back = el("button", { type: "button", onclick: step(-1) }, "← previous");
    this.next = el("button", { type: "button", onclick: step(1) }, "next →");
    parent.append(
      el("div", { class: "filters", role: "search" }, this.search, this.verdict, this.phase, this.origin,
        el("label", {}, this.once, "worst call of each tap"), this.status),
      el("div", { class: "wide" }, table),
      el("div", { class: "pager" }, this.back, this.next, this.where = el("span")),
    );
  }

  present() {
    const used = new Set(this.rows.columns.verdict);
    return this.rows.verdicts.map(([kind, name], i) => [kind, name, i]).filter(([, , i]) => used.has(i));
  }

  select(label, choices, onchange) {
    return el("select", { "aria-label": label, onchange }, ...choices.map(([value, text]) => el("option", { value }, text)));
  }

  /** The rows that the filters leave, sorted. */
  refresh() {
    const names = this.matching();
    const chosen = [];
    for (let row = 0; row < this.rows.count; row++) if (names[this.rows.columns.tap.codes[row]] && this.passes(row)) chosen.push(row);
    this.shown = this.sorted(this.once.checked ? this.worstOfTaps(chosen) : chosen);
    this.page = 0;
    this.status.textContent = `${this.shown.length.toLocaleString("en")} of ${counted(this.rows.count, "row")}`;
    this.header();
    this.draw();
  }

  /** For each tap whether its name holds all the words that were typed. */
  matching() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const tests = words.map((word) => new RegExp(word.split("*").map((t) => t.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")));
    return this.rows.texts("tap").map((tap) => tests.every((test) => test.test(tap.toLowerCase())));
  }

  passes(row) {
    const { verdict, phase, origin } = this;
    if (verdict.value === "!" ? this.rows.ok(row) : verdict.value && this.rows.kind(row) !== verdict.value) return false;
    if (phase.value && this.rows.text("phase", row) !== phase.value) return false;
    return !origin.value || this.rows.columns.origin[row] === Number(origin.value);
  }

  worstOfTaps(chosen) {
    const best = new Map();
    for (const row of chosen) {
      const tap = `${this.rows.columns.tap.codes[row]} ${this.rows.columns.port.codes[row]}`;
      if (!best.has(tap) || this.rows.badness(row) > this.rows.badness(best.get(tap))) best.set(tap, row);
    }
    return [...best.values()];
  }

  key(name) {
    const column = COLUMNS.find((one) => one.name === name);
    return column.key ?? ((rows, row) => rows.columns[name][row] ?? (rows.ok(row) || !rows.columns.compared[row] ? -Infinity : Infinity));
  }

  sorted(chosen) {
    const key = this.key(this.sort.name);
    const keyed = chosen.map((row) => [key(this.rows, row), row]);
    const sign = this.sort.down ? -1 : 1;
    keyed.sort(([a, i], [b, j]) => (a < b ? -sign : a > b ? sign : i - j));
    return keyed.map(([, row]) => row);
  }

  header() {
    const cells = COLUMNS.map((column) => {
      const active = this.sort.name === column.name;
      const arrow = active ? (this.sort.down ? " ↓" : " ↑") : "";
      const onclick = () => {
        this.sort = { name: column.name, down: active ? !this.sort.down : Boolean(column.number && column.name !== "order") };
        this.refresh();
        this.head.querySelector(`[data-column="${column.name}"]`).focus();
      };
      return el("th", { scope: "col", class: classOf(column), "aria-sort": active ? (this.sort.down ? "descending" : "ascending") : "none" },
        el("button", { type: "button", onclick, "data-column": column.name }, column.title + arrow));
    });
    this.head.replaceChildren(...cells);
  }

  draw() {
    const pages = Math.max(Math.ceil(this.shown.length / PAGE), 1);
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    this.body.replaceChildren(...this.shown.slice(this.page * PAGE, (this.page + 1) * PAGE).map((row) => this.line(row)));
    if (!this.shown.length) this.body.append(el("tr", {}, el("td", { colspan: COLUMNS.length }, "No row passes these filters.")));
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
    this.where.textContent = `page ${this.page + 1} of ${pages}`;
  }

  line(row) {
    return el("tr", { onclick: () => this.view.open(row), "data-row": row }, ...COLUMNS.map((column) => this.cell(column, row)));
  }

  cell(column, row) {
    if (column.name === "tap") return el("th", { scope: "row" }, el("button", { type: "button" }, this.rows.text("tap", row)));
    return el("td", { class: classOf(column) }, this.content(column, row));
  }

  content(column, row) {
    if (column.name === "verdict") return verdictChip(this.rows, row);
    if (column.name === "origin") return originChip(this.rows, row) ?? "";
    if (column.text) return column.text(this.rows, row);
    const value = this.key(column.name)(this.rows, row);
    if (!column.number) return value;
    if (!this.rows.columns.compared[row]) return "";
    return value === Infinity ? "NaN" : value === -Infinity ? "–" : short(value);
  }
}

/** Where within the run, as short as a cell wants it. */
function whereOf(rows, row) {
  const port = rows.text("port", row);
  const step = rows.columns.step[row];
  const words = [rows.text("phase", row), step >= 0 ? `step ${step}` : `call ${rows.columns.call[row]}`, port === "output" ? "" : port, rows.text("piece", row)];
  return words.filter(Boolean).join(" · ");
}

const classOf = (column) => [column.number ? "number" : "", column.wide ? "wideonly" : ""].filter(Boolean).join(" ");

function verdictChip(rows, row) {
  const kind = rows.ok(row) ? "good" : rows.kind(row) === "drift" ? "warn" : "bad";
  return el("span", { class: `chip ${kind}` }, rows.verdict(row));
}

function originChip(rows, row) {
  const text = rows.origin(row);
  return text ? el("span", { class: `chip ${rows.columns.origin[row] === 1 ? "origin" : "inherited"}` }, text) : null;
}
