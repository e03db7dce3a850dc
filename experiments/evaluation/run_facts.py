"""What is known of a run besides its scores: when, for how long, on what, and how large."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax import checkpoint
from experiments.training.metric_log import METRICS_FILE
from experiments.training.sessions import read_sessions
from experiments.training.task import num_parameters

UNKNOWN = "not recorded"


def run_facts(workdir: Path, config: ConfigDict, metrics: list[dict]) -> dict[str, str]:
    """Facts of a run by their titles, for readers."""
    sessions = read_sessions(workdir)
    return {
        "instruments": ", ".join(config.instruments),
        "date": _date(workdir, sessions),
        "training": training_time(metrics, config.train.num_steps),
        "device": ", then ".join(dict.fromkeys(each["devices"] for each in sessions)) or UNKNOWN,
        "network": f"{num_parameters(config) / 1e6:.2f} M parameters, trunk {config.model.trunk}",
        "checkpoint": _checkpoint(workdir),
        "data": config.data.root or "MiniSlakh",
    }


def training_time(metrics: list[dict], num_steps: int) -> str:
    """Steps and time of training alone: without start-up, validation and saving."""
    if not metrics:
        return f"0 of {num_steps} steps"
    seconds, last = training_seconds(metrics), metrics[-1]["step"]
    text = f"{last} of {num_steps} steps"
    return f"{text} in {duration(seconds)}, {seconds / last:.3g} s a step" if seconds else text


def training_seconds(metrics: list[dict]) -> float:
    """What all logged steps took; 0 where that was not logged."""
    seconds, before = 0.0, 0
    for entry in metrics:
        pace = entry.get("time")
        if isinstance(pace, Mapping) and isinstance(pace.get("seconds_per_step"), int | float):
            seconds += (entry["step"] - before) * pace["seconds_per_step"]
        before = entry["step"]
    return seconds


def named_runs(workdirs: Sequence[str | Path]) -> dict[str, Path]:
    """The directories by the names of the runs: as much of the end of each path as tells it from
    the others.

    Raises:
        ValueError: if there is none, or one is named twice.
    """
    folders = [Path(workdir).resolve() for workdir in workdirs]
    if not folders:
        raise ValueError("workdirs: the directory of at least one run expected, got none")
    for folder in folders:
        if folders.count(folder) > 1:
            raise ValueError(f"--workdir={folder}: named twice; each run is shown once")
    return {_end_of(folder, folders): folder for folder in folders}


def _end_of(folder: Path, folders: Sequence[Path]) -> str:
    counts = range(1, len(folder.parts))
    ends = (folder.parts[-count:] for count in counts)
    return "/".join(next(e for e in ends if [f.parts[-len(e) :] for f in folders].count(e) == 1))


def duration(seconds: float) -> str:
    """A time as a reader says it: `95 s`, `95 min`, `3 h 20 min`, `3.2 days`."""
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), seconds / 86400
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{days:.1f} days"


def _date(workdir: Path, sessions: list[dict]) -> str:
    if sessions:
        began = datetime.fromisoformat(sessions[0]["began"])
        text = f"begun {_shown(began)}"
        if len(sessions) > 1:
            text += f", gone on with {_shown(datetime.fromisoformat(sessions[-1]['began']))}"
        return text
    log = workdir / METRICS_FILE
    if not log.is_file():
        return UNKNOWN
    changed = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    return f"last step logged {_shown(changed)}, by the date of the file"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _checkpoint(workdir: Path) -> str:
    steps = checkpoint.saved_steps(workdir)
    if not steps:
        return "none"
    kind = "best" if "best" in steps else "last"
    folder = checkpoint.locate(workdir, kind)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{kind}: step {steps[kind]}, {size / 1e6:.1f} MB"
