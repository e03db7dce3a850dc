"""Chordal roles: blocks and stabs, pads, strums, arpeggios, and bass-chord alternation."""

from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.harmony import near, voicing
from data_pipeline.minislakh.rhythm import Section, hits, pick_pattern, step_near

BLOCKS = (
    "X...............",
    "X.......x.......",
    "X.....x.........",
    "X.......x...x...",
    "X...x...x...x...",
    "X.....x...x.....",
    "X..x..x.....x...",
    "x...x.x...x.x...",
    "X..x..x.X..x..x.",
    "X.x.x.x.X.x.x.x.",
    "X...........x...",
    "______x.......x.",
    "X.....x.X.....x.",
    "____X.......X...",
    "X...........",
    "X.......x...",
    "X...x...x...",
    "X.....x.x...",
    "X.x.x.x.x.x.",
)
STABS = (
    "X___________x___",
    "____X_______X___",
    "__X___X___X___X_",
    "X__x__X___x_X___",
    "X_____x___x_____",
    "__x___X___x__x__",
    "____X_x_____X_x_",
    "X__X___xX__X____",
    "X_x_X_x_X_x_X_x_",
    "X_xxX_xxX_xxX_xx",
    "xxXxxxXxxxXxxxXx",
    "X_____X_________",
    "____X___X___",
    "X_____x_____",
    "____x_x_x_x_",
    "X_x_X_x_X_x_",
)
STRUMS = (
    "X.......x.......",
    "X...x...X...x...",
    "X...x.xx..xxx.x.",
    "X..xx.x.X..xx.x.",
    "X.x.X.x.X.x.X.x.",
    "X...X.x...x.X.x.",
    "X...............",
    "X.....x.x.......",
    "X...x...x...",
    "X...x.x.x.x.",
    "X...........",
    "X.......x...",
)
SHAPES = (
    (0, 1, 2, 1),
    (0, 2, 1, 2),
    (0, 1, 2, 3),
    (3, 2, 1, 0),
    (0, 2, 3, 2),
    (0, 3, 1, 2),
    (0, 1, 2, 3, 2, 1),
    (0, 2, 1, 3, 2, 1),
)


def block(
    section: Section,
    dice: Dice,
    register,
    *,
    rate,
    voices,
    gate,
    patterns=BLOCKS,
    strum=0.0,
    left_hand=0.0,
):
    """Voice-led chords in a rhythm of about `rate` chords a second.

    Args:
        section: what to play over.
        dice: random choices.
        register: lowest and highest pitch.
        rate: range of chords a second, drawn log-uniformly.
        voices: the numbers of notes to choose from.
        gate: sounding part of each hit.
        patterns: rhythms to choose from.
        strum: seconds between the strings.
        left_hand: probability of a root below on the first beat of each chord.
    """
    wanted = dice.log_between(*rate)
    pattern, other = (pick_pattern(dice, patterns, section, rate=wanted) for _ in range(2))
    count, hand, lag = dice.pick(voices), dice.chance(left_hand), strum * section.bpm / 60
    events, previous, up = [], (), False
    for index, bar in enumerate(section.bars):
        for beat, length, accent in hits(other if index % 4 == 3 else pattern):
            chord = bar.chord_at(beat)
            previous = voicing(chord.tones, previous, *register, min(count, len(chord.tones) + 1))
            up = not up and beat % 1 > 0
            order = previous[::-1] if up else previous
            for position, pitch in enumerate(order):
                shift = lag * position
                events.append((bar.start + beat + shift, length * gate - shift, pitch, accent))
        for offset, length, chord in bar.spans() if hand else ():
            root = near(chord.root, register[0] - 8)
            events.append((bar.start + offset, length * gate, root, 0.85))
    return events


def pad(section: Section, dice: Dice, register, *, voices):
    """Held chords, tied over while the chord stays."""
    count, events, previous = dice.pick(voices), [], ()
    for bar in section.bars:
        for offset, length, chord in bar.spans():
            pitches = voicing(chord.tones, previous, *register, min(count, len(chord.tones) + 1))
            start = bar.start + offset
            if pitches == previous and events and dice.chance(0.5):
                events = [
                    (e[0], start + length - 0.05 - e[0], *e[2:])
                    if abs(e[0] + e[1] + 0.05 - start) < 0.01
                    else e
                    for e in events
                ]
            else:
                events += [(start, length - 0.05, pitch, 0.75) for pitch in pitches]
            previous = pitches
    return events


def arpeggio(section: Section, dice: Dice, register, *, rate, gate, voices=(3, 4), left_hand=0.0):
    """Broken chords: one note at a time through a shape; `gate` above 1 lets notes overlap."""
    step = step_near(dice.log_between(*rate), section.bpm, (0.25, 1 / 3, 0.5, 1.0))
    shape, count, hand = dice.pick(SHAPES), dice.pick(voices), dice.chance(left_hand)
    events, previous = [], ()
    for bar in section.bars:
        for offset, length, chord in bar.spans():
            previous = voicing(chord.tones, previous, *register, count)
            for index in range(round(length / step)):
                pitch = previous[shape[index % len(shape)] % count]
                strength = 0.9 if index % len(shape) == 0 else 0.7
                room = max(length - index * step, step)
                start = bar.start + offset + index * step
                events.append((start, min(step * gate, room), pitch, strength))
            if hand:
                root = near(chord.root, register[0] - 8)
                events.append((bar.start + offset, length * 0.95, root, 0.8))
    return events


def boom_chick(section: Section, dice: Dice, register, *, voices, gate):
    """Bass note on the strong beats, chord on the weak ones; 3/4 makes it a waltz."""
    count, events, previous = dice.pick(voices), [], ()
    every = 2 if section.bpm > 150 else 1
    for bar in section.bars:
        for beat in range(0, bar.beats, every):
            chord = bar.chord_at(beat)
            previous = voicing(chord.tones, previous, *register, min(count, len(chord.tones) + 1))
            strong = beat == 0 if bar.beats == 3 else beat // every % 2 == 0
            if strong:
                tone = chord.root if beat == 0 else chord.fifth
                events.append((bar.start + beat, every * gate, near(tone, register[0] + 1), 0.9))
            else:
                events += [(bar.start + beat, every * gate, pitch, 0.72) for pitch in previous]
    return events


def power(section: Section, dice: Dice, register, *, rate, gate):
    """Root and fifth, at times with the octave: driving eighths or held chords."""
    wanted = dice.log_between(*rate)
    pattern = pick_pattern(dice, (*BLOCKS, *STABS), section, rate=wanted)
    octave, events = dice.chance(0.4), []
    for bar in section.bars:
        for beat, length, accent in hits(pattern):
            chord = bar.chord_at(beat)
            root = near(chord.root, register[0] + 6)
            fifth = root + (chord.fifth - root) % 12
            for pitch in (root, fifth, root + 12)[: 3 if octave else 2]:
                events.append((bar.start + beat, length * gate, pitch, accent))
    return events
