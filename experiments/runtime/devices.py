"""When JAX finds no device: one line that says what was asked for, in place of its traceback."""

import os
import sys


def without_device() -> ValueError | None:
    """What to say if JAX has no device to compute on; None if it has one, or was never started."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as reason:
        asked = jax.config.jax_platforms or ""
        where = f"JAX_PLATFORMS={asked}" if asked else "devices"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        shown = "" if visible is None else f", CUDA_VISIBLE_DEVICES={visible}"
        return ValueError(
            f"{where}{shown}: JAX finds no such device on this machine"
            f"{f' ({reason})' if str(reason) else ''}; JAX_PLATFORMS=cpu computes on the processor"
        )
    return None
