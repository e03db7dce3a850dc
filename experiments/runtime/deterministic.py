"""`train.deterministic`: the same results from every run on a GPU, for which XLA has to be asked
before it starts.

On CPUs and TPUs XLA is deterministic by itself. On GPUs it adds up in an order that is not fixed,
and tries out which of several programs is faster, unless a flag forbids it.
"""

import os

FLAG = "--xla_gpu_deterministic_ops=true"
_VARIABLE = "XLA_FLAGS"


def compute_deterministically() -> None:
    """Have XLA compute the same on a GPU in every run, from its start in this process on.

    Raises:
        ValueError: if JAX has started its devices already, without the flag.
    """
    from jax._src.xla_bridge import backends_are_initialized  # JAX has no public name for it

    flags = os.environ.get(_VARIABLE, "")
    if FLAG in flags.split():
        return
    if backends_are_initialized():
        raise ValueError(
            f"train.deterministic: JAX has started its devices already, too late for {FLAG}; set "
            f"{_VARIABLE}={FLAG} before Python starts"
        )
    os.environ[_VARIABLE] = f"{flags} {FLAG}".strip()
