"""The backends of the recurrence, and which of them runs.

A backend is a pair of functions: the forward pass and its vjp. Directions are pairs of arrays in
scan order. The residuals that `forward` returns for `vjp` are the backend's own business.
"""

import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.sharding import PartitionSpec

from cerberus_jax.lstm import persistent, scan
from cerberus_jax.per_device import sharded

EXPERIMENTAL = "experimental_persistent"
BACKENDS = ("auto", "scan", "batched_scan", EXPERIMENTAL)
"""'auto': by the platform compiled for, 'scan' for CPUs, else 'batched_scan'. 'scan':
one loop, the directions multiplied apart. 'batched_scan': one product for both.
'experimental_persistent': one GPU kernel for the whole sequence, which has not run on a GPU yet;
nothing but this name chooses it, and where it cannot run 'auto' does, and the log says why. All
work under vmap and agree within rounding."""

_log = logging.getLogger(__name__)


class Backend(NamedTuple):
    """The recurrence's forward pass and its vjp.

    forward(gate_inputs, recurrent_kernel, precision=, with_residuals=) -> hidden states, residuals
        (None without them)
    vjp(recurrent_kernel, residuals, cotangents, precision=) -> gradients of the gate inputs
    residual_spec: the axis of the examples in the residuals.
    """

    forward: Callable
    vjp: Callable
    residual_spec: PartitionSpec


def choose(recurrence: str, *, batch: int, hidden: int, precision: str) -> str:
    """The name of the backend that will run.

    Args:
        recurrence: one of BACKENDS.
        batch: examples on one device.
        hidden: units of one direction.
        precision: that of the products.

    Raises:
        ValueError: if the name is unknown.
    """
    if recurrence not in BACKENDS:
        raise ValueError(f"recurrence: one of {', '.join(BACKENDS)}, got {recurrence!r}")
    if recurrence != EXPERIMENTAL:
        return recurrence
    reason = persistent.supported(hidden=hidden, batch=batch, precision=precision)
    if reason is None:
        return EXPERIMENTAL
    _say_once(f"recurrence: {EXPERIMENTAL!r} {reason}; 'auto' runs instead")
    return "auto"


@functools.cache
def _say_once(message):
    _log.warning(message)


def backend(name: str, *, interpret: bool = False) -> Backend:
    """The backend that `choose` has named; `interpret` runs the kernel on a CPU, slowly."""
    if name == EXPERIMENTAL:
        both = _persistent_forward, _persistent_vjp
        return Backend(*(functools.partial(f, interpret=interpret) for f in both), sharded(axis=2))
    batched = {"auto": None, "scan": False, "batched_scan": True}[name]
    return Backend(
        functools.partial(scan.forward, batched=batched),
        functools.partial(scan.vjp, batched=batched),
        sharded(axis=1),
    )


def _persistent_forward(gate_inputs, recurrent_kernel, *, with_residuals, **settings):
    gate_inputs = jnp.stack(gate_inputs)
    if not with_residuals:
        hidden = persistent.forward_hidden(gate_inputs, recurrent_kernel, **settings)
        return (hidden[0], hidden[1]), None
    hidden, *residuals = persistent.forward(gate_inputs, recurrent_kernel, **settings)
    return (hidden[0], hidden[1]), residuals


def _persistent_vjp(recurrent_kernel, residuals, cotangents, **settings):
    grads = persistent.vjp(recurrent_kernel, *residuals, jnp.stack(cotangents), **settings)
    return grads[0], grads[1]
