"""A tiny training run that faults are tried on: started as a user would, watched from outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cerberus_jax.checkpoint_folder import steps_in
from cerberus_jax.checkpoint_integrity import read_arrays
from experiments.training.metric_log import METRICS_FILE

STEPS, CHECKPOINT_EVERY = 120, 10
_FIELDS = {
    "instruments": "piano,bass",
    "batch_size": 4,
    "excerpt_seconds": 1.0,
    "audio.window": 512,
    "model.layers": 1,
    "model.hidden": 16,
    "model.embedding_dim": 4,
    "data.num_validation_excerpts": 4,
    "evaluation.excerpt_seconds": 2.0,
    "train.num_steps": STEPS,
    "train.log_every": 1,
    "train.eval_every": 30,
    "train.checkpoint_every": CHECKPOINT_EVERY,
}
_MAX_SECONDS = 900.0
_PATCHED = """import sys
from experiments import run
{patch}
sys.exit(run.main(sys.argv[1:]))"""


class Trial:
    """A run's directory, and the command that trains in it.

    Args:
        workdir: where it trains.
        data_root: the prepared data.
    """

    def __init__(self, workdir: Path, data_root: Path):
        self.workdir, self.data_root = workdir, data_root
        self.said = workdir.with_name(f"{workdir.name}.stderr")

    def start(
        self,
        *,
        patch: str = "",
        environment: dict | None = None,
        before: Callable[[], None] | None = None,
        **fields,
    ) -> subprocess.Popen:
        """The command as a process that leads a group of its own.

        Args:
            patch: statements that it runs first, to make something fail inside it.
            environment: variables beside those of this process.
            before: called in the new process before the command.
            fields: of the config, with __ for each dot, beside those of the trial.
        """
        values = {"data.root": self.data_root} | _FIELDS
        values |= {name.replace("__", "."): value for name, value in fields.items()}
        command = [sys.executable, "-m", "experiments.run"]
        if patch:
            command = [sys.executable, "-c", _PATCHED.format(patch=patch)]
        with self.said.open("w") as said:
            return subprocess.Popen(
                [
                    *command,
                    "--config=sets/set1.py",
                    f"--workdir={self.workdir}",
                    *(f"--config.{name}={value}" for name, value in values.items()),
                ],
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {}),
                stdout=subprocess.DEVNULL,
                stderr=said,
                preexec_fn=before or _hear_interrupts,
                start_new_session=True,
            )

    def run(self, **how) -> tuple[int, str]:
        """The command from start to end: exit code, and what it wrote to stderr."""
        code = self.start(**how).wait(_MAX_SECONDS)
        return code, self.said.read_text()

    def recover(self, *, beyond: int) -> float:
        """Run the command to its end; seconds until it has done a step that it had not done."""
        process, began = self.start(), time.monotonic()
        self.wait_for(lambda: self.step > beyond or process.poll() is not None)
        seconds = time.monotonic() - began
        if code := process.wait(_MAX_SECONDS):
            raise ValueError(f"{self.workdir}: the run did not go on ({code}): {self.message()}")
        return seconds

    def message(self) -> str:
        """The last line that the run wrote to stderr."""
        lines = [line for line in self.said.read_text().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def step(self) -> int:
        """The last one in the log."""
        file = self.workdir / METRICS_FILE
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        return json.loads(whole[-1])["step"] if whole else 0

    @property
    def saved(self) -> int:
        """The newest checkpoint."""
        return max(steps_in(self.checkpoints), default=0)

    @property
    def checkpoints(self) -> Path:
        """The folder of the last checkpoints."""
        return self.workdir / "checkpoints" / "last"

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return when it holds.

        Raises:
            TimeoutError: if it does not for a quarter of an hour.
        """
        until = time.monotonic() + _MAX_SECONDS
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"{self.workdir}: nothing happened for {_MAX_SECONDS:.0f} s")
            time.sleep(0.005)

    def start_and_reach(self, step: int, **how) -> subprocess.Popen:
        """The command once it has logged a step.

        Raises:
            ValueError: if it ends before.
        """
        process = self.start(**how)
        self.reach(process, step)
        return process

    def reach(self, process: subprocess.Popen, step: int) -> None:
        """Wait until a process has logged a step.

        Raises:
            ValueError: if it ends before.
        """
        self.wait_for(lambda: self.step >= step or process.poll() is not None)
        if process.poll() is not None:
            raise ValueError(f"{self.workdir}: ended before step {step}: {self.message()}")

    def kill(self, process: subprocess.Popen) -> None:
        """End it and all that it has started."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def differences(self, other: "Trial") -> list[str]:
        """What differs from another finished run, bit for bit: arrays, thresholds, the log."""
        found = []
        for kind in ("last", "best"):
            folders = [run.workdir / "checkpoints" / kind for run in (self, other)]
            steps = [steps_in(folder)[-1:] for folder in folders]
            if steps[0] != steps[1]:
                found.append(f"{kind}: step {steps[0]} and {steps[1]}")
                continue
            left, right = (folder / str(steps[0][0]) for folder in folders)
            found += [f"{kind}: {name}" for name in _differing_arrays(left, right)]
            thresholds = [path / "decoding.json" for path in (left, right)]
            if thresholds[0].read_bytes() != thresholds[1].read_bytes():
                found.append(f"{kind}: decoding")
        if self._log() != other._log():
            found.append("log")
        return found

    def _log(self) -> list[dict]:
        lines = (self.workdir / METRICS_FILE).read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in lines]

    def remove(self) -> None:
        """Remove the run's directory."""
        shutil.rmtree(self.workdir, ignore_errors=True)


def _hear_interrupts() -> None:
    """As in a terminal; a script that starts this study in the background has its jobs deaf."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _differing_arrays(left: Path, right: Path) -> list[str]:
    one, other = (read_arrays(path, ("params", "training")) for path in (left, right))
    names = {(item, name) for item in one for name in one[item]}
    if names != {(item, name) for item in other for name in other[item]}:
        return ["other arrays"]
    return [
        f"{item}/{name}"
        for item, name in sorted(names)
        if not np.array_equal(one[item][name], other[item][name])
    ]
