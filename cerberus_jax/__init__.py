"""Cerberus in JAX: one network that separates a mixture into instruments and transcribes each.

The names below are the public interface. They are resolved on first use (PEP 562), so that
importing `cerberus_jax.frames` or `cerberus_jax.notes`, which need numpy alone, starts no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"  # pyproject.toml reads it here

# The public names of each module. Type checkers read the imports below; a test holds them equal.
_PUBLIC = {
    "decoding": ("DecodingConfig",),
    "frames": ("FrameGrid",),
    "inference": ("Prediction", "Predictor"),
    "joint_loss": ("head_losses",),
    "losses": ("deep_clustering_loss", "mask_inference_loss", "onset_loss", "transcription_loss"),
    "metrics": ("si_bss_eval", "si_sdr"),
    "model": ("Cerberus", "CerberusOutput"),
    "notes": ("Notes",),
    "steps": ("Rolls", "Task", "eval_step", "init_state", "train_step"),
    "targets": ("Mixture", "bin_weights", "make_targets"),
    "torch_weights": ("from_torch",),
    "train_state": ("OptimizerConfig", "TrainState"),
}

if TYPE_CHECKING:
    from cerberus_jax.decoding import DecodingConfig as DecodingConfig
    from cerberus_jax.frames import FrameGrid as FrameGrid
    from cerberus_jax.inference import Prediction as Prediction
    from cerberus_jax.inference import Predictor as Predictor
    from cerberus_jax.joint_loss import head_losses as head_losses
    from cerberus_jax.losses import deep_clustering_loss as deep_clustering_loss
    from cerberus_jax.losses import mask_inference_loss as mask_inference_loss
    from cerberus_jax.losses import onset_loss as onset_loss
    from cerberus_jax.losses import transcription_loss as transcription_loss
    from cerberus_jax.metrics import si_bss_eval as si_bss_eval
    from cerberus_jax.metrics import si_sdr as si_sdr
    from cerberus_jax.model import Cerberus as Cerberus
    from cerberus_jax.model import CerberusOutput as CerberusOutput
    from cerberus_jax.notes import Notes as Notes
    from cerberus_jax.steps import Rolls as Rolls
    from cerberus_jax.steps import Task as Task
    from cerberus_jax.steps import eval_step as eval_step
    from cerberus_jax.steps import init_state as init_state
    from cerberus_jax.steps import train_step as train_step
    from cerberus_jax.targets import Mixture as Mixture
    from cerberus_jax.targets import bin_weights as bin_weights
    from cerberus_jax.targets import make_targets as make_targets
    from cerberus_jax.torch_weights import from_torch as from_torch
    from cerberus_jax.train_state import OptimizerConfig as OptimizerConfig
    from cerberus_jax.train_state import TrainState as TrainState
else:  # hidden from type checkers, to which a module with __getattr__ has every name
    _MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
    __all__ = sorted(_MODULE_OF)

    def __getattr__(name):
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)

    def __dir__():
        return sorted([*globals(), *__all__])
