"""sessions.jsonl of a run: when, on what and by which code it was begun and gone on with."""

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_jax.json_files import check_form, parse_json
from cerberus_jax.outside import refusing
from experiments.runtime.commit import commit_of_code

if TYPE_CHECKING:
    from experiments.training.warm_start import WarmStart

SESSIONS_FILE = "sessions.jsonl"
_FORM = {
    "began": str,
    "first_step": int,
    "devices": str,
    "versions": {str: str},
    "commit?": str,
    "init_from?": {str: str},
}
_PACKAGES = ("jax", "flax", "optax", "numpy")


def keep_session(workdir: str | Path, *, first_step: int, begin: "WarmStart | None" = None) -> None:
    """Write down that training begins, or goes on, after `first_step` on this machine, and what it
    takes over from another network."""
    import jax  # late, because reading sessions needs none

    devices = jax.devices()
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in _PACKAGES}
    entry = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "first_step": first_step,
        "devices": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "versions": versions,
        "commit": commit_of_code(),
    }
    if begin:
        entry["init_from"] = {"source": begin.source, "fingerprint": begin.fingerprint}
    with (Path(workdir) / SESSIONS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_sessions(workdir: str | Path) -> list[dict]:
    """The sessions of a run in order; none of a run that did not write them down.

    Raises:
        ValueError: naming the file, if a line of it is no session.
    """
    path = Path(workdir) / SESSIONS_FILE
    if not path.is_file():
        return []
    sessions = []
    with refusing(path, "the sessions of a run", remedy="the file is only shown; remove it"):
        for line in path.read_bytes().splitlines():
            session = parse_json(line)
            check_form(session, _FORM)
            datetime.fromisoformat(session["began"])
            sessions.append(session)
    return sessions
