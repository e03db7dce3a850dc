"""The files of one separated song: stems, what is left of them, MIDI, a table of notes, the page.

Everything is written block by block into a hidden folder beside its place and moved when all of it
is whole. Stems, minus-one mixes and `other` are whole numbers of the format's levels: together they
give the song back to the last bit.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.decoding import with_velocities
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from cerberus_jax.note_stream import EnvelopeStream, NoteStream
from cerberus_jax.notes import Notes
from data_pipeline.io.audio_stream import (
    SUBTYPES,
    AudioInfo,
    AudioWriter,
    audio_info,
    check_format,
    quantise,
    read_blocks,
)
from data_pipeline.io.midi import write_midi
from experiments.songs.notes import MIDI_FILE, NOTES_FILE, parts_of, write_notes
from experiments.songs.page import PAGE_FILE, SOUNDS, SongPage

OTHER = "other"


@dataclass(frozen=True)
class SongOptions:
    """What is written of a song, and how.

    Args:
        form, subtype: of the audio files: wav or flac; PCM_16, PCM_24 or FLOAT.
        only: the instruments to write; none for all.
        minus: instruments of which to write the song without them.
        other: also write what is left of the song without the written stems.
        bpm: tempo of the MIDI file; moves the beat grid, not the notes.
        page: also write the page.

    Raises:
        ValueError: on a format that does not exist or a tempo MIDI cannot hold.
    """

    form: str = "wav"
    subtype: str = "PCM_16"
    only: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    other: bool = False
    bpm: float = 120.0
    page: bool = True

    def __post_init__(self):
        check_format(self.form, self.subtype)
        if not 4 <= self.bpm <= 1000:
            raise ValueError(f"bpm: must lie in 4..1000, got {self.bpm}")

    def check_instruments(self, known: Sequence[str]) -> None:
        """ValueError if an instrument is asked for that the network does not know."""
        for name, wanted in (("only", self.only), ("minus", self.minus)):
            if unknown := [instrument for instrument in wanted if instrument not in known]:
                raise ValueError(
                    f"{name}: {', '.join(unknown)} asked for; the network knows {', '.join(known)}"
                )


def write_song(
    song: Path,
    folder: Path,
    *,
    predictor: Predictor,
    options: SongOptions,
    reference: dict[str, Notes] | None = None,
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> AudioInfo:
    """All files of a song, or none of them.

    A network without a transcription head writes neither a MIDI file nor a table of notes.

    Raises:
        FileNotFoundError, ValueError: if the song cannot be read.
        OSError: if its files cannot be written; names the folder.
    """
    info = audio_info(song)
    try:
        with tempfile.TemporaryDirectory(prefix=".separating.", dir=folder.parent) as name:
            part = Path(name) / folder.name
            part.mkdir()
            _write_files(song, part, info, predictor, options, reference, on_progress)
            _replace(folder, part, predictor.instruments)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write the files of a song ({reason})"
        raise OSError(error.errno, message, str(folder)) from error
    return info


def output_folders(songs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The folder of each song; songs of one name are told apart by the folder they come from."""
    stems = [song.stem for song in songs]
    folders = [song.resolve().parent for song in songs]
    same_place = [(folder, song.stem) for folder, song in zip(folders, songs, strict=True)]
    names = [
        song.stem if stems.count(song.stem) == 1 else f"{folder.name}_{song.stem}"
        for folder, song in zip(folders, songs, strict=True)
    ]
    names = [  # those of one folder, by their endings
        song.name if same_place.count(place) > 1 else name
        for song, place, name in zip(songs, same_place, names, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            same = [str(song) for song, own in zip(songs, names, strict=True) if own == name]
            raise ValueError(
                f"{' and '.join(same)} would both be written to {out / name}; "
                "separate them one by one, with another --out"
            )
    return {song: out / name for song, name in zip(songs, names, strict=True)}


class StemFiles:
    """The audio files of a song, while it is being separated."""

    def __init__(
        self, folder: Path, instruments: Sequence[str], info: AudioInfo, options: SongOptions
    ):
        self.instruments = tuple(instruments)
        self.written = tuple(name for name in instruments if name in (options.only or instruments))
        self._subtype = options.subtype
        self._minus = [name for name in instruments if name in options.minus]
        names = [*self.written, *(f"minus_{name}" for name in self._minus)]
        names += [OTHER] * options.other
        self._writers = {
            name: AudioWriter(
                folder / f"{name}.{options.form}",
                sample_rate_hz=info.sample_rate_hz,
                num_channels=info.num_channels,
                subtype=options.subtype,
                num_samples=info.num_samples,
            )
            for name in names
        }

    @property
    def files(self) -> dict[str, str]:
        """File names of the stems, and of `other`."""
        return {
            name: writer.path.name
            for name, writer in self._writers.items()
            if not name.startswith("minus_")
        }

    @property
    def clipped(self) -> dict[str, int]:
        """How many samples of a file had to be clipped, where any."""
        return {name: w.num_clipped for name, w in self._writers.items() if w.num_clipped}

    def __enter__(self) -> "StemFiles":
        return self

    def __exit__(self, *error):
        for writer in self._writers.values():
            writer.close(check=False)
        if error[0] is None:
            for writer in self._writers.values():
                writer.close()

    def add(
        self, mixture: Float[np.ndarray, "c n"], sources: Float[np.ndarray, "s c n"]
    ) -> dict[str, Float[np.ndarray, "c n"]]:
        """The next samples of the song and of its sources; returns those of every stem."""
        levels = quantise(mixture, self._subtype)
        stems = dict(zip(self.instruments, quantise(sources, self._subtype), strict=True))
        sounds = dict(zip(self.instruments, sources, strict=True))
        sounds = {name: sounds[name] for name in self.written}
        for name in self.written:
            self._writers[name].write(stems[name])
        for name in self._minus:
            self._writers[f"minus_{name}"].write(levels - stems[name])
        if OTHER in self._writers:
            self._writers[OTHER].write(levels - sum(stems[name] for name in self.written))
            sounds[OTHER] = mixture - sum(sounds.values())
        return sounds


def _write_files(song, folder, info, predictor, options, reference, on_progress):
    rate = info.sample_rate_hz
    by_song = predictor.db_reference == "song" and not predictor.exact
    reference_level = predictor.song_db_reference(_readable(song), rate) if by_song else None
    mixture = _Tee(_readable(song))
    has_notes = transcribes(predictor.model.heads)
    notes = NoteStream(predictor.decode, predictor.grid)
    levels = EnvelopeStream(rate, predictor.grid)
    with StemFiles(folder, predictor.instruments, info, options) as stems:
        page = SongPage(folder, info, stems.files) if options.page else None
        with page or contextlib.nullcontext():
            pieces = predictor.predict_stream(mixture, rate, db_reference=reference_level)
            for sources, rolls in pieces:
                samples = mixture.take(sources.shape[-1])
                sounds = stems.add(samples, sources)
                if page:
                    page.add(samples, sounds)
                if has_notes:
                    notes.add(rolls)
                levels.add(sources)
                on_progress(samples.shape[1] / rate)
        written = stems.written
    found = {}
    if has_notes:
        loudness = dict(zip(predictor.instruments, levels.finish(), strict=True))
        whole = notes.finish()
        found = {
            name: with_velocities(whole[name], loudness[name], predictor.grid) for name in written
        }
        write_midi(folder / MIDI_FILE, parts_of(found), bpm=options.bpm)
        write_notes(folder / NOTES_FILE, found)
    if page:
        truth = {name: kept.window(0.0, info.seconds) for name, kept in (reference or {}).items()}
        page.finish(song.stem, parts_of(found), reference=truth)
    for name, count in stems.clipped.items():
        print(f"  {name}.{options.form}: {count} samples beyond full scale were clipped; "
              "--format=wav keeps them", flush=True)  # fmt: skip


class _Tee:
    """Hands blocks on and keeps their samples until they are taken."""

    def __init__(self, blocks: Iterator[np.ndarray]):
        self._blocks, self._kept = blocks, []

    def __iter__(self):
        for block in self._blocks:
            self._kept.append(block)
            yield block

    def take(self, count: int) -> Float[np.ndarray, "c n"]:
        joined = np.concatenate(self._kept, axis=1)
        self._kept = [joined[:, count:]]
        return joined[:, :count]


def _readable(song: Path) -> Iterator[np.ndarray]:
    """The song's blocks; that it cannot be read must not look like a full disk."""
    try:
        yield from read_blocks(song)
    except OSError as error:
        raise ValueError(f"{song}: cannot be read ({error.strerror or error})") from error


def _replace(folder: Path, part: Path, instruments: Sequence[str]) -> None:
    """Puts the new files in the place of all that an earlier call has written; files that are not
    of this command stay."""
    if not folder.exists():
        os.rename(part, folder)
        return
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        own = file.relative_to(folder)
        if not _is_output(own, instruments) and not (part / own).exists():
            (part / own).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, part / own)
    aside = part.with_name("before")
    try:
        os.rename(folder, aside)
        os.rename(part, folder)
    finally:  # whatever came between, Ctrl-C too
        if not folder.exists():
            os.rename(aside, folder)


def _is_output(file: Path, instruments: Sequence[str]) -> bool:
    """Whether a call may have written this file, whatever its options."""
    stems = [*instruments, *(f"minus_{name}" for name in instruments), OTHER]
    sounds = {f"{name}.{form}" for name in stems for form in SUBTYPES}
    return file.parts[0] == SOUNDS or str(file) in {MIDI_FILE, NOTES_FILE, PAGE_FILE} | sounds
