"""What every corpus is scanned into: tracks of stems."""

import os
from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = (".flac", ".wav")


OTHER_INSTRUMENT = "other instrument"  # the reason why most stems are left out


@dataclass(frozen=True)
class Stem:
    """One rendered or recorded instrument of a track.

    Args:
        id: its name within the track.
        instrument: the class, '' if it belongs to none.
        program: program number as the corpus gives it (drums: 128 in Slakh).
        is_drum: whether it is a drum kit.
        audio_path: the audio file.
        midi_path: the file of its notes (MIDI, JAMS or MAPS text).
        pitch_shift: semitones to add to the labels.
        time_shift: seconds to add to the labels.
        sustain_pedal: lengthen the notes by the pedal.
    """

    id: str
    instrument: str
    program: int
    is_drum: bool
    audio_path: Path
    midi_path: Path
    pitch_shift: int = 0
    time_shift: float = 0.0
    sustain_pedal: bool = False


@dataclass(frozen=True)
class Track:
    """One song: its stems, and (stem, reason) of each one left out."""

    id: str
    split: str
    path: Path
    stems: tuple[Stem, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def existing_root(root: str | os.PathLike) -> Path:
    """The folder of a raw corpus, of any kind.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"--root={root}: no such folder")
    return root
