"""What every corpus is scanned into: tracks of stems."""

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cerberus_jax.notes import Notes
from data_pipeline.io import midi

OTHER_INSTRUMENT = "other instrument"  # of no class, or of one that was not asked for


@dataclass(frozen=True)
class Stem:
    """One rendered or recorded instrument of a track.

    Args:
        id: its name within the track.
        instrument: the class, '' if it belongs to none.
        program: program number as the corpus gives it (drums: 128 in Slakh).
        is_drum: whether it is a drum kit.
        audio_path: the audio file.
        notes_path: the file of its notes, of any kind; None: the corpus has none for it. Such a
            stem is unlabelled, which is not silence.
        pitch_shift: semitones to add to the labels.
        time_shift: seconds to add to the labels.
        sustain_pedal: lengthen the notes by the pedal.
        other_audio: further files of the same sound; one of them is taken where `audio_path` is
            silent, and that is said.
    """

    id: str
    instrument: str
    program: int
    is_drum: bool
    audio_path: Path
    notes_path: Path | None
    pitch_shift: int = 0
    time_shift: float = 0.0
    sustain_pedal: bool = False
    other_audio: tuple[Path, ...] = ()

    @property
    def is_labelled(self) -> bool:
        """Whether its notes are known."""
        return self.notes_path is not None


@dataclass(frozen=True)
class Track:
    """One song.

    Args:
        id: its name, unique in its split.
        split: train, validation, test, ...
        path: its folder.
        stems: its stems.
        skipped: (stem, reason) of each one left out.
        uuid: what names the song in any corpus that has it; '' if nothing does.
    """

    id: str
    split: str
    path: Path
    stems: tuple[Stem, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    uuid: str = ""


def existing_root(root: str | os.PathLike) -> Path:
    """The folder of a raw corpus, of any kind.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"--root={root}: no such folder")
    return root


def first_file(paths: Iterable[Path]) -> Path | None:
    """The first of these files that is there."""
    return next((path for path in paths if path.is_file()), None)


def in_order(tracks: Iterable[Track]) -> list[Track]:
    """The tracks sorted by split and name.

    Raises:
        ValueError: if two of one split have one name.
    """
    tracks = sorted(tracks, key=lambda track: (track.split, track.id))
    for track, following in itertools.pairwise(tracks):
        if (track.split, track.id) == (following.split, following.id):
            raise ValueError(f"{track.path} and {following.path}: two tracks of one name and split")
    return tracks


def read_midi_notes(stem: Stem) -> Notes:
    """The notes of a stem whose labels are a MIDI file."""
    return midi.read_notes(stem.notes_path, sustain_pedal=stem.sustain_pedal)
