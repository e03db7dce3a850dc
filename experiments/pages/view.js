// The span of time that all lanes of a song show, and moments at round distances in it.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
const MIN_PIXELS = 70;

class View {
  constructor(seconds) {
    this.seconds = this.end = seconds;
    this.start = 0;
    this.shortest = Math.min(0.5, seconds);
  }

  get span() { return this.end - this.start; }

  x(seconds, width) { return ((seconds - this.start) / this.span) * width; }

  at(x, width) { return this.start + (x / width) * this.span; }

  look(start, span) {
    span = Math.min(Math.max(span, this.shortest), this.seconds);
    this.start = Math.min(Math.max(start, 0), this.seconds - span);
    this.end = this.start + span;
  }

  zoom(factor, around) {
    const inside = around >= this.start && around <= this.end ? around : (this.start + this.end) / 2;
    const span = Math.min(Math.max(this.span * factor, this.shortest), this.seconds);
    this.look(inside - ((inside - this.start) / this.span) * span, span);
  }

  ticks(width) {
    const shortest = (this.span / width) * MIN_PIXELS;
    const step = STEPS.find((seconds) => seconds >= shortest) ?? STEPS.at(-1);
    const first = Math.ceil(this.start / step - 1e-9), last = Math.floor(this.end / step + 1e-9);
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, k) => {
      const seconds = (first + k) * step;
      const text = step < 1 ? clock(seconds) : clock(seconds).slice(0, -2);
      return { x: this.x(seconds, width), text };
    });
  }
}
