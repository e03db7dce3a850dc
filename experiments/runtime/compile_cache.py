"""Compiled programs kept on disk, so that the second start of a command compiles nothing.

JAX keeps them, finds them again by program, compiler and flags, and drops those that were not used
for longest. What it does not settle is done here: where they lie, and that a program compiled for
one processor is never loaded on another, which may lack its instructions or have more cores.
"""

import hashlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from data_pipeline.io.processes import num_processors
from experiments.runtime.cache_folder import cache_folder

JAX_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
MAX_BYTES = 512 * 2**20  # of the programs of one processor
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
        _remove_undated(folder)
    except OSError as error:
        print(
            f"Compiled programs are not kept: {error.strerror}: {folder}. For another place set "
            f"{JAX_VARIABLE}",
            file=sys.stderr,
        )
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def processor_key() -> str:
    """A name for this processor: equal where a program is right, and split over all cores; XLA
    splits a program when it compiles it."""
    described = f"{platform.machine()}, {num_processors()} cores\n"
    if _CPU_INFO.exists():
        names = ("model name", "flags", "CPU implementer", "CPU part", "Features")
        lines = _CPU_INFO.read_text().splitlines()
        described += "\n".join(sorted({line for line in lines if line.startswith(names)}))
    else:  # nothing tells the instructions of two machines apart
        described += platform.node()
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _remove_undated(folder: Path) -> None:
    """Remove programs beside which JAX did not write when they were used.

    A process that is killed between the two files leaves such a one, and so do versions of this
    project without a limit; JAX would stop at it when it saves any other, and save none.
    """
    for program in folder.glob("*-cache"):
        if not program.with_name(f"{program.name.removesuffix('-cache')}-atime").exists():
            program.unlink(missing_ok=True)
