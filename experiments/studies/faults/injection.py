"""What was done to a run, and how it went on."""

import subprocess
from dataclasses import dataclass

from experiments.studies.faults.trial import Trial


@dataclass(frozen=True)
class Injection:
    """One fault that a run had.

    Args:
        trial: the run, now at its end.
        lost: steps that were done again.
        seconds: until it was beyond the step that it had reached; None: it was not waited for.
        title: what is said of it; '': the name of the fault.
    """

    trial: Trial
    lost: int = 0
    seconds: float | None = None
    title: str = ""


def expect(trial: Trial, holds: bool, otherwise: str) -> None:
    """End the study where a run does what it must not.

    Raises:
        ValueError: names the run.
    """
    if not holds:
        raise ValueError(f"{trial.workdir.name}: {otherwise}")


def expect_refusal(trial: Trial, process: subprocess.Popen, words: str) -> None:
    """Wait for a process that must end with exit code 1 and one line, in which these words are.

    Raises:
        ValueError: if it ends otherwise.
    """
    code = process.wait()
    lines = [line for line in trial.said.read_text().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    is_one_line = len(errors) == 1 and words in errors[0] and "Traceback" not in " ".join(lines)
    expect(trial, code == 1 and is_one_line, f"exit code {code}, {words!r} expected in {lines}")
