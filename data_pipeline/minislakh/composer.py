"""Composes a song for piano, guitar, bass, drums and strings from a seed.

A song is a run of sections, each over one pass (or four bars) of a chord progression; in each
section the three chordal instruments share the jobs lead, comp and texture, and the cast changes
between sections. The bass is written at the pitch that sounds (Slakh writes it an octave above).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part
from data_pipeline.minislakh import bass, drums, programs
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.harmony import PROGRESSIONS, Key, progression
from data_pipeline.minislakh.rhythm import Bar, Section
from data_pipeline.minislakh.roles import CASTS, JOBS, PLUCKED, ROLES
from data_pipeline.minislakh.styles import STYLES, Style

VERSION = 1  # part of the name of every tree: raise it when songs change
JITTER_SECONDS = 0.004
SHORTEST_SECONDS = 0.04
APART = 5  # semitones between the middles of two registers


@dataclass(frozen=True)
class Song:
    """A song to render.

    A narrow song has one part per instrument, in the order of programs.INSTRUMENTS; a wide one, or
    a passage of a MIDI file, may have none or several of each, and others.
    """

    parts: list[Part]
    seconds: float | int
    bpm: float | int
    style: str
    key: str


def compose(song_seed: int, *, seconds: float | int, unseen: bool = False) -> Song:
    """The song of a seed: the same arguments always give the same song.

    Args:
        song_seed: any integer; see dice.song_seed.
        seconds: its length; nothing sounds after it.
        unseen: use the programs kept for the split test_unseen.

    Raises:
        ValueError: if `seconds` is not positive and finite.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"compose: seconds must be positive and finite, got {seconds}")
    dice = Dice(song_seed, "form")
    style = dice.pick(STYLES)
    key = Key(dice.integer(0, 11), dice.chance(style.minor))
    bpm = round(dice.between(*style.bpm), 2)
    sounds = {
        name: dice.pick(programs.programs(name, unseen=unseen)) for name in programs.INSTRUMENTS
    }
    sections = form(dice, style, key, bpm, seconds)
    events = _play(song_seed, style, sections, sounds)

    def clock(beats):
        return beats * 60 / bpm

    parts = [
        Part(
            name,
            sounds[name],
            name == "drums",
            perform(
                *(events[name], Dice(song_seed, f"perform {name}"), style, clock, seconds),
                is_drum=name == "drums",
            ),
        )
        for name in programs.INSTRUMENTS
    ]
    return Song(parts, float(seconds), bpm, style.name, str(key))


def form(
    dice: Dice, style: Style, key: Key, bpm: float | int, seconds: float | int
) -> list[Section]:
    """Sections that fill the song; a first and a second progression alternate."""
    family = PROGRESSIONS[style.family][key.minor]
    themes = [progression(dice.pick(family), key) for _ in range(2)]
    order = dice.pick(((0, 0, 1, 0), (0, 1), (0, 0, 1, 1), (0, 1, 0, 0)))
    beats_total = seconds * bpm / 60
    start, bars = 0.0, []
    while start < beats_total:
        theme = themes[order[len(bars) % len(order)]]
        length = len(theme) if len(theme) % 4 == 0 and len(theme) <= 4 else 4
        offset = 4 * (len(bars) // len(order)) % len(theme) if len(theme) > 4 else 0
        cut = [theme[(offset + i) % len(theme)] for i in range(length)]
        bars.append([Bar(start + i * style.beats, style.beats, c) for i, c in enumerate(cut)])
        start += length * style.beats
    energies = [min(max(dice.between(0.3, 1.0), 0.0), 1.0) for _ in bars]
    following = [group[0].chords[0] for group in bars[1:]] + [bars[0][0].chords[0]]
    return [
        Section(tuple(group), bpm, energy, after, key.tonic, style.blues)
        for group, energy, after in zip(bars, energies, following, strict=True)
    ]


def _play(song_seed: int, style: Style, sections: list[Section], sounds: dict) -> dict:
    """What each instrument plays, as (beat, length, pitch, strength)."""
    dice = Dice(song_seed, "parts")
    events = {name: [] for name in programs.INSTRUMENTS}
    casts = [dice.pick(CASTS, CASTS.values()) for _ in range(2)]
    groove, fill = dice.pick(style.grooves), dice.between(0.4, 1.0)
    bass_kind, gate, centre = (
        dice.pick(style.bass),
        dice.between(*style.gates),
        dice.between(34, 44),
    )
    chosen = {}
    for index, section in enumerate(sections):
        cast = casts[index % 2]
        if cast not in chosen:
            chosen[cast] = _roles(dice, style, cast, sounds)
        for name, role in chosen[cast].items():
            events[name] += ROLES[name][role](section, dice)
        if index and index % 2 == 0 and dice.chance(0.3):
            groove = dice.pick(style.grooves)
        energy = 0.75 + 0.25 * section.energy
        events["bass"] += bass.play(section, dice, bass_kind, gate=gate, centre=centre)
        events["drums"] += drums.play(section, dice, groove, fill=fill)
        end = section.bars[-1].start + section.bars[-1].beats
        for name, played in events.items():
            events[name] = [
                (b, n if name == "drums" else min(n, end - b), p, v * energy)
                if b >= section.bars[0].start
                else (b, n, p, v)
                for b, n, p, v in played
            ]
    return events


def _roles(dice: Dice, style: Style, cast: tuple[str, ...], sounds: dict) -> dict[str, str]:
    """A role for each of (lead, comp, texture), in a register of its own if a few draws allow."""
    roles, taken = {}, []
    for job, name in zip(("lead", "comp", "texture"), cast, strict=True):
        table = style.roles.get((name, job), JOBS[name][job])
        for _ in range(4):
            role = dice.pick(table, table.values())
            if name == "strings" and sounds[name] == programs.PIZZICATO:
                role = PLUCKED.get(role, role)
            centre = sum(ROLES[name][role].keywords["register"]) / 2
            if all(abs(centre - other) >= APART for other in taken):
                break
        roles[name] = role
        taken.append(centre)
    return roles


def perform(
    events: list,
    dice: Dice,
    style: Style,
    clock: Callable[[np.ndarray], np.ndarray],
    seconds: float | int,
    *,
    is_drum: bool,
    jitter: float | int = JITTER_SECONDS,
    softest: float | int = 66,
) -> Notes:
    """Beats to seconds: swing, a few milliseconds of human timing, velocities, the end.

    Args:
        events: (beat, length, pitch, strength) of each note.
        dice: random choices.
        style: its swing.
        clock: seconds from beats.
        seconds: length of the song.
        is_drum: hits keep their length, however short; other notes last at least SHORTEST_SECONDS.
        jitter: half of the largest shift of an onset by chance, in seconds.
        softest: the least loudness of the part, as a velocity.
    """
    table = np.array(sorted(events), np.float64).reshape(-1, 4)
    table = table[table[:, 0] >= 0]
    normal = dice.generator.random((len(table), 3))
    onsets = clock(_swung(table[:, 0], style))
    lengths = clock(_swung(table[:, 0] + table[:, 1], style)) - onsets
    drag = dice.between(-0.006, 0.01)
    onsets = np.maximum(onsets + drag + 2 * jitter * (normal[:, 0] - normal[:, 1]), 0.0)
    loudness, swell = dice.between(softest, 126), dice.between(0, 10)
    wave = swell * np.sin(2 * np.pi * (table[:, 0] / dice.pick((8, 16, 32)) + dice.uniform()))
    velocities = loudness * table[:, 3] + wave + 10 * (normal[:, 2] - 0.5)
    pitches = table[:, 2].astype(np.int64)
    if not is_drum:
        lengths = np.maximum(lengths, SHORTEST_SECONDS)
    offsets = _cut_repeats(onsets, onsets + lengths, pitches)
    keep = (onsets < seconds - SHORTEST_SECONDS) & (offsets > onsets)
    intervals = np.stack([onsets, np.minimum(offsets, seconds)], axis=1)[keep]
    return Notes(
        intervals, pitches[keep], np.clip(np.rint(velocities[keep]), 12, 127).astype(np.int64)
    )


def _swung(beats, style: Style):
    """Positions in beats after the swing: the second half of each beat (half beat) comes late."""
    unit = 0.5 if style.swing_sixteenths else 1.0
    whole = np.floor(beats / unit + 1e-9)
    part = beats / unit - whole
    early = part * 2 * style.swing
    late = style.swing + (part - 0.5) * 2 * (1 - style.swing)
    return unit * (whole + np.where(part < 0.5, early, late))


def _cut_repeats(onsets, offsets, pitches):
    """Offsets no later than just before the next onset of the same pitch; doubled notes vanish."""
    order = np.lexsort((onsets, pitches))
    same = pitches[order][1:] == pitches[order][:-1]
    following = np.full(len(onsets), np.inf)
    following[order[:-1][same]] = onsets[order[1:][same]]
    gap = following - onsets
    cut = np.where(gap < 0.03, onsets, np.maximum(following - 0.005, onsets + 0.002))
    return np.minimum(offsets, cut)
