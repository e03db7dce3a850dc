"""Do memory and file handles stay flat over a long training? A run of many tiny steps, watched.

    python -m experiments.studies.soak --steps=20000

Everything of a run takes part: the reader, prefetching, the log, and validations and checkpoints at
the intervals of the default config. The network and the excerpts are tiny, so that only what is
left behind can grow. Linux alone tells what is measured.
"""

import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import load_config
from experiments.evaluation.markdown import markdown_table

SET = "sets/set1.py"
TINY = {
    "batch_size": 2,
    "excerpt_seconds": 0.1,
    "audio.window": 256,
    "audio.hop": 128,
    "model.layers": 1,
    "model.hidden": 8,
    "model.embedding_dim": 4,
    "data.num_validation_excerpts": 4,
}
_PROCESS = Path("/proc/self")


class Sample(NamedTuple):
    """What the process holds when batch number `step` is read: anonymous memory, open files."""

    step: int
    megabytes: float
    handles: int


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.soak [--steps=20000] [--config.FIELD=VALUE ...]",
        f"Train a tiny network of {SET} and watch the memory and the open files of the process.\n"
        "Fails if one of them grows from the second fifth of the run to the last.",
    )
    flags.integer("steps", 20000, "Training steps.", lowest=50)
    flags.number("max_growth_mb", 8.0, "How much more memory is no growth, in MB.")
    return run_command(_soak, flags, argv=argv, with_config=True)


def _soak(flags: CommandFlags, overrides: Overrides) -> None:
    sample(0)  # first of all, whether this system tells
    config = load_config(SET, [*TINY.items(), ("train.num_steps", flags.steps), *overrides])

    from experiments import train
    from experiments.training import data

    samples = []
    every = max(config.train.num_steps // 50, 1)
    with tempfile.TemporaryDirectory() as workdir:
        batches = data.batches(config, "train", num_steps=config.train.num_steps)
        validation = data.validation_batches(config)
        train.train(
            config,
            watched(batches, samples, every=every),
            workdir=workdir,
            validation_batches=validation,
        )
    rows = [
        [str(s.step), f"{s.megabytes:.1f}", str(s.handles)] for s in samples[:: len(samples) // 10]
    ]
    print(markdown_table(("step", "RssAnon MB", "open files"), rows))
    megabytes, handles = growth(samples)
    print(f"\nGrowth from the second fifth to the last: {megabytes:+.2f} MB, {handles:+.1f} files")
    check_flat(samples, max_growth_mb=flags.max_growth_mb)


def watched(batches: Iterable, samples: list[Sample], *, every: int) -> Iterator:
    """The batches; of every so many of them a sample is added."""
    for step, batch in zip(itertools.count(), batches, strict=False):
        if step % every == 0:
            samples.append(sample(step))
        yield batch


def sample(step: int) -> Sample:
    """What this process holds now.

    Raises:
        ValueError: on a system that does not tell.
    """
    try:
        status = (_PROCESS / "status").read_text()
        handles = len(list((_PROCESS / "fd").iterdir()))
    except OSError as error:
        raise ValueError(f"soak: needs Linux, which tells memory and files ({error})") from None
    return Sample(step, int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6, handles)


def growth(samples: list[Sample]) -> tuple[float, float]:
    """MB and files by which the median of the last fifth is above that of the second."""
    fifth = len(samples) // 5
    before, after = samples[fifth : 2 * fifth], samples[-fifth:]

    def grown(name):
        middle = [statistics.median(getattr(s, name) for s in part) for part in (before, after)]
        return middle[1] - middle[0]

    return grown("megabytes"), grown("handles")


def check_flat(samples: list[Sample], *, max_growth_mb: float) -> None:
    """Raises ValueError if memory or open files grew."""
    megabytes, handles = growth(samples)
    if megabytes > max_growth_mb or handles > 0:
        raise ValueError(
            f"soak: memory grew by {megabytes:.2f} MB (at most {max_growth_mb:g}) and open files "
            f"by {handles:g} (none expected) over {samples[-1].step} steps"
        )


if __name__ == "__main__":
    sys.exit(main())
