// The model as boxes in boxes: as wide as their taps, as bad as their worst.

const BOX_HEIGHT = 25;
const NARROWEST = 7;
const MOST_BOXES = 900;

class Model {
  constructor(root, rows, view) {
    this.rows = rows;
    this.view = view;
    this.parent = part(root, "model");
    this.boxes = el("div", { class: "boxes" });
    this.parent.append(this.boxes);
    this.worst = new Map();
    this.width = 0;
    new ResizeObserver(() => {
      if (this.parent.clientWidth !== this.width) this.draw();
    }).observe(this.parent);
    view.onFocus(() => this.draw());
    this.draw();
  }

  draw() {
    this.width = this.parent.clientWidth;
    const space = this.width - 20;
    const node = this.rows.node(this.view.focus) ?? this.rows.tree;
    const made = [];
    const up = this.view.focus.split(".").slice(0, -1).join(".");
    if (node.path) made.push(this.box(node, 0, space, 0, () => this.view.setFocus(up), `← ${node.path}`));
    let deepest = node.path ? 1 : 0;
    const place = (inner, left, width, depth) => {
      let x = left;
      for (const child of inner.children.values()) {
        const share = (width * child.taps.length) / inner.taps.length;
        if (share >= NARROWEST && made.length < MOST_BOXES) {
          made.push(this.box(child, x, share, depth, () => this.click(child), child.name));
          deepest = Math.max(deepest, depth + 1);
          place(child, x, share, depth + 1);
        }
        x += share;
      }
    };
    place(node, 0, space, node.path ? 1 : 0);
    this.boxes.style.height = `${deepest * BOX_HEIGHT}px`;
    this.boxes.replaceChildren(...made);
  }

  click(node) {
    if (node.children.size) this.view.setFocus(node.path);
    else this.view.open(this.worstOf(node));
  }

  worstOf(node) {
    if (!this.worst.has(node.path)) {
      this.worst.set(node.path, this.rows.worst(node.taps.flatMap((tap) => this.rows.rowsOfTap[tap])));
    }
    return this.worst.get(node.path);
  }

  enters(node) {
    return node.taps.some((tap) => this.rows.rowsOfTap[tap].some((row) => this.rows.columns.origin[row] === 1));
  }

  box(node, left, width, depth, onclick, text) {
    const worst = this.worstOf(node);
    const paint = this.rows.paint(worst);
    const origin = this.enters(node);
    const words = `${node.path}: ${counted(node.taps.length, "tap")}, at worst ${this.rows.size(worst)}${origin ? "; an error enters here" : ""}`;
    const button = el("button", { type: "button", title: words, "aria-label": words, onclick }, width > 24 ? `${origin ? "● " : ""}${text}` : "");
    button.style.left = `${left}px`;
    button.style.top = `${depth * BOX_HEIGHT}px`;
    button.style.width = `${width}px`;
    button.style.background = css(paint);
    button.style.color = paint[0] * 0.3 + paint[1] * 0.59 + paint[2] * 0.11 > 140 ? "#14171a" : "#ffffff";
    return button;
  }
}
