"""The checkpoints of one kind: a folder for each step, the newest of which are kept.

A checkpoint is what has a number as its name, in the digits 0 to 9, and is a folder; whatever else
lies beside them is nobody's business here and is left alone.
"""

import errno
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from cerberus_jax.processes import any_process

_NUMBER = re.compile(r"[0-9]+")
_UNFINISHED_SUFFIX = ".orbax-checkpoint-tmp"  # Orbax's
_UNFINISHED = re.compile(rf"[0-9]+{re.escape(_UNFINISHED_SUFFIX)}.*")


def steps_in(folder: Path) -> list[int]:
    """The steps of which there is a checkpoint, in rising order."""
    if not folder.is_dir():
        return []
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def set_aside(path: Path, reason: str) -> None:
    """Move a damaged checkpoint out of the way, where it can be looked at, and say so."""
    if jax.process_index():
        return
    folder = path.parents[1] / "damaged"
    folder.mkdir(exist_ok=True)
    name = f"{path.parent.name}-{path.name}"
    used = {other.name for other in folder.iterdir()}
    others = (f"{name}-{number}" for number in range(2, len(used) + 3))
    free = folder / (name if name not in used else next(n for n in others if n not in used))
    path.rename(free)
    logging.warning("%s is damaged (%s); it is set aside as %s", path, reason, free)


class CheckpointFolder:
    """Saves into one folder, in the background.

    Args:
        folder: where; made if it is missing.
        items: what a checkpoint consists of.
        keep: how many are kept, the newest.

    Raises:
        OSError: if there can be no such folder.
    """

    def __init__(self, folder: Path, items: tuple[str, ...], *, keep: int):
        self.path, self._keep = folder, keep
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(
                errno.ENOTDIR, "A folder of checkpoints expected, got a file", str(folder)
            )
        folder.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            for path in folder.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    shutil.rmtree(path)
        # Several processes meet under names, which must differ where two kinds save one step. A
        # folder that cannot be made is an error at once; in the background, Orbax would wait for it
        # for minutes.
        self._writer = ocp.AsyncCheckpointer(
            ocp.CompositeCheckpointHandler(*items),
            async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                barrier_sync_key_prefix=folder.name
            ),
        )

    def save(self, step: int, items: ocp.args.Composite, *, num_bytes: int) -> None:
        """Save in the background; a step that is already there is left as it is.

        Args:
            step: its number.
            items: what is saved.
            num_bytes: room on the disk that it may take.

        Raises:
            OSError: if the folder cannot be written to, or the disk has no room.
        """
        self._finish()
        if any_process(step in steps_in(self.path)):
            return
        self._check_access(num_bytes)
        # A crash may have left later steps than the run went on from.
        self._delete([later for later in steps_in(self.path) if later > step])
        self._writer.save(self.path / str(step), args=items)

    def close(self) -> None:
        """Wait until everything is on the disk."""
        try:
            self._finish()
        finally:
            self._writer.close()

    def _finish(self):
        """Wait for what is being saved; then the oldest are no longer needed."""
        try:
            self._writer.wait_until_finished()
        except (ValueError, RuntimeError, TimeoutError) as error:  # what its storage raises
            reason = " ".join(str(error).split())[:120]
            raise OSError(
                errno.EIO, f"No checkpoint was saved ({reason})", str(self.path)
            ) from error
        self._delete(steps_in(self.path)[: -self._keep])

    def _delete(self, steps):
        if jax.process_index() == 0:
            for step in steps:  # renamed first, so that a crash leaves no half of a checkpoint
                unfinished = self.path / f"{step}{_UNFINISHED_SUFFIX}-deleted"
                (self.path / str(step)).rename(unfinished)
                shutil.rmtree(unfinished)

    def _check_access(self, num_bytes):
        """Orbax would find a full disk and a read-only one too, in many threads and with a
        traceback from each; and where one process found it alone, the others would wait for it."""
        free = shutil.disk_usage(self.path).free
        if any_process(free < num_bytes):
            sizes = f"{num_bytes / 1e6:.0f} MB wanted, {free / 1e6:.0f} free"
            raise OSError(errno.ENOSPC, f"No space for a checkpoint ({sizes})", str(self.path))
        problem = _problem_of_writing(self.path)
        if any_process(problem is not None):
            reason = "Another process cannot save a checkpoint"
            raise problem or OSError(errno.EIO, reason, str(self.path))


def _problem_of_writing(folder) -> OSError | None:
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".can-be-written-", dir=folder))
    except OSError as error:
        return error
    return None
