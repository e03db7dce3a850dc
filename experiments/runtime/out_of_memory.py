"""Out of memory while training: one line with the settings that need less."""

import contextlib
import re
from collections.abc import Iterator

from cerberus_jax.outside import reason_of

_XLA = re.compile(r"RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)
_SMALLER = (
    "a larger --config.train.accumulation_steps, --config.loss.microbatch_size=1, a smaller "
    "--config.batch_size or --config.excerpt_seconds, "
    "or --config.model.precision=bfloat16"
)


@contextlib.contextmanager
def memory_advice() -> Iterator[None]:
    """In the block, what XLA, numpy and Python raise for want of memory becomes a ValueError.

    Raises:
        ValueError: that names the settings.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:  # XLA's are of the last two kinds
        if not isinstance(error, MemoryError) and not _XLA.search(str(error)):
            raise
        raise ValueError(
            f"out of memory ({reason_of(error)}); less is needed with {_SMALLER}"
        ) from error
