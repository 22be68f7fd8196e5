// A sound of both sides: waveform over spectrogram, and one playing position for the two.

const WAVE_HEIGHT = 56;
const SPECTRUM_HEIGHT = 96;

class Player {
  constructor(panel, pictures) {
    this.panel = panel;
    this.pictures = pictures;
    this.sides = ["reference", "candidate"];
    this.audio = this.sides.map((side) => panel.querySelector(`audio[data-side=${side}]`));
    this.samples = this.audio.map((audio) => samplesOf(audio.getAttribute("src")));
    this.hearing = 0;
    this.play = panel.querySelector("[data-do=play]");
    this.swap = panel.querySelector("[data-do=swap]");
    this.play.addEventListener("click", () => this.toggle());
    this.swap.addEventListener("click", () => this.change());
    this.audio.forEach((audio, i) => {
      audio.addEventListener("play", () => { if (!this.together) this.audio[1 - i].pause(); });
      audio.addEventListener("timeupdate", () => this.paint());
      audio.addEventListener("ended", () => this.stop());
    });
    panel.addEventListener("keydown", (event) => this.key(event));
    this.width = 0;
    new ResizeObserver(() => { if (panel.clientWidth !== this.width) this.draw(); }).observe(panel);
    this.draw();
  }

  /** Both play at once, and one is heard: so the sides can change at the same instant. */
  toggle() {
    if (this.together) { this.stop(); return; }
    this.together = true;
    const at = this.audio[this.hearing].currentTime;
    this.audio.forEach((audio, i) => {
      audio.muted = i !== this.hearing;
      audio.currentTime = Math.min(at, audio.duration || at);
      audio.play().catch(() => this.stop());
    });
    this.panel.classList.add("playing");
    this.play.textContent = "❚❚ Pause";
    this.play.setAttribute("aria-label", "Pause");
    this.follow();
  }

  stop() {
    this.together = false;
    for (const audio of this.audio) { audio.pause(); audio.muted = false; }
    this.panel.classList.remove("playing");
    this.play.textContent = "▶ Play";
    this.play.setAttribute("aria-label", "Play");
  }

  change() {
    const at = this.audio[this.hearing].currentTime;
    this.hearing = 1 - this.hearing;
    if (this.together) {
      this.audio.forEach((audio, i) => { audio.muted = i !== this.hearing; });
    } else this.audio[this.hearing].currentTime = at;
    this.swap.setAttribute("aria-pressed", String(this.hearing === 1));
    this.swap.replaceChildren("Hearing: ", el("b", {}, ["A reference", "B candidate"][this.hearing]));
  }

  key(event) {
    if (event.target.closest("audio")) return;
    if (event.key === "x" || event.key === "X") this.change();
    else if (event.key === " " && !event.target.closest("button")) this.toggle();
    else return;
    event.preventDefault();
  }

  follow() {
    if (!this.together) return;
    this.paint();
    requestAnimationFrame(() => this.follow());
  }

  draw() {
    this.width = this.panel.clientWidth;
    const peak = Math.max(0.05, ...this.samples.map((samples) => samples.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 32768));
    this.layers = this.sides.map((side, i) => {
      const holder = part(this.panel, side);
      holder.replaceChildren();
      const width = Math.max(holder.clientWidth, 200);
      const [still] = this.still(i, width, peak);
      const label = `Waveform and spectrogram of the ${side}; click to go to a place`;
      const [node, context] = canvas(width, WAVE_HEIGHT + SPECTRUM_HEIGHT, { role: "img", "aria-label": label });
      node.addEventListener("click", (event) => this.seek(event, node));
      holder.append(node);
      return { still, context, width, side };
    });
    this.paint();
  }

  seek(event, node) {
    const box = node.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * this.pictures.seconds;
    for (const audio of this.audio) audio.currentTime = Math.min(at, audio.duration || at);
    this.paint();
  }

  /** The picture without the line that moves. */
  still(i, width, peak) {
    const [node, context] = canvas(width, WAVE_HEIGHT + SPECTRUM_HEIGHT);
    const { seconds, rows, columns, spectra, hertz } = this.pictures;
    const samples = this.samples[i];
    context.fillStyle = colour(["--ref", "--cand"][i]);
    const each = (seconds * this.pictures.rate) / width;
    for (let x = 0; x < width; x++) {
      const [low, high] = extremes(samples, Math.floor(x * each), Math.ceil((x + 1) * each));
      const at = (v) => WAVE_HEIGHT / 2 - (v / 32768 / peak) * (WAVE_HEIGHT / 2 - 2);
      if (high >= low) context.fillRect(x, at(high), 1, Math.max(at(low) - at(high), 1));
    }
    const image = bitmap(bytesOf(spectra[i]), rows, columns[i], painter("loud"));
    const most = Math.max(...columns);
    context.imageSmoothingEnabled = true;
    context.drawImage(image, 0, WAVE_HEIGHT, (width * columns[i]) / most, SPECTRUM_HEIGHT);
    context.fillStyle = colour("--dim");
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "right";
    context.strokeStyle = colour("--card");
    context.lineWidth = 3;
    for (const f of [200, 1000, 4000]) {
      const y = WAVE_HEIGHT + SPECTRUM_HEIGHT * (1 - Math.log(f / hertz[0]) / Math.log(hertz[1] / hertz[0]));
      const text = f < 1000 ? `${f} Hz` : `${f / 1000} kHz`;
      if (y < WAVE_HEIGHT + 8) continue;
      context.strokeText(text, width - 4, y);
      context.fillText(text, width - 4, y);
    }
    return [node, context];
  }

  paint() {
    this.layers.forEach(({ still, context, width }, i) => {
      context.clearRect(0, 0, width, WAVE_HEIGHT + SPECTRUM_HEIGHT);
      context.drawImage(still, 0, 0, width, WAVE_HEIGHT + SPECTRUM_HEIGHT);
      const x = (this.audio[i].currentTime / this.pictures.seconds) * width;
      context.fillStyle = colour("--ink");
      if (x > 0) context.fillRect(x, 0, 1, WAVE_HEIGHT + SPECTRUM_HEIGHT);
    });
  }
}

/** The 16-bit samples behind the header of a WAV file in a `data:` address. */
function samplesOf(address) {
  const bytes = bytesOf(address.slice(address.indexOf(",") + 1));
  return new Int16Array(bytes.buffer, 44);
}

function extremes(samples, from, to) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = from; i < Math.min(to, samples.length); i++) {
    if (samples[i] < low) low = samples[i];
    if (samples[i] > high) high = samples[i];
  }
  return [low, high];
}
