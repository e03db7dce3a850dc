"""Excerpts as files, for other tools, and other tools' files as estimates.

    DIR/mixtures/0000.wav                       what a tool hears
    DIR/references/0000/piano.wav ...           the sources, and their notes in transcription.mid
    DIR/excerpts.json                           which song and moment each number is

Estimates lie in folders like those of `references`, which is what experiments.separate makes of
DIR/mixtures. They may lack the MIDI file, or all wav files, but then in every folder. Audio is
32-bit float, which clips nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_audio, write_audio
from data_pipeline.io.files import whole_file
from data_pipeline.io.midi import read_midi, write_midi
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpts import read_excerpts
from experiments.evaluation.scoring import Estimate, Reference, of_transcribed
from experiments.songs.notes import MIDI_FILE, by_instrument, parts_of


def export_excerpts(planner: Planner, out: str | Path, *, count: int) -> None:
    """Write the first `count` excerpts of the planner into `out`."""
    out, config = Path(out), planner.config
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"--export_excerpts={out}: an empty or new folder expected, it has files")
    rate = config.grid.sample_rate_hz
    (out / "mixtures").mkdir(parents=True, exist_ok=True)
    ids = []
    for number, excerpt in enumerate(read_excerpts(planner, count)):
        name = excerpt_name(number)
        folder = out / "references" / name
        folder.mkdir(parents=True, exist_ok=True)
        sound = {"sample_rate_hz": rate, "subtype": "FLOAT"}
        write_audio(out / "mixtures" / f"{name}.wav", excerpt.sources.sum(0), **sound)
        for instrument, source in zip(config.instruments, excerpt.sources, strict=True):
            write_audio(folder / f"{instrument}.wav", source, **sound)
        cut_notes = dict(zip(config.instruments, excerpt.cut_notes, strict=True))
        scored = Reference.of(excerpt, config.instruments).notes
        write_midi(folder / MIDI_FILE, parts_of({name: cut_notes[name] for name in scored}))
        ids.append(excerpt.id)
    heading = {"instruments": list(config.instruments), "sample_rate_hz": rate}
    heading |= {"split": config.split, "excerpt_seconds": config.num_samples / rate, "ids": ids}
    with whole_file(out / "excerpts.json") as part:
        part.write_text(json.dumps(heading, indent=1) + "\n")


def excerpt_name(number: int) -> str:
    """The name of an excerpt's folder and mixture."""
    return f"{number:04d}"


def _first_of(names: Sequence[str], max_names: int = 5) -> str:
    num_more = len(names) - max_names
    return ", ".join([*names[:max_names], *[f"and {num_more} more"] * (num_more > 0)])


@dataclass
class EstimateFiles:
    """A tool's files, read excerpt by excerpt in the order in which they were exported.

    Args:
        folder: holds a folder per excerpt.
        instruments: what each must have.
        sample_rate_hz: of the excerpts.
        has_audio, has_notes: which kinds of file the tool has written.
    """

    folder: Path
    instruments: tuple[str, ...]
    sample_rate_hz: int
    has_audio: bool
    has_notes: bool
    num_read: int = 0

    @classmethod
    def find(
        cls, folder: str | Path, instruments: tuple[str, ...], sample_rate_hz: int, *, count: int
    ) -> "EstimateFiles":
        """The files in a folder; an excerpt must have every kind of file that any of them has.

        Args:
            folder, instruments, sample_rate_hz: as of the class.
            count: how many excerpts there are.

        Raises:
            FileNotFoundError: if there is no file at all, or none of an excerpt.
            ValueError: if there are files of an excerpt that does not exist.
        """
        folder = Path(folder)
        stems = [file.parent.name for name in instruments for file in folder.glob(f"*/{name}.wav")]
        midis = [file.parent.name for file in folder.glob(f"*/{MIDI_FILE}")]
        names, folders = [excerpt_name(number) for number in range(count)], {*stems, *midis}
        if not folders:
            files = ", ".join(f"{name}.wav" for name in instruments)
            raise FileNotFoundError(
                f"--estimates={folder}: {folder / names[0]} holds neither {MIDI_FILE} nor "
                f"{files}; a folder per excerpt is expected, named by the mixtures of "
                "--export_excerpts"
            )
        there = f"--estimates={folder}: there are {count} excerpts, {names[0]} to {names[-1]}"
        if unknown := sorted(folders.difference(names)):
            raise ValueError(
                f"{there}, and the folder holds others: {_first_of(unknown)}; take the run, split "
                "and list of excerpts that were exported"
            )
        if missing := [name for name in names if name not in folders]:
            raise FileNotFoundError(f"{there}, and nothing was found for {_first_of(missing)}")
        return cls(folder, instruments, sample_rate_hz, bool(stems), bool(midis))

    def read(self, excerpts: Sequence[Excerpt]) -> list[Estimate]:
        """The estimates of the next excerpts.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if one has another rate or length, or a MIDI part that fits no instrument.
        """
        estimates = []
        for excerpt in excerpts:
            folder = self.folder / excerpt_name(self.num_read)
            num_samples = excerpt.sources.shape[-1]
            sources = self._sources(folder, num_samples) if self.has_audio else None
            notes = self._notes(folder / MIDI_FILE) if self.has_notes else None
            estimates.append(Estimate(sources, notes))
            self.num_read += 1
        return estimates

    def _sources(self, folder: Path, num_samples: int) -> np.ndarray:
        missing = [name for name in self.instruments if not (folder / f"{name}.wav").is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder}: no {', '.join(f'{name}.wav' for name in missing)}; every excerpt needs "
                f"{', '.join(self.instruments)}"
            )
        sources = []
        for name in self.instruments:
            path = folder / f"{name}.wav"
            samples, rate = read_audio(path)
            if rate != self.sample_rate_hz:
                raise ValueError(
                    f"{path}: {self.sample_rate_hz} Hz expected, the rate of the excerpts, "
                    f"got {rate} Hz; resample the estimates"
                )
            if samples.shape[1] != num_samples:
                raise ValueError(
                    f"{path}: {num_samples} samples expected, the length of the excerpt, "
                    f"got {samples.shape[1]}"
                )
            sources.append(samples.mean(0))
        return np.stack(sources)

    def _notes(self, path: Path) -> dict[str, Notes]:
        """An instrument without a part has no notes; one that is not transcribed is left out."""
        notes, others = by_instrument(read_midi(path), self.instruments)
        for part in others:
            raise ValueError(
                f"{path}: part {part.name!r} (program {part.program}) is none of "
                f"{', '.join(self.instruments)}; name its track after the instrument"
            )
        return of_transcribed(notes)
