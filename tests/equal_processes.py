"""Are runs of 1, 2 and 3 processes the same run, and can it go from one number to another?

    python -m tests.equal_processes [STEPS]

Trains the network of distributed_checks.py in float64, in processes of one device each over the
loopback, and prints by how much parameters and optimiser differ from those of one process. It takes
two minutes of processor time, and exits with 1 where a difference reaches 1e-9.
"""

import sys
import tempfile
from pathlib import Path

from tests.experiments.runtime.test_distributed import difference, train

LIMIT = 1e-9


def main(steps=50):
    third, two_thirds = steps // 3, 2 * steps // 3
    chains = {
        "1": [(1, steps)],
        "2": [(2, steps)],
        "3": [(3, steps)],
        "2, then 1, then 3": [(2, third), (1, two_thirds), (3, steps)],
    }
    largest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: Path(folder) / str(number) for number, name in enumerate(chains)}
        for name, chain in chains.items():
            for count, last in chain:
                train(runs[name], steps=last, count=count)
            found = difference(runs["1"], runs[name], steps)
            largest = max(largest, found)
            print(f"{steps} steps, processes: {name}: largest difference {found:.1e}", flush=True)
    return int(largest >= LIMIT)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
