"""The ways to compute the recurrence, and which of them runs.

A path is a pair of functions, transposes of each other. Directions are pairs of arrays in scan
order. What `recur` keeps for `transpose` is the path's own business.
"""

import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from cerberus_jax.lstm import persistent, scan
from cerberus_jax.per_device import examples

PATHS = ("auto", "scan", "scan_together", "persistent")
"""'scan': one loop, the directions multiplied apart. 'scan_together': one product for both.
'persistent': one GPU kernel for the whole sequence; where it cannot run, a scan does, and the log
says why. 'auto': 'scan' on a CPU, elsewhere 'persistent' once it is proven there, else
'scan_together'. All work under vmap and agree within rounding."""

_log = logging.getLogger(__name__)


class Path(NamedTuple):
    """How to run the recurrence and its transpose.

    recur(gate_inputs, recurrent_kernel, precision=, keep=) -> hidden states, what is kept (or None)
    transpose(recurrent_kernel, kept, cotangents, precision=) -> gradients of the gate inputs
    kept_spec: where the examples are in what is kept.
    """

    recur: Callable
    transpose: Callable
    kept_spec: PartitionSpec


def choose(recurrence: str, *, batch: int, hidden: int, precision: str) -> str:
    """The name of the path that will run.

    Args:
        recurrence: one of PATHS.
        batch: examples on one device.
        hidden: units of one direction.
        precision: that of the products.

    Raises:
        ValueError: if the name is unknown.
    """
    if recurrence not in PATHS:
        raise ValueError(f"recurrence: one of {', '.join(PATHS)}, got {recurrence!r}")
    if recurrence in ("scan", "scan_together"):
        return recurrence
    on_cpu = jax.default_backend() == "cpu"
    portable = "scan" if on_cpu else "scan_together"
    if recurrence == "auto" and (on_cpu or not persistent.PROVEN):
        return portable
    reason = persistent.supported(hidden=hidden, batch=batch, precision=precision)
    if reason is None:
        return "persistent"
    _say_once(f"recurrence: 'persistent' {reason}; {portable!r} runs instead")
    return portable


@functools.cache
def _say_once(message):
    _log.warning(message)


def path(name: str, *, interpret: bool = False) -> Path:
    """The path of a name that `choose` has given; `interpret` runs the kernel on a CPU, slowly."""
    if name == "persistent":
        both = _persistent_recur, _persistent_transpose
        return Path(*(functools.partial(f, interpret=interpret) for f in both), examples(axis=2))
    together = {"together": name == "scan_together"}
    return Path(
        functools.partial(scan.recur, **together),
        functools.partial(scan.transpose, **together),
        examples(axis=1),
    )


def _persistent_recur(gate_inputs, recurrent_kernel, *, keep, **settings):
    gate_inputs = jnp.stack(gate_inputs)
    if not keep:
        hidden = persistent.recur_hidden(gate_inputs, recurrent_kernel, **settings)
        return (hidden[0], hidden[1]), None
    hidden, *kept = persistent.recur(gate_inputs, recurrent_kernel, **settings)
    return (hidden[0], hidden[1]), kept


def _persistent_transpose(recurrent_kernel, kept, cotangents, **settings):
    grads = persistent.transpose(recurrent_kernel, *kept, jnp.stack(cotangents), **settings)
    return grads[0], grads[1]
