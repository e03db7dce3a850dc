"""Other tools' files as estimates of exported excerpts: what there is gets scored.

    DIR/0000/piano.wav, .flac, .mp3, ...        a waveform per instrument
    DIR/0000/transcription.mid                  the notes of all instruments,
    DIR/0000/piano.mid                          or of this one, which goes before them

A tool need not do everything. What is missing has no scores, files of other instruments are left
aside, and a waveform that is a few samples too long or short is cut or padded; `gaps` says so.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.notes import Notes
from cerberus_jax.outside import quoted
from data_pipeline.cli.console import printable
from data_pipeline.instrument_names import instrument_named
from data_pipeline.io.audio import mono_of, read_audio
from data_pipeline.io.audio_files import AUDIO_SUFFIXES, NOT_READ, is_other_audio_name
from data_pipeline.io.midi import Part, read_midi, read_notes
from data_pipeline.io.midi_file import read_midi_file
from data_pipeline.planning.batch import Excerpt
from experiments.evaluation.excerpt_files import excerpt_name
from experiments.evaluation.scoring import Estimate, of_transcribed
from experiments.songs.notes import MIDI_FILE, by_instrument, who_plays

# Of two files of one name the first counts.
_WAVEFORM_SUFFIXES = tuple(dict.fromkeys((".wav", ".flac", *AUDIO_SUFFIXES)))
MIDI_SUFFIXES = (".mid", ".midi")
LENGTH_TOLERANCE_SECONDS = 0.01


@dataclass
class EstimateFiles:
    """A tool's files, read excerpt by excerpt in the order in which they were exported.

    Args:
        folder: holds a folder per excerpt.
        instruments: what is scored.
        sample_rate_hz: of the excerpts.
        with_audio, with_notes: the instruments of which any excerpt has a waveform, or notes.
    """

    folder: Path
    instruments: tuple[str, ...]
    sample_rate_hz: int
    with_audio: tuple[str, ...]
    with_notes: tuple[str, ...]
    num_read: int = 0
    _gaps: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def find(
        cls, folder: str | Path, instruments: tuple[str, ...], sample_rate_hz: int, *, count: int
    ) -> "EstimateFiles":
        """The files in a folder.

        Args:
            folder, instruments, sample_rate_hz: as of the class.
            count: how many excerpts there are.

        Raises:
            FileNotFoundError: if there is no file at all, or none of an excerpt.
            ValueError: if there are files of an excerpt that does not exist, or a MIDI file is
                unreadable or has a part that tells neither instrument nor program.
        """
        folder = Path(folder)
        files = {path: _Files.of(path, instruments) for path in sorted(folder.glob("*/"))}
        files = {path.name: own for path, own in files.items() if own.scored}
        names = [excerpt_name(number) for number in range(count)]
        if not files:
            waveforms = ", ".join(f"{name}.wav" for name in instruments)
            raise FileNotFoundError(
                f"--estimates={folder}: {folder / names[0]} holds neither {MIDI_FILE} nor "
                f"{waveforms} (or .flac, .mid); a folder per excerpt is expected, named by the "
                "mixtures of --export_excerpts"
            )
        there = f"--estimates={folder}: there are {count} excerpts, {names[0]} to {names[-1]}"
        if unknown := sorted(set(files).difference(names)):
            raise ValueError(
                f"{there}, and the folder holds others: {_first_of(unknown)}; take the run, split "
                "and list of excerpts that were exported"
            )
        if missing := [name for name in names if name not in files]:
            raise FileNotFoundError(f"{there}, and nothing was found for {_first_of(missing)}")
        audio = {name for own in files.values() for name in own.waveforms}
        midi = {name for own in files.values() for name in {*own.notes, *own.named_tracks()}}
        if not midi and any(own.all_notes for own in files.values()):
            midi = set(instruments)  # the tool has listened, and heard nobody
        with_audio, with_notes = (
            tuple(name for name in instruments if name in own) for own in (audio, midi)
        )
        return cls(folder, instruments, sample_rate_hz, with_audio, with_notes)

    def read(self, excerpts: Sequence[Excerpt]) -> list[Estimate]:
        """The estimates of the next excerpts.

        Raises:
            ValueError: if a waveform has another rate or length, or a file is unreadable.
        """
        estimates = []
        for excerpt in excerpts:
            name = excerpt_name(self.num_read)
            files = _Files.of(self.folder / name, self.instruments)
            sources, absent = self._sources(files, name, excerpt.sources.shape[-1])
            notes = self._notes(files, name) if self.with_notes else None
            estimates.append(Estimate(sources, notes, absent))
            for file in files.others:
                self._gaps[f"{file}: left aside"].append(name)
            self.num_read += 1
        return estimates

    def gaps(self) -> list[str]:
        """A line for each thing that was missing, left aside or changed in what was read."""
        never = [
            ("waveform", self.with_audio, self.instruments),
            ("notes", self.with_notes, of_transcribed(dict.fromkeys(self.instruments))),
        ]
        lines = [
            f"{name}: no {kind} in any excerpt, not scored."
            for kind, own, expected in never
            for name in expected
            if name not in own
        ]
        for what, names in self._gaps.items():
            where = f"{len(names)} of {self.num_read} excerpts: {_first_of(names)}"
            lines.append(f"{what} ({where}).")
        return lines

    def _sources(
        self, files: "_Files", excerpt: str, num_samples: int
    ) -> tuple[Float[np.ndarray, "s n"] | None, tuple[str, ...]]:
        """The waveforms, and the instruments that have none; None without any at all."""
        if not self.with_audio:
            return None, ()
        sources = np.zeros((len(self.instruments), num_samples), np.float32)
        absent = tuple(name for name in self.instruments if name not in files.waveforms)
        for name in absent:
            if name in self.with_audio:
                self._gaps[f"{name}: no waveform, not scored"].append(excerpt)
        for name, path in files.waveforms.items():
            waveform = self._waveform(path)
            if difference := len(waveform) - num_samples:
                if abs(difference) > LENGTH_TOLERANCE_SECONDS * self.sample_rate_hz:
                    raise ValueError(
                        f"{path}: {num_samples} samples expected, the length of the excerpt, "
                        f"got {len(waveform)}"
                    )
                done = f"cut by {difference}" if difference > 0 else f"padded by {-difference}"
                self._gaps[f"{path.name}: {done} samples at its end"].append(excerpt)
                waveform = np.pad(waveform[:num_samples], (0, max(-difference, 0)))
            sources[self.instruments.index(name)] = waveform
        return sources, absent

    def _waveform(self, path: Path) -> Float[np.ndarray, " n"]:
        samples, rate = read_audio(path)
        if rate != self.sample_rate_hz:
            raise ValueError(
                f"{path}: {self.sample_rate_hz} Hz expected, the rate of the excerpts, "
                f"got {rate} Hz; resample the estimates"
            )
        mono, doubts = mono_of(samples, rate)
        for doubt in doubts:
            self._gaps[f"{path.name}: {doubt}"].append(path.parent.name)
        return mono

    def _notes(self, files: "_Files", excerpt: str) -> dict[str, Notes]:
        """Notes by instrument, of those that have a file: in a file of all instruments, one without
        a part has no notes."""
        notes = {}
        if files.all_notes:
            notes, others = by_instrument(files.parts(), self.with_notes)
            for part in others:
                what = f"{files.all_notes.name}: part {quoted(part.name)} (program {part.program})"
                self._gaps[f"{what} left aside"].append(excerpt)
        for name in self.with_notes:
            if name in files.notes:
                notes[name] = read_notes(files.notes[name])
            elif name not in notes:
                self._gaps[f"{name}: no notes, not scored"].append(excerpt)
        return of_transcribed(notes)


@dataclass(frozen=True)
class _Files:
    """The files of one excerpt.

    Args:
        waveforms, notes: by instrument.
        all_notes: the MIDI file of all instruments.
        others: the names of files that look like such, and are of none.
    """

    instruments: tuple[str, ...]
    waveforms: dict[str, Path]
    notes: dict[str, Path]
    all_notes: Path | None
    others: list[str]

    @classmethod
    def of(cls, folder: Path, instruments: tuple[str, ...]) -> "_Files":
        """The files in a folder; of two of one name the first of the suffixes counts."""
        waveforms, notes, all_notes, others = {}, {}, None, []
        suffixes = (*_WAVEFORM_SUFFIXES, *MIDI_SUFFIXES)
        there = sorted(folder.iterdir())
        files = [path for path in there if path.suffix.lower() in suffixes]
        for path in sorted(files, key=lambda path: suffixes.index(path.suffix.lower())):
            name, is_midi = path.stem.lower(), path.suffix.lower() in MIDI_SUFFIXES
            own = notes if is_midi else waveforms
            if name in instruments and name not in own:
                own[name] = path
            elif is_midi and name == Path(MIDI_FILE).stem and all_notes is None:
                all_notes = path
            else:
                others.append(printable(path.name))
        others += [
            f"{printable(path.name)} ({NOT_READ})" for path in there if is_other_audio_name(path)
        ]
        return cls(instruments, waveforms, notes, all_notes, others)

    @property
    def scored(self) -> bool:
        """Whether there is any file that counts."""
        return bool(self.waveforms or self.notes or self.all_notes)

    def parts(self) -> list[Part]:
        """The parts of the file of all instruments.

        Raises:
            ValueError: if one tells no instrument.
        """
        parts = read_midi(self.all_notes)
        if unknown := [quoted(part.name) for part in parts if not who_plays(part)]:
            raise ValueError(
                f"{self.all_notes}: nothing tells who plays {_first_of(unknown)}: a "
                "program change or a name of the track expected, such as one of "
                f"{', '.join(self.instruments)}"
            )
        return parts

    def named_tracks(self) -> set[str]:
        """The instruments that the file of all of them has tracks for, even if they are silent."""
        if self.all_notes is None:
            return set()
        tracks = read_midi_file(self.all_notes).tracks
        return {who_plays(part) for part in self.parts()} | {
            instrument_named(track.name) for track in tracks
        } - {""}


def _first_of(names: Sequence[str], max_names: int = 5) -> str:
    num_more = len(names) - max_names
    return ", ".join([*names[:max_names], *[f"and {num_more} more"] * (num_more > 0)])
