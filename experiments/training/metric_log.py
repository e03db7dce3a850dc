"""metrics.jsonl of a run: one JSON object per logged step.

Opening it for a run that goes on from step k drops every line after k, and the values that a line
names as `off_schedule` (there only because a shorter run ended at that step), so that a resumed run
leaves the same file as one that ran through, the field `time` apart.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from cerberus_jax.json_files import check_form, parse_json
from cerberus_jax.outside import DAMAGE, reason_of
from data_pipeline.io.files import whole_file

_FORM = {"step": int, "off_schedule?": [str]}
METRICS_FILE = "metrics.jsonl"


class MetricLog:
    """Appends to the metrics of a run; use it as a context manager or call `close`.

    Args:
        workdir: directory of the run, made where it is missing.
        start_step: the step the run goes on from; 0 starts a new file.
    """

    def __init__(self, workdir: str | Path, *, start_step: int = 0):
        self.path = Path(workdir) / METRICS_FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        entries = [entry for entry in read_metrics(workdir) if entry["step"] <= start_step]
        scheduled = [entry for entry in map(_on_schedule, entries) if entry]
        with whole_file(self.path) as part:
            part.write_text("".join(_line(entry) for entry in scheduled))
        self._last_step = scheduled[-1]["step"] if scheduled else 0
        self._file = self.path.open("a")

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """Append the values of one step and flush them to disk.

        Raises:
            ValueError: if the step does not follow the last one or a value is not finite; nothing
                is written then.
        """
        if step <= self._last_step:
            raise ValueError(
                f"{self.path}: steps must rise, got {step} after step {self._last_step}"
            )
        entry = {"step": int(step)} | {name: _plain(value) for name, value in values.items()}
        for name, value in entry.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{self.path}: {name} must be finite, got {value} at step {step}")
        self._file.write(_line(entry))
        self._file.flush()
        self._last_step = step

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def read_metrics(workdir: str | Path) -> list[dict]:
    """All logged steps of a run, in order; a last line that was cut short is left out.

    Raises:
        ValueError: naming the file and line that is no log entry.
    """
    path = Path(workdir) / METRICS_FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and not line:
            break
        try:
            entry = parse_json(line)
            check_form(entry, _FORM)
        except DAMAGE as error:
            if number == len(lines):
                break
            raise ValueError(
                f"{path}: line {number} is no log entry, a JSON object with a step expected "
                f"({reason_of(error)})"
            ) from None
        entries.append(entry)
    return entries


def _on_schedule(entry: Mapping) -> dict:
    """The entry without the values that its `off_schedule` names; empty if it names them all."""
    only_there = entry.get("off_schedule", [])
    fields = {k: v for k, v in entry.items() if k != "off_schedule" and k not in only_there}
    return fields if set(fields) - {"step", "time"} else {}


def _line(entry: Mapping) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    """Numbers of numpy or JAX as Python's own."""
    return value.item() if hasattr(value, "item") else value
