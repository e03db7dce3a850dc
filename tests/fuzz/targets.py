"""The readers that are fuzzed: what is called with a file of the fuzzer's bytes, and its seeds.

A target has one or several readers of one kind of file; each gets every input. Their modules are
imported when a target is used, and not before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import readers, seeds
from tests.fuzz.judge import Finding, Reader, finding
from tests.fuzz.mutators import mutate_json, mutate_zip


@dataclass(frozen=True)
class Target:
    """What is fuzzed together.

    Args:
        readers: imports them; gives each by the name of the file that it reads.
        seeds: gives the inputs to begin with, of which every reader takes at least one.
        mutate: a mutation that keeps the outer form of a file.
        max_bytes: of an input.
    """

    readers: Callable[[], dict[str, Reader]]
    seeds: Callable[[], list[bytes]]
    mutate: Callable | None = None
    max_bytes: int = 8192


TARGETS = {
    "audio": Target(readers.audio, seeds.audio, max_bytes=1 << 14),
    "midi": Target(readers.midi, seeds.midi),
    "jams": Target(readers.jams, seeds.jams, mutate_json),
    "maps": Target(readers.maps, seeds.maps),
    "maestro": Target(readers.maestro, seeds.maestro),
    "slakh": Target(readers.slakh, seeds.slakh),
    "names": Target(readers.names, seeds.names),
    "archive": Target(readers.archive, seeds.archive, max_bytes=1 << 14),
    "arrays": Target(readers.arrays, seeds.arrays, mutate_zip, max_bytes=1 << 15),
    "records": Target(readers.records, seeds.records, mutate_json, max_bytes=1 << 17),
    "lists": Target(readers.lists, seeds.lists, mutate_json),
    "config": Target(readers.config, seeds.config, mutate_json),
    "overrides": Target(readers.overrides, seeds.overrides),
    "results": Target(readers.results, seeds.results, mutate_json, max_bytes=1 << 14),
    "metrics": Target(readers.metrics, seeds.metrics, mutate_json),
    "metadata": Target(readers.metadata, seeds.metadata, mutate_json),
    "parameters": Target(readers.parameters, seeds.parameters, max_bytes=1 << 14),
    "safetensors": Target(readers.safetensors, seeds.safetensors),
}


def findings_of(
    readers: dict[str, Reader], data: bytes, folder: Path
) -> Iterator[tuple[str, Finding]]:
    """(file name, finding) of every reader that takes these bytes otherwise than it may."""
    for name, reader in readers.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if found := finding(reader, path, named=getattr(reader, "named", None)):
            yield name, found
        path.unlink(missing_ok=True)
