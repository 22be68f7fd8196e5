// What every other part builds on: elements without markup, numbers as people say them, colours.

/** An element; every text becomes a text node, so that no name can be markup. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

async function unpack(text) {
  const bytes = bytesOf(text.trim());
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function short(value, digits = 2) {
  if (value == null || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e4) return String(Number(value.toPrecision(digits + 1)));
  return value.toExponential(digits - 1).replace("e-", "e−").replace("e+", "e");
}

const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const dark = () => getComputedStyle(document.documentElement).colorScheme.includes("dark");

// Colours from pale to deep (in the dark: from dim to bright) by how far something is off.
const RAMPS = {
  good: { light: ["#e3f1ee", "#58b3a6"], dark: ["#17302e", "#2f8f84"] },
  bad: {
    light: ["#f7d58a", "#ec9a3c", "#d4552b", "#a81e2d", "#5e0f3d"],
    dark: ["#6a4a12", "#a3651a", "#d4552b", "#f0604f", "#ffb3c0"],
  },
  error: {
    light: ["#f3f1ec", "#f3d38c", "#e5853b", "#b32a2e", "#430a2f"],
    dark: ["#14181c", "#4b2a3f", "#a8323f", "#ee8a3f", "#ffe6a3"],
  },
  value: {
    light: ["#1d4e89", "#7fb0d6", "#f4f1ea", "#e0a36c", "#9c3b14"],
    dark: ["#8cc4f5", "#356a9c", "#1a1e23", "#9c5a2c", "#ffb98a"],
  },
  loud: {
    light: ["#f7f6f3", "#c9d6e2", "#6f97bd", "#22507f", "#0b1d33"],
    dark: ["#0e1114", "#1b3350", "#2e6ea6", "#7cc0e8", "#f5fbff"],
  },
};

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** The colour at `share`, 0 to 1, of a ramp, as [r, g, b]. */
function shade(name, share) {
  const stops = RAMPS[name][dark() ? "dark" : "light"];
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const [from, to] = [channels(stops[low]), channels(stops[low + 1])];
  return from.map((value, i) => Math.round(value + (to[i] - value) * (at - low)));
}

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const NOT_FINITE = () => (dark() ? [226, 140, 255] : [122, 31, 162]);
const ABSENT = () => (dark() ? [74, 82, 92] : [196, 198, 202]);

/** A canvas as sharp as the screen, and its context with the origin at the top left. */
function canvas(width, height, attributes = {}) {
  const node = el("canvas", attributes);
  const ratio = window.devicePixelRatio || 1;
  node.width = Math.max(1, Math.round(width * ratio));
  node.height = Math.max(1, Math.round(height * ratio));
  node.style.width = `${width}px`;
  node.style.height = `${height}px`;
  const context = node.getContext("2d");
  context.scale(ratio, ratio);
  return [node, context];
}

/** One pixel a cell; `paint(code)` gives the colour of a byte. */
function bitmap(bytes, rows, columns, paint, attributes = {}) {
  const node = el("canvas", { width: columns, height: rows, ...attributes });
  const context = node.getContext("2d");
  const data = context.createImageData(columns, rows);
  const colours = Array.from({ length: 256 }, (_, code) => paint(code));
  for (let i = 0; i < rows * columns; i++) {
    data.data.set(colours[bytes[i]], 4 * i);
    data.data[4 * i + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  return node;
}

const painter = (ramp) => (code) => (code === 0 ? NOT_FINITE() : shade(ramp, (code - 1) / 254));
