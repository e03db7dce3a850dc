"""Scale-invariant separation scores: SI-SDR, SI-SIR and SI-SAR, in dB.

Called on arrays they compute in float64 with NumPy, whatever JAX's default precision is: a part
60 dB below the target may lie 100 dB below the estimate, out of float32's reach, and not every
device has float64. Inside another transformation (jit, vmap, grad) they are JAX in the caller's
precision.
"""

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

    si_sdr: Float[AnyArray, " s"]
    si_sir: Float[AnyArray, " s"]
    si_sar: Float[AnyArray, " s"]


def si_sdr(
    estimate: Float[AnyArray, "... n"], reference: Float[AnyArray, "... n"]
) -> Float[AnyArray, "..."]:
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
        with jax.default_matmul_precision("highest"):
            return function(jnp, *(jnp.asarray(signal, signals[0].dtype) for signal in signals))
    with np.errstate(divide="ignore"):  # a part that is zero has a ratio of 100 dB
        return function(np, *(np.asarray(signal, np.float64) for signal in signals))


def _si_sdr(xp, estimate, reference):
    estimate, reference = _to_unit_norm(xp, estimate), _to_unit_norm(xp, reference)
    scale = _dot(estimate, reference)
    distortion = estimate - scale[..., None] * reference
    score = _ratio_db(xp, scale**2, _dot(distortion, distortion))
    return xp.where(_sounds(reference), score, xp.nan)


def _si_bss_eval(xp, estimates, references):
    estimates, references = _to_unit_norm(xp, estimates), _to_unit_norm(xp, references)
    scales = _dot(estimates, references)
    rtol = 10 * len(references) * float(np.finfo(references.dtype).eps)
    inverse = xp.linalg.pinv(references @ references.T, rtol=rtol, hermitian=True)
    weights, artefacts = xp.zeros_like(inverse), estimates
    for _ in range(2):  # the second round removes what rounding left in the first
        weights = weights + (artefacts @ references.T) @ inverse
        artefacts = estimates - weights @ references
    interference = (weights - xp.diag(scales)) @ references
    distortion = estimates - scales[:, None] * references
    return tuple(
        xp.where(_sounds(references), _ratio_db(xp, scales**2, _dot(rest, rest)), xp.nan)
        for rest in (distortion, interference, artefacts)
    )


def _ratio_db(xp, target, rest):
    decibels = 10.0 * (xp.log10(xp.where(target > 0, target, 1)) - xp.log10(rest))
    return xp.where(target > 0, xp.clip(decibels, -MAX_DB, MAX_DB), -MAX_DB)


def _to_unit_norm(xp, signals):
    peak = xp.max(xp.abs(signals), axis=-1, keepdims=True, initial=0.0)
    signals = signals / xp.where(peak > 0, peak, 1.0)  # squares of tiny values would underflow
    norm = xp.sqrt(_dot(signals, signals))[..., None]
    return signals / xp.where(norm > 0, norm, 1.0)


def _sounds(signals):
    return (signals != 0).any(-1)


def _dot(left, right):
    return (left * right).sum(-1)
