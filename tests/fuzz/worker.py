"""Fuzzes one target under libFuzzer: python -m tests.fuzz.worker TARGET FINDINGS [FLAG ...].

Findings do not end it: the shortest input of each kind is kept in the folder FINDINGS, with a line
about it in findings.jsonl. What ends it are crashes, and inputs that take too much time or memory.
"""

import json
import logging
import os
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cerberus_jax", "data_pipeline", "experiments"]):
    from tests.fuzz.targets import TARGETS, findings_of

    TARGET = TARGETS[sys.argv[1]]
    READERS = TARGET.readers()

MORE_MEMORY = 3 << 30  # bytes of address space beyond what the imports take


class Keeper:
    """Keeps the shortest input of each kind of finding."""

    def __init__(self, folder: Path):
        self.folder, self.shortest = folder, {}

    def keep(self, reader: str, found, data: bytes) -> None:
        key = (reader, *found)
        if len(data) >= self.shortest.get(key, sys.maxsize):
            return
        is_new = key not in self.shortest
        self.shortest[key] = len(data)
        number = list(self.shortest).index(key)
        name = f"{os.getpid()}_{number:03d}"
        (self.folder / name).write_bytes(data)
        if is_new:
            line = {"reader": reader, "what": found.what, "place": found.place, "file": name}
            with (self.folder / "findings.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")


def main() -> None:
    _, folder_of_findings, *flags = sys.argv[1:]
    keeper = Keeper(Path(folder_of_findings))
    logging.disable(logging.CRITICAL)
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, used + MORE_MEMORY))

    def one_input(data: bytes) -> None:
        for reader, found in findings_of(READERS, data, folder):
            keeper.keep(reader, found, data)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return TARGET.mutate(data, max_size, random.Random(seed), atheris.Mutate)

    options = {"custom_mutator": mutator} if TARGET.mutate else {}
    atheris.Setup([sys.argv[0], *flags], one_input, **options)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
