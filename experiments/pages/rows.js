// One row of a song: its name, its controls and its lanes.
const ROLL_HEIGHT = 150, PICTURE_HEIGHT = 64;
const RULER_HEIGHT = matchMedia("(pointer: coarse), (max-width: 44rem)").matches ? 44 : 22;

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

class Row {
  constructor(source, listening) {
    Object.assign(this, { reference: [], notes: [], ...source, listening });
    this.isWhole = !source.name;
    this.title = (source.name ?? listening.data.sets[0].title).replaceAll("_", " ");
    this.element = make("section", "row");
    this.element.tabIndex = -1;
    this.element.setAttribute("aria-label", this.title);
    const grey = this.isWhole ? "var(--text)" : "var(--quiet)";
    this.element.style.setProperty("--colour", source.colours ? `light-dark(${source.colours})` : grey);
    this.canvases = [];
    this.images = new Map();
    this.lanes = make("div", "lanes");
    this.#addLanes();
    this.looped = make("div", "looped");
    this.playhead = make("div", "playhead");
    this.tip = make("div", "tip");
    this.tip.hidden = true;
    this.lanes.append(this.looped, this.playhead, this.tip);
    this.element.append(this.#about(), this.lanes);
  }

  #about() {
    const about = make("div", "about");
    about.append(make("div", "name", this.title));
    if (this.isWhole) return about;
    about.append(make("div", "count", this.about));
    if (this.file) {
      const link = make("a", "file", this.file.name);
      link.href = this.file.href;
      link.download = this.file.name;
      about.append(link);
    }
    const { player, show } = this.listening;
    const button = (kind, letter) => {
      const made = make("button", kind.toLowerCase(), letter);
      made.setAttribute("aria-label", `${kind} ${this.title}`);
      made.title = `${kind} ${this.title}`;
      made.onclick = () => { player[kind.toLowerCase()](this.name); show(); };
      return made;
    };
    this.solo = button("Solo", "S");
    this.mute = button("Mute", "M");
    const group = make("span", "group");
    group.append(this.solo, this.mute);
    this.volume = make("input", "volume");
    Object.assign(this.volume, { type: "range", min: 0, max: 100, value: 100, title: `Volume of ${this.title}` });
    this.volume.setAttribute("aria-label", this.volume.title);
    this.volume.oninput = () => {
      this.volume.setAttribute("aria-valuetext", `${this.volume.value} %`);
      player.setVolume(this.name, this.volume.value / 100);
    };
    about.append(group, this.volume);
    return about;
  }

  #addLanes() {
    const sets = Object.values(this.sets), all = [...sets.flatMap(({ notes }) => notes ?? []), ...this.notes, ...this.reference];
    if (this.picture || sets.some(({ picture }) => picture)) {
      this.#addCanvas("picture", PICTURE_HEIGHT, `Spectrogram of ${this.title}`, drawPicture);
    }
    if (this.isWhole) this.#addCanvas("ruler", RULER_HEIGHT, "Time; drag to choose what is repeated", drawRuler);
    if (!all.length) return;
    const pitches = all.map((note) => note[2]);
    this.range = [pitches.reduce((a, b) => Math.min(a, b)) - 2, pitches.reduce((a, b) => Math.max(a, b)) + 3];
    this.#addCanvas("roll", ROLL_HEIGHT, `Piano roll of ${this.title}`, drawRoll);
  }

  #addCanvas(kind, height, label, paint) {
    const canvas = make("canvas", kind);
    canvas.style.height = `${height}px`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    this.lanes.append(canvas);
    this.canvases.push({ canvas, height, paint });
  }

  // What is shown of the row while a set is listened to: the set's own sound and notes, if it has some.
  get shown() {
    const { player, view, data } = this.listening, own = this.sets[player.listen] ?? {};
    return {
      element: this.element, view, loop: player.loop, frequencies: data.frequencies, range: this.range, isDrum: this.isDrum,
      image: this.#image(own.picture ?? this.picture), notes: own.notes ?? this.notes, reference: this.reference,
    };
  }

  #image(source) {
    if (source && !this.images.has(source)) {
      const image = new Image();
      image.onload = () => this.draw();
      image.src = source;
      this.images.set(source, image);
    }
    return this.images.get(source);
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, width = this.lanes.clientWidth, shown = this.shown;
    for (const { canvas, height, paint } of this.canvases) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      paint(context, shown, width, height);
    }
    const { loop, view } = shown;
    this.looped.hidden = !loop;
    if (!loop) return;
    const [start, end] = loop.map((seconds) => view.x(seconds, width));
    Object.assign(this.looped.style, { left: `${start}px`, width: `${end - start}px` });
  }

  movePlayhead(now) {
    const { view } = this.listening, x = view.x(now, this.lanes.clientWidth);
    this.playhead.style.transform = `translateX(${x}px)`;
    this.playhead.style.visibility = now >= view.start && now <= view.end ? "visible" : "hidden";
    this.playhead.dataset.seconds = now.toFixed(3);
  }

  show(player) {
    const isHeard = player.isHeard(this.name ?? "");
    this.element.classList.toggle("silent", player.listen !== player.whole && !this.isWhole && !isHeard);
    this.element.classList.toggle("sounding", player.playing && isHeard);
    if (this.isWhole) return;
    this.solo.setAttribute("aria-pressed", player.soloed.has(this.name));
    this.mute.setAttribute("aria-pressed", player.muted.has(this.name));
  }

  // Names what is under the pointer; null hides the name.
  hover(event) {
    const text = event ? this.#textAt(event) : "";
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    const box = this.lanes.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const left = Math.min(Math.max(x + 12, 0), Math.max(box.width - this.tip.offsetWidth, 0));
    const top = y > this.tip.offsetHeight + 10 ? y - this.tip.offsetHeight - 8 : y + 16;
    this.tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  #textAt(event) {
    const under = this.canvases.find(({ canvas }) => {
      const { top, bottom } = canvas.getBoundingClientRect();
      return event.clientY >= top && event.clientY < bottom;
    });
    if (!under) return "";
    const { left, top, width, height } = under.canvas.getBoundingClientRect();
    const x = event.clientX - left, y = event.clientY - top, shown = this.shown;
    const when = clock(shown.view.at(x, width));
    if (under.paint === drawRuler) return when;
    if (under.paint === drawPicture) {
      const frequency = frequencyAt(y / height, shown.frequencies);
      return `${hertz(frequency)}, near ${nearestPitch(frequency)}, at ${when}`;
    }
    const { note, isTrue } = noteAt(shown, x, y, width, height);
    if (!note) return "";
    const [onset, offset, pitch] = note;
    const lasts = shown.isDrum ? "" : `, ${(offset - onset).toFixed(2)} s`;
    return `${isTrue ? "true: " : ""}${noteName(pitch, shown.isDrum)}, at ${clock(onset)}${lasts}`;
  }
}
