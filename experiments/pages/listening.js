// A song to listen to: rows of spectrograms and piano rolls over one zoomable span of time, and the keys and
// buttons. A page may hold several; one of them sounds at a time.
class Listening {
  constructor(root, data, all) {
    this.data = data;
    this.root = root;
    root.append(document.getElementById("listening").content.cloneNode(true));
    this.find = (name) => root.querySelector(`.${name}`);
    this.view = new View(data.seconds);
    this.player = new Player(data, {
      onError: (file) => { this.find("message").textContent = `The browser cannot play ${file}; is it beside this page?`; },
      onPlay: () => { for (const other of all) if (other !== this) { other.player.release(); other.show(); } },
    });
    this.show = this.show.bind(this);
    this.chosen = null;
    this.ends = [null, null];  // of a loop that is not whole yet
    this.rows = data.rows.map((source) => new Row(source, this));
    for (const row of this.rows) this.#add(row);
    this.#connect();
    new ResizeObserver(() => this.draw()).observe(this.find("rows"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.show();
    this.#follow();
  }

  #add(row) {
    this.find("rows").append(row.element);
    listenToPointer(row.lanes, this.view, {
      onSeek: (seconds) => { this.player.seek(seconds); this.movePlayheads(); },
      onSelect: (ends) => this.repeat(ends),
      onView: () => this.draw(),
      onHover: (event) => row.hover(event),
    });
    row.element.addEventListener("focusin", () => { this.chosen = this.rows.indexOf(row); });
  }

  #connect() {
    const { player, view } = this;
    this.choices = this.data.sets.map(({ key, title, hint }, number) => {
      const button = make("button", "", title);
      button.dataset.listen = key;
      button.title = `${hint} (${number + 1})`;
      button.onclick = () => this.choose(key);
      return button;
    });
    this.find("sets").append(...this.choices);
    this.find("seek").max = this.data.seconds;
    this.find("seek").oninput = (event) => { player.seek(Number(event.target.value)); this.movePlayheads(); };
    this.find("play").onclick = () => { player.toggle(); this.show(); };
    const looks = {
      in: () => view.zoom(0.5, player.now), out: () => view.zoom(2, player.now), fit: () => view.look(0, view.seconds),
    };
    for (const [name, look] of Object.entries(looks)) this.find(name).onclick = () => { look(); this.draw(); };
    this.find("from").onclick = () => this.mark(0);
    this.find("to").onclick = () => this.mark(1);
    this.find("loop").onclick = () => this.toggleLoop();
  }

  choose(key) {
    this.player.choose(key);
    this.show();
    this.draw();
  }

  // Sets one end of the loop here; what the other end was not set to is the song's own.
  mark(end) {
    const { player } = this, ends = player.loop ?? this.ends;
    this.ends = [...ends];
    this.ends[end] = player.now;
    const [start, stop] = [this.ends[0] ?? 0, this.ends[1] ?? this.data.seconds];
    if (start >= stop) this.ends[1 - end] = null;
    this.repeat([this.ends[0] ?? 0, this.ends[1] ?? this.data.seconds]);
  }

  // Without a loop, what is seen is repeated.
  toggleLoop() {
    this.ends = [null, null];
    this.repeat(this.player.loop ? null : [this.view.start, this.view.end]);
  }

  repeat(loop) {
    this.player.repeat(loop);
    if (this.player.loop) this.ends = [...this.player.loop];
    this.show();
    this.draw();
  }

  draw() {
    for (const row of this.rows) row.draw();
    this.movePlayheads();
  }

  movePlayheads() {
    const now = this.player.now, seek = this.find("seek");
    for (const row of this.rows) row.movePlayhead(now);
    this.find("time").textContent = `${clock(now)} / ${clock(this.data.seconds)}`;
    seek.value = now;
    seek.setAttribute("aria-valuetext", clock(now));
  }

  show() {
    const { player } = this, play = this.find("play"), loop = player.loop;
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    play.querySelector("path").setAttribute("d", player.playing ? "M3 1h4v14H3zM9 1h4v14H9z" : "M3 1v14l11-7z");
    for (const button of this.choices) {
      button.setAttribute("aria-pressed", button.dataset.listen === player.listen);
      button.disabled = !player.sets[button.dataset.listen].length;
    }
    this.find("loop").setAttribute("aria-pressed", Boolean(loop));
    this.find("ends").textContent = loop ? `${clock(loop[0])} – ${clock(loop[1])}` : "";
    for (const row of this.rows) row.show(player);
    this.find("heard").textContent = this.#heard();
    this.movePlayheads();
  }

  // Which of its sounds one hears, or would hear.
  #heard() {
    const { player, rows } = this, { title } = this.data.sets.find(({ key }) => key === player.listen);
    const names = rows.filter((row) => !row.isWhole && player.isHeard(row.name)).map((row) => row.title);
    const parts = player.listen === player.whole ? "" : `: ${names.join(", ") || "none"}`;
    return `${player.playing ? "Playing" : "Chosen"}: ${title}${parts}`;
  }

  step(by) {
    const { rows, chosen } = this;
    this.chosen = chosen === null ? (by > 0 ? 0 : rows.length - 1) : (chosen + by + rows.length) % rows.length;
    rows[this.chosen].element.focus();
  }

  onChosen(action) {
    const row = this.rows[this.chosen ?? 1];
    if (row?.name) action(row.name);
  }

  #follow() {
    const { player, view } = this;
    if (player.playing) {
      player.stayInLoop();
      const now = player.now;
      if (now < view.start || now > view.end) { view.look(now - 0.1 * view.span, view.span); this.draw(); }
      this.movePlayheads();
    }
    if (player.playing !== this.wasPlaying) this.show();
    this.wasPlaying = player.playing;
    requestAnimationFrame(() => this.#follow());
  }
}

const KEYS = {
  " ": ({ player }) => player.toggle(),
  ArrowLeft: ({ player }, event) => player.seek(player.now - (event.shiftKey ? 1 : 5)),
  ArrowRight: ({ player }, event) => player.seek(player.now + (event.shiftKey ? 1 : 5)),
  Home: ({ player }) => player.seek(0),
  End: ({ player }) => player.seek(player.seconds),
  ArrowUp: (listening) => listening.step(-1),
  ArrowDown: (listening) => listening.step(1),
  s: (listening) => listening.onChosen((name) => listening.player.solo(name)),
  m: (listening) => listening.onChosen((name) => listening.player.mute(name)),
  a: (listening) => listening.mark(0),
  b: (listening) => listening.mark(1),
  l: (listening) => listening.toggleLoop(),
  "+": ({ view, player }) => view.zoom(0.5, player.now),
  "=": ({ view, player }) => view.zoom(0.5, player.now),
  "-": ({ view, player }) => view.zoom(2, player.now),
  0: ({ view }) => view.look(0, view.seconds),
};

const listenings = [];
for (const script of document.querySelectorAll("script.listening")) {
  const root = document.createElement("div");
  root.className = "listening";
  script.after(root);
  listenings.push(new Listening(root, JSON.parse(script.textContent), listenings));
}

document.addEventListener("keydown", (event) => {
  // Of several the one that has the focus is meant.
  const listening = listenings.length === 1 ? listenings[0] : listenings.find(({ root }) => root.contains(event.target));
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const set = listening?.data.sets[Number(key) - 1];
  const action = key !== " " && set ? () => listening.choose(set.key) : KEYS[key];
  const { tagName, classList } = event.target;
  const onButton = event.key === " " && tagName === "BUTTON" && !classList.contains("play");
  const isTheirs = onButton || classList.contains("volume") || tagName === "A" || tagName === "SUMMARY";
  if (!listening || !action || event.ctrlKey || event.metaKey || event.altKey || isTheirs) return;
  event.preventDefault();
  if (event.repeat && !["Arrow", "+", "=", "-"].some((start) => event.key.startsWith(start))) return;
  action(listening, event);
  listening.show();
  listening.draw();
});
