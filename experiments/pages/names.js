// What moments, notes, drums and frequencies are called.
const PITCH_CLASSES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const FIRST_DRUM = 35;
const DRUMS = [  // of General MIDI, level 1
  "acoustic bass drum", "bass drum", "side stick", "acoustic snare", "hand clap", "electric snare", "low floor tom",
  "closed hi-hat", "high floor tom", "pedal hi-hat", "low tom", "open hi-hat", "low-mid tom", "hi-mid tom",
  "crash cymbal 1", "high tom", "ride cymbal 1", "Chinese cymbal", "ride bell", "tambourine", "splash cymbal",
  "cowbell", "crash cymbal 2", "vibraslap", "ride cymbal 2", "high bongo", "low bongo", "mute high conga",
  "open high conga", "low conga", "high timbale", "low timbale", "high agogo", "low agogo", "cabasa", "maracas",
  "short whistle", "long whistle", "short guiro", "long guiro", "claves", "high wood block", "low wood block",
  "mute cuica", "open cuica", "mute triangle", "open triangle",
];

function clock(seconds) {
  seconds = Math.round(10 * seconds) / 10;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

function pitchName(pitch) { return `${PITCH_CLASSES[pitch % 12]}${Math.floor(pitch / 12) - 1}`; }

function noteName(pitch, isDrum) {
  return isDrum ? DRUMS[pitch - FIRST_DRUM] ?? `drum ${pitch}` : pitchName(pitch);
}

function hertz(frequency) {
  return frequency < 1000 ? `${Math.round(frequency)} Hz` : `${Number((frequency / 1000).toPrecision(3))} kHz`;
}

function nearestPitch(frequency) { return pitchName(Math.max(0, Math.round(69 + 12 * Math.log2(frequency / 440)))); }
