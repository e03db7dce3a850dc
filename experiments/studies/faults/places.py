"""Faults of the places that a run reads and writes: disks, its own files, its corpus."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.config.loading import CONFIG_FILE
from experiments.studies.faults.injection import Injection, expect, expect_refusal
from experiments.studies.faults.trial import CHECKPOINT_EVERY, Trial
from experiments.training.metric_log import METRICS_FILE


def full_disk(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A file system that fills while the run goes on, and gets room again."""
    with _mounted(trial.workdir):
        process, ballast = trial.start_and_reach(25), trial.workdir / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**16))
        expect_refusal(trial, process, "No space")
        ballast.unlink()
        yield _gone_on(trial)


def read_only(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A file system that is read-only when the run is to go on, then writable again. It cannot
    become so beneath a log that is open."""
    with _mounted(trial.workdir):
        trial.kill(trial.start_and_reach(25))
        _mount("remount,ro", trial.workdir)
        expect_refusal(trial, trial.start(), "Read-only")
        _mount("remount,rw", trial.workdir)
        yield _gone_on(trial)


def _gone_on(trial: Trial) -> Injection:
    """The run goes on to its end, and is kept outside of what is mounted."""
    reached, lost = trial.step, trial.step - trial.saved
    seconds = trial.recover(beyond=reached)
    kept = Trial(trial.workdir.with_name(f"{trial.workdir.name}-kept"), trial.data_root)
    kept.remove()
    shutil.copytree(trial.workdir, kept.workdir)
    return Injection(kept, lost, seconds)


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    _mount("size=64m", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def two_starts(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """The same command a second time while the first runs."""
    first = trial.start_and_reach(10)
    second = Trial(trial.workdir, trial.data_root)
    second.said = trial.said.with_suffix(".second")
    expect_refusal(second, second.start(), "in use by process")
    expect(trial, first.wait() == 0, "the first run was disturbed")
    yield Injection(trial)


def edited_config(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A field of config.json is changed, and set back."""
    trial.kill(trial.start_and_reach(35))
    file, reached, lost = trial.workdir / CONFIG_FILE, trial.step, trial.step - trial.saved
    before = file.read_text()
    values = json.loads(before)
    values["optimizer"]["learning_rate"] = 0.5
    file.write_text(json.dumps(values))
    expect_refusal(trial, trial.start(), "optimizer.learning_rate")
    file.write_text(before)
    yield Injection(trial, lost, trial.recover(beyond=reached))


def damaged_checkpoint(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A random bit of the parameters in the newest checkpoint is flipped."""
    trial.kill(trial.start_and_reach(45))
    files = (trial.checkpoints / str(trial.saved) / "params" / "d").iterdir()
    largest = max(files, key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    largest.write_bytes(content)
    reached, lost = trial.step, trial.step - trial.saved + CHECKPOINT_EVERY
    yield Injection(trial, lost, trial.recover(beyond=reached))


def damaged_metrics(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A line of the log is damaged, and mended; its last line is cut, and stays so."""
    trial.kill(trial.start_and_reach(35))
    file, reached, lost = trial.workdir / METRICS_FILE, trial.step, trial.step - trial.saved
    cut = file.read_bytes()[:-30]
    file.write_bytes(cut.replace(b'"step": 5,', b'"step": \xff,'))
    expect_refusal(trial, trial.start(), "line 5")
    file.write_bytes(cut)
    yield Injection(trial, lost, trial.recover(beyond=reached))


def changed_corpus(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """The corpus is missing, then others are in its place, then it is there again."""
    trial.kill(trial.start_and_reach(35))
    reached, lost, root = trial.step, trial.step - trial.saved, trial.data_root
    away = root.with_name("away")
    root.rename(away)
    try:
        expect_refusal(trial, trial.start(), "data.root")
        shutil.copytree(away, root)
        for report in root.rglob("report.json"):
            values = json.loads(report.read_text()) | {"fingerprint": "of others"}
            report.write_text(json.dumps(values))
        expect_refusal(trial, trial.start(), "other data")
    finally:
        shutil.rmtree(root, ignore_errors=True)
        away.rename(root)
    yield Injection(trial, lost, trial.recover(beyond=reached))
