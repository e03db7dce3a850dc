"use strict";
// Plays one of three sets of files, "song", "stems" or "notes", with one clock. A page opened from
// disk may not decode files by itself, so these are plain <audio> elements that are kept together:
// the first one that plays leads, the others are nudged by their playback rate, or moved where they are far off.
class Player {
  constructor(data, onError) {
    this.seconds = data.seconds;
    this.position = 0;
    this.playing = false;
    this.listen = "song";
    this.soloed = new Set();
    this.muted = new Set();
    this.sets = { song: [this.#element(data.mixture, null, 1, onError)], stems: [], notes: [] };
    for (const row of data.rows) {
      this.sets.stems.push(this.#element(row.stem, row.name, 1, onError));
      if (row.synth) this.sets.notes.push(this.#element(row.synth, row.name, row.synthVolume, onError));
    }
    setInterval(() => this.#keepTogether(), 200);
  }

  #element(source, name, volume, onError) {
    const audio = new Audio();
    audio.preload = "auto";
    audio.src = source;
    audio.volume = volume;
    audio.preservesPitch = false;  // a nudge of the rate must not be stretched back: one hears that
    audio.dataset.name = name ?? "";
    audio.addEventListener("error", () => onError(decodeURIComponent(source)));
    audio.addEventListener("ended", () => { if (audio === this.leader) this.pause(); });
    return audio;
  }

  get active() { return this.sets[this.listen]; }

  get leader() { return this.active.find((audio) => !audio.error) ?? this.active[0]; }

  isHeard(name) {
    return this.soloed.size ? this.soloed.has(name) : !this.muted.has(name);
  }

  get now() {
    const leads = this.playing && !this.leader.seeking && this.leader.readyState > 1;
    if (leads) this.position = this.leader.currentTime;
    return Math.min(this.position, this.seconds);
  }

  async play() {
    if (this.position >= this.seconds - 0.05) this.seek(0);
    this.playing = true;
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

  #flip(names, name) {
    if (!names.delete(name)) names.add(name);
    if (this.listen === "song" && this.soloed.size + this.muted.size) this.choose("stems");
    this.#silenceOthers();
  }

  #silenceOthers() {
    for (const [listen, set] of Object.entries(this.sets)) {
      for (const audio of set) {
        audio.muted = listen !== "song" && !this.isHeard(audio.dataset.name);
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
