"""Composes wide songs: any of the instruments, doubled ones, solos, rests, changes of tempo, swing,
3/4 and 6/8, the sustain pedal, staccato, other registers.

Harmony, melodies and patterns are those of narrow songs.
"""

import numpy as np

from data_pipeline.io.midi import Part
from data_pipeline.minislakh import bass, drums
from data_pipeline.minislakh.composer import Song, form, perform
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.harmony import Key
from data_pipeline.minislakh.rhythm import Section
from data_pipeline.minislakh.styles import Style
from data_pipeline.minislakh.wide.kit import Kit
from data_pipeline.minislakh.wide.lineup import (
    Player,
    active_players,
    draw_jobs,
    draw_players,
)
from data_pipeline.minislakh.wide.styles import ANY_ROLE, JOBS, ROLES, draw_style

RANGES = {"piano": (21, 108), "guitar": (38, 91), "bass": (26, 64), "strings": (34, 103)}
BREAK = 0.07  # probability that all rest in the last bar of a section
MARGIN_BEATS = 32


def compose_wide(song_seed: int, *, seconds: float | int, rest: float | int = 0.0) -> Song:
    """The wide song of a seed: the same arguments always give the same song.

    Programs are not chosen here: those of the parts are 0.

    Args:
        song_seed: any integer; see dice.song_seed.
        seconds: its length; nothing sounds after it.
        rest: probability of instruments beside the five.
    """
    dice = Dice(song_seed, "wide form")
    style = draw_style(dice)
    key = Key(dice.integer(0, 11), dice.chance(style.minor))
    bpm = round(dice.between(*style.bpm), 2)
    clock = _clock(dice, bpm, style.beats, seconds)
    sections = form(dice, style, key, bpm, 1.4 * seconds)
    players = draw_players(Dice(song_seed, "players"), rest=rest)
    events = _play(Dice(song_seed, "wide parts"), style, sections, players)
    parts = []
    for player in players:
        own = Dice(song_seed, f"wide perform {player.name}")
        jitter, softest = own.log_between(0.001, 0.008), own.between(45, 90)
        is_drum = player.instrument == "drums"
        notes = perform(
            *(events[player.name], own, style, clock, seconds),
            is_drum=is_drum,
            jitter=jitter,
            softest=softest,
        )
        if len(notes):
            parts.append(Part(player.name, 0, is_drum, notes))
    return Song(parts, float(seconds), bpm, style.name, str(key))


def instrument_of_part(part: Part) -> str:
    """The class of a part of a wide song."""
    return part.name.split(" ")[0]


def _clock(dice: Dice, bpm: float | int, bar_beats: int, seconds: float | int):
    """Seconds from beats: steady, drifting, with one jump, or ever faster or slower."""
    beats = np.arange(0, 1.5 * seconds * bpm / 60 + MARGIN_BEATS, 0.25)
    kind = dice.pick(("steady", "drift", "jump", "bend"), (6, 2, 1, 1))
    factor = np.ones(len(beats))
    if kind == "drift":
        wave = 2 * np.pi * (beats / dice.between(12, 48) + dice.uniform())
        factor += dice.between(0.01, 0.06) * np.sin(wave)
    elif kind == "jump":
        bar = bar_beats * dice.integer(2, 8)
        factor[beats >= bar] = dice.between(0.75, 1.33)
    elif kind == "bend":
        whole = seconds * bpm / 60
        factor += (dice.between(0.8, 1.25) - 1) * np.minimum(beats / whole, 1.0)
    times = np.concatenate([[0.0], np.cumsum(0.25 * 60 / (bpm * factor))])[:-1]
    return lambda where: np.interp(where, beats, times)


def _play(dice: Dice, style: Style, sections: list[Section], players: list[Player]) -> dict:
    """What each player plays, as (beat, length, pitch, strength)."""
    events = {player.name: [] for player in players}
    groove, fill = dice.pick(style.grooves), dice.between(0.3, 1.0)
    bass_kind, gate = dice.pick(style.bass), dice.between(*style.gates)
    centre, jobs, chosen = dice.between(30, 45), {}, {}
    kit = Kit.draw(dice, style.beats)
    for index, section in enumerate(sections):
        theme = index % 2
        if theme not in jobs or dice.chance(0.3):
            jobs[theme], chosen[theme] = draw_jobs(dice, players), {}
        if index and dice.chance(0.15):
            groove = dice.pick(style.grooves)
        is_break = dice.chance(BREAK)
        end = section.bars[-1].start + (0 if is_break else section.bars[-1].beats)
        leaders = {}  # what the first player of each class plays here, not yet arranged
        for player in active_players(dice, players, is_first=index == 0):
            if player.follows and player.instrument in leaders:
                played = leaders[player.instrument]
            elif player.instrument == "drums":
                played = kit.play(drums.play(section, dice, groove, fill=fill), section, dice)
            elif player.instrument == "bass":
                played = bass.play(section, dice, bass_kind, gate=gate, centre=centre)
            else:
                role = chosen[theme].setdefault(
                    player.name, _role(dice, style, player, jobs[theme][player.name])
                )
                played = ROLES[player.instrument][role](section, dice)
            if not player.number:
                leaders[player.instrument] = played
            events[player.name] += _arranged(played, player, section, end)
    return events


def _role(dice: Dice, style: Style, player: Player, job: str) -> str:
    if dice.chance(ANY_ROLE):
        return dice.pick([r for r in ROLES[player.instrument] if r != "six_eight"])
    table = style.roles.get((player.instrument, job), JOBS[player.instrument][job])
    return dice.pick(table, table.values())


def _arranged(played: list, player: Player, section: Section, end: float | int) -> list:
    """The notes of a section as this player plays them, cut at `end`."""
    energy = 0.75 + 0.25 * section.energy
    if player.instrument == "drums":
        return [(b, n, p, v * energy) for b, n, p, v in played if b < end]
    changes = [bar.start + offset for bar in section.bars for offset, _, _ in bar.spans()]
    low, high = RANGES.get(player.instrument, (21, 108))
    arranged = []
    for beat, length, pitch, strength in played:
        if beat >= end:
            continue
        length = length * player.gate
        if player.pedal:
            length = max(length, min((c for c in changes if c > beat), default=end) - beat)
        shifted = pitch + player.shift
        pitch = shifted if low <= shifted <= high else pitch
        arranged.append((beat, min(length, end - beat), pitch, strength * energy))
    return arranged
