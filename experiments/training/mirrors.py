"""The lines of metrics.jsonl for others to show: TensorBoard, Weights & Biases.

metrics.jsonl stays the run's own log. TensorBoard gets all of it anew when the run goes on, and is
told to forget what it had. Weights & Biases ignores a step that it has, whose values are the same;
those that were there only because a shorter run ended at that step stay.
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
from cerberus_jax.outside import reason_of
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
        found = importlib.util.find_spec(package) if value else None
        if value and not (found and found.origin):  # a folder of that name has no origin
            raise ValueError(
                f"config: {field}={value!r} needs the package {package}: pip install {package}"
            )


@contextlib.contextmanager
def mirrors_of(config: ConfigDict, workdir: Path) -> Iterator[list[Mirror]]:
    """Those that the config asks for, open, for a run whose log has no lines to be dropped."""
    with contextlib.ExitStack() as stack:
        mirrors = []
        if config.train.tensorboard:
            mirrors.append(stack.enter_context(contextlib.closing(TensorBoard(workdir))))
        if config.train.wandb:
            wandb_run = WeightsAndBiases(config, workdir)
            mirrors.append(stack.enter_context(contextlib.closing(wandb_run)))
        yield mirrors


class TensorBoard:
    """Event files in the run's directory, one more each time that the run goes on."""

    def __init__(self, workdir: Path):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(workdir / TENSORBOARD_FOLDER), purge_step=0)
        for entry in read_metrics(workdir):
            self.write(entry["step"], entry)

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """One line, which a thread writes within some seconds."""
        for name, value in scalars(values).items():
            self._writer.add_scalar(name, value, step)

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
        code = read_json(file, "the id of a run of Weights & Biases", {"id": str})["id"]
        try:
            self._run = wandb.init(
                project=config.train.wandb,
                id=code,
                name=workdir.resolve().name,
                config=config.to_dict(),
                dir=str(workdir),
                resume="allow",
                reinit="create_new",
            )
        except wandb.errors.Error as error:
            raise ValueError(
                f"train.wandb={config.train.wandb!r}: {reason_of(error)}; `wandb login`, or "
                "WANDB_MODE=offline for a log to be sent later"
            ) from error

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
