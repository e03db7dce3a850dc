"""Losses and gradients that are not finite: found, named, and either the run's end or counted.

The values of a step are looked at once it is computed, a few steps after it was handed out, and
before anything of it is logged or saved: no device waits for that, and what is named is where it
began.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax

from data_pipeline.io.files import whole_file

NONFINITE_FILE = "nonfinite.json"
_WATCHED = ("loss", "gradient_norm")  # the loss of a head that is not finite makes their sum so
_MAX_SHOWN = 3  # excerpts in a message


class NotFinite(ValueError):
    """Values of a run that are not finite, which end it; says where and what helps."""


class FiniteWatch:
    """Looks at the values of every step.

    Args:
        workdir: the run's directory, which gets the list of excerpts at which a run ended.
        max_skipped: updates that may be left out; 0 where none is.
        excerpts_of: the names of the excerpts in batch k, counted from 0; None: not known.
    """

    def __init__(
        self,
        workdir: str | Path,
        *,
        max_skipped: int = 0,
        excerpts_of: Callable[[int], Sequence[str]] | None = None,
    ):
        self._file = Path(workdir) / NONFINITE_FILE
        self._max_skipped, self._excerpts_of = max_skipped, excerpts_of

    def look(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Look at the metrics of a step, which should be computed: it is waited for otherwise.

        Raises:
            NotFinite: if they are not finite, and as many updates as allowed were left out before;
                names the step, what is not finite and the excerpts.
        """
        if all(math.isfinite(float(metrics[name])) for name in _WATCHED):
            return
        values = {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}
        bad = ", ".join(not_finite(values))
        excerpts = list(self._excerpts_of(step - 1)) if self._excerpts_of else []
        skipped = int(values.get("skipped_updates", 0))
        if 0 < skipped <= self._max_skipped:
            if jax.process_index() == 0:
                logging.warning(
                    "step %d: %s not finite%s; its update is left out, %d of at most %d",
                    *(step, bad, _shown(excerpts), skipped, self._max_skipped),
                )
            return
        if excerpts and jax.process_index() == 0:
            with whole_file(self._file) as part:
                content = {"step": step, "not_finite": not_finite(values), "excerpts": excerpts}
                part.write_text(json.dumps(content, indent=1) + "\n")
        listed = f" (all of them: {self._file})" if len(excerpts) > _MAX_SHOWN else ""
        raise NotFinite(
            f"training: {bad} not finite at step {step}{_shown(excerpts)}{listed}; the checkpoints "
            f"in {self._file.parent} are from before. --config.train.skip_nonfinite="
            f"{2 * self._max_skipped or 10} goes on and leaves out up to so many updates; or "
            "begin in another --workdir with a smaller --config.optimizer.learning_rate"
        )


def check_validation(values: Mapping[str, float], step: int) -> None:
    """Raise NotFinite if the loss of a validation is not finite; names the step and the loss."""
    if bad := not_finite(values):
        raise NotFinite(
            f"validation: {', '.join(bad)} not finite at step {step}, although training was; "
            "try a smaller --config.optimizer.learning_rate in another --workdir"
        )


def not_finite(values: Mapping[str, float]) -> list[str]:
    """The names of the values that are not finite."""
    return [name for name, value in values.items() if not math.isfinite(value)]


def _shown(excerpts) -> str:
    more = len(excerpts) - _MAX_SHOWN
    rest = [f"{more} more"] if more > 0 else []
    return f" on {', '.join([*excerpts[:_MAX_SHOWN], *rest])}" if excerpts else ""
