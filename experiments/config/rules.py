"""Which values each field of a config may take.

A rule is a sentence for the message beside the test it stands for, so that the two cannot drift
apart unseen.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from cerberus_jax.frames import FrameGrid
from cerberus_jax.outside import quoted
from data_pipeline.instruments import INSTRUMENTS

# Frames are int16 in a batch, and seeds must fit JAX's 32-bit keys.
_MAX_FRAMES = 2**15 - 1
_LARGEST_SEED = 2**31 - 1
_MAX_SECONDS = 10**6  # of an excerpt, beyond all memory
_MAX_LENGTH = 32  # characters of a name in a message

Rule = tuple[str, Callable[[object], bool]]


def _at_least(minimum: float) -> Rule:
    return f"at least {minimum}", lambda value: value >= minimum


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
    "data.augment_equaliser_db": _between(0, 40),
    "data.silence_probability": _between(0, 1),
    "data.rest_probability": _between(0, 1),
    "data.active_rms_db": _between(-120, 0),
    "data.num_threads": _at_least(1),
    "data.num_validation_excerpts": _at_least(1),
    "data.num_test_excerpts": _at_least(1),
    "data.minislakh_songs": _at_least(0),
    "data.minislakh_sounds": _one_of("narrow", "wide"),
    "data.minislakh_rest": _between(0, 1),
    "data.minislakh_midi_share": _between(0, 1),
    "model.layers": _at_least(1),
    "model.hidden": _at_least(1),
    "model.dropout": _from_below(0, 1),
    "model.embedding_dim": _at_least(1),
    "model.input_scaling": _one_of("excerpt_db", "excerpt_db_affine", "db_affine", "linear"),
    "model.precision": _one_of("float32", "bfloat16"),
    "model.recurrence": _one_of("auto", "scan", "batched_scan", "experimental_persistent"),
    "loss.microbatch_size": _at_least(0),
    "optimizer.learning_rate": _above(0),
    "optimizer.b1": _from_below(0, 1),
    "optimizer.b2": _from_below(0, 1),
    "optimizer.eps": _above(0),
    "optimizer.gradient_clip_norm": _above(0),
    "optimizer.average_decay": _from_below(0, 1),
    "optimizer.schedule": _one_of("plateau", "cosine"),
    "optimizer.warmup_steps": _at_least(0),
    "optimizer.plateau_factor": _inside(0, 1),
    "optimizer.plateau_patience": _at_least(0),
    "train.num_steps": _at_least(1),
    "train.log_every": _at_least(1),
    "train.eval_every": _at_least(1),
    "train.scored_excerpts": _at_least(0),
    "train.best_by": _one_of(
        "validation_loss", "validation_si_sdr_improvement", "validation_onset_f1"
    ),
    "train.tensorboard": _between(0, 1),
    "train.checkpoint_every": _at_least(1),
    "train.accumulation_steps": _at_least(1),
    "train.deterministic": _between(0, 1),
    "train.keep_checkpoints": _at_least(1),
    "train.skip_nonfinite": _at_least(0),
    "decoding.threshold": _inside(0, 1),
    "evaluation.excerpt_seconds": _above(0),
}


def registry_rules() -> dict[str, Rule]:
    """The rules of the fields that come from the registries of trunks and heads."""
    from cerberus_jax.heads import HEADS
    from cerberus_jax.trunks import TRUNKS

    rules = {"model.trunk": _one_of(*TRUNKS)}
    for name, trunk in TRUNKS.items():
        for field, least in trunk.least_values().items():
            rules[f"model.{name}.{field}"] = _at_least(least)
    for name, head in HEADS.items():
        rules[f"loss.{name}"] = _at_least(0)
        limits = {field: _at_least(least) for field, least in head.least_values().items()}
        limits |= {field: _one_of(*values) for field, values in head.choices().items()}
        for field, rule in limits.items():
            group = "model" if field in head.MODEL_FIELDS else f"model.{name}"
            is_loss = field in head.LOSS_FIELDS
            rules[f"loss.{name}_{field}" if is_loss else f"{group}.{field}"] = rule
    return rules


def check_values(values: Mapping[str, object]) -> None:
    """Check all fields, given by dotted name, one by one and against each other.

    Raises:
        ValueError: naming the field, what was expected and what came.
    """
    rules = _RULES | registry_rules()
    for field, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"config: {field} must be a finite number, got {value}")
        if field in rules:
            expected, holds = rules[field]
            if not holds(value):
                raise ValueError(f"config: {field} must be {expected}, got {quoted(value)}")
    _check_instruments(values)
    _check_minislakh(values)
    _check_heads(values)
    _check_frames(values)


def _check_instruments(values: Mapping[str, object]) -> None:
    instruments, corpora = values["instruments"], values["data.corpora"]
    unknown = [name for name in instruments if name not in INSTRUMENTS]
    if not instruments or unknown:
        raise ValueError(
            f"config: instruments must be some of {', '.join(INSTRUMENTS)}, got {_listed(unknown)}"
        )
    if len(set(instruments)) < len(instruments):
        raise ValueError(
            f"config: instruments must each be named once, got {', '.join(instruments)}"
        )
    if corpora and len(corpora) != len(instruments):
        raise ValueError(
            f"config: data.corpora must name one corpus per instrument ({len(instruments)}) or "
            f"none, got {len(corpora)}: {_listed(corpora)}"
        )


def _listed(names: Sequence[object]) -> str:
    """The first of some names for a message, and how many more there are."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return quoted(names[0], _MAX_LENGTH) + more if names else "none"


def _check_minislakh(values: Mapping[str, object]) -> None:
    for field in ("data.minislakh_rest", "data.minislakh_midi_share"):
        if values[field] and values["data.minislakh_sounds"] != "wide":
            raise ValueError(
                f"config: {field}={values[field]} needs data.minislakh_sounds='wide', "
                f"got {values['data.minislakh_sounds']!r}"
            )
    if bool(values["data.minislakh_midi_share"]) != bool(values["data.minislakh_midi_dir"]):
        raise ValueError(
            "config: data.minislakh_midi_dir (a folder of MIDI files) and a "
            "data.minislakh_midi_share above 0 need each other, got "
            f"{quoted(values['data.minislakh_midi_dir'])} and {values['data.minislakh_midi_share']}"
        )


def _check_heads(values: Mapping[str, object]) -> None:
    from cerberus_jax.heads import HEADS, head_giving, separates, transcribes
    from cerberus_jax.masks import MASK_KINDS

    weights = {name: values[f"loss.{name}"] for name in HEADS}
    present = [name for name, weight in weights.items() if weight > 0]
    if not present:
        raise ValueError(
            "config: at least one of "
            + ", ".join(f"loss.{name}" for name in weights)
            + " must be above 0, got 0 for all"
        )
    silent = [name for name in values["instruments"] if not INSTRUMENTS[name].is_transcribed]
    if transcribes(present) and len(silent) == len(values["instruments"]):
        raise ValueError(
            f"config: {', '.join(silent)} have no notes to find; with loss.transcription above 0 "
            "an instrument that is transcribed must be among the instruments"
        )
    _check_best_by(values, present)
    for name in present:
        _check_features(name, values)
    onsets = head_giving("onsets", present)
    if onsets and not transcribes(present):
        raise ValueError(
            f"config: loss.{onsets} above 0 needs loss.transcription above 0, got "
            f"{values['loss.transcription']}: onsets are decoded with the roll of what sounds"
        )
    kind, target = values["model.mask_activation"], values["loss.mask_inference_target"]
    is_compared = values["loss.mask_inference_kind"] == "l1"
    if separates(present) and is_compared and target not in MASK_KINDS[kind].targets:
        raise ValueError(
            f"config: loss.mask_inference_target must be one of "
            f"{', '.join(MASK_KINDS[kind].targets)} for {kind} masks, got {target!r}"
        )


def _check_best_by(values: Mapping[str, object], present: list[str]) -> None:
    from cerberus_jax.heads import separates, transcribes

    chosen = values["train.best_by"]
    needed = {
        "validation_si_sdr_improvement": (separates, "loss.mask_inference"),
        "validation_onset_f1": (transcribes, "loss.transcription"),
    }
    if chosen not in needed:
        return
    has_head, weight = needed[chosen]
    scored = "train.scored_excerpts"
    for field, is_there in ((weight, has_head(present)), (scored, values[scored] > 0)):
        if not is_there:
            raise ValueError(
                f"config: train.best_by={chosen!r} needs {field} above 0, got {values[field]}"
            )


def _check_features(name: str, values: Mapping[str, object]) -> None:
    from cerberus_jax.heads import HEADS, Context
    from cerberus_jax.model import check_features
    from cerberus_jax.trunks import TRUNKS

    trunk = values["model.trunk"]
    context = Context(1, 1, 1, features=TRUNKS[trunk].GIVES)
    options = {field: values[f"model.{name}.{field}"] for field in HEADS[name].options()}
    try:
        check_features(name, HEADS[name](context=context, **options), trunk)
    except ValueError as error:
        raise ValueError(f"config: {error}") from None


def _check_frames(values: Mapping[str, object]) -> None:
    audio = {name: values[f"audio.{name}"] for name in ("sample_rate_hz", "window", "hop")}
    try:
        grid = FrameGrid(**audio)
    except ValueError as error:
        raise ValueError(f"config: audio.window and audio.hop do not fit: {error}") from None
    for field in ("excerpt_seconds", "evaluation.excerpt_seconds"):
        if values[field] > _MAX_SECONDS:
            raise ValueError(
                f"config: {field} must be at most {_MAX_SECONDS} s, got {values[field]}"
            )
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
