"""The losses of Cerberus and that of onsets, one value per example: the readable truth.

Training computes the same values without ever holding the embedding (joint_loss.py); a test holds
the two equal. On silence deep clustering and mask inference are zero, with finite gradients.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, Shaped

from cerberus_jax.shapes import check_rank, check_shape

MASK_INFERENCE_KINDS = ("l1", "snr")
TRANSCRIPTION_KINDS = ("mse", "bce")
TRANSCRIPTION_NORMALISERS = ("cells", "active")

# Mean magnitude under which a mixture counts as silent (one 16-bit step gives about 1e-4).
SILENCE = 1e-6
# Of the spectral SNR: an error 30 dB below its source is worth no more effort.
SNR_CEILING = 1e-3
# Share of sounding cells from which a roll counts as full when the loss is divided by them.
MIN_ACTIVE = 0.005
# The same of cells with an onset.
MIN_ONSETS = 0.001


def deep_clustering_loss(
    embedding: Float[Array, "b t f d"],
    assignment: Shaped[Array, "b t f s"],
    weights: Float[Array, "b t f"],
) -> Float[Array, " b"]:
    """|| diag(w) (V V' - Y Y') diag(w) ||_F^2 / (sum of w^2)^2, in low-rank form.

    V holds the embeddings and Y the one-hot assignment of all t * f bins (Hershey et al., 2016;
    weights as in equation 7 of Wang, Le Roux, Hershey, 2018). The squared norms of the small
    products V'V, V'Y and Y'Y replace those of the affinity matrices, which are never formed.
    """
    check_rank("deep_clustering_loss: embedding", embedding, ("b", "t", "f", "d"))
    check_rank("deep_clustering_loss: assignment", assignment, ("b", "t", "f", "s"))
    bins = embedding.shape[:3]
    check_shape("deep_clustering_loss: assignment", assignment, (*bins, assignment.shape[3]))
    check_shape("deep_clustering_loss: weights", weights, bins)
    share = normalised_weights(weights)
    weighted, assignment = embedding * share[..., None], assignment.astype(embedding.dtype)
    vv = jnp.einsum("btfd,btfe->bde", weighted, embedding)
    vy = jnp.einsum("btfd,btfs->bds", weighted, assignment)
    yy = jnp.einsum("btf,btfs,btfr->bsr", share, assignment, assignment)
    return _squares(vv) - 2 * _squares(vy) + _squares(yy)


def normalised_weights(weights: Float[Array, "b t f"]) -> Float[Array, "b t f"]:
    """w^2 divided by its sum over the example; zero on silence."""
    squares = weights * weights
    total = squares.sum((1, 2), keepdims=True)
    return jnp.where(total > 0, squares / jnp.where(total > 0, total, 1), 0)


def mask_inference_loss(
    mask: Inexact[Array, "b s t f"],
    mixture_magnitude: Inexact[Array, "b t f"],
    target_magnitude: Inexact[Array, "b s t f"],
) -> Float[Array, " b"]:
    """mean |mask X - target| / mean |X|: an L1 distance free of the excerpt's gain.

    Complex masks take the spectrum of the mixture and of the sources in place of magnitudes.

    Manilow et al. (2020), L_MI, with the L1 norm of the authors' other work; see paper.md.
    """
    check_rank("mask_inference_loss: mask", mask, ("b", "s", "t", "f"))
    b, _, t, f = mask.shape
    check_shape("mask_inference_loss: mixture_magnitude", mixture_magnitude, (b, t, f))
    check_shape("mask_inference_loss: target_magnitude", target_magnitude, mask.shape)
    distance = jnp.abs(mask * mixture_magnitude[:, None] - target_magnitude).mean((1, 2, 3))
    return distance / jnp.maximum(_mean_magnitude(mixture_magnitude), SILENCE)


def spectral_snr_loss(
    error: Float[Array, "b s"],
    source: Float[Array, "b s"],
    mixture: Float[Array, " b"],
    *,
    silence_db: float = 50.0,
) -> Float[Array, " b"]:
    """Mean over the sources of log10((E + 1e-3 S + F) / (S + F)): minus the SNR in bels.

    The ratio that separation is scored with, without its scale invariance, in the domain of the
    complex spectrum: E and S are the energies of the error and the source over all bins, and F that
    of the mixture less `silence_db`. A silent source costs what it is given of the mixture, up to
    `silence_db` / 10, where a source that sounds gains one or two; a silent mixture costs nothing.

    Args:
        error, source, mixture: the energies.
        silence_db: how far below the mixture a source counts as silent, dB.
    """
    check_rank("spectral_snr_loss: error", error, ("b", "s"))
    check_shape("spectral_snr_loss: source", source, error.shape)
    check_shape("spectral_snr_loss: mixture", mixture, error.shape[:1])
    tiny = jnp.finfo(error.dtype).tiny ** 0.5
    silence = 10 ** (-silence_db / 10) * mixture[:, None]
    floor = source + silence + tiny
    return jnp.log10((error + SNR_CEILING * source + silence + tiny) / floor).mean(1)


def transcription_loss(
    roll_logits: Float[Array, "b s t p"],
    roll: Shaped[Array, "b s t p"],
    *,
    kind: str = "mse",
    normaliser: str = "cells",
    labelled: Bool[Array, "b s"] | None = None,
) -> Float[Array, " b"]:
    """Distance of the roll's probabilities sigmoid(logits) from the reference roll.

    Args:
        roll_logits, roll: logits, and the reference in 0..1.
        kind: 'mse', squared error (the paper's L2), or 'bce', binary cross-entropy.
        normaliser: 'cells' divides the sum by the number of cells; 'active' by the number of
            sounding cells, at least 0.5 % of all.
        labelled: the sources whose notes are known: the others are left out, as if the network had
            no rolls for them. None where all are known.
    """
    check_rank("transcription_loss: roll_logits", roll_logits, ("b", "s", "t", "p"))
    check_shape("transcription_loss: roll", roll, roll_logits.shape)
    if labelled is not None:
        check_shape("transcription_loss: labelled", labelled, roll_logits.shape[:2])
    if normaliser not in TRANSCRIPTION_NORMALISERS:
        raise ValueError(f"normaliser: one of {TRANSCRIPTION_NORMALISERS}, got {normaliser!r}")
    error, roll, share = _roll_error(roll_logits, roll, kind, labelled)
    if normaliser == "cells":
        return error.mean((1, 2, 3)) / share
    active = roll.sum((1, 2, 3))
    return error.sum((1, 2, 3)) / jnp.maximum(active, MIN_ACTIVE * roll[0].size * share)


def onset_loss(
    onset_logits: Float[Array, "b s t p"],
    onsets: Shaped[Array, "b s t p"],
    *,
    kind: str = "mse",
    labelled: Bool[Array, "b s"] | None = None,
) -> Float[Array, " b"]:
    """Distance of the onset probabilities sigmoid(logits) from the reference, summed over all cells
    and divided by the number of onsets, at least 0.1 % of the cells.

    Args:
        onset_logits, onsets: logits, and the reference in 0..1, which is one at every onset.
        kind, labelled: see `transcription_loss`.
    """
    check_rank("onset_loss: onset_logits", onset_logits, ("b", "s", "t", "p"))
    check_shape("onset_loss: onsets", onsets, onset_logits.shape)
    if labelled is not None:
        check_shape("onset_loss: labelled", labelled, onset_logits.shape[:2])
    error, onsets, share = _roll_error(onset_logits, onsets, kind, labelled)
    num_onsets = (onsets >= 1).sum((1, 2, 3), dtype=error.dtype)
    return error.sum((1, 2, 3)) / jnp.maximum(num_onsets, MIN_ONSETS * onsets[0].size * share)


def _roll_error(logits, roll, kind, labelled):
    """Error of every cell, the roll, both zero in sources whose notes are not known, and the share
    [b] of the cells that count (any number where it is zero, as the error is then too)."""
    roll = roll.astype(logits.dtype)
    if kind == "mse":
        error = (jax.nn.sigmoid(logits) - roll) ** 2
    elif kind == "bce":
        error = jax.nn.softplus(logits) - roll * logits
    else:
        raise ValueError(f"kind: one of {TRANSCRIPTION_KINDS}, got {kind!r}")
    if labelled is None:
        return error, roll, 1.0
    known = labelled[:, :, None, None]
    error, roll = jnp.where(known, error, 0), jnp.where(known, roll, 0)
    return error, roll, jnp.where(labelled.any(1), labelled.mean(1, dtype=error.dtype), 1)


def _mean_magnitude(mixture):
    return (jnp.abs(mixture) if jnp.iscomplexobj(mixture) else mixture).mean((1, 2))


def _squares(matrices):
    return (matrices * matrices).sum((1, 2))
