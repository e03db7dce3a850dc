"""Run by test_kills.py: a tiny network that saves a checkpoint at every step, until it is killed.

python -m tests.killed_run WORKDIR STEPS
"""

import sys
from pathlib import Path

from tests.tiny_training import run_training

SCHEDULE = {"train__checkpoint_every": 1, "train__log_every": 2, "train__eval_every": 3}


def main(workdir, steps):
    run_training(Path(workdir), train__num_steps=int(steps), **SCHEDULE)


if __name__ == "__main__":
    main(*sys.argv[1:])
