"use strict";
// Plays one of several sets of sounds, such as "song", "stems" or "notes", with one clock. A page opened from
// disk may not decode files by itself, so these are plain <audio> elements that are kept together:
// the first one that plays leads, the others are nudged by their playback rate, or moved where they are far off.
class Player {
  constructor(data, { onError, onPlay }) {
    this.seconds = data.seconds;
    this.position = 0;
    this.playing = false;
    this.soloed = new Set();
    this.muted = new Set();
    this.volumes = new Map();
    this.loop = null;  // [start, end] in seconds
    this.onPlay = onPlay;
    this.sets = Object.fromEntries(data.sets.map(({ key }) => [key, []]));
    for (const row of data.rows) {
      for (const [key, sound] of Object.entries(row.sets)) {
        if (sound.src) this.sets[key].push(this.#element(sound, row.name ?? "", onError));
      }
    }
    [this.whole, this.parts] = Object.keys(this.sets);  // the mixture, and the first set of its parts
    this.listen = this.whole;
    if (!data.rows[0].sets[this.whole].src.startsWith("data:")) this.#open(Object.values(this.sets).flat());
    setInterval(() => this.#keepTogether(), 200);
  }

  #element({ src, volume = 1 }, name, onError) {
    const audio = new Audio();
    audio.preload = "auto";
    audio.sound = src;
    audio.full = audio.volume = volume;
    audio.preservesPitch = false;  // a nudge of the rate must not be stretched back: one hears that
    audio.dataset.name = name;
    audio.addEventListener("error", () => { if (audio.src) onError(decodeURIComponent(src).slice(0, 200)); });
    audio.addEventListener("ended", () => { if (audio === this.leader) this.#end(); });
    return audio;
  }

  // Browsers limit how many sounds of a page are open: those inside it are opened when they are played.
  #open(elements) {
    for (const audio of elements) if (!audio.getAttribute("src")) audio.src = audio.sound;
  }

  release() {
    this.pause();
    for (const audio of Object.values(this.sets).flat()) {
      if (!audio.sound.startsWith("data:") || !audio.getAttribute("src")) continue;
      audio.removeAttribute("src");
      audio.load();
    }
  }

  get active() { return this.sets[this.listen]; }

  get leader() { return this.active.find((audio) => !audio.error) ?? this.active[0]; }

  isHeard(name) {
    if (this.listen === this.whole) return !name;
    return Boolean(name) && (this.soloed.size ? this.soloed.has(name) : !this.muted.has(name));
  }

  get now() {
    const leads = this.playing && !this.leader.seeking && this.leader.readyState > 1;
    if (leads) this.position = this.leader.currentTime;
    return Math.min(this.position, this.seconds);
  }

  async play() {
    this.onPlay();
    if (this.loop && !this.#isInLoop(this.position)) this.seek(this.loop[0]);
    else if (this.position >= this.seconds - 0.05) this.seek(0);
    this.playing = true;
    this.#open(this.active);
    this.#silenceOthers();
    this.#align();
    const started = await Promise.allSettled(this.active.map((audio) => audio.play()));
    const refused = started.find(({ status, reason }) => status === "rejected" && reason.name === "NotAllowedError");
    if (refused) this.pause();
  }

  pause() {
    this.position = this.now;
    this.playing = false;
    for (const audio of Object.values(this.sets).flat()) audio.pause();
  }

  toggle() { return this.playing ? this.pause() : this.play(); }

  seek(seconds) {
    this.position = Math.max(0, Math.min(seconds, this.seconds));
    this.#align();
    if (this.playing) for (const audio of this.active) audio.play().catch(() => {});
  }

  choose(listen) {
    if (!this.sets[listen]?.length) return;
    this.position = this.now;
    this.listen = listen;
    if (this.playing) this.play(); else this.#align();
  }

  solo(name) { this.#flip(this.soloed, name); }

  mute(name) { this.#flip(this.muted, name); }

  setVolume(name, volume) {
    this.volumes.set(name, volume);
    for (const audio of Object.values(this.sets).flat()) {
      if (audio.dataset.name === name) audio.volume = audio.full * volume;
    }
  }

  // Repeats what lies between two moments; null, or less than a tenth of a second, repeats nothing.
  repeat(loop) {
    const ends = loop?.map((seconds) => Math.max(0, Math.min(seconds, this.seconds))).sort((a, b) => a - b);
    this.loop = ends && ends[1] - ends[0] >= 0.1 ? ends : null;
  }

  // Called with every picture while it plays.
  stayInLoop() {
    if (this.playing && this.loop && !this.leader.seeking && !this.#isInLoop(this.now)) this.seek(this.loop[0]);
  }

  #isInLoop(moment) { return moment >= this.loop[0] - 0.05 && moment < this.loop[1]; }

  #end() {
    if (this.loop) this.seek(this.loop[0]); else this.pause();
  }

  #flip(names, name) {
    if (!names.delete(name)) names.add(name);
    if (this.listen === this.whole && this.soloed.size + this.muted.size) this.choose(this.parts);
    this.#silenceOthers();
  }

  #silenceOthers() {
    for (const [listen, set] of Object.entries(this.sets)) {
      for (const audio of set) {
        audio.muted = listen !== this.whole && !this.isHeard(audio.dataset.name);
        if (listen !== this.listen) audio.pause();
      }
    }
  }

  #align() {
    for (const audio of this.active) {
      audio.playbackRate = 1;
      if (Math.abs(audio.currentTime - this.position) > 1e-3) audio.currentTime = this.position;
    }
  }

  #keepTogether() {
    if (!this.playing || this.leader.seeking) return;
    this.stayInLoop();
    for (const audio of this.active) {
      if (audio === this.leader || audio.error) continue;
      const late = this.leader.currentTime - audio.currentTime;
      if (audio.seeking || audio.ended) continue;
      if (Math.abs(late) > 0.15) audio.currentTime = this.leader.currentTime;
      else audio.playbackRate = Math.abs(late) > 0.004 ? 1 + Math.max(-0.04, Math.min(0.04, late)) : 1;
      if (audio.paused) audio.play().catch(() => {});
    }
  }
}
