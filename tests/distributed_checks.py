"""Run by test_distributed.py, once per process: trains a tiny network on its share of each batch.

    python -m tests.distributed_checks WORKDIR STEPS COORDINATOR K/N [WHAT]

WHAT goes wrong: 'stop' = the last process gets a signal at step 2, 'full' = the last process finds
a full disk, 'apart' = every process has a directory of its own, 'kill K' = process K is killed
after the checkpoint of step 4, 'freeze K' = it stands still, 'break K' = it meets a bug.
"""

import collections
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

import jax
import numpy as np

from cerberus_jax import checkpoint
from experiments import train
from experiments.config.loading import load_config
from experiments.run import _flags
from experiments.runtime import distributed
from tests.tiny_network import noise_batch
from tests.tiny_training import TINY
from tests.waiting import wait_for

BATCH = 6
CONFIG = TINY | {
    "batch_size": BATCH,
    "model.input_scaling": "excerpt_db_affine",
    "train.log_every": 2,
    "train.checkpoint_every": 4,
    "train.best_by": "validation_onset_f1",
}
HEARTBEAT_SECONDS = 10
Room = collections.namedtuple("Room", "total used free")
FATES = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "break": lambda: {}["a bug"],
}


def batch_of(seed, part=slice(None)):
    """Rows of a batch; the network computes in the precision of its gains."""
    batch = noise_batch(BATCH, seed=seed)
    batch["gains"] = batch["gains"].astype(np.float64 if jax.config.jax_enable_x64 else np.float32)
    return {name: values[part] for name, values in batch.items()}


def scores_of_first(model, params, decoding):
    """Scores of other networks are other numbers; only the first process may be asked."""
    if jax.process_index():
        raise RuntimeError("scored in a process that is not the first")
    total = sum(float(np.abs(array).sum()) for array in jax.tree.leaves(params))
    return {"si_sdr_improvement": total, "onset_f1": 1 / total}


def main(workdir, steps, coordinator, process, what=""):
    what, _, victim = what.partition(" ")
    flags = _flags()
    place = [f"--coordinator={coordinator}", f"--process={process}"]
    limits = [f"--heartbeat_timeout={HEARTBEAT_SECONDS}", "--start_timeout=100"]
    flags(["", "--distributed", *place, *limits])
    known = distributed.arguments(flags)
    number, count = known["process_id"], known["num_processes"]
    if count > 1:
        distributed.join(flags)
    is_last = number == count - 1
    if what == "full" and is_last:
        shutil.disk_usage = lambda _: Room(10, 9, 1)
    workdir = Path(workdir) / (str(number) if what == "apart" else "")
    if what == "apart" and is_last:
        checkpoint.newest_whole = lambda workdir, **_: (workdir / "1", {})
    each = BATCH // count
    share = slice(number * each, (number + 1) * each)

    def batches():
        for seed in itertools.count(train.start_step(workdir)):
            if what == "stop" and is_last and seed == 4:  # read while step 2 or 3 is computed
                os.kill(os.getpid(), signal.SIGTERM)
            if what in FATES and number == int(victim) and seed == 6:
                wait_for(lambda: checkpoint.saved_steps(workdir).get("last") == 4)
                FATES[what]()
            yield batch_of(seed, share)

    config = load_config("sets/set1.py", CONFIG | {"train.num_steps": int(steps)})
    validation = [batch_of(1000, share)]
    try:
        with distributed.ending_together():
            train.train(
                config,
                batches(),
                workdir=workdir,
                validation_batches=validation,
                scored=scores_of_first,
            )
    except (KeyboardInterrupt, OSError, ValueError) as error:
        print(f"\n{type(error).__name__}: {error}")  # a line of its own, after the collectives'
        return 1
    params = checkpoint.restore_model(workdir, "last")[1]  # in every process, on its own device
    jax.tree.map(np.asarray, params)
    print("\nfinished")
    return 0


if __name__ == "__main__":
    sys.exit(distributed.leaving(lambda: main(*sys.argv[1:])))
