"""What a public function says when it is given another shape or number than it takes."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_rank(name: str, array: Any, axes: Sequence[str], *, leading: bool = False) -> None:
    """Raises a ValueError unless `array` is an array with these axes.

    Args:
        name: of the function and its argument.
        array: what came.
        axes: what each axis is, in order.
        leading: any axes may come before them.
    """
    shape = getattr(array, "shape", None)
    fits = shape is not None and (len(shape) >= len(axes) if leading else len(shape) == len(axes))
    if not fits:
        expected = ", ".join([*(["..."] if leading else []), *axes])
        got = f"the shape {list(shape)}" if shape is not None else type(array).__name__
        raise ValueError(f"{name}: an array [{expected}] expected, got {got}")


def check_shape(name: str, array: Any, expected: Sequence[int]) -> None:
    """Raises a ValueError unless `array` is an array of the shape `expected`."""
    shape = getattr(array, "shape", None)
    if shape is None or tuple(shape) != tuple(expected):
        got = list(shape) if shape is not None else type(array).__name__
        raise ValueError(f"{name}: the shape {list(expected)} expected, got {got}")


def whole_rate(sample_rate_hz: Any) -> int:
    """The sampling rate as an integer; 44100.0 is one.

    Raises:
        ValueError: if it is not a positive whole number.
    """
    rate = sample_rate_hz.item() if isinstance(sample_rate_hz, np.generic) else sample_rate_hz
    is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not is_number or not rate > 0 or rate != rate // 1:
        raise ValueError(f"sample_rate_hz: must be positive and whole, got {sample_rate_hz!r}")
    return int(rate)
