// Moments at round distances, for the ruler and for the lines of the piano rolls.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
const MIN_PIXELS = 70;

function ticks(width) {
  const shortest = ((view.end - view.start) / width) * MIN_PIXELS;
  const step = STEPS.find((seconds) => seconds >= shortest) ?? STEPS.at(-1);
  const first = Math.ceil(view.start / step - 1e-9), last = Math.floor(view.end / step + 1e-9);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, k) => {
    const seconds = (first + k) * step;
    const x = ((seconds - view.start) / (view.end - view.start)) * width;
    return { x, text: step < 1 ? clock(seconds) : clock(seconds).slice(0, -2) };
  });
}

function drawRuler(context, row, width, height) {
  context.fillStyle = colour(row, "--quiet");
  context.font = "11px system-ui, sans-serif";
  for (const { x, text } of ticks(width)) {
    context.fillRect(Math.round(x), 0, 1, 5);
    const wide = context.measureText(text).width;
    context.fillText(text, Math.min(Math.max(x - wide / 2, 0), width - wide), height - 1);
  }
}
