"""MIDI files <-> Notes.

Repeated note-ons of one pitch are closed first in, first out; a note still open at the end of the
file ends there, and a note of no length is kept (drum hits may be such): pretty_midi would close
all, and drop the other two.
"""

import os
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.io.files import whole_file

DRUM_CHANNEL = 9
SUSTAIN_PEDAL = 64
TICKS_PER_BEAT = (9600, 4800, 1920, 960, 480, 240, 96, 24)  # the finest that readers can bear
MAX_TICKS = 9_500_000  # of a file: pretty_midi takes one with 10 million for broken
DEFAULT_TEMPO = 500_000  # microseconds per beat, until the file says otherwise
MIN_BPM, MAX_BPM = 4, 1000


@dataclass(frozen=True)
class Part:
    """The notes of one instrument in a MIDI file.

    Args:
        name: the name of its track.
        program: General MIDI program, 0 to 127.
        is_drum: on channel 10, where the program chooses a drum kit.
        notes: its notes.
    """

    name: str
    program: int
    is_drum: bool
    notes: Notes


def read_midi(path: str | os.PathLike, *, sustain_pedal: bool = False) -> list[Part]:
    """The parts of a MIDI file, one per track, channel and program, in the order of the file.

    Args:
        path: a standard MIDI file of type 0 or 1.
        sustain_pedal: lengthen notes that end while the pedal is down to where it goes up, or to
            the next onset of the same pitch.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not MIDI or is cut short.
    """
    file = _open(path)
    seconds = _clock(file)
    rows_by_part, pedals, last_tick = _collect(file)
    end = seconds(np.array([last_tick], np.float64))[0]
    parts = []
    for (track, channel, program), rows in sorted(rows_by_part.items()):
        table = np.array(rows, np.int64).reshape(-1, 4)
        intervals = seconds(table[:, :2].astype(np.float64))
        if sustain_pedal and pedals[channel]:
            intervals[:, 1] = _lengthen(
                intervals, table[:, 2], _pedal_down(pedals[channel], seconds, end)
            )
        notes = Notes(intervals, table[:, 2], table[:, 3])
        name = file.tracks[track].name.strip()
        parts.append(Part(name, program, channel == DRUM_CHANNEL, notes))
    return parts


def read_notes(path: str | os.PathLike, *, sustain_pedal: bool = False) -> Notes:
    """All notes of a MIDI file, whatever their part."""
    return Notes.joined([part.notes for part in read_midi(path, sustain_pedal=sustain_pedal)])


def write_midi(path: str | os.PathLike, parts: list[Part], *, bpm: float | int = 120.0) -> None:
    """Write one track per part; times are exact to half a tick, without drift.

    A tick lasts 0.05 ms at 120 bpm, and less than a millisecond in songs of up to an hour.
    Melodic parts take the channels in turn, all drum parts channel 10.

    Raises:
        ValueError: if `bpm` cannot be written or a program lies outside 0..127.
    """
    if not MIN_BPM <= bpm <= MAX_BPM:
        raise ValueError(f"write_midi: bpm must lie in {MIN_BPM}..{MAX_BPM}, got {bpm}")
    tempo = round(60e6 / bpm)
    beats = 1e6 / tempo * max((p.notes.offsets.max(initial=0) for p in parts), default=0)
    resolution = next((n for n in TICKS_PER_BEAT if n * beats <= MAX_TICKS), TICKS_PER_BEAT[-1])
    file = mido.MidiFile(type=1, ticks_per_beat=resolution, charset="utf-8")
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)]))
    melodic = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    num_melodic = 0
    for part in parts:
        if not 0 <= part.program <= 127:
            raise ValueError(f"write_midi: program must lie in 0..127, got {part.program}")
        channel = DRUM_CHANNEL if part.is_drum else melodic[num_melodic % len(melodic)]
        num_melodic += not part.is_drum
        file.tracks.append(_track(part, channel, resolution * 1e6 / tempo))
    with whole_file(path) as temporary:
        file.save(temporary)


def _open(path: str | os.PathLike) -> mido.MidiFile:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such MIDI file")
    try:
        file = mido.MidiFile(path, clip=True)
    except EOFError as error:
        raise ValueError(f"{path}: not a MIDI file, or cut short") from error
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        mido.KeySignatureError,
    ) as error:
        raise ValueError(f"{path}: not a readable MIDI file ({error})") from error
    if file.ticks_per_beat <= 0 or file.type == 2:
        raise ValueError(
            f"{path}: expected a MIDI file of type 0 or 1 with ticks per beat, "
            f"got type {file.type} with time division {file.ticks_per_beat}"
        )
    return file


def _clock(file: mido.MidiFile):
    """A function from ticks to seconds, from the tempo changes of all tracks."""
    changes = {0: DEFAULT_TEMPO}
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                changes[tick] = message.tempo
    ticks = np.array(sorted(changes), np.float64)
    per_tick = np.array([changes[int(tick)] for tick in ticks]) / 1e6 / file.ticks_per_beat
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * per_tick[:-1])])

    def seconds(at):
        piece = np.searchsorted(ticks, at, side="right") - 1
        return starts[piece] + (at - ticks[piece]) * per_tick[piece]

    return seconds


def _collect(file: mido.MidiFile):
    """Note rows per (track, channel, program); pedal events per channel; the last tick."""
    events = []
    last_tick = 0
    for index, track in enumerate(file.tracks):
        tick = 0
        for message in track:
            tick += message.time
            if message.type in ("note_on", "note_off", "program_change", "control_change"):
                events.append((tick, index, message))
        last_tick = max(last_tick, tick)
    events.sort(key=lambda event: event[:2])
    rows_by_part, pedals = {}, defaultdict(list)
    sounding = defaultdict(deque)
    channel_program, track_program = defaultdict(int), {}
    for tick, index, message in events:
        channel = message.channel
        if message.type == "program_change":
            channel_program[channel] = track_program[index, channel] = message.program
        elif message.type == "control_change":
            if message.control == SUSTAIN_PEDAL:
                pedals[channel].append((tick, message.value >= 64))
        elif message.type == "note_on" and message.velocity > 0:
            program = track_program.get((index, channel), channel_program[channel])
            row = [tick, last_tick, message.note, message.velocity]
            rows_by_part.setdefault((index, channel, program), []).append(row)
            sounding[index, channel, message.note].append(row)
        elif sounding[index, channel, message.note]:
            sounding[index, channel, message.note].popleft()[1] = tick
    return rows_by_part, pedals, last_tick


def _pedal_down(events, seconds, end: float):
    """The intervals in seconds during which the pedal is down."""
    intervals, down = [], None
    for tick, pressed in events:
        time = float(seconds(np.float64(tick)))
        if pressed and down is None:
            down = time
        elif not pressed and down is not None:
            intervals.append((down, time))
            down = None
    if down is not None:
        intervals.append((down, end))
    return np.array(intervals, np.float64).reshape(-1, 2)


def _lengthen(intervals, pitches, pedal_down):
    """Offsets moved to where the pedal goes up, but not beyond the next onset of the same pitch."""
    onsets, offsets = intervals.T
    if not len(pedal_down):
        return offsets
    begins, ends = pedal_down.T
    index = np.maximum(np.searchsorted(begins, offsets, side="right") - 1, 0)
    inside = (begins[index] <= offsets) & (offsets < ends[index])
    longer = np.where(inside, ends[index], offsets)
    following = np.full(len(onsets), np.inf)
    for pitch in np.unique(pitches):
        where = np.flatnonzero(pitches == pitch)
        where = where[np.argsort(onsets[where], kind="stable")]
        following[where[:-1]] = onsets[where[1:]]
    return np.maximum(offsets, np.minimum(longer, following))


def _track(part: Part, channel: int, ticks_per_second: float) -> mido.MidiTrack:
    ticks = np.rint(part.notes.intervals * ticks_per_second).astype(np.int64)
    ticks[:, 1] = np.maximum(ticks[:, 1], ticks[:, 0] + 1)
    events = []
    for (start, end), pitch, velocity in zip(
        ticks.tolist(), part.notes.pitches.tolist(), part.notes.velocities.tolist(), strict=True
    ):
        events.append((start, 1, pitch, velocity))
        events.append((end, 0, pitch, 0))  # sorts before an onset at the same tick
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=part.name)])
    track.append(mido.Message("program_change", channel=channel, program=part.program))
    now = 0
    for tick, is_onset, pitch, velocity in sorted(events):
        kind = "note_on" if is_onset else "note_off"
        track.append(
            mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - now)
        )
        now = tick
    return track
