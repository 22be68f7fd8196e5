// The rows of one comparison, and the tree of modules that their names make.

class Rows {
  constructor(packed) {
    this.count = packed.count;
    this.verdicts = packed.verdicts;
    this.columns = packed.columns;
    this.kinds = new Map();
    this.tree = buildTree(this.texts("tap"));
    this.rowsOfTap = this.texts("tap").map(() => []);
    this.columns.tap.codes.forEach((tap, row) => this.rowsOfTap[tap].push(row));
  }

  texts(name) {
    return this.columns[name].texts;
  }

  text(name, row) {
    const column = this.columns[name];
    return column.texts[column.codes[row]];
  }

  number(name, row) {
    return this.columns[name][row];
  }

  ok(row) {
    return this.columns.ok[row] === 1;
  }

  kind(row) {
    return this.verdicts[this.columns.verdict[row]][0];
  }

  verdict(row) {
    return this.verdicts[this.columns.verdict[row]][1];
  }

  /** Error over floor; infinite where the error is not finite, -1 where nothing was compared. */
  ratio(row) {
    if (!this.columns.compared[row]) return -1;
    const error = this.columns.rel_l2[row];
    if (error == null) return this.ok(row) ? 0 : Infinity;
    return error / Math.max(this.columns.floor[row] ?? 0, 1e-12);
  }

  /** What orders rows by how bad they are: failing ones first, then by error over floor. */
  badness(row) {
    const ratio = this.ratio(row);
    if (this.ok(row)) return Math.min(Math.max(ratio, 0), 1e5) / 1e6;
    return ratio < 0 ? 0.5 : 1 + ratio;
  }

  worst(rows) {
    let best = -1;
    for (const row of rows) if (best < 0 || this.badness(row) > this.badness(best)) best = row;
    return best;
  }

  /** Step where there is one, else call. */
  column(row) {
    const step = this.columns.step[row];
    return step >= 0 ? step : this.columns.call[row];
  }

  place(row) {
    const words = [this.text("port", row)];
    if (this.text("phase", row)) words.push(this.text("phase", row));
    words.push(`call ${this.columns.call[row]}`);
    if (this.columns.step[row] >= 0) words.push(`step ${this.columns.step[row]}`);
    if (this.text("piece", row)) words.push(this.text("piece", row));
    return words.join(", ");
  }

  /** The size of a row's error in a few words. */
  size(row) {
    if (!this.columns.compared[row]) return this.verdict(row);
    const ratio = this.ratio(row);
    if (this.kind(row) === "nonfinite") return this.verdict(row);
    if (!Number.isFinite(ratio)) return `off by up to ${short(this.columns.max_abs[row])} where the reference is zero`;
    if (ratio === 0) return "no error";
    return `relative error ${short(this.columns.rel_l2[row])}, ${short(ratio)} × the noise floor`;
  }

  origin(row) {
    return ["", "enters here", "inherited"][this.columns.origin[row]];
  }

  /** The colour of a row by `scale`, as [r, g, b]. */
  paint(row, scale = "ratio") {
    if (!this.columns.compared[row]) return ABSENT();
    const ratio = this.ratio(row);
    if (this.kind(row) === "nonfinite") return NOT_FINITE();
    if (!Number.isFinite(ratio)) return shade(scale === "ratio" ? "bad" : "error", 1);
    if (scale === "rel_l2") {
      const error = this.columns.rel_l2[row];
      return error > 0 ? shade("error", 1 + Math.log10(error) / 8) : shade("error", 0);
    }
    if (this.ok(row)) return shade("good", ratio > 0 ? 1 + Math.log10(ratio) / 3 : 0);
    return shade("bad", Math.log10(Math.max(ratio, 1)) / 6);
  }

  /** The codes of all taps that lie under `path`; of all for the empty path. */
  tapsUnder(path) {
    const node = this.node(path);
    return node ? node.taps : [];
  }

  node(path) {
    if (!path) return this.tree;
    return this.tree.index.get(path) ?? null;
  }
}

/** Modules by the dots in the names; each node has its taps in execution order. */
function buildTree(paths) {
  const root = { name: "", path: "", children: new Map(), taps: [], own: [], index: new Map() };
  paths.forEach((path, tap) => {
    let node = root;
    node.taps.push(tap);
    const names = path.split(".");
    names.forEach((name, depth) => {
      if (!node.children.has(name)) {
        const below = names.slice(0, depth + 1).join(".");
        const child = { name, path: below, children: new Map(), taps: [], own: [] };
        node.children.set(name, child);
        root.index.set(below, child);
      }
      node = node.children.get(name);
      node.taps.push(tap);
    });
    node.own.push(tap);
  });
  return root;
}
