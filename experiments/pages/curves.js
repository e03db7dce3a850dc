// The curves of training: one plot per value, runs overlaid, with a logarithmic scale and values under the pointer.
const SVG = "http://www.w3.org/2000/svg";
const PLOT_HEIGHT = 220, MARGIN = { left: 52, right: 12, top: 10, bottom: 26 };

function draws(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function short(value) {
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// Round values between two, about five of them; of a logarithmic axis over more than a decade powers of ten, or
// 1, 2, 5 of each.
function rounds(low, high, isLog) {
  if (isLog && high > 10 * low) {
    const powers = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) powers.push(power);
    const digits = powers.length > 4 ? [1] : [1, 2, 5];
    const every = Math.ceil(powers.length / 8);
    const values = powers.filter((_, k) => k % every === 0).flatMap((power) => digits.map((digit) => digit * 10 ** power));
    return values.filter((value) => value >= low && value <= high);
  }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

class Plot {
  constructor({ title, lines }, runs) {
    this.lines = lines;
    this.runs = runs;
    this.element = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    this.readout = document.createElement("output");
    this.svg = draws("svg", { tabindex: 0, role: "img", "aria-label": `${title} by step; arrow keys read values` });
    this.element.append(caption, this.svg, this.readout);
    const values = lines.flatMap(({ points }) => points.map((point) => point[1]));
    this.steps = [...new Set(lines.flatMap(({ points }) => points.map((point) => point[0])))].sort((a, b) => a - b);
    this.lowest = values.reduce((a, b) => Math.min(a, b));
    this.highest = values.reduce((a, b) => Math.max(a, b));
    this.canBeLog = this.lowest > 0;
    this.index = null;  // of the step that is read
    this.svg.addEventListener("pointermove", (event) => this.#readAt(event));
    this.svg.addEventListener("pointerdown", (event) => this.#readAt(event));
    this.svg.addEventListener("pointerleave", () => this.read(null));
    this.svg.addEventListener("blur", () => this.read(null));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get isLog() { return Plot.isLog && this.canBeLog; }

  #scales() {
    const width = this.svg.clientWidth || 320;
    const scaled = this.isLog ? Math.log : (value) => value;
    let low = this.isLog ? this.lowest : Math.min(0, this.lowest), high = this.isLog ? this.highest : Math.max(0, this.highest);
    if (low === high) [low, high] = this.isLog ? [low / 2, high * 2] : [low, low + 1];
    const [bottom, top] = [scaled(low), scaled(high)], reach = PLOT_HEIGHT - MARGIN.top - MARGIN.bottom;
    const [first, last] = [this.steps[0], this.steps.at(-1)], across = width - MARGIN.left - MARGIN.right;
    return {
      width, low, high, first, last,
      x: (step) => MARGIN.left + (last > first ? (step - first) / (last - first) : 0.5) * across,
      y: (value) => MARGIN.top + (1 - (scaled(value) - bottom) / (top - bottom)) * reach,
    };
  }

  draw() {
    const { width, low, high, first, last, x, y } = this.#scales();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${PLOT_HEIGHT}`);
    this.svg.replaceChildren();
    for (const value of rounds(low, high, this.isLog)) {
      this.svg.append(draws("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
      this.svg.append(draws("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
    }
    const steps = last > first ? rounds(first, last, false) : [first];
    for (const step of steps) {
      const anchor = x(step) > width - 2 * MARGIN.right ? "end" : "middle";  // inside of the picture
      this.svg.append(draws("text", { x: x(step), y: PLOT_HEIGHT - 8, "text-anchor": anchor }, String(step)));
    }
    for (const { run, kind, points } of this.lines) {
      const path = points.map(([step, value], k) => `${k ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
      const style = `stroke: ${colourOfLine(run, kind, this.runs)}`;
      this.svg.append(draws("path", { class: `line ${kind}`, d: path, style }));
      if (points.length > 40) continue;
      for (const [step, value] of points) {
        const fill = `fill: ${colourOfLine(run, kind, this.runs)}`;
        this.svg.append(draws("circle", { cx: x(step), cy: y(value), r: 2.5, style: fill }));
      }
    }
    this.cursor = draws("line", { class: "cursor", y1: MARGIN.top, y2: PLOT_HEIGHT - MARGIN.bottom });
    this.svg.append(this.cursor);
    this.read(this.index);
  }

  #readAt(event) {
    const { x } = this.#scales(), place = event.clientX - this.svg.getBoundingClientRect().left;
    const distances = this.steps.map((step) => Math.abs(x(step) - place));
    this.read(distances.indexOf(distances.reduce((a, b) => Math.min(a, b))));
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!by) return;
    event.preventDefault();
    const from = this.index ?? (by > 0 ? -1 : this.steps.length);
    this.read(Math.min(Math.max(from + by, 0), this.steps.length - 1));
  }

  // Says the values at a step, of each line the nearest at or before it; null says none.
  read(index) {
    this.index = index;
    this.cursor?.setAttribute("visibility", index === null ? "hidden" : "visible");
    const step = index === null ? Infinity : this.steps[index];
    if (index !== null) for (const name of ["x1", "x2"]) this.cursor?.setAttribute(name, this.#scales().x(step));
    const said = this.lines.map(({ run, kind, points }) => {
      const point = points.findLast((each) => each[0] <= step);
      const item = document.createElement("span");
      item.className = kind;
      item.style.setProperty("--line-colour", colourOfLine(run, kind, this.runs));
      const name = this.runs.length > 1 ? `${this.runs[run]}${kind === "validation" ? ", validation" : ""}` : kind;
      item.textContent = `${name} ${point ? short(point[1]) : "–"}`;
      return item;
    });
    const at = document.createElement("span");
    at.textContent = index === null ? "at the end:" : `step ${step}:`;
    this.readout.replaceChildren(at, ...said);
  }
}

// A colour for each run; of a single run one for each kind of line.
function colourOfLine(run, kind, runs) {
  return `var(--run-${(runs.length > 1 ? run : kind === "validation" ? 1 : 0) % 8})`;
}

const ofCurves = document.getElementById("curves");
if (ofCurves) {
  const { runs, plots } = JSON.parse(ofCurves.textContent);
  const drawn = plots.map((plot) => new Plot(plot, runs));
  document.querySelector(".plots").append(...drawn.map(({ element }) => element));
  const button = document.getElementById("log");
  button.onclick = () => {
    Plot.isLog = !Plot.isLog;
    button.setAttribute("aria-pressed", Plot.isLog);
    for (const plot of drawn) plot.draw();
  };
}
