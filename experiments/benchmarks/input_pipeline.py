"""This data pipeline beside the published loader, on the same tree, in turns.

    python -m experiments.benchmarks.input_pipeline --peer=peer_loader.py --peer_python=PYTHON

Renders a MiniSlakh of more than 2 GB (16 kHz FLAC), prepares it, and measures three loaders on one
and on two processor cores, each in a process of its own: the int16 sources, gains and notes that
the training step takes; the same with float32 sources, their mixture and rolls made on the host;
and the published loader, unmodified, which is left out where its file is not given.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks import machine
from experiments.benchmarks.child import ChildFailed, answers, run_module
from experiments.benchmarks.result import Result, add_out_flag
from experiments.config.command_line import CommandFlags, run_command

SET = "sets/set4.py"
INSTRUMENTS = "piano,guitar,bass,drums,strings"
EXCERPTS = ((3.2, 32), (10.0, 16))  # seconds, batch size
OURS, MIXED, PEER = "int16 + gains + notes", "float32 mixture + rolls", "published loader"
SONGS, SONG_SECONDS, MEASURED_SECONDS, WARM_UP_BATCHES = 340, 60.0, 5.0, 6
COLUMNS = {
    "excerpt s": ("excerpt_seconds", "g"),
    "loader": ("loader", ""),
    "examples a CPU-second": ("per_cpu_second", ".0f"),
    "x published": ("times_peer", ".1f"),
    "a second, 1 core": ("one_core", ".0f"),
    "2 cores": ("two_cores", ".0f"),
    "2 over 1": ("scaling", ".2f"),
    "anonymous memory GB": ("rss_anon_gb", ".2f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.input_pipeline [--peer=FILE --peer_python=PYTHON]",
        "Measure examples per CPU-second and per second of the data pipeline and of the published\n"
        "loader on one tree. Two free processor cores are needed.",
    )
    flags.path("peer", "", "peer_loader.py; without it the published loader is left out.")
    flags.path("peer_python", sys.executable, "Python that has torch, soundfile, pretty_midi.")
    flags.integer("rounds", 3, "Measurements of each, in turns.", lowest=1)
    flags.boolean("small", "A tiny tree and short measurements, to try the command.")
    add_out_flag(flags)
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """Make the data, measure all loaders in turns, print and write."""
    result, runs = Result("input_pipeline", machine.describe(), COLUMNS), []
    if not flags.peer:
        result.notes.append("the published loader is left out: no file of it given (--peer=FILE)")
    elif not Path(flags.peer).is_file():
        raise FileNotFoundError(f"peer: the file of the published loader expected: {flags.peer}")
    with tempfile.TemporaryDirectory() as folder:
        tree, prepared = _data(Path(folder), small=flags.small)
        for _, cores in itertools.product(range(1 if flags.small else flags.rounds), (1, 2)):
            with _pinned(cores):
                runs += answers(
                    "experiments.benchmarks.input_pipeline:own_rates",
                    environment={"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"},
                    root=str(prepared),
                    cores=cores,
                    seconds=0.3 if flags.small else MEASURED_SECONDS,
                )
                try:
                    runs += _peer_rates(flags, tree, cores) if flags.peer else ()
                except ChildFailed as error:
                    result.notes.append(f"{PEER}, failed: {str(error).splitlines()[-1]}")
    result.rows = summarise(runs)
    result.finish(flags.out)


def _data(folder: Path, *, small: bool) -> tuple[Path, Path]:
    """The rendered tree and the prepared data."""
    tree, prepared = folder / "tree", folder / "prepared"
    songs, seconds = (2, 12.0) if small else (SONGS, SONG_SECONDS)
    of_songs = [f"--num_songs={songs}", f"--song_seconds={seconds}"]
    run_module("data_pipeline.minislakh", f"--out={tree}", *of_songs)
    run_module("data_pipeline.prepare", "--corpus=minislakh", f"--root={tree}", f"--out={prepared}")
    return tree, prepared


@contextlib.contextmanager
def _pinned(cores: int) -> Iterator[None]:
    """Processes started meanwhile may use only so many cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _peer_rates(flags: CommandFlags, tree: Path, cores: int) -> Iterator[dict]:
    for seconds, size in EXCERPTS:
        command = [flags.peer_python, flags.peer, str(tree), f"--seconds={seconds}"]
        command += [f"--batch={size}", f"--batches={2 if flags.small else 24}"]
        command += [f"--workers={cores if cores > 1 else 0}", f"--instruments={INSTRUMENTS}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        run = subprocess.run(command, capture_output=True, text=True, env=environment)
        if run.returncode:
            raise ChildFailed(f"{flags.peer} failed: {run.stderr[-2000:]}")
        rates = json.loads(run.stdout.splitlines()[-1])
        run = {"loader": PEER, "excerpt_seconds": seconds, "cores": cores}
        yield run | {"per_cpu_second": rates["cpu_per_s"], "per_second": rates["wall_per_s"]}


def own_rates(root: str, cores: int, seconds: float) -> Iterator[dict]:
    """Rates of this pipeline in this process, with and without work on the host."""
    from experiments.config.loading import load_config
    from experiments.training import data

    for (length, size), loader in itertools.product(EXCERPTS, (OURS, MIXED)):
        shape = {"excerpt_seconds": length, "batch_size": size, "data.num_threads": cores}
        config = load_config(SET, {"data.root": root, **shape})
        batches = data.batches(config, "train")
        if loader == MIXED:
            batches = mixed_on_host(batches, num_threads=cores)
        for _ in range(WARM_UP_BATCHES):
            next(batches)
        count, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < seconds:
            next(batches)
            count += size
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        status = Path("/proc/self/status").read_text()
        rss_anon_gb = int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e9
        run = {"loader": loader, "excerpt_seconds": length, "cores": cores}
        rates = {"per_cpu_second": count / cpu, "per_second": count / wall}
        yield run | rates | {"rss_anon_gb": rss_anon_gb}


def mixed_on_host(batches: Iterator[dict], *, num_threads: int) -> Iterator[dict]:
    """What a loader yields that leaves nothing to the device: float32 sources, mixture, rolls."""
    from cerberus_jax.frames import FrameGrid
    from data_pipeline.io import pcm
    from data_pipeline.planning.rolls import draw_rolls

    def mix(batch):
        sources = pcm.scale_sources(batch["sources"], batch["gains"])
        rolls = draw_rolls(batch["notes"], FrameGrid().num_frames(sources.shape[-1]))
        return {"sources": sources, "mixture": pcm.mix(sources), "rolls": rolls}

    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        ahead = [pool.submit(mix, next(batches)) for _ in range(num_threads)]
        for batch in batches:
            ahead.append(pool.submit(mix, batch))
            yield ahead.pop(0).result()


def summarise(runs: list[dict]) -> list[dict]:
    """A row per loader and length: median examples per CPU-second on one core, the most per second
    by cores (neighbours on a shared machine can only slow a round down), the most memory."""
    rows, peers = [], {}
    for (length, _), loader in itertools.product(EXCERPTS, (PEER, OURS, MIXED)):
        own = [run for run in runs if (run["loader"], run["excerpt_seconds"]) == (loader, length)]
        if {run["cores"] for run in own} != {1, 2}:  # a note says what failed
            continue
        one, two = (max(r["per_second"] for r in own if r["cores"] == cores) for cores in (1, 2))
        per_cpu = statistics.median(run["per_cpu_second"] for run in own if run["cores"] == 1)
        row = {"excerpt_seconds": length, "loader": loader, "per_cpu_second": per_cpu}
        row |= {"one_core": one, "two_cores": two, "scaling": two / one}
        if loader == PEER:
            peers[length] = per_cpu
        else:
            row["rss_anon_gb"] = max(run["rss_anon_gb"] for run in own)
        row["times_peer"] = per_cpu / peers[length] if length in peers else None
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
