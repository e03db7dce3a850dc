"""How fast a corpus is prepared: seconds of five-stem track per second of CPU time.

    python -m experiments.benchmarks.prepare --root=SLAKH [--hours=2]

The stems of a raw tree of Slakh's shape, under the names of as many tracks as --hours need, go
through the command data_pipeline.prepare as users call it. Each track has five stems, taken in
turns from those at hand. CPU time is that of the command and of all its processes, from the start
of Python to the last file; it hardly depends on what else the machine does.
"""

import itertools
import json
import sys
import tempfile
from pathlib import Path

import soundfile
import yaml

from data_pipeline.corpora import slakh, slakh_splits
from experiments.benchmarks import machine
from experiments.benchmarks.child import run_module
from experiments.benchmarks.result import Result, add_out_flag
from experiments.config.command_line import CommandFlags, run_command

PROGRAM = {"piano": 0, "guitar": 24, "bass": 32, "drums": 128, "strings": 48}
COLUMNS = {
    "stems, Hz": ("sample_rate_hz", ""),
    "tracks": ("tracks", ""),
    "seconds": ("seconds", ".0f"),
    "CPU-seconds, user": ("user", ".1f"),
    "system": ("system", ".1f"),
    "seconds of five-stem track a CPU-second": ("rate", ".0f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.prepare --root=DIR [--hours=2] [--out=FILE.json]",
        "Measure how many seconds of five-stem track data_pipeline.prepare does per CPU-second.",
    )
    flags.path("root", "", "A raw tree of Slakh's shape.")
    flags.number("hours", 2.0, "Shortest length of the corpus made of it; two tracks at least.")
    add_out_flag(flags)
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """Prepare a corpus; print and write."""
    if not flags.root:
        raise ValueError("--root is missing: a raw tree of Slakh's shape")
    result = Result("prepare", machine.describe(), COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        corpus = make_corpus(Path(flags.root), raw, flags.hours * 3600)
        times = cpu_times(raw, Path(folder) / "prepared", corpus["tracks"])
        rate = {"rate": corpus["seconds"] / sum(times.values())}
        stem = soundfile.info(next(raw.rglob("stems/*")))
        result.rows.append({"sample_rate_hz": stem.samplerate} | corpus | times | rate)
    result.finish(flags.out)


def make_corpus(samples: Path, root: Path, seconds: float) -> dict:
    """Two tracks or more of five stems, as many as last `seconds`, of links to the stems at hand;
    'tracks' and 'seconds' of what it became, a fifth of the length of all stems."""
    stems = [s for t in slakh.scan(samples, splits="folders") for s in t.stems]
    supply, tracks, length = itertools.cycle(stems), 0, 0.0
    while tracks < 2 or length < seconds:
        tracks += 1
        # Beyond the published numbers, of which some belong to other splits.
        folder = root / "train" / f"Copy{slakh_splits.NUM_TRACKS + tracks:05d}"
        entries = {}
        for number, (name, program) in enumerate(PROGRAM.items()):
            stem, key = next(supply), f"S{number:02d}"
            audio = folder / "stems" / f"{key}{stem.audio_path.suffix}"
            notes = folder / "MIDI" / f"{key}.mid"
            for file, link in ((stem.audio_path, audio), (stem.notes_path, notes)):
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())
            entries[key] = {"program_num": program, "is_drum": name == "drums"}
            length += soundfile.info(stem.audio_path).duration / len(PROGRAM)
        (folder / "metadata.yaml").write_text(yaml.safe_dump({"stems": entries}))
    return {"tracks": tracks, "seconds": length}


def cpu_times(root: Path, out: Path, num_tracks: int) -> dict:
    """`user` and `system` CPU seconds of preparing `root`.

    Raises:
        ValueError: if the command failed or left something out, so that the figure would be wrong.
    """
    usage = run_module("data_pipeline.prepare", f"--root={root}", f"--out={out}")
    report = json.loads(next(out.glob("*/*/report.json")).read_text())
    if report["skipped"] or report["num_tracks"] != {"train": num_tracks}:
        raise ValueError(f"data_pipeline.prepare left stems out: {str(report)[:2000]}")
    return {kind: usage[kind] for kind in ("user", "system")}


if __name__ == "__main__":
    sys.exit(main())
