"""A trained network as one file: what `separate --pretrained` and `run --init_from` take.

It is in half precision, without optimiser and clustering head, and says how the network was
trained, so that it can be trained again.
"""

import sys
from pathlib import Path

from cerberus_jax.network_file import ENDING
from data_pipeline.io.files import whole_file
from experiments.config.command_line import CommandFlags, run_command


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_export, _flags(), argv=argv)


def export(workdir: str | Path, out: str | Path, *, step: str = "best", licence: str = "") -> dict:
    """Write the network of a run into a file.

    Args:
        workdir: the run's directory.
        out: the file, which ends in `.safetensors`.
        step: the checkpoint.
        licence: of the sounds that it was trained on, and of the file itself.

    Returns:
        what the file says of the network's origin.

    Raises:
        FileNotFoundError: if there is no such run or checkpoint.
        ValueError: if `out` has another ending, or the network neither separates nor transcribes.
    """
    from cerberus_jax.checkpoint import is_tuned, locate, restore_located
    from cerberus_jax.network_file import network_bytes
    from experiments.config.loading import load_run_config
    from experiments.config.resume import saved_fingerprints, saved_soundfonts
    from experiments.evaluation.provenance import provenance
    from experiments.training.sessions import read_sessions

    out = Path(out)
    if out.suffix != ENDING:
        raise ValueError(f"out: {out}: a name that ends in {ENDING} expected")
    config = load_run_config(workdir)
    checkpoint = locate(workdir, step)
    origin = provenance(config)
    about = {
        "config": origin.pop("config"),
        "exported_by": origin,
        "step": int(checkpoint.name),
        "tuned": is_tuned(checkpoint),
        "sessions": read_sessions(workdir),
        "soundfonts": saved_soundfonts(workdir),
        "data": saved_fingerprints(workdir),
        "licence": licence,
    }
    model, params, metadata = restore_located(checkpoint)
    content = network_bytes(model, params, metadata["decoding"], about=about)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as part:
        part.write_bytes(content)
    return about


def _flags() -> CommandFlags:
    flags = CommandFlags(
        f"python -m experiments.export --workdir=DIR --out=NAME{ENDING}",
        "Write the network of a run into one file, in half precision and without what only helps\n"
        "to train. experiments.separate --pretrained=FILE uses it, Predictor.pretrained(FILE)\n"
        "loads it, and experiments.run --init_from=FILE trains it further.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.path("out", "", f"The file; it must end in {ENDING}.")
    flags.string("step", "best", "The checkpoint: best, last, or the step of one of these.")
    flags.string("licence", "", "Of the sounds it was trained on; kept in the file.")
    return flags


def _export(flags: CommandFlags) -> None:
    for name in ("workdir", "out"):
        if not flags[name].value:
            raise ValueError(f"--{name} is missing, e.g. --workdir=runs/demo --out=demo{ENDING}")
    about = export(flags.workdir, flags.out, step=flags.step, licence=flags.licence)
    size = Path(flags.out).stat().st_size / 1e6
    print(f"{flags.out}: the network of step {about['step']}, {size:.1f} MB")
    if not about["tuned"]:
        print("Its note thresholds are the default ones; they are tuned at the end of training")
    if not about["licence"]:
        print("It names no --licence of the sounds that it was trained on")


if __name__ == "__main__":
    sys.exit(main())
