"""The notes in the events of a MIDI file, and what pedals and controllers do to them.

Repeated note-ons of one pitch are closed first in, first out, unless the release velocity of a
note-off names another one by its place among those that sound: so `write_midi` writes notes inside
others, where the field has no other use. A note still open at the end of the file ends there, and a
note of no length stays (drum hits may be such).

Controller 120 (all sound off) ends notes at once, those that the pedal holds too. Controller 123
(all notes off) releases the keys: what the pedal holds sounds on, as the MIDI standard says.
Controller 121 (reset) lifts the pedal. Programs, pedals and controllers act on the notes of their
own track and channel; in a track without notes on the channel, on all tracks of that channel and
port.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from data_pipeline.io import midi_file
from data_pipeline.io.midi_channels import Channels, Voice
from data_pipeline.io.midi_file import Event, MidiFile

BANK_SELECT, SUSTAIN_PEDAL = 0, 64
ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 120, 121, 123
SAME_NOTE_SECONDS = 1e-3  # onsets of one pitch that lie closer are one note, written twice

_CHANNEL_EVENTS = {midi_file.NOTE_OFF, midi_file.NOTE_ON, midi_file.CONTROL, midi_file.PROGRAM}

PartKey = tuple[int, int, Voice]  # track, channel, who plays


@dataclass
class Performance:
    """Plays the events of a file and writes down what is heard, in ticks.

    Args:
        file: the file.
    """

    file: MidiFile
    rows: dict[PartKey, list[list[int]]] = field(default_factory=dict)
    pedals: dict[tuple[int, int], list] = field(default_factory=lambda: defaultdict(list))
    sound_offs: dict[tuple[int, int], list] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self):
        self.last_tick = max((track.last_tick for track in self.file.tracks), default=0)
        self._channels = Channels()
        self._sounding = defaultdict(dict)  # rows by track and channel, then by pitch, in order
        self._tracks_by_channel = defaultdict(set)  # those with notes, by port and channel
        events = []
        for index, track in enumerate(self.file.tracks):
            for event in track.events:
                is_setting = event.status == midi_file.SYSTEM_EXCLUSIVE
                if is_setting or event.kind in _CHANNEL_EVENTS:
                    events.append((event.tick, not is_setting, index, event))
                if event.kind == midi_file.NOTE_ON:
                    self._tracks_by_channel[track.port, event.channel].add(index)
        events.sort(key=lambda item: item[:3])
        for _, _, index, event in events:
            self._play(index, event)

    def _play(self, track: int, event: Event) -> None:
        port = self.file.tracks[track].port
        tracks = self._tracks_by_channel[port, event.channel]
        if event.status == midi_file.SYSTEM_EXCLUSIVE:
            self._channels.system_exclusive(port, event.data)
        elif event.kind in (midi_file.CONTROL, midi_file.PROGRAM):
            for target in [track] if track in tracks else tracks:
                if event.kind == midi_file.CONTROL:
                    self._control(target, event)
                else:
                    self._channels.set_program(target, port, event.channel, event.data[0])
        elif event.kind == midi_file.NOTE_ON and event.data[1]:
            voice = self._channels.voice(track, port, event.channel)
            row = [event.tick, self.last_tick, *event.data]
            self.rows.setdefault((track, event.channel, voice), []).append(row)
            self._sounding[track, event.channel].setdefault(event.data[0], []).append(row)
        else:
            self._release(track, event)

    def _release(self, track: int, event: Event) -> None:
        rows = self._sounding[track, event.channel].get(event.data[0])
        if rows:
            place = event.data[1] if event.kind == midi_file.NOTE_OFF else 0
            rows.pop(place if place < len(rows) else 0)[1] = event.tick

    def _control(self, track: int, event: Event) -> None:
        key, (number, value) = (track, event.channel), event.data
        if number == BANK_SELECT:
            self._channels.set_bank(*key, value)
        elif number == SUSTAIN_PEDAL:
            self.pedals[key].append((event.tick, value >= 64))
        elif number == RESET_CONTROLLERS:
            self.pedals[key].append((event.tick, False))
        elif number in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            for row in itertools.chain(*self._sounding.pop(key, {}).values()):
                row[1] = event.tick
            if number == ALL_SOUND_OFF:
                self.sound_offs[key].append(event.tick)

    def held(
        self,
        key: tuple[int, int],
        intervals: Float[np.ndarray, "n 2"],
        pitches: Int[np.ndarray, " n"],
        seconds: Callable,
    ) -> Float[np.ndarray, "n 2"]:
        """The intervals of a track and channel, in seconds, as its pedal lengthens them."""
        if not self.pedals[key]:
            return intervals
        end = seconds(np.array([self.last_tick], np.float64))[0]
        pedal_down = _pedal_down(self.pedals[key], seconds, end)
        sound_offs = seconds(np.array(self.sound_offs[key], np.float64))
        offsets = _lengthened(intervals, pitches, pedal_down, sound_offs)
        return np.stack([intervals[:, 0], offsets], axis=1)


def clock(file: MidiFile) -> Callable:
    """A function from ticks to seconds, from the tempo changes of all tracks."""
    changes = {0: 500_000}  # microseconds per beat, until the file says otherwise
    for track in file.tracks:
        for event in track.events:
            is_tempo = event.status == midi_file.META and event.data[0] == midi_file.TEMPO
            if is_tempo and len(event.data) == 4:
                changes[event.tick] = int.from_bytes(event.data[1:])
    ticks = np.array(sorted(changes), np.float64)
    per_tick = np.array([changes[int(tick)] for tick in ticks]) / 1e6 / file.ticks_per_beat
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * per_tick[:-1])])

    def seconds(at):
        piece = np.searchsorted(ticks, at, side="right") - 1
        return starts[piece] + (at - ticks[piece]) * per_tick[piece]

    return seconds


def without_duplicates(
    intervals: Float[np.ndarray, "n 2"],
    pitches: Int[np.ndarray, " n"],
    velocities: Int[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "m 2"], Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Notes of one pitch that begin together as one, with the first onset, the last offset and the
    highest velocity."""
    order = np.lexsort((intervals[:, 0], pitches))
    is_new = _differs(pitches[order], intervals[order, 0])
    if is_new.all():
        return intervals, pitches, velocities
    first = np.flatnonzero(is_new)
    joined = np.stack(
        [intervals[order, 0][first], np.maximum.reduceat(intervals[order, 1], first)], axis=1
    )
    return joined, pitches[order][first], np.maximum.reduceat(velocities[order], first)


def _differs(
    pitches: Int[np.ndarray, " n"], onsets: Float[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    is_same = (np.diff(pitches) == 0) & (np.diff(onsets) < SAME_NOTE_SECONDS)
    return np.concatenate([np.ones(min(len(pitches), 1), bool), ~is_same])


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


def _lengthened(intervals, pitches, pedal_down, sound_offs):
    """Offsets moved to where the pedal goes up, but not beyond the next onset of the same pitch,
    nor beyond where all sound is turned off."""
    onsets, offsets = intervals.T
    if not len(pedal_down):
        return offsets
    begins, ends = pedal_down.T
    index = np.maximum(np.searchsorted(begins, offsets, side="right") - 1, 0)
    inside = (begins[index] <= offsets) & (offsets < ends[index])
    longer = np.where(inside, ends[index], offsets)
    limit = np.append(sound_offs, np.inf)[np.searchsorted(sound_offs, offsets)]
    for pitch in np.unique(pitches):
        where = np.flatnonzero(pitches == pitch)
        where = where[np.argsort(onsets[where], kind="stable")]
        limit[where[:-1]] = np.minimum(limit[where[:-1]], onsets[where[1:]])
    return np.maximum(offsets, np.minimum(longer, limit))
