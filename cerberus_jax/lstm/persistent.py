"""Experimental: the recurrence as one GPU kernel for the whole sequence (NVIDIA Hopper).

A scan reads the recurrent weights and launches kernels anew at every step; here they stay on the
chip (persistent_kernels.py). Both directions are computed at once, each in scan order: index 1
runs from the end of the song to its beginning.

Checked in Pallas' interpret mode (values, gradients, races), and lowered for CUDA and assembled for
sm_90a at full size; NOT YET RUN ON A GPU. So 'auto' does not choose it, only
`model.recurrence = 'experimental_persistent'` does.

All functions work under vmap: a mapped axis becomes one more axis of the kernel's grid.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cerberus_jax.lstm import persistent_plan as plan

TESTED_JAX = ("0.12.0.1",)
"""Versions of JAX the kernels were checked with: Pallas Mosaic GPU changes with every release."""

_TYPES = {"bfloat16": jnp.dtype(jnp.bfloat16), "float32": jnp.dtype(jnp.float32)}


def supported(
    *,
    hidden: int,
    batch: int,
    precision: str,
    device: Any = None,
    jax_version: str = jax.__version__,
) -> str | None:
    """Why the kernels cannot run, or None if they can.

    Args:
        hidden: units of one direction.
        batch: examples on one device.
        precision: that of the products.
        device: the jax.Device where they would run; None for the default backend's first.
        jax_version: the JAX that would compile them.
    """
    device = device or jax.devices()[0]
    capability = str(getattr(device, "compute_capability", "none"))
    if reason := _jax_reason(jax_version):
        return reason
    if device.platform != "gpu" or capability != "9.0":
        return (
            "needs an NVIDIA Hopper GPU (compute capability 9.0), "
            f"found {device.device_kind} (compute capability {capability})"
        )
    if precision != "bfloat16":
        return f"multiplies in bfloat16 only on a GPU, precision is {precision}"
    return plan.size_reason(hidden, batch, _TYPES[precision].itemsize)


def forward(
    gate_inputs: Float[Array, "2 t b g"],
    recurrent_kernel: Float[Array, "2 h g"],
    *,
    precision: str,
    interpret: bool = False,
) -> tuple[Float[Array, "2 t b h"], Float[Array, "2 t n u r"], Float[Array, "2 t n 4 u r"]]:
    """Hidden states, and for `vjp` the cells and the gates after their nonlinearity.

    Cells and gates stay in the order of the kernels, n groups of r examples and u hidden units
    (b and h filled up): changing it and back would cost a good part of the recurrence's own time.
    `ungrouped` gives the usual order. The state begins at zero. Gates stand in the order input,
    forget, update, output, g = 4 h.

    Args:
        gate_inputs: what is added to the recurrent product before the nonlinearity.
        precision: 'bfloat16' rounds factors, hence hidden states; state and sums stay in float32.
            'float32' is for interpret mode only: its weights fill more than the shared memory.
        interpret: run on the CPU, slowly and with the search for races; for tests.

    Raises:
        ValueError: if there is no step or no example, or for what `supported` says; interpret mode
            asks for a tested JAX only.
    """
    return tuple(_forward(gate_inputs, recurrent_kernel, precision, interpret, with_residuals=True))


def forward_hidden(
    gate_inputs: Float[Array, "2 t b g"],
    recurrent_kernel: Float[Array, "2 h g"],
    *,
    precision: str,
    interpret: bool = False,
) -> Float[Array, "2 t b h"]:
    """`forward` for inference: nothing but the hidden states leaves the chip."""
    return _forward(gate_inputs, recurrent_kernel, precision, interpret, with_residuals=False)[0]


def vjp(
    recurrent_kernel: Float[Array, "2 h g"],
    cells: Float[Array, "2 t n u r"],
    gates: Float[Array, "2 t n 4 u r"],
    cotangent: Float[Array, "2 t b h"],
    *,
    precision: str,
    interpret: bool = False,
) -> Float[Array, "2 t b g"]:
    """Gradients of the gate inputs from those of the hidden states (`cotangent`).

    `cells` and `gates` are those of `forward`; errors are its too.
    """
    batch, hidden = cotangent.shape[2:]
    kernels = _kernels(hidden, batch, precision, interpret)
    grads = kernels.backward(
        _by_block(recurrent_kernel, precision),
        cells,
        gates,
        _grouped(cotangent[:, :, :, None])[:, :, :, 0],
        interpret=interpret,
    )
    return ungrouped(grads, batch, hidden).astype(cotangent.dtype)


def ungrouped(
    gates: Float[Array, "2 t n k u r"], batch: int, hidden: int
) -> Float[Array, "2 t b g"]:
    """Gates (or cells, k = 1) in the order of `forward`'s inputs, without what filled them up."""
    directions, steps, groups, kinds, units, rows = gates.shape
    examples = gates.transpose(0, 1, 2, 5, 3, 4).reshape(
        directions, steps, groups * rows, kinds, units
    )
    return examples[:, :, :batch, :, :hidden].reshape(directions, steps, batch, kinds * hidden)


def _forward(gate_inputs, recurrent_kernel, precision, interpret, *, with_residuals):
    _, steps, batch, _ = gate_inputs.shape
    if not steps * batch:
        raise ValueError(f"gate_inputs: at least one step of one example, got {steps} of {batch}")
    hidden = recurrent_kernel.shape[1]
    kernels = _kernels(hidden, batch, precision, interpret)
    states, *residuals = kernels.forward(
        _grouped(gate_inputs.reshape(2, steps, batch, 4, hidden)),
        _by_block(recurrent_kernel, precision).swapaxes(-1, -2),
        with_residuals=with_residuals,
        interpret=interpret,
    )
    return [states[:, :, :batch, :hidden].astype(gate_inputs.dtype), *residuals]


def _kernels(hidden, batch, precision, interpret):
    """The module of the kernels, imported late: not every supported JAX can."""
    reason = _jax_reason(jax.__version__)
    if not interpret:
        reason = reason or supported(hidden=hidden, batch=batch, precision=precision)
    if reason:
        raise ValueError(f"recurrence: 'experimental_persistent' {reason}")
    from cerberus_jax.lstm import persistent_kernels

    return persistent_kernels


def _jax_reason(version):
    if version in TESTED_JAX:
        return None
    return f"was tested with JAX {', '.join(TESTED_JAX)} only, this is {version}"


def _grouped(array: Float[Array, "2 t b k h"]) -> Float[Array, "2 t n k u r"]:
    """In float32, filled up with zeros to whole groups and blocks, examples last."""
    directions, steps, batch, kinds, hidden = array.shape
    rows, units = plan.rows_per_group(batch), plan.padded_units(hidden)
    groups = -(-batch // rows)
    filling = ((0, 0), (0, 0), (0, groups * rows - batch), (0, 0), (0, units - hidden))
    filled = jnp.pad(array.astype(jnp.float32), filling)
    split = filled.reshape(directions, steps, groups, rows, kinds, units)
    return split.transpose(0, 1, 2, 4, 5, 3)


def _by_block(
    recurrent_kernel: Float[Array, "2 h g"], precision: str
) -> Float[Array, "2 blocks u cols"]:
    """For every block the columns of its gates, in the type of the products; zeros for units that
    only fill the blocks up, so that they neither get nor give anything."""
    hidden = recurrent_kernel.shape[1]
    units = plan.padded_units(hidden)
    empty = units - hidden
    kernel = recurrent_kernel.astype(_TYPES[precision]).reshape(2, hidden, 4, hidden)
    filled = jnp.pad(kernel, ((0, 0), (0, empty), (0, 0), (0, empty)))
    split = filled.reshape(2, units, 4, units // plan.UNITS, plan.UNITS)
    return split.transpose(0, 3, 1, 2, 4).reshape(2, -1, units, 4 * plan.UNITS)
