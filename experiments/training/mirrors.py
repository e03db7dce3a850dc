"""The lines of metrics.jsonl for others to show: TensorBoard, Weights & Biases.

metrics.jsonl stays the run's own log. What goes on from a checkpoint before the last line tells
TensorBoard to forget the lines after it; Weights & Biases ignores a step that it has, whose values
are the same.
"""

import contextlib
import importlib.util
import json
import numbers
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ml_collections import ConfigDict

from cerberus_jax.json_files import read_json
from data_pipeline.io.files import whole_file
from experiments.training.metric_log import read_metrics

TENSORBOARD_FOLDER, WANDB_FILE = "tensorboard", "wandb.json"
_PACKAGES = {"train.tensorboard": "tensorboardX", "train.wandb": "wandb"}
_VALIDATION = "validation_"


class Mirror(Protocol):
    """Gets the lines of a log as they are written."""

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """One line."""

    def close(self) -> None:
        """None comes after this."""


def check_mirrors(config: ConfigDict) -> None:
    """Raises ValueError if the config asks for a mirror whose package is not installed."""
    for field, package in _PACKAGES.items():
        value = config.train[field.removeprefix("train.")]
        if value and not importlib.util.find_spec(package):
            raise ValueError(
                f"config: {field}={value!r} needs the package {package}: pip install {package}"
            )


@contextlib.contextmanager
def mirrors_of(config: ConfigDict, workdir: Path, *, first: int) -> Iterator[list[Mirror]]:
    """Those that the config asks for, open.

    Args:
        config: of the run.
        workdir: its directory, in which the log ends at the step below.
        first: the step that the run goes on from.
    """
    with contextlib.ExitStack() as stack:
        mirrors = []
        if config.train.tensorboard:
            mirrors.append(TensorBoard(workdir, first=first))
            stack.callback(mirrors[-1].close)
        if config.train.wandb:
            mirrors.append(WeightsAndBiases(config, workdir))
            stack.callback(mirrors[-1].close)
        yield mirrors


class TensorBoard:
    """Event files in the run's directory, one more each time that the run goes on."""

    def __init__(self, workdir: Path, *, first: int):
        from tensorboardX import SummaryWriter

        folder = workdir / TENSORBOARD_FOLDER
        # With a log from before the first of these files, it gets all of that.
        since = first if folder.is_dir() else 0
        self._writer = SummaryWriter(str(folder), purge_step=since or None)
        for entry in read_metrics(workdir):
            if entry["step"] >= since:
                self.write(entry["step"], entry)

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """One line; it is on disk when this returns."""
        for name, value in scalars(values).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of a project of Weights & Biases, the same whenever the run goes on."""

    def __init__(self, config: ConfigDict, workdir: Path):
        import wandb

        file = workdir / WANDB_FILE
        if not file.exists():
            with whole_file(file) as part:
                part.write_text(json.dumps({"id": uuid.uuid4().hex[:8]}) + "\n")
        self._run = wandb.init(
            project=config.train.wandb,
            id=read_json(file, "the id of a run of Weights & Biases", {"id": str})["id"],
            name=workdir.resolve().name,
            config=config.to_dict(),
            dir=str(workdir),
            resume="allow",
            reinit="create_new",
        )

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """One line."""
        self._run.log(scalars(values), step=step)

    def close(self) -> None:
        """Waits until all is sent."""
        self._run.finish()


def scalars(values: Mapping[str, object]) -> dict[str, float]:
    """The numbers of a line by group and name: training/loss, validation/loss, time/..."""
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            inner = {f"{name}/{key}": number for key, number in value.items()}
        elif name.startswith(_VALIDATION):
            inner = {f"validation/{name.removeprefix(_VALIDATION)}": value}
        else:
            inner = {f"training/{name}": value} if name != "step" else {}
        found |= {
            key: float(number) for key, number in inner.items() if isinstance(number, numbers.Real)
        }
    return found
