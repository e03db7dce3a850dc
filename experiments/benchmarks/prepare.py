"""How fast a corpus is prepared: seconds of five-stem track per second of CPU time.

    python -m experiments.benchmarks.prepare --samples=../shared/samples [--hours=2]

Genuine stems of Slakh, under the names of as many tracks as --hours need, go through the command
data_pipeline.prepare as users call it, in a process of its own. Each track has five stems, taken in
turns from those at hand. CPU time is that of the command and of all its processes, from the start
of Python to the last file; it hardly depends on what else the machine does.
"""

import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile
import yaml

from data_pipeline.corpora import slakh, slakh_splits
from experiments.benchmarks.machine import cpu_words
from experiments.config.command_line import CommandFlags, run_command

LAYOUTS = {"slakh_44k": "44.1 kHz, full length", "slakh_16k_120s": "16 kHz, first 120 s"}
COMMANDS = {"default": [], "one process": ["--num_workers=1"]}
PROGRAM = {"piano": 0, "guitar": 24, "bass": 32, "drums": 128, "strings": 48}
MIN_RATE = 150.0  # of the 44.1 kHz that the corpus has, by the default command


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_benchmark, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.benchmarks.prepare --samples=DIR [--hours=2] [--out=FILE.json]",
        "Measure how many seconds of five-stem track data_pipeline.prepare does per CPU-second.",
    )
    flags.string("samples", "", f"Folder that holds {' or '.join(LAYOUTS)}, raw trees of Slakh.")
    flags.number("hours", 2.0, "Least length of the corpus that is made of them.")
    flags.boolean("small", "A corpus of two tracks, to try the command.")
    flags.string("out", "", "JSON file that gets all figures; a .md with the table beside it.")
    return flags


def _benchmark(flags: CommandFlags) -> None:
    layouts = [name for name in LAYOUTS if (Path(flags.samples) / name).is_dir()]
    if not flags.samples or not layouts:
        raise ValueError(f"--samples={flags.samples}: a folder with {' or '.join(LAYOUTS)} needed")
    if not flags.hours > 0:
        raise ValueError(f"--hours must be positive, got {flags.hours:g}")
    figures = {"cpu": cpu_words(), "python": platform.python_version(), "rows": []}
    for layout in layouts:
        with tempfile.TemporaryDirectory() as name:
            seconds = 0.0 if flags.small else flags.hours * 3600
            found = make_corpus(Path(flags.samples) / layout, Path(name) / "raw", seconds)
            for command, options in COMMANDS.items():
                out = Path(name) / command
                row = {"layout": layout, "command": command} | found
                figures["rows"].append(row | measure(Path(name) / "raw", out, options, found))
    text = markdown(figures)
    print(text)
    if flags.out:
        Path(flags.out).write_text(json.dumps(figures, indent=1) + "\n")
        Path(flags.out).with_suffix(".md").write_text(text + "\n")


def make_corpus(samples: Path, root: Path, seconds: float) -> dict:
    """Two tracks or more of five stems, as many as last `seconds`, of links to the stems at hand.

    Returns:
        'tracks' and 'seconds', a fifth of the length of all stems.
    """
    stems = [s for t in slakh.scan(samples, splits="folders") for s in t.stems]
    supply, tracks, length = itertools.cycle(stems), 0, 0.0
    while tracks < 2 or length < seconds:
        tracks += 1
        # Beyond the published numbers, of which some belong to other splits.
        folder = root / "train" / f"Copy{slakh_splits.NUM_TRACKS + tracks:05d}"
        entries = {}
        for number, (name, program) in enumerate(PROGRAM.items()):
            stem, key = next(supply), f"S{number:02d}"
            _link(stem.audio_path, folder / "stems" / f"{key}{stem.audio_path.suffix}")
            _link(stem.notes_path, folder / "MIDI" / f"{key}.mid")
            entries[key] = {"program_num": program, "is_drum": name == "drums"}
            length += soundfile.info(stem.audio_path).duration / len(PROGRAM)
        (folder / "metadata.yaml").write_text(yaml.safe_dump({"stems": entries}))
    return {"tracks": tracks, "seconds": length}


def _link(file: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.symlink_to(file.resolve())


def measure(root: Path, out: Path, options: list[str], expected: dict) -> dict:
    """CPU time of preparing `root`, and the rate that follows.

    Raises:
        ValueError: if the command failed or left something out, so that the figure would be wrong.
    """
    command = [sys.executable, "-m", "data_pipeline.prepare", f"--root={root}", f"--out={out}"]
    project = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH")]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, *options], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ValueError(f"data_pipeline.prepare failed: {done.stderr.strip()[-2000:]}")
    report = json.loads(next(out.glob("*/*/report.json")).read_text())
    if report["skipped"] or report["num_tracks"] != {"train": expected["tracks"]}:
        raise ValueError(f"data_pipeline.prepare left stems out:\n{done.stdout.strip()[-2000:]}")
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return {"user": user, "system": system, "rate": expected["seconds"] / (user + system)}


def markdown(figures: dict) -> str:
    """The figures as a table for BENCHMARKS.md, the aim beside what was reached."""
    lines = [
        f"{figures['cpu']}, Python {figures['python']}.",
        "",
        "| stems | command | tracks | seconds | CPU-seconds, user + system | seconds of five-stem "
        "track per CPU-second |",
        "|---|---|---|---|---|---|",
    ]
    aims = []
    for row in figures["rows"]:
        lines.append(
            f"| {LAYOUTS[row['layout']]} | {row['command']} | {row['tracks']} | "
            f"{row['seconds']:.0f} | {row['user']:.1f} + {row['system']:.1f} | {row['rate']:.0f} |"
        )
        if (row["layout"], row["command"]) == ("slakh_44k", "default"):
            verdict = "ok" if row["rate"] >= MIN_RATE else "MISS"
            aims += ["", f"* {verdict}: 44.1 kHz: {row['rate']:.0f} (at least {MIN_RATE:g})"]
    return "\n".join(lines + aims)


if __name__ == "__main__":
    sys.exit(main())
