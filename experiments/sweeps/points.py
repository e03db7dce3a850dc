"""The points of a sweep: functions that yield names and the fields that each point sets.

Sweeps are combined by `*`: a point for each choice of one from each. A sweep is the name of one
below, NAME=NUMBER where it takes a number, MODULE:FUNCTION, or FILE.py:FUNCTION (FILE.py alone
stands for its `get_sweep`).
"""

import importlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.outside import quoted
from experiments.config.command_line import Overrides
from experiments.config.loading import call_function, flatten, load_config
from experiments.sets import base

Point = tuple[str, ConfigDict]
Fields = tuple[str, dict[str, object]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=,-]{0,199}")
JOINT = "__"  # between the names of a product


def loss_weights() -> Iterator[Fields]:
    """The seven combinations of heads of the paper's ablation, in the order of its table. A zero
    weight leaves the head out altogether."""
    yield "deep_clustering", _weights(1.0, 0.0, 0.0)
    yield "mask_inference", _weights(0.0, 1.0, 0.0)
    yield "transcription", _weights(0.0, 0.0, 1.0)
    yield "chimera", _weights(0.5, 0.5, 0.0)
    yield "deep_clustering_transcription", _weights(0.2, 0.0, 0.8)
    yield "mask_inference_transcription", _weights(0.0, 0.2, 0.8)
    yield "cerberus", _weights(0.1, 0.1, 0.8)


def weight_grid(steps: int = 4) -> Iterator[Fields]:
    """All weights of the three heads that are multiples of 1/steps and add up to one."""
    for first, second in itertools.product(range(steps, -1, -1), repeat=2):
        if first + second <= steps:
            weights = [count / steps for count in (first, second, steps - first - second)]
            names = zip(("dc", "mi", "tr"), weights, strict=True)
            yield "_".join(f"{name}{weight:.4g}" for name, weight in names), _weights(*weights)


def seeds(count: int = 3) -> Iterator[Fields]:
    """So many seeds of initialisation and dropout; the batches stay those of `data.seed`."""
    for seed in range(count):
        yield f"seed_{seed}", {"seed": seed}


def instrument_sets() -> Iterator[Fields]:
    """The instruments of set1 to set4, two to five of them."""
    for name in ("set1", "set2", "set3", "set4"):
        yield name, {"instruments": tuple(load_config(f"sets/{name}.py").instruments)}


def ingredients() -> Iterator[Fields]:
    """The network of `sets/demo.py`, and the same with one or two things as in Cerberus, or
    with the trunk that it had before (`no_bands`)."""
    linear_masks = {"model.mask_inference.pitch_channels": 0}
    yield "all", {}
    yield "linear_masks", linear_masks
    yield "no_bands", {"model.trunk": "harmonic"}
    yield "blstm_and_linear_masks", {"model.trunk": "blstm", **linear_masks}
    yield "l1", {"loss.mask_inference_kind": "l1", "loss.mask_inference": 0.6}
    heads = ("transcription", "onsets")
    squared = {f"loss.{head}_kind": "mse" for head in heads} | {f"loss.{h}": 0.8 for h in heads}
    yield "squared_error", squared
    yield "no_onsets", {"loss.onsets": 0.0}
    yield "no_average", {"optimizer.average_decay": 0.0}
    yield "no_filter", {"data.augment_equaliser_db": 0.0}
    yield "short_frames", {"audio.window": 1024}
    yield "clustering", {"loss.deep_clustering": 0.1}


SWEEPS: dict[str, Callable[..., Iterator[Fields]]] = {
    "loss_weights": loss_weights,
    "weight_grid": weight_grid,
    "seeds": seeds,
    "instrument_sets": instrument_sets,
    "ingredients": ingredients,
}
_TAKE_A_NUMBER = ("weight_grid", "seeds")


def load_points(
    sweep: str, config_path: str | Path, overrides: Overrides | None = None, *, grid: str = ""
) -> list[Point]:
    """Name and config of each point.

    Args:
        sweep: sweeps joined by `*`; '' for the grid alone.
        config_path: the set that all points share.
        overrides: fields that all points share.
        grid: fields with their values, 'FIELD=VALUE,VALUE;FIELD=VALUE,VALUE', all combinations of
            which are combined with the sweep. In a list of names + separates them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no such sweep, a point is not valid or the same as another, or sets
            a field that another factor or `overrides` set too.
    """
    factors = [_points_of(text.strip()) for text in sweep.split("*")] if sweep else []
    factors += [_axis(text.strip()) for text in grid.split(";") if text.strip()]
    if not factors:
        raise ValueError(f"--sweep: one of {', '.join(SWEEPS)}, or a --grid, expected, got nothing")
    overrides, points = overrides or [], []
    for combination in itertools.product(*factors):
        name = JOINT.join(own for own, _ in combination)
        fields = [field for _, own in combination for field in own]
        both = {field for field in fields if fields.count(field) > 1}
        if both:
            raise ValueError(f"{name}: {', '.join(sorted(both))} set by two factors of the sweep")
        if both := sorted({field for field, _ in overrides} & set(fields)):
            raise ValueError(
                f"{name}: its points set {', '.join(both)}, so the command line cannot"
            )
        values = [item for _, own in combination for item in own.items()]
        points.append((name, load_config(config_path, [*overrides, *values])))
    names = [name for name, _ in points]
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise ValueError(
            f"--sweep: a name is a folder: letters, digits and . _ + = , - expected, at most 200, "
            f"got {quoted(wrong[0])}"
        )
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(f"--sweep: expected points with a name each, got {', '.join(names)}")
    for (name, config), (other, of_other) in itertools.combinations(points, 2):
        if config == of_other:
            raise ValueError(
                f"--sweep: {name} and {other} are the same run with --config={config_path}; leave "
                "one of them out"
            )
    return points


def _weights(deep_clustering: float, mask_inference: float, transcription: float) -> dict:
    return {
        "loss.deep_clustering": deep_clustering,
        "loss.mask_inference": mask_inference,
        "loss.transcription": transcription,
    }


def _points_of(text: str) -> list[Fields]:
    """The points of one factor."""
    name, has_number, number = text.partition("=")
    if name in SWEEPS:
        if has_number and (name not in _TAKE_A_NUMBER or not number.isdecimal() or number == "0"):
            raise ValueError(
                f"--sweep: a number behind one of {', '.join(_TAKE_A_NUMBER)} expected, e.g. "
                f"seeds=5, got {quoted(text)}"
            )
        return list(SWEEPS[name](int(number)) if has_number else SWEEPS[name]())
    return _checked(_own_points(text), text)


def _own_points(text: str) -> object:
    """What a function of the user's gives."""
    place, _, function = text.rpartition(":")
    if text.endswith(".py") or place.endswith(".py"):
        file = Path(place or text)
        if not file.is_file():
            raise FileNotFoundError(f"no file {str(file)!r}; known sweeps: {', '.join(SWEEPS)}")
        return call_function(file, function if place else "get_sweep")
    if not place:
        raise ValueError(
            f"--sweep: one of {', '.join(SWEEPS)}, MODULE:FUNCTION or FILE.py:FUNCTION expected, "
            f"got {quoted(text)}"
        )
    try:
        return getattr(importlib.import_module(place), function)()
    except Exception as error:  # a user's module may fail in any way; the message must name it
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"--sweep={text}: {function}() failed: {reason}") from error


def _checked(points: object, source: str) -> list[Fields]:
    try:
        points = [(name, dict(fields)) for name, fields in points]
    except Exception as error:  # a generator of the user's may fail in any way too
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{source}: pairs of name and fields expected ({reason})") from error
    wrong = [name for name, fields in points if not isinstance(name, str) or not _texts(fields)]
    if wrong or not points:
        raise ValueError(f"{source}: pairs of name and fields expected, got {quoted(wrong)}")
    return points


def _texts(names: Iterable) -> bool:
    return all(isinstance(name, str) for name in names)


def _axis(text: str) -> list[Fields]:
    """A field and its values, as text: 'FIELD=VALUE,VALUE'."""
    field, _, values = text.partition("=")
    field, values = field.strip(), [value.strip() for value in values.split(",")]
    if not field or not all(values):
        raise ValueError(f"--grid: FIELD=VALUE,VALUE;... expected, got {quoted(text)}")
    is_list = isinstance(flatten(base.get_config()).get(field), tuple)
    short = field.rpartition(".")[2]
    return [
        (
            f"{short}_{re.sub(r'[^A-Za-z0-9.+-]', '_', value)}",
            {field: value.replace("+", ",") if is_list else value},
        )
        for value in values
    ]
