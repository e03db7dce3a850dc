"""A look at one excerpt: its sound, its notes, and a picture of both.

    python -m data_pipeline.inspect --data=PREPARED --index=3 --out=DIR --instruments=piano,bass

Writes mixture.wav and one wav per instrument, notes.mid, and excerpt.png: spectrograms on a
logarithmic frequency axis with the notes drawn where their fundamentals must lie, so that labels
which are late, or an octave off, show at a glance.
"""

import os
import sys
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.io.audio import write_audio
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.io.pcm import mix
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.flags import add_plan_flags, planner_of_flags
from data_pipeline.planning.listed import ListedPlanner
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpt_picture import draw_excerpt, note_count
from data_pipeline.reading.excerpts import read_excerpts

_WITH_A_LIST = {"data", "excerpts", "index", "out", "debug"}  # flags that do not say which excerpts


def inspect(planner: Planner, index: int, out: str | os.PathLike) -> Excerpt:
    """Write the wavs, the MIDI file and the picture of one excerpt.

    Args:
        planner: of excerpts.
        index: the number of the excerpt.
        out: folder; made if missing.

    Returns:
        the excerpt.

    Raises:
        ValueError: if there is no such excerpt.
    """
    config, t = planner.config, planner.catalogue.tables
    if index < 0:
        raise ValueError(f"--index must not be negative, got {index}")
    k, row = divmod(index, config.batch_size)
    stems = planner.batch(k, rows=slice(row, row + 1)).stems[0]
    (excerpt,) = read_excerpts(planner, 1, first=index)
    out, rate = Path(out), t.sample_rate_hz
    out.mkdir(parents=True, exist_ok=True)
    mixture = mix(excerpt.sources)
    loudest = max(1.0, float(np.abs(mixture).max()))  # a sum may exceed full scale
    write_audio(out / "mixture.wav", mixture / loudest, sample_rate_hz=rate)
    parts = []
    for slot, name in enumerate(config.instruments):
        write_audio(out / f"{name}.wav", excerpt.sources[slot] / loudest, sample_rate_hz=rate)
        is_drum = bool(t.stem_is_drum[stems[slot]])
        program = 0 if is_drum else int(np.clip(t.stem_programs[stems[slot]], 0, 127))
        parts.append(Part(name, program, is_drum, excerpt.cut_notes[slot]))
    write_midi(out / "notes.mid", parts)
    draw_excerpt(
        excerpt,
        config.instruments,
        path=out / "excerpt.png",
        title=f"{config.split}, excerpt {index}",
        sample_rate_hz=rate,
        drums=[
            name
            for name, stem in zip(config.instruments, stems, strict=True)
            if t.stem_is_drum[stem]
        ],
    )
    return excerpt


def describe(excerpt: Excerpt, instruments: tuple[str, ...]) -> str:
    """What the excerpt holds, a line per instrument."""
    lines = [excerpt.id]
    rows = (instruments, excerpt.sources, excerpt.notes, excerpt.labelled)
    for name, source, notes, labelled in zip(*rows, strict=True):
        rms_db = 10 * np.log10(max(float(np.mean(source**2)), 1e-12))
        count = note_count(notes, labelled)
        lines.append(f"  {name:<8} {rms_db:6.1f} dB  {count:>10}  {_range(notes)}")
    return "\n".join(lines)


def _range(notes: Notes) -> str:
    return f"pitches {notes.pitches.min()}-{notes.pitches.max()}" if len(notes) else ""


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return run_command(_inspect, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m data_pipeline.inspect --data=DIR --index=K --out=DIR",
        "Write one excerpt to look at: its wavs, its notes as MIDI, and a picture of both.",
    )
    add_plan_flags(flags)
    flags.integer("index", 0, "Number of the excerpt.", lowest=0)
    flags.path("excerpts", "", "Take excerpt --index of this list instead.")
    flags.path("out", "", "Folder for the files.")
    return flags


def _inspect(flags: CommandFlags) -> None:
    if not flags.out:
        raise ValueError("--out=DIR is needed, see --help")
    ignored = sorted(name for name in flags if flags[name].present and name not in _WITH_A_LIST)
    if flags.excerpts and ignored:
        raise ValueError(
            f"--{ignored[0]} does not go with --excerpts={flags.excerpts}, which says by itself "
            "what its excerpts are; leave one of them out"
        )

    def listed(catalogue, config):
        excerpts = ExcerptList.load(flags.excerpts)
        return ListedPlanner(catalogue, excerpts, config.grid, name=flags.excerpts)

    planner = planner_of_flags(flags, listed if flags.excerpts else Planner)
    excerpt = inspect(planner, flags.index, flags.out)
    print(describe(excerpt, planner.config.instruments))
    print(f"{flags.out}: mixture.wav, one wav per instrument, notes.mid, excerpt.png")


if __name__ == "__main__":
    sys.exit(main())
