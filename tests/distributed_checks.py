"""Run by test_distributed.py, once per process: trains a tiny network on its share of each batch.

    python -m tests.distributed_checks WORKDIR STEPS COORDINATOR K/N [WHAT]

WHAT goes wrong: 'stop' = the last process gets a signal at step 2, 'full' = the last process finds
a full disk, 'apart' = every process has a directory of its own.
"""

import collections
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

from cerberus_jax import checkpoint
from experiments import train
from experiments.config.loading import load_config
from experiments.run import _flags
from experiments.runtime import distributed
from tests.tiny_network import noise_batch
from tests.tiny_training import TINY

CONFIG = TINY | {
    "model.input_scaling": "excerpt_db_affine",
    "train.log_every": 2,
    "train.checkpoint_every": 4,
}
Room = collections.namedtuple("Room", "total used free")


def main(workdir, steps, coordinator, process, what=""):
    flags = _flags()
    flags(["", "--distributed", f"--coordinator={coordinator}", f"--process={process}"])
    joined = distributed.arguments(flags)
    number, count = joined["process_id"], joined["num_processes"]
    if count > 1:
        distributed.join(joined)
    is_last = number == count - 1
    if what == "full" and is_last:
        shutil.disk_usage = lambda _: Room(10, 9, 1)
    workdir = Path(workdir) / (str(number) if what == "apart" else "")
    if what == "apart" and is_last:
        checkpoint.newest_whole = lambda workdir: (workdir / "1", {})

    def share(seed):
        each = 4 // count
        part = slice(number * each, (number + 1) * each)
        return {name: values[part] for name, values in noise_batch(4, seed=seed).items()}

    def batches():
        for seed in itertools.count(train.start_step(workdir)):
            if what == "stop" and is_last and seed == 4:  # read while step 2 or 3 is computed
                os.kill(os.getpid(), signal.SIGTERM)
            yield share(seed)

    config = load_config("sets/set1.py", CONFIG | {"train.num_steps": int(steps)})
    end = "finished"
    try:
        train.train(config, batches(), workdir=workdir, validation_batches=[share(1000)])
    except (KeyboardInterrupt, OSError, ValueError) as error:
        end = f"{type(error).__name__}: {error}"
    print(f"\n{end}")  # a line of its own, after what the collectives say


if __name__ == "__main__":
    main(*sys.argv[1:])
