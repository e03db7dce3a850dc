"""Scale-invariant separation scores: SI-SDR, SI-SIR and SI-SAR, in dB.

Called on arrays they compute in float64, whatever JAX's default precision is: a part 60 dB below
the target may lie 100 dB below the estimate, out of float32's reach. Inside another transformation
(jit, vmap, grad) the caller's precision holds.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cerberus_jax.shapes import check_rank

MAX_DB = 100.0

AnyArray = Array | np.ndarray


class SiBssEval(NamedTuple):
    """Scores of each source; NaN where the reference is silent.

    Args:
        si_sdr: target against everything else.
        si_sir: target against what comes from the other references.
        si_sar: target against what comes from no reference.
    """

    si_sdr: Float[Array, " s"]
    si_sir: Float[Array, " s"]
    si_sar: Float[Array, " s"]


def si_sdr(
    estimate: Float[AnyArray, "... n"], reference: Float[AnyArray, "... n"]
) -> Float[Array, "..."]:
    """Scale-invariant signal-to-distortion ratio.

    No mean is removed. Values are clamped to +-100 dB; a silent estimate of a sounding reference
    scores -100.

    Args:
        estimate: separated sources.
        reference: true sources; a silent one gives NaN.

    Raises:
        ValueError: if the shapes differ.
    """
    check_rank("si_sdr: estimate", estimate, ("n",), leading=True)
    check_rank("si_sdr: reference", reference, ("n",), leading=True)
    if estimate.shape != reference.shape:
        raise ValueError(
            "si_sdr: estimate and reference must have one shape, "
            f"got {tuple(estimate.shape)} and {tuple(reference.shape)}"
        )
    return _in_float64(_si_sdr, estimate, reference)


def si_bss_eval(estimates: Float[AnyArray, "s n"], references: Float[AnyArray, "s n"]) -> SiBssEval:
    """SI-SDR, SI-SIR and SI-SAR of estimates in the order of their references.

    With t the projection of an estimate on its reference and p its projection on all sounding
    references: SI-SDR compares t with estimate - t, SI-SIR with p - t, SI-SAR with estimate - p, so
    that 10^(-SDR/10) = 10^(-SIR/10) + 10^(-SAR/10).

    Args:
        estimates: one separated source per row.
        references: the true sources; a silent one scores NaN and takes part in no projection.

    Raises:
        ValueError: if the shapes differ.
    """
    check_rank("si_bss_eval: estimates", estimates, ("sources", "samples"))
    check_rank("si_bss_eval: references", references, ("sources", "samples"))
    if estimates.shape != references.shape:
        raise ValueError(
            "si_bss_eval: estimates and references must have one shape [sources, samples], "
            f"got {tuple(estimates.shape)} and {tuple(references.shape)}"
        )
    return SiBssEval(*_in_float64(_si_bss_eval, estimates, references))


def _in_float64(function, *signals):
    if any(isinstance(signal, jax.core.Tracer) for signal in signals):
        return function(*signals, signals[0].dtype)
    with jax.enable_x64(True):
        return function(*signals, np.float64)


@functools.partial(jax.jit, static_argnums=2)
def _si_sdr(estimate, reference, dtype):
    estimate, reference = (_to_unit_norm(signal, dtype) for signal in (estimate, reference))
    scale = _dot(estimate, reference)
    distortion = estimate - scale[..., None] * reference
    score = _ratio_db(scale**2, _dot(distortion, distortion))
    return jnp.where(_sounds(reference), score, jnp.nan)


@functools.partial(jax.jit, static_argnums=2)
def _si_bss_eval(estimates, references, dtype):
    estimates, references = (_to_unit_norm(signals, dtype) for signals in (estimates, references))
    scales = _dot(estimates, references)
    weights = jnp.zeros_like(estimates, shape=(len(estimates), len(references)))
    inverse = jnp.linalg.pinv(_matmul(references, references.T), hermitian=True)
    artefacts = estimates
    for _ in range(2):  # the second round removes what rounding left in the first
        weights = weights + _matmul(_matmul(artefacts, references.T), inverse)
        artefacts = estimates - _matmul(weights, references)
    interference = _matmul(weights - jnp.diag(scales), references)
    distortion = estimates - scales[:, None] * references
    return tuple(
        jnp.where(_sounds(references), _ratio_db(scales**2, _dot(rest, rest)), jnp.nan)
        for rest in (distortion, interference, artefacts)
    )


def _ratio_db(target, rest):
    decibels = 10.0 * (jnp.log10(target) - jnp.log10(rest))
    return jnp.where(target > 0, jnp.clip(decibels, -MAX_DB, MAX_DB), -MAX_DB)


def _to_unit_norm(signals, dtype):
    signals = jnp.asarray(signals, dtype)
    peak = jnp.max(jnp.abs(signals), axis=-1, keepdims=True, initial=0.0)
    signals = signals / jnp.where(peak > 0, peak, 1.0)  # squares of tiny values would underflow
    norm = jnp.sqrt(_dot(signals, signals))[..., None]
    return signals / jnp.where(norm > 0, norm, 1.0)


def _sounds(signals):
    return jnp.any(signals != 0, axis=-1)


def _dot(left, right):
    return jnp.einsum("...n,...n->...", left, right, precision=jax.lax.Precision.HIGHEST)


def _matmul(left, right):
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
