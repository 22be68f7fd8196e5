// Puts the parts together, one set a comparison; the page reads well without any of this.

/** What the parts of one comparison share: the module that is looked at, and the open tensor. */
class View {
  constructor() {
    this.focus = "";
    this.listeners = [];
  }

  onFocus(listener) {
    this.listeners.push(listener);
  }

  setFocus(path) {
    this.focus = path;
    for (const listener of this.listeners) listener();
  }

  open(row) {
    this.sheet.open(row);
  }
}

async function mount(root) {
  const data = await unpack(part(root, "data").textContent);
  const rows = new Rows(data.rows);
  const view = new View();
  for (const node of root.querySelectorAll(".js")) node.hidden = false;
  for (const node of root.querySelectorAll(".static")) node.hidden = true;
  view.sheet = new Sheet(root, rows, data.pictures, view);
  const draws = [() => thumbnails(part(root, "thumbs"), rows, data.pictures, view)];
  if (part(root, "growth")) {
    const growth = new Growth(root, rows, view);
    const grid = new Grid(root, rows, view);
    const model = new Model(root, rows, view);
    draws.push(() => growth.show(), () => grid.draw(), () => model.draw());
  }
  new Table(root, rows, view);
  const players = [...root.querySelectorAll("[data-sound]")].map((panel) => new Player(panel, data.sounds[Number(panel.dataset.sound)]));
  draws[0]();
  openers(root, rows, view);
  return () => {
    for (const draw of draws) draw();
    for (const player of players) player.draw();
  };
}

/** Buttons of the written part that lead to a tensor. */
function openers(root, rows, view) {
  for (const button of root.querySelectorAll("[data-open]")) {
    const row = button.dataset.open === "first" ? firstDivergence(rows) : rowOf(rows, button.dataset);
    button.hidden = row < 0;
    button.addEventListener("click", () => view.open(row));
  }
}

function firstDivergence(rows) {
  let lost = -1;
  for (let row = 0; row < rows.count; row++) {
    if (rows.ok(row)) continue;
    if (rows.text("candidate", row)) return row;
    if (lost < 0) lost = row;
  }
  return lost;
}

/** The row of a tap, phase and call; the first that fails where there is none of that call. */
function rowOf(rows, { tap, phase, call }) {
  const code = rows.texts("tap").indexOf(tap);
  const found = code < 0 ? [] : rows.rowsOfTap[code];
  const exact = found.find((row) => rows.text("phase", row) === phase && rows.columns.call[row] === Number(call));
  return exact ?? found.find((row) => !rows.ok(row)) ?? found[0] ?? -1;
}

function theme(redraw) {
  const button = document.getElementById("theme");
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.classList.remove("light", "dark");
    document.documentElement.classList.add(next);
    name();
    redraw();
  });
  const changed = () => { name(); redraw(); };
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  // Paper is light, and what is drawn on a canvas does not follow a style sheet.
  let before = "";
  window.addEventListener("beforeprint", () => {
    before = document.documentElement.className;
    document.documentElement.className = "light";
    redraw();
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.className = before;
    redraw();
  });
  name();
}

// After the first paint: the verdict is there to read while the rest is unpacked.
requestAnimationFrame(() => setTimeout(async () => {
  const redraws = [];
  for (const root of document.querySelectorAll(".comparison")) redraws.push(await mount(root));
  theme(() => redraws.forEach((redraw) => redraw()));
  document.documentElement.dataset.ready = "yes";
}));
