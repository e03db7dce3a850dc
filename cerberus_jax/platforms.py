"""What differs from platform to platform, chosen for the one a program is compiled for.

The default backend says where Python's arrays live, not what is compiled: a function that is
exported for GPUs and TPUs is lowered on machines that have neither.
"""

from collections.abc import Callable
from typing import Any

from jax import lax


def by_platform(*args: Any, cpu: Callable, elsewhere: Callable) -> Any:
    """cpu(*args) in a program for CPUs, elsewhere(*args) in one for anything else.

    Args:
        args: pytrees of arrays.
        cpu, elsewhere: functions whose results have the same shapes and types.
    """
    return lax.platform_dependent(*args, cpu=cpu, default=elsewhere)
