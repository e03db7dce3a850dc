"""Compiled programs kept on disk, so that the second start of a command compiles nothing.

JAX keeps them and finds them again by program, compiler and flags. What it does not settle is done
here: where they lie, that a program compiled for one processor is never loaded on another, which
may lack its instructions or have more cores, and that the folder does not grow without end.
"""

import hashlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from experiments.runtime.cache_folder import cache_folder

JAX_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
MAX_BYTES = 512 * 2**20
_CPU_INFO = Path("/proc/cpuinfo")


def keep_compiled() -> Path | None:
    """Have JAX keep what it compiles in `compiled/` of the project's cache folder.

    A folder named by JAX_COMPILATION_CACHE_DIR is left to JAX and the user, settings included;
    JAX_ENABLE_COMPILATION_CACHE=false turns it all off. A folder that cannot be written to is not
    used: that costs time, and is said in one line.

    Returns:
        the folder in use; None where there is none.
    """
    import jax

    if not jax.config.jax_enable_compilation_cache:
        return None
    if own := os.environ.get(JAX_VARIABLE):
        return Path(own)
    folder = cache_folder() / "compiled" / processor_key()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        forget_oldest(folder.parent, most_bytes=MAX_BYTES)
    except OSError as error:
        print(
            f"Compiled programs are not kept: {error.strerror}: {folder}. For another place set "
            f"{JAX_VARIABLE}",
            file=sys.stderr,
        )
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def processor_key() -> str:
    """A name for this processor: equal where a program is right, and split over all cores."""
    described = f"{platform.machine()}, {num_cores()} cores\n"
    if _CPU_INFO.exists():
        wanted = ("model name", "flags", "CPU implementer", "CPU part", "Features")
        lines = _CPU_INFO.read_text().splitlines()
        described += "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
    else:  # nothing tells the instructions of two machines apart
        described += platform.node()
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def num_cores() -> int:
    """Cores that this process may use; XLA splits a program over them when it compiles it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def forget_oldest(folder: Path, *, most_bytes: int) -> None:
    """Remove the files that were not used for the longest time until `most_bytes` are left."""
    found = []
    for file in folder.rglob("*"):
        try:
            status = file.stat()
        except FileNotFoundError:  # another process was faster
            continue
        if file.is_file():
            found.append((max(status.st_atime, status.st_mtime), status.st_size, file))
    excess = sum(size for _, size, _ in found) - most_bytes
    for _, size, file in sorted(found):
        if excess <= 0:
            return
        file.unlink(missing_ok=True)
        excess -= size
