"""Excerpts as files, for other tools, and other tools' files as estimates.

    DIR/mixtures/0000.wav                       what a tool hears
    DIR/references/0000/piano.wav ...           the sources, and their notes in transcription.mid
    DIR/excerpts.json                           which song and moment each number is

Estimates lie in folders like those of `references`, which is what experiments.separate makes of
DIR/mixtures; `estimate_files` reads them. Audio is 32-bit float, which clips nothing.
"""

import json
from pathlib import Path

from data_pipeline.io.audio import write_audio
from data_pipeline.io.files import whole_file
from data_pipeline.io.midi import write_midi
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpts import read_excerpts
from experiments.evaluation.scoring import Reference
from experiments.songs.notes import MIDI_FILE, parts_of


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
        part.write_text(json.dumps(heading, indent=1) + "\n", encoding="utf-8")


def excerpt_name(number: int) -> str:
    """The name of an excerpt's folder and mixture."""
    return f"{number:04d}"
