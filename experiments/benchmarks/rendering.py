"""How fast MiniSlakh is rendered: narrow songs, wide ones, and wide ones without their effects.

    python -m experiments.benchmarks.rendering --num_songs=20

The kinds take turns, song by song, in one process; composing and writing the files are included.
CPU time hardly depends on what else the machine does.
"""

import sys
import tempfile
import time
from pathlib import Path

from data_pipeline.minislakh import jobs
from data_pipeline.minislakh.renderer import Renderer
from data_pipeline.minislakh.soundfonts import found_soundfonts
from experiments.benchmarks import machine
from experiments.benchmarks.result import Result, add_out_flag
from experiments.config.command_line import CommandFlags, run_command

SONG_SECONDS = 20.0
COLUMNS = {
    "songs": ("kind", ""),
    "effects": ("effects", ""),
    "stems": ("stems", ""),
    "CPU-seconds": ("seconds", ".2f"),
    "seconds of stem a CPU-second": ("rate", ".0f"),
}
KINDS = {
    ("narrow", "no"): {"sounds": "narrow"},
    ("wide", "no"): {"sounds": "wide", "has_effects": False},
    ("wide", "yes"): {"sounds": "wide"},
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.rendering [--num_songs=20] [--out=FILE.json]",
        "Measure how many seconds of stem are rendered per CPU-second, with effects and without.",
    )
    flags.integer("num_songs", 20, "Songs of each kind.", lowest=1)
    flags.paths("soundfont", "As in data_pipeline.minislakh.")
    add_out_flag(flags)
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """Render; print and write."""
    renderer = Renderer(found_soundfonts(flags.soundfont))
    config = {"num_songs": flags.num_songs, "song_seconds": SONG_SECONDS}
    result = Result("rendering", machine.describe(), COLUMNS, config)
    rows = {key: {"kind": key[0], "effects": key[1], "stems": 0, "seconds": 0.0} for key in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-1, flags.num_songs):  # the first song, unmeasured, loads what is used
            for key, options in KINDS.items():
                job = jobs.song_jobs(max(number, 0) + 1, 0, SONG_SECONDS, **options)[max(number, 0)]
                out = Path(folder) / f"{key[0]} {key[1]} {number}"
                start = time.process_time()
                jobs.render_job(out, job, renderer)
                if number >= 0:
                    rows[key]["seconds"] += time.process_time() - start
                    rows[key]["stems"] += len(list(out.glob("*/*/stems/*")))
    for row in rows.values():
        result.rows.append(row | {"rate": SONG_SECONDS * row["stems"] / row["seconds"]})
    ratio = rows["wide", "yes"]["seconds"] / rows["wide", "no"]["seconds"]
    result.notes.append(
        f"With effects a wide song takes {ratio:.2f} times the CPU time of one without."
    )
    result.finish(flags.out)


if __name__ == "__main__":
    sys.exit(main())
