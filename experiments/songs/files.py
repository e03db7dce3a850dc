"""The files of one separated song: stems, MIDI, a table of notes, the page.

Everything is written block by block into a hidden folder beside its place and moved when all of it
is whole.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.decoding import with_velocities
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from cerberus_jax.note_stream import EnvelopeStream, NoteStream
from cerberus_jax.notes import Notes
from data_pipeline.cli.console import printable
from data_pipeline.io.audio_stream import AudioInfo, audio_info, read_blocks
from data_pipeline.io.midi import write_midi
from experiments.songs.folders import put_in_place
from experiments.songs.notes import MIDI_FILE, NOTES_FILE, parts_of, write_notes
from experiments.songs.options import SongOptions
from experiments.songs.page import PAGE_FILE, SOUNDS, SongPage
from experiments.songs.stems import StemFiles, stem_names
from experiments.songs.work_folder import work_folder


def write_song(
    song: Path,
    folder: Path,
    *,
    predictor: Predictor,
    options: SongOptions,
    reference_notes: dict[str, Notes] | None = None,
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> AudioInfo:
    """All files of a song, or none of them.

    A network without a transcription head writes neither a MIDI file nor a table of notes.

    Args:
        song: the audio file.
        folder: gets the files; one of an earlier call is replaced.
        predictor: the network.
        options: what is written, and how.
        reference_notes: true notes by instrument, where they are known, for the page.
        on_progress: called with the seconds of music just done.

    Raises:
        FileNotFoundError, ValueError: if the song cannot be read.
        OSError: if its files cannot be written; names the folder.
    """
    with _reading(song):
        info = audio_info(song)
    try:
        with work_folder(folder.parent) as place:
            new_folder = place / folder.name
            new_folder.mkdir()
            writer = _SongWriter(new_folder, info, predictor, options)
            writer.write(song, reference_notes or {}, on_progress)
            put_in_place(folder, new_folder)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write the files of a song ({reason})"
        raise OSError(error.errno, message, str(folder)) from error
    return info


def files_of(predictor: Predictor, options: SongOptions) -> set[str]:
    """The names of what `write_song` puts into a song's folder."""
    names = {f"{n}.{options.format}" for n in stem_names(predictor.instruments, options)}
    names |= {MIDI_FILE, NOTES_FILE} if transcribes(predictor.model.heads) else set()
    return names | ({PAGE_FILE, SOUNDS} if options.page else set())


@dataclass(frozen=True)
class _SongWriter:
    """Writes the files of a song into an empty folder."""

    folder: Path
    info: AudioInfo
    predictor: Predictor
    options: SongOptions

    def write(self, song: Path, reference_notes: dict[str, Notes], on_progress: Callable) -> None:
        """All of them."""
        instruments, options = self.predictor.instruments, self.options
        with StemFiles(self.folder, instruments, self.info, options) as stems:
            page = SongPage(self.folder, self.info, stems.files) if options.page else None
            with page or contextlib.nullcontext():
                notes = self._separate(song, stems, page, on_progress)
        if notes:
            write_midi(self.folder / MIDI_FILE, parts_of(notes), bpm=options.bpm)
            write_notes(self.folder / NOTES_FILE, notes)
        if page:
            inside = {
                name: true_notes.window(0.0, self.info.seconds)
                for name, true_notes in reference_notes.items()
            }
            page.finish(printable(song.stem), parts_of(notes), reference=inside)
        if page and page.num_clipped:
            print(
                f"  {page.mixture}: {page.num_clipped} samples beyond full scale were clipped; "
                "only the page plays it",
                flush=True,
            )
        for name, count in stems.clipped.items():
            file = f"{name}.{options.format}"
            print(
                f"  {file}: {count} samples beyond full scale were clipped; "
                "--format=wav keeps them",
                flush=True,
            )

    def _separate(
        self, song: Path, stems: StemFiles, page: SongPage | None, on_progress: Callable
    ) -> dict[str, Notes]:
        """Fills stems and page; returns the notes of the instruments that are written, none of a
        network that does not transcribe."""
        predictor, rate = self.predictor, self.info.sample_rate_hz
        db_reference = None
        if not predictor.exact:  # a song is known before its first window: it is read twice
            db_reference = predictor.song_db_reference(_readable(song), rate)
        has_notes = transcribes(predictor.model.heads)
        note_stream = NoteStream(predictor.decode, predictor.grid)
        envelope_stream = EnvelopeStream(rate, predictor.grid)
        mixture = _Tee(_readable(song))
        for sources, rolls in predictor.predict_stream(mixture, rate, db_reference=db_reference):
            samples = mixture.take(sources.shape[-1])
            sounds = stems.add(samples, sources)
            if page:
                page.add(samples, sounds)
            if has_notes:
                note_stream.add(*rolls)
            envelope_stream.add(sources)
            on_progress(samples.shape[1] / rate)
        if not has_notes:
            return {}
        envelopes = dict(zip(predictor.instruments, envelope_stream.finish(), strict=True))
        notes = note_stream.finish()
        return {
            name: with_velocities(notes[name], envelopes[name], predictor.grid)
            for name in stems.written
            if name in notes
        }


class _Tee:
    """Hands blocks on and holds their samples until they are taken."""

    def __init__(self, blocks: Iterator[np.ndarray]):
        self._blocks, self._held = blocks, []

    def __iter__(self):
        for block in self._blocks:
            self._held.append(block)
            yield block

    def take(self, count: int) -> Float[np.ndarray, "c n"]:
        joined = np.concatenate(self._held, axis=1)
        self._held = [joined[:, count:]]
        return joined[:, :count]


def _readable(song: Path) -> Iterator[np.ndarray]:
    """The song's blocks."""
    with _reading(song):
        yield from read_blocks(song)


@contextlib.contextmanager
def _reading(song: Path) -> Iterator[None]:
    """That the song cannot be read must not look like a full disk."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{song}: cannot be read ({error.strerror or error})") from error
