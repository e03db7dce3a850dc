// What the lanes of a row show: spectrogram with its frequencies, ruler, piano roll.
const probe = document.createElement("span");
probe.hidden = true;

// A canvas does not know light-dark(): let an element work the colour out.
function colour(element, name) {
  element.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function drawPicture(context, { image, frequencies, view }, width, height) {
  if (image?.naturalWidth) {
    const scale = image.naturalWidth / view.seconds;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, view.start * scale, 0, view.span * scale, image.naturalHeight, 0, 0, width, height);
  }
  const [low, high] = frequencies;
  context.font = "10px system-ui, sans-serif";
  for (const frequency of [100, 1000, 10000].filter((each) => each > low && each < high)) {
    const y = Math.round(heightOf(frequency, frequencies) * height);
    context.fillStyle = "#fff7";
    context.fillRect(0, y, 6, 1);
    context.lineWidth = 2.5;
    context.lineJoin = "round";
    context.strokeStyle = "#000c";
    context.strokeText(hertz(frequency), 9, y + 3.5);
    context.fillStyle = "#fff";
    context.fillText(hertz(frequency), 9, y + 3.5);
  }
}

// Where a frequency lies in a spectrogram, 0 at its upper edge: the rows are spaced like pitches.
function heightOf(frequency, [low, high]) { return Math.log(high / frequency) / Math.log(high / low); }

function frequencyAt(part, [low, high]) { return high * (low / high) ** part; }

function drawRuler(context, { element, view, loop }, width, height) {
  context.fillStyle = colour(element, "--quiet");
  context.font = "11px system-ui, sans-serif";
  for (const { x, text } of view.ticks(width)) {
    context.fillRect(Math.round(x), 0, 1, 5);
    const wide = context.measureText(text).width;
    context.fillText(text, Math.min(Math.max(x - wide / 2, 0), width - wide), 16);
  }
  if (!loop) return;
  context.fillStyle = colour(element, "--accent");
  const [start, end] = loop.map((seconds) => view.x(seconds, width));
  context.fillRect(start, height - 3, end - start, 3);
}

function drawRoll(context, row, width, height) {
  const { element, view, notes, reference, range, isDrum } = row;
  const [low, high] = range;
  const y = (pitch) => ((high - pitch - 1) / (high - low)) * height;
  const x = (seconds) => view.x(seconds, width);
  const tall = Math.max(height / (high - low), 2);
  context.fillStyle = colour(element, "--line");
  for (const tick of view.ticks(width)) context.fillRect(Math.round(tick.x), 0, 1, height);
  context.fillStyle = colour(element, "--quiet");
  context.font = "10px system-ui, sans-serif";
  for (let pitch = Math.ceil(low / 12) * 12; pitch < high; pitch += 12) {
    context.fillRect(0, y(pitch) + tall, width, 0.4);
    if (!isDrum && y(pitch) + tall > 12) context.fillText(pitchName(pitch), 2, y(pitch) + tall - 2);
  }
  const seen = (note) => note[1] >= view.start && note[0] <= view.end;
  context.fillStyle = colour(element, "--colour");
  for (const [onset, offset, pitch, velocity] of notes.filter(seen)) {
    context.globalAlpha = 0.4 + 0.6 * Math.min(velocity / 110, 1);
    context.fillRect(x(onset), y(pitch), Math.max(x(offset) - x(onset) - 0.5, 1.5), Math.max(tall - 0.5, 1.5));
  }
  context.globalAlpha = 0.65;
  context.strokeStyle = colour(element, "--text");
  context.lineWidth = 1;
  for (const [onset, offset, pitch] of reference.filter(seen)) {
    context.strokeRect(x(onset) + 0.5, y(pitch) + 0.5, Math.max(x(offset) - x(onset) - 1, 1), Math.max(tall - 1, 1));
  }
  context.globalAlpha = 1;
}

// The note at a place of a roll, found ones before true ones; within three pixels, as drum hits are thin.
function noteAt({ view, notes, reference, range: [low, high] }, x, y, width, height) {
  const pitch = high - 1 - Math.floor((y / height) * (high - low));
  const reach = (3 / width) * view.span, seconds = view.at(x, width);
  const isHere = (note) => note[2] === pitch && note[0] - reach <= seconds && note[1] + reach >= seconds;
  const found = notes.find(isHere);
  return found ? { note: found, isTrue: false } : { note: reference.find(isHere), isTrue: true };
}
