"""This data pipeline against the published loader, on the same tree, in turns.

    python -m experiments.benchmarks.input_pipeline --peer=peer_loader.py --peer_python=PYTHON

Renders a MiniSlakh of more than 2 GB (16 kHz FLAC), prepares it, and measures three loaders on one
and on two processor cores, each in a process of its own: the int16 sources, gains and notes that
the training step takes; the same with float32 sources, their mixture and rolls made on the host;
and the published loader, unmodified. Then the memory, with a sparse file in place of the PCM.
"""

import concurrent.futures
import dataclasses
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cerberus_jax.frames import FrameGrid
from data_pipeline import minislakh, prepare
from data_pipeline.io import pcm
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.planning.rolls import draw_rolls
from data_pipeline.prepared.catalogue import Catalogue
from experiments.config.command_line import CommandFlags, run_command

INSTRUMENTS = ("piano", "guitar", "bass", "drums", "strings")
WINDOWS = ((3.2, 32), (10.0, 16))  # seconds, batch size
OURS, MIXED, PEER = "int16 + gains + notes", "float32 mixture + rolls", "published loader"
SONGS, SONG_SECONDS, MIN_GB = 340, 60.0, 2.0
SPARSE_BYTES = 60_000_000_000

# What must be reached: times the published loader, two cores over one, GB.
MIN_RATIO = {OURS: 15.0, MIXED: 8.0}
MIN_SCALING = 1.6
MAX_MEMORY_GB = 1.0
_MEMORY_EVERY = 64  # batches


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_benchmark, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.benchmarks.input_pipeline [--peer=FILE --peer_python=PYTHON]",
        "Measure examples per CPU-second and per second of the data pipeline and of the published\n"
        "loader on one tree, and the pipeline's memory. Two free processor cores are needed.",
    )
    flags.string("peer", "", "peer_loader.py; '' = leave the published loader out.")
    flags.string("peer_python", sys.executable, "Python that has torch, soundfile, pretty_midi.")
    flags.string("folder", "", "Keeps the tree and the prepared data; '' = a temporary folder.")
    flags.string("out", "", "JSON file that gets all figures; a .md with the table beside it.")
    flags.string("rounds", "3", "Measurements of each, in turns.")
    flags.string("seconds", "5", "Wall time of one measurement of ours.")
    flags.boolean("small", "A tiny tree and short measurements, to try the command.")
    flags.string("measure", "", "Used internally: what a subprocess measures, as JSON.")
    return flags


def _benchmark(flags: CommandFlags) -> None:
    if flags.measure:
        print(json.dumps(_measure_ours(**json.loads(flags.measure))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(flags.folder or temporary)
        tree, prepared = _data(folder, small=flags.small)
        figures = _machine() | {"tree_gb": _size_gb(tree), "runs": []}
        figures["memory"] = _memory(prepared, folder)
        for number in range(1 if flags.small else int(flags.rounds)):
            for cores in (1, 2):
                found = _ours(prepared, cores, 0.3 if flags.small else float(flags.seconds))
                if flags.peer:
                    found += _peer(flags, tree, cores, batches=2 if flags.small else 24)
                figures["runs"] += [one | {"round": number} for one in found]
            text = _write(figures, flags.out)  # whatever ends the next round
    print(text)


def _write(figures: dict, out: str) -> str:
    """The table so far, written where it was asked for."""
    figures["table"] = summarise(figures["runs"])
    text = markdown(figures)
    if out:
        Path(out).write_text(json.dumps(figures, indent=1))
        Path(out).with_suffix(".md").write_text(text + "\n")
    return text


def _data(folder: Path, *, small: bool) -> tuple[Path, Path]:
    """The rendered tree and the prepared data, made where they are missing."""
    tree, prepared = folder / "tree", folder / "prepared"
    seconds = 12.0 if small else SONG_SECONDS
    minislakh.build(tree, num_songs=2 if small else SONGS, song_seconds=seconds, progress=not small)
    prepare.prepare("minislakh", tree, out=prepared, progress=not small)
    if not small and _size_gb(tree) < MIN_GB:
        raise ValueError(f"{tree} holds {_size_gb(tree):.2f} GB, at least {MIN_GB} are wanted")
    return tree, prepared


def _size_gb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def _machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


def _run(command: list[str], cores: int) -> dict:
    """The JSON that a command prints last; it may use the first `cores` processors."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    pinned = ["taskset", "-c", ",".join(map(str, allowed)), *command]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(pinned, capture_output=True, text=True, env=environment)
    if run.returncode:
        raise ValueError(f"{' '.join(command)} failed: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def _ours(prepared: Path, cores: int, seconds: float, **more) -> list[dict]:
    spec = {"root": str(prepared), "cores": cores, "duration": seconds} | more
    module = [sys.executable, "-m", "experiments.benchmarks.input_pipeline"]
    return _run([*module, f"--measure={json.dumps(spec)}"], cores)


def _peer(flags: CommandFlags, tree: Path, cores: int, *, batches: int) -> list[dict]:
    found = []
    for seconds, size in WINDOWS:
        command = [flags.peer_python, flags.peer, str(tree), f"--seconds={seconds}"]
        command += [f"--batch={size}", f"--batches={batches}"]
        command += [f"--workers={0 if cores == 1 else cores}"]
        got = _run([*command, f"--instruments={','.join(INSTRUMENTS)}"], cores)
        found.append(
            {
                "loader": PEER,
                "seconds": seconds,
                "cores": cores,
                "per_cpu_second": got["cpu_per_s"],
                "per_second": got["wall_per_s"],
            }
        )
    return found


def _measure_ours(root: str, cores: int, duration: float, sparse: str = "") -> list[dict]:
    """What a subprocess measures: both windows, with and without work on the host."""
    from data_pipeline.reading import tf_reader

    catalogue = _in_sparse_file(Catalogue.load(root), sparse) if sparse else Catalogue.load(root)
    found = []
    for (seconds, size), loader in itertools.product(WINDOWS, (OURS, MIXED)):
        config = PlanConfig(INSTRUMENTS, FrameGrid(), round(seconds * 16000), size)
        planner = Planner(catalogue, config)
        batches = tf_reader.batches(planner, num_threads=cores)
        if loader == MIXED:
            batches = mixed_on_host(batches, config, num_threads=cores)
        for _ in range(6):
            next(batches)
        most_gb = _rss_anon_gb()
        count, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < duration:
            next(batches)
            count += size
            if count % (_MEMORY_EVERY * size) == 0:
                most_gb = max(most_gb, _rss_anon_gb())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found.append(
            {
                "loader": loader,
                "seconds": seconds,
                "cores": cores,
                "per_cpu_second": count / cpu,
                "per_second": count / wall,
                "rss_anon_gb": most_gb,
            }
        )
    return found


def mixed_on_host(batches: Iterator[dict], config: PlanConfig, *, num_threads: int) -> Iterator:
    """What a loader yields that leaves nothing to the device: float32 sources, mixture, rolls."""
    num_frames = config.grid.num_frames(config.num_samples)

    def mix(batch):
        sources = pcm.scale_sources(batch["sources"], batch["gains"])
        rolls = draw_rolls(batch["notes"], num_frames)
        return {"sources": sources, "mixture": pcm.mix(sources), "rolls": rolls}

    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        ahead = [pool.submit(mix, next(batches)) for _ in range(num_threads)]
        for batch in batches:
            ahead.append(pool.submit(mix, batch))
            yield ahead.pop(0).result()


def _in_sparse_file(catalogue: Catalogue, path: str) -> Catalogue:
    """The same catalogue, its stems strewn over one huge file of zeros."""
    rng = np.random.default_rng(0)
    count = len(catalogue.tables.stem_ids)
    starts = np.sort(rng.integers(0, SPARSE_BYTES // 2 - 16000 * 600, count))
    tables = dataclasses.replace(catalogue.tables, stem_pcm_start=starts)
    return dataclasses.replace(catalogue, pcm_paths=(Path(path),), tables=tables)


def _rss_anon_gb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e9


def _memory(prepared: Path, folder: Path) -> dict:
    """The largest anonymous memory of a process that reads from a sparse file."""
    path = folder / "sparse.int16"
    try:
        with path.open("wb") as file:
            file.truncate(SPARSE_BYTES)
        found = _ours(prepared, 2, 2.0, sparse=str(path))
    finally:
        path.unlink(missing_ok=True)
    return {
        "file_gb": SPARSE_BYTES / 1e9,
        "rss_anon_gb": max(one["rss_anon_gb"] for one in found),
    }


def summarise(runs: list[dict]) -> list[dict]:
    """Per loader and window: median examples per CPU-second, and the most per second by cores.

    Wall time takes the best round, because neighbours on a shared machine can only slow it down.
    """
    rows = []
    for (seconds, _), loader in itertools.product(WINDOWS, (OURS, MIXED, PEER)):
        own = [run for run in runs if run["loader"] == loader and run["seconds"] == seconds]
        if not own:
            continue
        by_cores = {
            cores: max(run["per_second"] for run in own if run["cores"] == cores)
            for cores in (1, 2)
        }
        per_cpu = [run["per_cpu_second"] for run in own if run["cores"] == 1]
        rows.append(
            {
                "loader": loader,
                "seconds": seconds,
                "per_cpu_second": float(np.median(per_cpu)),
                "lowest": min(per_cpu),
                "highest": max(per_cpu),
                "one_core": by_cores[1],
                "two_cores": by_cores[2],
                "scaling": by_cores[2] / by_cores[1],
            }
        )
    for row in rows:
        peer = [one for one in rows if (one["loader"], one["seconds"]) == (PEER, row["seconds"])]
        row["ratio"] = row["per_cpu_second"] / peer[0]["per_cpu_second"] if peer else None
    return rows


def markdown(figures: dict) -> str:
    """The figures as a table for BENCHMARKS.md, each aim beside what was reached."""
    lines = [
        f"{figures['cpu']}, {figures['cores']} cores, Python {figures['python']}; tree of "
        f"{figures['tree_gb']:.2f} GB; five sources, 16 kHz, hop 256.",
        "",
        "| window | loader | examples per CPU-second (range) | times the peer | "
        "per second, 1 core | 2 cores | 2 over 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    aims = []
    for row in figures["table"]:
        ratio = f"{row['ratio']:.1f}" if row["ratio"] else ""
        lines.append(
            f"| {row['seconds']:g} s | {row['loader']} | {row['per_cpu_second']:.0f} "
            f"({row['lowest']:.0f}-{row['highest']:.0f}) | {ratio} | {row['one_core']:.0f} | "
            f"{row['two_cores']:.0f} | {row['scaling']:.2f} |"
        )
        if row["loader"] == PEER:
            continue
        name = f"{row['loader']}, {row['seconds']:g} s"
        if row["ratio"]:
            aims.append((f"{name}: times the peer", row["ratio"], MIN_RATIO[row["loader"]], True))
        aims.append((f"{name}: two cores over one", row["scaling"], MIN_SCALING, True))
    memory = figures["memory"]
    name = f"RssAnon in GB, reading a file of {memory['file_gb']:.0f} GB"
    aims.append((name, memory["rss_anon_gb"], MAX_MEMORY_GB, False))
    lines.append("")
    for name, value, aim, more in aims:
        reached = value >= aim if more else value <= aim
        sign = "at least" if more else "at most"
        lines.append(f"* {'ok' if reached else 'MISS'}: {name}: {value:.2f} ({sign} {aim:g})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
