"""Train a network from a config. The same command started again continues the run.

Everything that can be wrong with the request is found before data are rendered or a device is used.
"""

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import (
    heads_of,
    known_files,
    load_config,
    load_run_config,
    save_config,
)
from experiments.config.resume import check_resume, keep_fingerprints, keep_root
from experiments.runtime import distributed
from experiments.runtime.compile_cache import keep_compiled
from experiments.runtime.huge_pages import restart_with_huge_pages
from experiments.runtime.out_of_memory import memory_advice
from experiments.runtime.run_lock import run_lock

_SHOWN = (
    "loss",
    "validation_loss",
    "validation_si_sdr_improvement",
    "validation_onset_f1",
)
INTERRUPTED = "Stopped. The same command continues where it was."


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = {"argv": argv, "with_config": True, "on_interrupt": INTERRUPTED}
    return distributed.leaving(lambda: run_command(_run, _flags(), **options))


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.run --config=SET [--workdir=DIR] [--config.FIELD=VALUE ...]",
        "Train a network that separates and transcribes the instruments of a set.\n\n"
        "The run's directory gets config.json, metrics.jsonl and checkpoints/. The same command\n"
        "continues a run that was stopped. Any field of the config can be set on the command\n"
        "line, e.g. --config.loss.transcription=0.7 or --config.instruments=piano,bass; all\n"
        "fields with their meaning are in experiments/sets/base.py.",
    )
    flags.path(
        "config",
        "",
        "The set to train: a file, relative to the working directory or to experiments/. Known: "
        + ", ".join(known_files("sets")),
    )
    flags.path("workdir", "", "The run's directory (default: runs/ and the name of the set).")
    flags.path(
        "init_from",
        "",
        "Begin with the parameters of another network where they fit: the directory of a run, the "
        "name of a network of the package, or a file of experiments.export. Short for "
        "--config.train.init_from.",
    )
    distributed.add_flags(flags)
    return flags


def _run(flags: CommandFlags, overrides: Overrides) -> None:
    if not flags.config:
        raise ValueError(
            "--config is missing, e.g. --config=sets/set4.py; known: "
            + ", ".join(known_files("sets"))
        )
    distributed.arguments(flags)  # refused before anything else is done
    if flags.init_from:
        overrides = [*overrides, ("train.init_from", flags.init_from)]
    config = load_config(flags.config, overrides)
    workdir = Path(flags.workdir or Path("runs") / Path(flags.config).stem)
    check_resume(config, workdir)
    if flags.distributed:
        distributed.join(flags)
        distributed.check_same_config(config)
    keep_compiled()
    with distributed.ending_together(), _directory(workdir):
        train_run(config, workdir)
    if distributed.is_first():
        print(
            "Next:\n"
            f"  python -m experiments.evaluate --workdir={workdir}\n"
            f"  python -m experiments.separate --workdir={workdir} --out=separated SONG.wav\n"
            f"  python -m experiments.report --workdir={workdir}"
        )


@contextlib.contextmanager
def _directory(workdir: Path):
    """The run's directory, made first, because finding that it cannot be made after rendering would
    be late; removed again if the run was refused before it wrote anything."""
    workdir.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty, or another process was faster
            workdir.rmdir()


def train_run(config: ConfigDict, workdir: Path) -> None:
    """Train, or go on training, the config in `workdir`, and tune its note thresholds.

    Raises:
        ValueError: if another run is in that directory, the config does not fit the devices, or
            memory does not suffice.
    """
    with run_lock(workdir), memory_advice():
        _train_and_tune(config, workdir)


def _train_and_tune(config: ConfigDict, workdir: Path) -> None:
    import jax

    from cerberus_jax import parallel
    from cerberus_jax.precision_check import check_precision
    from experiments import train
    from experiments.runtime.deterministic import compute_deterministically
    from experiments.training.mirrors import check_mirrors

    if config.train.deterministic:
        compute_deterministically()
    parallel.check_batch_size(
        config.batch_size, jax.device_count(), config.train.accumulation_steps
    )
    check_precision(config.model.precision)
    check_mirrors(config)
    first_step = train.start_step(workdir)
    say = print if distributed.is_first() else _silent
    if first_step >= config.train.num_steps:
        say(f"Nothing to train: {workdir} is at step {first_step} already")
        if distributed.is_first():
            keep_root(config, workdir)
    else:
        _train(config, workdir, first_step=first_step, say=say)
    if distributed.is_first():  # the others wait for it as the command ends
        tune_thresholds(workdir)


def _train(config: ConfigDict, workdir: Path, *, first_step: int, say: Callable) -> None:
    import jax

    from experiments import train
    from experiments.training import data, embedded
    from experiments.training.sessions import keep_session
    from experiments.training.validation_scores import ValidationScores
    from experiments.training.warm_start import warm_start

    # Both are refused before data are rendered.
    embedded.check_songs(config, workdir)
    begin = None if first_step else warm_start(config)
    process = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    validation = data.validation_batches(config, **process)
    scored = ValidationScores.of([config])  # finds out now, not after hours, what is missing
    batches = data.batches(
        config,
        "train",
        first_step=first_step,
        num_steps=config.train.num_steps - first_step,
        **process,
    )
    say(_header(config, workdir, begin, first_step=first_step), flush=True)
    if distributed.is_first():
        keep_fingerprints(
            data.data_root(config), workdir, embedded.soundfonts(config), embedded.songs(config)
        )
        save_config(config, workdir)
        keep_session(workdir, first_step=first_step, begin=begin)
    summary = train.train(
        config,
        batches,
        workdir=workdir,
        validation_batches=validation,
        scored=scored,
        excerpts_of=functools.partial(data.excerpt_names, config),
    )
    values = [f"{name.replace('_', ' ')} {summary[name]:.4f}" for name in _SHOWN if name in summary]
    say(f"Trained  to step {summary['step']}: {', '.join(values)}")


def tune_thresholds(workdir: Path) -> None:
    """Choose the note thresholds of the finished checkpoints, once."""
    from cerberus_jax import checkpoint
    from experiments.training import embedded
    from experiments.training.tuning import tune_run

    folders = [checkpoint.locate(workdir, kind) for kind in checkpoint.saved_steps(workdir)]
    if all((folder / "decoding.json").exists() for folder in folders):
        return
    embedded.check_songs(load_run_config(workdir), workdir)
    tuned = tune_run(workdir)
    if best := tuned.get("best"):
        thresholds = [f"{name} {decoding.threshold:.2f}" for name, decoding in best.items()]
        print(f"Tuned    note thresholds on validation: {', '.join(thresholds)}", flush=True)


def _silent(*_, **__) -> None:
    """What all processes but the first print."""


def _header(config: ConfigDict, workdir: Path, begin: object, *, first_step: int) -> str:
    import jax

    from experiments.training import data
    from experiments.training.task import num_parameters

    devices, compiled = jax.devices(), jax.config.jax_compilation_cache_dir
    continued = f", continued after step {first_step}" if first_step else ""
    lines = [
        f"Run      {workdir}{continued}, to step {config.train.num_steps}",
        f"Devices  {len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        f"Network  {', '.join(config.instruments)}; {', '.join(heads_of(config))}; "
        f"{num_parameters(config) / 1e6:.1f} M parameters",
        *([f"Begins   with {begin}"] if begin else []),
        f"Data     {data.describe(config)}",
        f"Compiled programs are {f'kept in {compiled}' if compiled else 'not kept'}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
