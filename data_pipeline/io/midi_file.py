"""The bytes of a standard MIDI file, as tracks of events.

Files in the wild break the standard in ways that lose nothing, and are read as other readers do: in
a RIFF container, with stray bytes or foreign chunks between tracks, with more tracks than the
header counts, with lengths of tracks that are wrong (a track then ends at its End of Track). A file
that ends before its last track does, or has fewer tracks than it announces, is cut short.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x8, 0x9, 0xB, 0xC  # the upper half of a status byte
SYSTEM_EXCLUSIVE, META = 0xF0, 0xFF
END_OF_TRACK, TRACK_NAME, INSTRUMENT_NAME, PORT, TEMPO = 0x2F, 0x03, 0x04, 0x21, 0x51

HEADER, TRACK = b"MThd", b"MTrk"
MAX_LEADING_BYTES = 1024  # before the header, such as MacBinary's 128
_NUM_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_NUM_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, **dict.fromkeys((0xF8, 0xFA), 0)}
_NUM_SYSTEM_BYTES |= dict.fromkeys((0xFB, 0xFC, 0xFE), 0)


class Event(NamedTuple):
    """Something that happens at a tick: the data of a META event begin with its type."""

    tick: int
    status: int
    data: bytes

    @property
    def kind(self) -> int:
        """NOTE_OFF, NOTE_ON, ...; 0xF of what belongs to no channel."""
        return self.status >> 4

    @property
    def channel(self) -> int:
        """From 0, of what belongs to a channel."""
        return self.status & 0xF


@dataclass
class MidiTrack:
    """Events in order, and what they say of the whole track."""

    events: list[Event] = field(default_factory=list)
    name: str = ""
    port: int = 0
    last_tick: int = 0

    @classmethod
    def of(cls, events: list[Event]) -> "MidiTrack":
        """Name and port are the first that the events give."""
        texts = {}
        for event in events:
            if event.status == META:
                texts.setdefault(event.data[0], event.data[1:])
        name = _text(texts.get(TRACK_NAME, b"")) or _text(texts.get(INSTRUMENT_NAME, b""))
        port = (texts.get(PORT) or b"\0")[0]
        return cls(events, name, port, events[-1].tick if events else 0)


@dataclass(frozen=True)
class MidiFile:
    """What a file holds; the number of its tracks may differ from the header's."""

    ticks_per_beat: int
    tracks: list[MidiTrack]


def read_midi_file(path: str | os.PathLike) -> MidiFile:
    """The tracks of a file of type 0 or 1 (or of type 2 with one track, which is the same).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not MIDI, damaged or cut short, or counts time in frames.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such MIDI file")
    try:
        return _parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable MIDI file ({error})") from error


def _parse(content: bytes) -> MidiFile:
    content = _unwrapped(content)
    if len(content) < 14:
        raise ValueError("cut short: its header needs 14 bytes")
    size, file_type, num_tracks = (
        int.from_bytes(content[at : at + count]) for at, count in ((4, 4), (8, 2), (10, 2))
    )
    division = int.from_bytes(content[12:14], signed=True)
    at = 8 + size if _is_border(content, 8 + size) else 14
    tracks, num_foreign = [], 0
    while at < len(content):
        at, skipped = _next_track(content, at)
        num_foreign += skipped
        if at < 0 or at + 8 > len(content):
            break
        events, at = _track(content, at + 8, int.from_bytes(content[at + 4 : at + 8]))
        tracks.append(MidiTrack.of(events))
    if len(tracks) + num_foreign < num_tracks:  # some count the foreign chunks too
        raise ValueError(f"cut short: {num_tracks} tracks announced, {len(tracks)} found")
    if division <= 0 or (file_type == 2 and len(tracks) > 1):
        raise ValueError(
            "expected a MIDI file of type 0 or 1 with ticks per beat, "
            f"got type {file_type} with time division {division}"
        )
    return MidiFile(division, tracks)


def _unwrapped(content: bytes) -> bytes:
    """From the header on, and no further than the data of a RIFF container."""
    is_riff = content.startswith(b"RIFF")
    start = content.find(HEADER, 0, len(content) if is_riff else MAX_LEADING_BYTES)
    if start < 0:
        raise ValueError(f"{HEADER.decode()} expected at its beginning, got {content[:4]!r}")
    end = len(content)
    if is_riff and content[max(start - 8, 0) : max(start - 4, 0)] == b"data":
        announced = start + int.from_bytes(content[start - 4 : start], "little")
        end = announced if start + 14 < announced < end else end
    return content[start:end]


def _is_border(content: bytes, at: int) -> bool:
    """Whether a chunk begins here, or the file ends."""
    return at == len(content) or (
        at + 8 <= len(content)
        and all(32 <= byte < 127 for byte in content[at : at + 4])
        and (
            content.startswith(TRACK, at)
            or at + 8 + int.from_bytes(content[at + 4 : at + 8]) <= len(content)
        )
    )


def _next_track(content: bytes, at: int) -> tuple[int, int]:
    """Where the next track begins, -1 for none, and how many foreign chunks were before it."""
    num_foreign = 0
    while not content.startswith(TRACK, at) and at < len(content) and _is_border(content, at):
        after = at + 8 + int.from_bytes(content[at + 4 : at + 8])
        if not _is_border(content, after):
            break
        at, num_foreign = after, num_foreign + 1
    return content.find(TRACK, at), num_foreign


def _track(content: bytes, start: int, size: int) -> tuple[list[Event], int]:
    """The events of a track and where it ends.

    Where a chunk begins at the announced end, that is the end, whatever comes before. Elsewhere the
    length is wrong, or stray bytes follow: the track ends at its End of Track, or where it has
    none before the next track, at the announced end.
    """
    announced = start + size
    length_fits = _is_border(content, announced)
    limit = announced if length_fits else len(content)
    if announced < limit:
        after = content.find(TRACK, announced)
        limit = after if after >= 0 else limit
    reader = _Reader(content[:limit], start)
    complete = None  # the number of events, and the end, if nothing more can be read
    while reader.at < limit:
        if not length_fits and reader.at == announced:
            complete = len(reader.events), announced
        try:
            event = reader.read()
        except (IndexError, ValueError) as error:
            if complete is None:
                what = "cut short" if isinstance(error, IndexError) else str(error)
                raise ValueError(f"track at byte {start - 8} is {what}") from error
            break
        if event.status == META and event.data[0] == END_OF_TRACK:
            if not length_fits or content.startswith(TRACK, reader.at):
                return reader.events, reader.at
            complete = len(reader.events), announced
    else:
        if length_fits:
            return reader.events, limit
        complete = (len(reader.events), limit) if reader.at == announced else complete
    if complete is None:
        raise ValueError(f"track at byte {start - 8} is cut short")
    return reader.events[: complete[0]], complete[1]


class _Reader:
    """Reads event after event; IndexError where the content ends inside of one."""

    def __init__(self, content: bytes, at: int):
        self.content, self.at = content, at
        self.events: list[Event] = []
        self._tick, self._running = 0, 0

    def read(self) -> Event:
        """The next event, which joins the list."""
        self._tick += self._number()
        status = self.content[self.at]
        if status >= 0x80:
            self.at += 1
        elif self._running:
            status = self._running
        else:
            raise ValueError(f"damaged: byte {self.at} is no status (0x{status:02x})")
        event = Event(self._tick, status, self._data(status))
        self.events.append(event)
        return event

    def _data(self, status: int) -> bytes:
        if status < 0xF0:
            self._running = status
            data = self._take(_NUM_DATA_BYTES[status >> 4])
            return data if max(data) < 0x80 else bytes(min(byte, 127) for byte in data)
        if status == META:
            kind = self._take(1)
            if kind[0] == END_OF_TRACK:
                self._running = 0
            return kind + self._take(self._number())
        if status in (SYSTEM_EXCLUSIVE, 0xF7):
            return self._take(self._number())
        if status not in _NUM_SYSTEM_BYTES:
            raise ValueError(f"damaged: byte {self.at - 1} is no status (0x{status:02x})")
        return self._take(_NUM_SYSTEM_BYTES[status])

    def _take(self, count: int) -> bytes:
        data = self.content[self.at : self.at + count]
        if len(data) < count:
            raise IndexError
        self.at += count
        return data

    def _number(self) -> int:
        """A number of up to four bytes with seven bits each."""
        number = 0
        for _ in range(4):
            byte = self.content[self.at]
            self.at += 1
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        raise ValueError(f"damaged: byte {self.at - 4} begins a number of more than four bytes")


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\0", " ").strip()
