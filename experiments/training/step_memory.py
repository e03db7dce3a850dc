"""How much memory of a device a training step takes, said before it is taken."""

from typing import Any

import jax

from cerberus_jax.train_state import TrainState


def memory_line(compiled_step: Any, state: TrainState) -> str:
    """The memory of each device in one line: parameters, the rest of the state, and what the
    compiler says the step needs beside its arguments and results.

    Args:
        compiled_step: what `parallel.compile_step` gives.
        state: what it is called with, the same on every device.
    """
    params, whole = _num_bytes(state.params), _num_bytes(state)
    parts = [f"parameters {_megabytes(params)}", f"optimiser state {_megabytes(whole - params)}"]
    if analysis := compiled_step.memory_analysis():  # not every backend's compiler tells
        parts.append(f"temporaries of a step {_megabytes(analysis.temp_size_in_bytes)}")
    return f"Memory   per device: {', '.join(parts)}"


def _num_bytes(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
