"""Which values each field of a config may take.

A rule is a sentence for the message beside the test it stands for, so that the two cannot drift
apart unseen.
"""

import math
from collections.abc import Callable, Mapping

from cerberus_jax.frames import FrameGrid
from data_pipeline.instruments import INSTRUMENTS

LOSSES = ("deep_clustering", "mask_inference", "transcription")

# Frames are int16 in a batch, and seeds must fit JAX's 32-bit keys.
_MAX_FRAMES = 2**15 - 1
_LARGEST_SEED = 2**31 - 1

Rule = tuple[str, Callable[[object], bool]]


def _at_least(least: float) -> Rule:
    return f"at least {least}", lambda value: value >= least


def _above(limit: float) -> Rule:
    return f"above {limit}", lambda value: value > limit


def _from_below(low: float, high: float) -> Rule:
    return f"at least {low} and below {high}", lambda value: low <= value < high


def _between(low: float, high: float) -> Rule:
    return f"between {low} and {high}", lambda value: low <= value <= high


def _inside(low: float, high: float) -> Rule:
    return f"above {low} and below {high}", lambda value: low < value < high


def _one_of(*names: str) -> Rule:
    return "one of " + ", ".join(map(repr, names)), lambda value: value in names


_RULES: dict[str, Rule] = {
    "seed": _between(0, _LARGEST_SEED),
    "parallel": _one_of("jit", "pmap"),
    "batch_size": _at_least(1),
    "excerpt_seconds": _above(0),
    "audio.sample_rate_hz": _at_least(1),
    "audio.window": _at_least(2),
    "audio.hop": _at_least(1),
    "data.seed": _between(0, _LARGEST_SEED),
    "data.coherent_probability": _between(0, 1),
    "data.gain_db": _at_least(0),
    "data.augment_polarity": _between(0, 1),
    "data.augment_semitones": _between(0, 12),
    "data.active_rms_db": _between(-120, 0),
    "data.num_threads": _at_least(1),
    "data.num_validation_excerpts": _at_least(1),
    "data.num_test_excerpts": _at_least(1),
    "data.minislakh_songs": _at_least(0),
    "model.layers": _at_least(1),
    "model.hidden": _at_least(1),
    "model.dropout": _from_below(0, 1),
    "model.embedding_dim": _at_least(1),
    "model.embedding_activation": _one_of("sigmoid", "tanh"),
    "model.mask_activation": _one_of("softmax", "sigmoid"),
    "model.input_scaling": _one_of("excerpt_db", "excerpt_db_affine", "db_affine", "linear"),
    "model.precision": _one_of("float32", "bfloat16"),
    "model.recurrence": _one_of("auto", "scan", "batched_scan", "persistent"),
    "loss.deep_clustering": _at_least(0),
    "loss.mask_inference": _at_least(0),
    "loss.transcription": _at_least(0),
    "loss.mask_target": _one_of("phase_sensitive", "magnitude"),
    "loss.transcription_kind": _one_of("mse", "bce"),
    "loss.transcription_normaliser": _one_of("cells", "active"),
    "loss.deep_clustering_stride": _at_least(1),
    "loss.mask_inference_stride": _at_least(1),
    "loss.microbatch_size": _at_least(0),
    "optimizer.learning_rate": _above(0),
    "optimizer.b1": _from_below(0, 1),
    "optimizer.b2": _from_below(0, 1),
    "optimizer.eps": _above(0),
    "optimizer.gradient_clip_norm": _above(0),
    "optimizer.schedule": _one_of("plateau", "cosine"),
    "optimizer.warmup_steps": _at_least(0),
    "optimizer.plateau_factor": _inside(0, 1),
    "optimizer.plateau_patience": _at_least(1),
    "train.num_steps": _at_least(1),
    "train.log_every": _at_least(1),
    "train.eval_every": _at_least(1),
    "train.checkpoint_every": _at_least(1),
    "decoding.threshold": _inside(0, 1),
    "evaluation.excerpt_seconds": _above(0),
}


def check_values(values: Mapping[str, object]) -> None:
    """Check all fields, given by dotted name, one by one and against each other.

    Raises:
        ValueError: naming the field, what was expected and what came.
    """
    for field, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"config: {field} must be a finite number, got {value}")
        if field in _RULES:
            expected, holds = _RULES[field]
            if not holds(value):
                raise ValueError(f"config: {field} must be {expected}, got {value!r}")
    _check_instruments(values)
    _check_weights(values)
    _check_frames(values)


def _check_instruments(values: Mapping[str, object]) -> None:
    instruments, corpora = values["instruments"], values["data.corpora"]
    unknown = [name for name in instruments if name not in INSTRUMENTS]
    if not instruments or unknown:
        raise ValueError(
            f"config: instruments must be some of {', '.join(INSTRUMENTS)}, "
            f"got {', '.join(map(repr, unknown)) or 'none'}"
        )
    if len(set(instruments)) < len(instruments):
        raise ValueError(
            f"config: instruments must each be named once, got {', '.join(instruments)}"
        )
    if corpora and len(corpora) != len(instruments):
        raise ValueError(
            f"config: data.corpora must name one corpus per instrument ({len(instruments)}) or "
            f"none, got {len(corpora)}: {', '.join(corpora)}"
        )


def _check_weights(values: Mapping[str, object]) -> None:
    if not any(values[f"loss.{name}"] > 0 for name in LOSSES):
        raise ValueError(
            "config: at least one of "
            + ", ".join(f"loss.{name}" for name in LOSSES)
            + " must be above 0, got 0 for all"
        )


def _check_frames(values: Mapping[str, object]) -> None:
    audio = {name: values[f"audio.{name}"] for name in ("sample_rate_hz", "window", "hop")}
    try:
        grid = FrameGrid(**audio)
    except ValueError as error:
        raise ValueError(f"config: audio.window and audio.hop do not fit: {error}") from None
    for field in ("excerpt_seconds", "evaluation.excerpt_seconds"):
        num_samples = round(values[field] * grid.sample_rate_hz)
        num_frames = grid.num_frames(num_samples)
        if num_samples < grid.window or num_frames > _MAX_FRAMES:
            raise ValueError(
                f"config: {field} must cover at least one window ({grid.window} samples) and "
                f"at most {_MAX_FRAMES} frames, got {values[field]} s = {num_samples} samples, "
                f"{num_frames} frames"
            )
    for field in ("loss.deep_clustering_stride", "loss.mask_inference_stride"):
        num_frames = grid.num_frames(round(values["excerpt_seconds"] * grid.sample_rate_hz))
        if values[field] > num_frames:
            raise ValueError(
                f"config: {field} must be at most the {num_frames} frames of an excerpt, "
                f"got {values[field]}"
            )
