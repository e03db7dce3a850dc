"""Runs of several processes, for more of them and longer than test_distributed.py has time for.

    python -m tests.several_processes equal [STEPS]
    python -m tests.several_processes lost

All train the network of distributed_checks.py in float64, in processes of one device each over the
loopback. `equal` prints by how much parameters and optimiser of 1, 2 and 3 processes, and of a run
that goes from one number to another, differ from those of one process; it exits with 1 where that
reaches 1e-9. `lost` kills and freezes either of two processes, and prints how long the other lives
and what it says. Each takes two minutes of processor time.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.distributed_checks import HEARTBEAT_SECONDS
from tests.experiments.runtime.test_distributed import difference, start, train
from tests.waiting import wait_for

LIMIT = 1e-9


def equal(folder, steps=50):
    third, two_thirds = steps // 3, 2 * steps // 3
    chains = {
        "1": [(1, steps)],
        "2": [(2, steps)],
        "3": [(3, steps)],
        "2, then 1, then 3": [(2, third), (1, two_thirds), (3, steps)],
    }
    largest = 0.0
    runs = {name: folder / str(number) for number, name in enumerate(chains)}
    for name, chain in chains.items():
        for count, last in chain:
            train(runs[name], steps=last, count=count)
        found = difference(runs["1"], runs[name], steps)
        largest = max(largest, found)
        print(f"{steps} steps, processes: {name}: largest difference {found:.1e}", flush=True)
    return int(largest >= LIMIT)


def lost(folder):
    print(f"--heartbeat_timeout={HEARTBEAT_SECONDS}")
    for number, what in enumerate(["kill 0", "kill 1", "freeze 0", "freeze 1"]):
        running = start(folder / str(number), what, steps=9)
        victim = running[int(what[-1])]
        other = running[1 - int(what[-1])]
        state = Path(f"/proc/{victim.pid}/stat")
        wait_for(lambda file=state: file.read_text().rpartition(") ")[2][0] in "TZ")
        began = time.monotonic()
        said = other.communicate()[1]
        print(f"{what}: the other ends after {time.monotonic() - began:.1f} s, exit code ", end="")
        print(f"{other.returncode}: {said.strip()}", flush=True)
        victim.kill()
        victim.communicate()
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(globals()[sys.argv[1]](Path(temporary), *map(int, sys.argv[2:])))
