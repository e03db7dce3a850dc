"""What faults cost a training run: injects each, lets the same command go on, compares the end.

    python -m experiments.studies.faults [--kills=50] [--only=NAME,...]

A tiny network is trained by the real command, once undisturbed and once with each fault, and the
ends are compared bit for bit: arrays, thresholds, log. The table says how often a fault was
injected, the steps that had to be done again, and the seconds until the run was beyond where it had
been, start included. Mounting file systems, for two of the faults, needs the rights for it.
"""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_pipeline import minislakh
from data_pipeline.prepare import prepare
from experiments.config.command_line import CommandFlags, run_command
from experiments.evaluation.markdown import markdown_row, markdown_table
from experiments.studies.faults import places, surroundings
from experiments.studies.faults.injection import Injection
from experiments.studies.faults.signals import ignored_interrupt, kills, signals
from experiments.studies.faults.trial import STEPS, Trial

NUM_SONGS = 4
FAULTS = {
    "SIGTERM": signals(signal.SIGTERM),
    "Ctrl-C": signals(signal.SIGINT),
    "Ctrl-C twice": signals(signal.SIGINT, signal.SIGINT),
    "Ctrl-C where it is ignored": ignored_interrupt,
    "full disk": places.full_disk,
    "read-only disk": places.read_only,
    "two starts at once": places.two_starts,
    "edited config": places.edited_config,
    "damaged checkpoint": places.damaged_checkpoint,
    "damaged log": places.damaged_metrics,
    "missing and other corpus": places.changed_corpus,
    "reader that fails": surroundings.dead_reader,
    "out of memory": surroundings.out_of_memory,
    "clock that jumps back": surroundings.clock,
    "locale": surroundings.locale,
}
HEADINGS = ("fault", "injected", "steps lost, most", "s to recover, median (most)", "the end")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_faults, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.studies.faults [--kills=50] [--only=NAME,...] [--seed=0]",
        "Inject faults into runs of a tiny network and print what each cost.",
    )
    flags.integer("kills", 50, "How often a run is killed at a random moment.", lowest=0)
    flags.names("only", (), f"Faults to try: kills, {', '.join(FAULTS)} (default: all).")
    flags.integer("seed", 0, "Of the random moments.")
    flags.path("folder", "", "Keep data and runs here (default: a temporary folder).")
    return flags


def _faults(flags: CommandFlags) -> None:
    names = flags.only or ["kills", *FAULTS]
    if unknown := [name for name in names if name not in ("kills", *FAULTS)]:
        raise ValueError(f"--only: some of kills, {', '.join(FAULTS)} expected, got {unknown[0]!r}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(flags.folder or temporary)
        data_root = _data(folder)
        undisturbed = Trial(folder / "undisturbed", data_root)
        seconds = _undisturbed(undisturbed)
        print(f"Undisturbed: {STEPS} steps, {seconds:.0f} s\n\n{markdown_table(HEADINGS, [])}")
        rng = np.random.default_rng(flags.seed)
        for name in names:
            trial = Trial(folder / re.sub(r"\W+", "-", name), data_root)
            trial.remove()
            if name == "kills":
                found = kills(trial, rng, count=flags.kills, seconds=seconds)
            else:
                found = FAULTS[name](trial, rng)
            try:
                rows = list(_rows(name, found, undisturbed))
            except (ValueError, OSError, subprocess.SubprocessError) as error:
                rows = [(name, "", "", "", f"failed: {error}")]  # the others are tried all the same
            print("\n".join(map(markdown_row, rows)), flush=True)


def _data(folder: Path) -> Path:
    """A small MiniSlakh."""
    prepared = folder / "prepared"
    if not prepared.exists():
        tree = minislakh.build(folder / "tree", num_songs=NUM_SONGS)
        prepare("minislakh", tree, out=prepared, sample_rate_hz=16000)
    return prepared


def _undisturbed(trial: Trial) -> float:
    """Twice, so that its programs are compiled for all that follow; seconds of the second time."""
    for _ in range(2):
        trial.remove()
        began = time.monotonic()
        code, said = trial.run()
        if code:
            raise ValueError(f"the undisturbed run failed: {said}")
    return time.monotonic() - began


def _rows(name: str, found: Iterator[Injection], undisturbed: Trial) -> Iterator[tuple]:
    """One row for each kind of injection: all those of one title together."""
    by_title = {}
    for injection in found:
        by_title.setdefault(injection.title or name, []).append(injection)
    for title, injections in by_title.items():
        seconds = [i.seconds for i in injections if i.seconds is not None]
        runs = {i.trial.workdir: i.trial for i in injections}
        differing = {d for run in runs.values() for d in run.differences(undisturbed)}
        yield (
            title,
            len(injections),
            max(i.lost for i in injections),
            f"{np.median(seconds):.0f} ({max(seconds):.0f})" if seconds else "",
            f"differs: {', '.join(sorted(differing)[:3])}" if differing else "the same",
        )


if __name__ == "__main__":
    sys.exit(main())
