"""Cerberus in JAX: one network that separates a mixture into instruments and transcribes each.

The names below are the public interface. They are resolved on first use (PEP 562), so that
importing `cerberus_jax.frames` or `cerberus_jax.notes`, which need numpy alone, starts no JAX.
"""

from importlib import import_module

_PUBLIC = {
    "FrameGrid": "frames",
    "Notes": "notes",
    "Cerberus": "model",
    "CerberusOutput": "model",
    "deep_clustering_loss": "losses",
    "mask_inference_loss": "losses",
    "transcription_loss": "losses",
    "head_losses": "joint_loss",
    "si_sdr": "metrics",
    "si_bss_eval": "metrics",
    "Prediction": "inference",
    "Predictor": "inference",
    "from_torch": "torch_weights",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
