"""MIDI files <-> Notes, by instrument.

How bytes are read is told in `midi_file`, who plays in `midi_channels`, where notes end in
`midi_notes`.
"""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass

import mido
import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.io.files import whole_file
from data_pipeline.io.midi_channels import DRUM_CHANNEL
from data_pipeline.io.midi_file import read_midi_file
from data_pipeline.io.midi_notes import Performance, clock, without_duplicates

TICKS_PER_BEAT = (9600, 4800, 1920, 960, 480, 240, 96, 24)  # the finest that readers can bear
MAX_TICKS = 9_500_000  # of a file: pretty_midi takes one with 10 million for broken
MIN_BPM, MAX_BPM = 4, 1000


@dataclass(frozen=True)
class Part:
    """The notes of one instrument in a MIDI file.

    Args:
        name: the name of its track.
        program: General MIDI program, 0 to 127.
        is_drum: on a channel of drums, where the program chooses a kit.
        notes: its notes.
        has_program: the file has set the program; without, it is 0.
        shares_track: its track holds other parts too, so that the name may be theirs.
    """

    name: str
    program: int
    is_drum: bool
    notes: Notes
    has_program: bool = True
    shares_track: bool = False


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
    file = read_midi_file(path)
    seconds = clock(file)
    performance = Performance(file)
    parts_of_track = Counter(track for track, _, _ in performance.rows)
    parts = []
    for (track, channel, voice), rows in sorted(performance.rows.items()):
        table = np.array(rows, np.int64).reshape(-1, 4)
        intervals = seconds(table[:, :2].astype(np.float64))
        intervals, pitches, velocities = without_duplicates(intervals, table[:, 2], table[:, 3])
        if sustain_pedal:
            intervals = performance.held((track, channel), intervals, pitches, seconds)
        parts.append(
            Part(
                name=file.tracks[track].name,
                program=voice.program,
                is_drum=voice.is_drum,
                notes=Notes(intervals, pitches, velocities),
                has_program=voice.has_program,
                shares_track=parts_of_track[track] > 1,
            )
        )
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


def _track(part: Part, channel: int, ticks_per_second: float) -> mido.MidiTrack:
    ticks = np.rint(part.notes.intervals * ticks_per_second).astype(np.int64)
    ticks[:, 1] = np.maximum(ticks[:, 1], ticks[:, 0] + 1)
    events = []
    for number, ((start, end), pitch) in enumerate(
        zip(ticks.tolist(), part.notes.pitches.tolist(), strict=True)
    ):
        events.append((start, 1, pitch, number))
        events.append((end, 0, pitch, number))  # sorts before an onset at the same tick
    velocities = part.notes.velocities.tolist()
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=part.name)])
    track.append(mido.Message("program_change", channel=channel, program=part.program))
    now, sounding = 0, defaultdict(list)
    for tick, is_onset, pitch, number in sorted(events):
        if is_onset:
            sounding[pitch].append(number)
            velocity = velocities[number]
        else:
            place = sounding[pitch].index(number)  # not 0 inside of a longer note of the pitch
            velocity = min(place, 127)
            del sounding[pitch][place]
        kind = "note_on" if is_onset else "note_off"
        track.append(
            mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - now)
        )
        now = tick
    return track
