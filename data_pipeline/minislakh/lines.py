"""Melodic roles: lead lines made of repeated motifs, riffs, ostinatos."""

from bisect import bisect_left

from data_pipeline.minislakh.chords import SHAPES
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.harmony import BLUES, voicing
from data_pipeline.minislakh.rhythm import Section, step_near

WIDEST = 1.1  # seconds between two onsets of a line, at the most
FORMS = ("AABA", "AAAB", "ABAC", "ABAB", "AABC")


def melody(
    section: Section,
    dice: Dice,
    register,
    *,
    rate,
    gate,
    leap=0.25,
    double=(),
    longest=1.2,
    widest=WIDEST,
):
    """A line in bar-long motifs that come back: the rhythm and contour stay, the notes follow the
    chords.

    Args:
        section: what to play over.
        dice: random choices.
        register: lowest and highest pitch.
        rate: range of notes a second, drawn log-uniformly.
        gate: range of the sounding part of each note.
        leap: probability of a jump instead of a step.
        double: (probability, interval name) of a second voice: `octave`, `third` or `sixth` below.
        longest: seconds after which a note ends at the latest.
        widest: seconds after which the next note begins at the latest.
    """
    wanted, gate = dice.log_between(*rate), dice.between(*gate)
    limit = longest * section.bpm / 60
    motifs = {name: _motif(section, dice, wanted, leap, widest) for name in "ABC"}
    form = dice.pick(FORMS)
    second = double[1] if double and dice.chance(double[0]) else ""
    position = dice.between(0.35, 0.65)
    notes = []
    for index, bar in enumerate(section.bars):
        for beat, move, strength in motifs[form[index % 4]]:
            ladder = _ladder(section, bar.chord_at(beat), register)
            place = _settle(position * (len(ladder) - 1) + move, len(ladder))
            if strength > 0.85:
                place = _chord_tone(ladder, place, bar.chord_at(beat))
            position = place / (len(ladder) - 1)
            notes.append((bar.start + beat, place, ladder, strength))
    end = section.bars[-1].start + section.bars[-1].beats
    starts = [note[0] for note in notes] + [end]
    events = []
    for index, (start, place, ladder, strength) in enumerate(notes):
        length = min(max((starts[index + 1] - start) * gate, 0.1), limit)
        events.append((start, length, ladder[place], strength))
        if second:
            events.append((start, length, _below(ladder, place, second), 0.85 * strength))
    return events


def _motif(
    section: Section, dice: Dice, rate: float | int, leap: float | int, widest: float | int
) -> list[tuple]:
    """(beat, steps on the scale from the note before, strength) of one bar."""
    beats = section.bars[0].beats
    count = max(round(rate * section.bar_seconds + dice.between(-0.4, 0.4)), 1)
    fine = 0.25 if count > 1.5 * beats else 0.5
    slots = [index * fine for index in range(round(beats / fine))]
    ranked = sorted((dice.uniform() ** (1 / _weight(slot)), slot) for slot in slots)
    chosen = sorted(slot for _, slot in ranked[-min(count, len(slots)) :])
    chosen = _fill_gaps(chosen, beats, widest * section.bpm / 60, fine)
    direction, motif = dice.pick((-1, 1)), []
    for slot in chosen:
        if dice.chance(0.3):
            direction = -direction
        size = dice.pick((2, 3, 4, 5)) if dice.chance(leap) else dice.pick((0, 1, 2), (1, 5, 1))
        strength = 0.95 if slot % 2 == 0 else 0.86 if slot % 1 == 0 else 0.75
        motif.append((slot, direction * size, strength))
    return motif


def _weight(slot: float | int) -> float:
    """How likely a note begins at a beat of the bar."""
    if slot % 1 == 0:
        return 1.0 if slot % 2 == 0 else 0.7
    return 0.4 if slot % 1 == 0.5 else 0.2


def _fill_gaps(
    chosen: list[float], beats: int, widest: float | int, fine: float | int
) -> list[float]:
    """More onsets where the line would pause for more than `widest` beats."""
    filled, previous = [], 0.0
    for slot in [*chosen, float(beats)]:
        while slot - previous > widest:
            previous += max(int(widest / fine) * fine, fine)
            if previous < slot:
                filled.append(previous)
        previous = slot
        if slot < beats:
            filled.append(slot)
    return filled


def _ladder(section: Section, chord, register) -> list[int]:
    """The pitches of the melody's scale within the register."""
    scale = chord.scale
    if section.blues:
        scale = {*((section.tonic + step) % 12 for step in BLUES), *chord.tones[:3]}
    return [pitch for pitch in range(register[0], register[1] + 1) if pitch % 12 in scale]


def _settle(place: float | int, size: int) -> int:
    """A place on the ladder; what leaves it is reflected."""
    place = round(place)
    if place < 0:
        place = -place
    if place >= size:
        place = 2 * (size - 1) - place
    return min(max(place, 0), size - 1)


def _chord_tone(ladder: list[int], place: int, chord) -> int:
    for shift in (0, -1, 1, -2, 2):
        if 0 <= place + shift < len(ladder) and ladder[place + shift] % 12 in chord.tones:
            return place + shift
    return place


def _below(ladder: list[int], place: int, interval: str) -> int:
    if interval == "octave":
        return ladder[place] - 12
    steps = 2 if interval == "third" else 5
    return ladder[place - steps] if place >= steps else ladder[place] - 12


def ostinato(section: Section, dice: Dice, register, *, rate, gate, voices=(1, 2), drop=0.08):
    """Chord tones in a repeated figure of even notes; two or three voices make staccato chords."""
    step = step_near(dice.log_between(*rate), section.bpm, (0.25, 1 / 3, 0.5, 1.0))
    shape, count = dice.pick(SHAPES), dice.pick(voices)
    gate, still = dice.between(*gate), dice.chance(0.4)
    events, previous = [], ()
    for bar in section.bars:
        for offset, length, chord in bar.spans():
            previous = voicing(chord.tones, previous, *register, 4)
            for index in range(round(length / step)):
                if index and dice.chance(drop):
                    continue
                bottom = 0 if still else shape[index % len(shape)] % 4
                start = bar.start + offset + index * step
                strength = 0.95 if start % 1 < 0.01 else 0.75
                for voice in range(count):
                    pitch = previous[(bottom + voice) % 4]
                    events.append((start, step * gate, pitch, strength))
    return events


def riff(section: Section, dice: Dice, register, *, rate, gate):
    """A one-bar figure on the pentatonic scale of the chord that repeats with it."""
    wanted, gate = dice.log_between(*rate), dice.between(*gate)
    motif = _motif(section, dice, wanted, 0.3, WIDEST)
    events = []
    for bar in section.bars:
        starts = [beat for beat, _, _ in motif] + [float(bar.beats)]
        place = None
        for index, (beat, move, strength) in enumerate(motif):
            chord = bar.chord_at(beat)
            ladder = _ladder(section, chord, register)
            if place is None:
                place = bisect_left(ladder, (register[0] + register[1]) // 2)
                place = _chord_tone(ladder, min(place, len(ladder) - 1), chord)
            else:
                place = _settle(place + move, len(ladder))
            length = (starts[index + 1] - beat) * gate
            events.append((bar.start + beat, length, ladder[place], strength))
    return events
