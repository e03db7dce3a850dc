// Rows of spectrograms and piano rolls over one zoomable span of time, and the keys and buttons.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const player = new Player(data, (file) => {
  find("message").textContent = `The browser cannot play ${file}; is it beside this page?`;
});
const view = { start: 0, end: data.seconds };
const ROLL_HEIGHT = 150, PICTURE_HEIGHT = 64, RULER_HEIGHT = 18, MIN_SPAN = Math.min(0.5, data.seconds);
const rows = [];
let chosen = null;

function clock(seconds) {
  seconds = Math.round(10 * seconds) / 10;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function addRow(source) {
  const row = { ...source, element: make("section", "row"), canvases: [] };
  const title = (source.name ?? "song").replaceAll("_", " ");
  row.element.tabIndex = -1;
  row.element.setAttribute("aria-label", title);
  const grey = source.name ? "var(--quiet)" : "var(--text)";
  row.element.style.setProperty("--colour", source.colours ? `light-dark(${source.colours})` : grey);
  const about = make("div", "about");
  about.append(make("div", "name", title));
  if (source.name) {
    const truth = source.reference ? `, ${source.reference.length} true` : "";
    about.append(make("div", "count", source.notes ? `${source.notes.length} notes${truth}` : source.about));
    row.solo = make("button", "solo", "S");
    row.mute = make("button", "mute", "M");
    row.solo.setAttribute("aria-label", `Solo ${title}`);
    row.mute.setAttribute("aria-label", `Mute ${title}`);
    row.solo.onclick = () => { player.solo(row.name); show(); };
    row.mute.onclick = () => { player.mute(row.name); show(); };
    const group = make("span", "group");
    group.append(row.solo, row.mute);
    about.append(group);
  }
  row.lanes = make("div", "lanes");
  row.playhead = make("div", "playhead");
  row.image = new Image();
  row.image.onload = () => draw();
  row.image.src = source.picture;
  addCanvas(row, PICTURE_HEIGHT, `Spectrogram of ${title}`, drawPicture);
  if (!source.name) addCanvas(row, RULER_HEIGHT, "Time", drawRuler);
  if (source.notes?.length || source.reference?.length) addCanvas(row, ROLL_HEIGHT, `Piano roll of ${title}`, drawRoll);
  row.lanes.append(row.playhead);
  row.element.append(about, row.lanes);
  find("rows").append(row.element);
  listenToPointer(row.lanes);
  row.element.addEventListener("focusin", () => { chosen = rows.indexOf(row); });
  rows.push(row);
}

function addCanvas(row, height, label, paint) {
  const canvas = document.createElement("canvas");
  canvas.style.height = `${height}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  row.lanes.append(canvas);
  row.canvases.push({ canvas, height, paint });
}

function drawPicture(context, row, width, height) {
  const { naturalWidth, naturalHeight } = row.image;
  if (!naturalWidth) return;
  const scale = naturalWidth / data.seconds;
  context.imageSmoothingQuality = "high";
  context.drawImage(row.image, view.start * scale, 0, (view.end - view.start) * scale, naturalHeight, 0, 0, width, height);
}

const probe = make("span", "");
probe.hidden = true;

// A canvas does not know light-dark(): let an element work the colour out.
function colour(row, name) {
  row.element.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function drawRoll(context, row, width, height) {
  const pitches = [...(row.notes ?? []), ...(row.reference ?? [])].map((note) => note[2]);
  row.span ??= [pitches.reduce((a, b) => Math.min(a, b)) - 2, pitches.reduce((a, b) => Math.max(a, b)) + 3];
  const [low, high] = row.span;
  const x = (seconds) => ((seconds - view.start) / (view.end - view.start)) * width;
  const y = (pitch) => ((high - pitch - 1) / (high - low)) * height;
  const tall = Math.max(height / (high - low), 2);
  context.fillStyle = colour(row, "--line");
  for (const tick of ticks(width)) context.fillRect(Math.round(tick.x), 0, 1, height);
  context.fillStyle = colour(row, "--quiet");
  context.font = "10px system-ui, sans-serif";
  for (let pitch = Math.ceil(low / 12) * 12; pitch < high; pitch += 12) {
    context.fillRect(0, y(pitch) + tall, width, 0.4);
    if (!row.isDrum && y(pitch) + tall > 12) context.fillText(`C${pitch / 12 - 1}`, 2, y(pitch) + tall - 2);
  }
  const seen = (note) => note[1] >= view.start && note[0] <= view.end;
  context.fillStyle = colour(row, "--colour");
  for (const [onset, offset, pitch, velocity] of (row.notes ?? []).filter(seen)) {
    context.globalAlpha = 0.4 + 0.6 * Math.min(velocity / 110, 1);
    context.fillRect(x(onset), y(pitch), Math.max(x(offset) - x(onset) - 0.5, 1.5), Math.max(tall - 0.5, 1.5));
  }
  context.globalAlpha = 0.65;
  context.strokeStyle = colour(row, "--text");
  context.lineWidth = 1;
  for (const [onset, offset, pitch] of (row.reference ?? []).filter(seen)) {
    context.strokeRect(x(onset) + 0.5, y(pitch) + 0.5, Math.max(x(offset) - x(onset) - 1, 1), Math.max(tall - 1, 1));
  }
  context.globalAlpha = 1;
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  for (const row of rows) {
    const width = row.lanes.clientWidth;
    for (const { canvas, height, paint } of row.canvases) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      paint(context, row, width, height);
    }
  }
  movePlayheads();
}

function movePlayheads() {
  const now = player.now, part = (now - view.start) / (view.end - view.start);
  for (const row of rows) {
    row.playhead.style.transform = `translateX(${part * row.lanes.clientWidth}px)`;
    row.playhead.style.visibility = part >= 0 && part <= 1 ? "visible" : "hidden";
    row.playhead.dataset.seconds = now.toFixed(3);
  }
  find("time").textContent = `${clock(now)} / ${clock(data.seconds)}`;
  find("seek").value = now;
  find("seek").setAttribute("aria-valuetext", clock(now));
}

function show() {
  find("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  find("play").querySelector("path").setAttribute("d", player.playing ? "M3 1h4v14H3zM9 1h4v14H9z" : "M3 1v14l11-7z");
  for (const button of document.querySelectorAll("[data-listen]")) {
    button.setAttribute("aria-pressed", button.dataset.listen === player.listen);
    button.disabled = !player.sets[button.dataset.listen].length;
  }
  for (const row of rows.filter(({ name }) => name)) {
    row.solo.setAttribute("aria-pressed", player.soloed.has(row.name));
    row.mute.setAttribute("aria-pressed", player.muted.has(row.name));
    row.element.classList.toggle("silent", player.listen !== "song" && !player.isHeard(row.name));
  }
  movePlayheads();
}

function look(start, span) {
  span = Math.min(Math.max(span, MIN_SPAN), data.seconds);
  view.start = Math.min(Math.max(start, 0), data.seconds - span);
  view.end = view.start + span;
  draw();
}

function zoom(factor, around = player.now) {
  const span = view.end - view.start;
  const inside = around >= view.start && around <= view.end ? around : (view.start + view.end) / 2;
  const wide = Math.min(Math.max(span * factor, MIN_SPAN), data.seconds);
  look(inside - ((inside - view.start) / span) * wide, wide);
}

function listenToPointer(lanes) {
  const at = (event) => {
    const box = lanes.getBoundingClientRect();
    return view.start + ((event.clientX - box.left) / box.width) * (view.end - view.start);
  };
  const seek = (event) => { player.seek(at(event)); movePlayheads(); };
  lanes.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    lanes.setPointerCapture(event.pointerId);
    seek(event);
  });
  lanes.addEventListener("pointermove", (event) => { if (event.buttons & 1) seek(event); });
  lanes.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !sideways) return;
    event.preventDefault();
    if (event.ctrlKey) return zoom(Math.exp(event.deltaY / 300), at(event));
    const span = view.end - view.start;
    look(view.start + ((event.deltaX || event.deltaY) / lanes.clientWidth) * span, span);
  }, { passive: false });
}

function choose(step) {
  chosen = chosen === null ? (step > 0 ? 0 : rows.length - 1) : (chosen + step + rows.length) % rows.length;
  rows[chosen].element.focus();
}

function onChosen(action) {
  const row = rows[chosen ?? 1];
  if (row?.name) action(row.name);
}

const KEYS = {
  " ": () => player.toggle(),
  ArrowLeft: (event) => player.seek(player.now - (event.shiftKey ? 1 : 5)),
  ArrowRight: (event) => player.seek(player.now + (event.shiftKey ? 1 : 5)),
  Home: () => player.seek(0),
  End: () => player.seek(data.seconds),
  ArrowUp: () => choose(-1),
  ArrowDown: () => choose(1),
  s: () => onChosen((name) => player.solo(name)),
  m: () => onChosen((name) => player.mute(name)),
  1: () => player.choose("song"),
  2: () => player.choose("stems"),
  3: () => player.choose("notes"),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => look(0, data.seconds),
};

document.addEventListener("keydown", (event) => {
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const onButton = event.key === " " && event.target.tagName === "BUTTON" && event.target.id !== "play";
  if (!action || event.ctrlKey || event.metaKey || event.altKey || onButton) return;
  event.preventDefault();
  if (event.repeat && ![ "Arrow", "+", "=", "-" ].some((key) => event.key.startsWith(key))) return;
  action(event);
  show();
});

function follow() {
  if (player.playing) {
    const now = player.now, span = view.end - view.start;
    if (now < view.start || now > view.end) look(now - 0.1 * span, span);
    movePlayheads();
  }
  if (player.playing !== follow.shown) show();
  follow.shown = player.playing;
  requestAnimationFrame(follow);
}

for (const source of [{ picture: data.picture }, ...data.rows]) addRow(source);
find("truth").hidden = !data.rows.some((row) => row.reference);
find("seek").max = data.seconds;
find("seek").oninput = (event) => { player.seek(Number(event.target.value)); movePlayheads(); };
find("play").onclick = () => { player.toggle(); show(); };
find("in").onclick = () => zoom(0.5);
find("out").onclick = () => zoom(2);
find("fit").onclick = () => look(0, data.seconds);
for (const button of document.querySelectorAll("[data-listen]")) {
  button.onclick = () => { player.choose(button.dataset.listen); show(); };
}
new ResizeObserver(() => draw()).observe(find("rows"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
show();
follow();
