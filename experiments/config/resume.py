"""May a run go on with this config? Only where it stays the run that it was.

The directory of the data may be another as long as it holds the same: `data.json` beside the config
has the fingerprint of each prepared corpus that the run began with.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.json_files import read_json
from cerberus_jax.outside import MAX_CHARACTERS, quoted
from data_pipeline.io.files import whole_file
from data_pipeline.prepared.layout import REPORT, named, prepared_folder
from experiments.config.loading import (
    CONFIG_FILE,
    PATH_FIELDS,
    flatten,
    load_run_config,
    save_config,
    saved_fields,
)

DATA_FILE = "data.json"
MAX_VALUE_CHARACTERS, MAX_LISTED_CHARACTERS = 40, 140  # in a message

# What may change when a run goes on; everything else would make it another run.
MAY_DIFFER = (
    "train.num_steps",
    "train.log_every",
    "train.eval_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.skip_nonfinite",
    "train.tensorboard",
    "train.wandb",
    "train.accumulation_steps",
    "train.deterministic",
    "parallel",
    "data.num_threads",
)
# Schedules that change in the middle of a run if one of these does, and why.
_SCHEDULED_BY = {
    "cosine": ("train.num_steps", "the learning rate of schedule 'cosine' is made of it"),
    "plateau": ("train.eval_every", "schedule 'plateau' counts validations"),
}


def check_resume(config: ConfigDict, workdir: str | Path) -> None:
    """Refuse to go on in `workdir` if its run was started with another config.

    Raises:
        ValueError: naming differing fields and both values of each; fields of `MAY_DIFFER` are free
            unless the schedule of the learning rate depends on them, `data.root` is where the data
            are the same.
    """
    file = Path(workdir) / CONFIG_FILE
    if not file.is_file():
        return
    saved = saved_fields(read_json(file, "a config as JSON", {}), str(file))
    present = json.loads(json.dumps(flatten(config)))
    differing = [
        f"{field}: {_shown_value(field, saved)} there, {_shown_value(field, present)} now{reason}"
        for field in sorted({*saved, *present})
        if field not in saved or field not in present or saved[field] != present[field]
        if (reason := _reason(field, config, workdir)) is not None
    ]
    if differing:
        raise ValueError(
            f"workdir: {workdir} was written by another config ({_listed(differing)}); "
            "give the same values, or another --workdir"
        )


def _shown_value(field: str, values: dict[str, object]) -> str:
    longest = MAX_CHARACTERS if field in PATH_FIELDS else MAX_VALUE_CHARACTERS
    return quoted(values[field], longest) if field in values else "absent"


def _listed(differing: list[str]) -> str:
    """As many of the differences as a message has room for, one at least, and how many more."""
    shown = differing[0]
    for number, text in enumerate(differing[1:], start=1):
        if len(shown) + len(text) > MAX_LISTED_CHARACTERS:
            return f"{shown}; and {len(differing) - number} more"
        shown += f"; {text}"
    return shown


def _reason(field: str, config: ConfigDict, workdir: str | Path) -> str | None:
    """Why a run cannot go on with another value, '' where none need be given; None: it can."""
    scheduled_by, why = _SCHEDULED_BY[config.optimizer.schedule]
    if field == scheduled_by:
        return f" ({why})"
    if field == "data.root":
        return _reason_of_root(config.data.root, workdir)
    return None if field in MAY_DIFFER else ""


def _reason_of_root(root: str, workdir: str | Path) -> str | None:
    began_with = saved_fingerprints(workdir)
    if not root or not began_with:
        return ""
    return None if fingerprints(root) == began_with else " (and the data there are others)"


def fingerprints(root: str | Path) -> dict[str, str]:
    """The fingerprint of each corpus of a prepared directory; none of one without a report."""
    root = named(Path(root).expanduser())
    homes = [root] if prepared_folder(root) else sorted(root.glob("*"))
    reports = {home.name: folder / REPORT for home in homes if (folder := prepared_folder(home))}
    return {
        corpus: read_json(file, "a report", {"fingerprint?": str}).get("fingerprint", "")
        for corpus, file in reports.items()
        if file.is_file()
    }


def keep_fingerprints(
    root: str | Path, workdir: str | Path, soundfonts: Sequence[str] = (), songs: str = ""
) -> None:
    """Write down what the data are when a run begins; later see that they are still the same.

    Args:
        root: the prepared data.
        workdir: the run's directory.
        soundfonts: that play them, where that is known.
        songs: which embedded songs they are; '' for other data.

    Raises:
        ValueError: if the run began with other data.
    """
    if others := other_data(root, workdir):
        raise ValueError(f"{others}; give the data of then, or another --workdir")
    present = fingerprints(root)
    if present and not saved_fingerprints(workdir):
        content = {"fingerprints": present, "soundfonts": list(soundfonts)}
        if songs:
            content["songs"] = songs
        with whole_file(Path(workdir) / DATA_FILE) as part:
            part.write_text(json.dumps(content, indent=2) + "\n")


def other_data(root: str | Path, workdir: str | Path) -> str:
    """How data differ from those that a run began with; '' where they do not, or the run has not
    written them down."""
    present, began_with = fingerprints(root), saved_fingerprints(workdir)
    if not began_with or present == began_with:
        return ""
    return (
        f"data.root: {root} holds other data than the run in {workdir} began with "
        f"({_shown(began_with)} then, {_shown(present)} now)"
    )


def keep_root(config: ConfigDict, workdir: str | Path) -> None:
    """Write the present `data.root` into the config of a run that is trained to its end."""
    saved = load_run_config(workdir)
    if saved.data.root != config.data.root:
        with saved.unlocked():
            saved.data.root = config.data.root
        save_config(saved, workdir)


def saved_fingerprints(workdir: str | Path) -> dict[str, str]:
    """Of the data that the run began with; none for runs that did not write them down."""
    return _saved_data(workdir)["fingerprints"]


def saved_soundfonts(workdir: str | Path) -> list[str]:
    """That play the data that the run began with, where that was known."""
    return _saved_data(workdir).get("soundfonts", [])


def saved_songs(workdir: str | Path) -> str:
    """Which embedded songs the run began with; '' for other data, and where it was not written."""
    return _saved_data(workdir).get("songs", "")


def _saved_data(workdir: str | Path) -> dict:
    file = Path(workdir) / DATA_FILE
    if not file.is_file():
        return {"fingerprints": {}}
    form = {"fingerprints": {str: str}, "soundfonts?": [str], "songs?": str}
    return read_json(file, "the fingerprints of the data of a run", form)


def _shown(codes: dict[str, str]) -> str:
    return ", ".join(f"{corpus} {code}" for corpus, code in codes.items()) or "none prepared"
