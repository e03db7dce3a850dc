"""Every target's seeds and kept crashers go through its readers once, without atheris."""

from pathlib import Path

import jaxtyping
import pytest

from tests.fuzz.targets import TARGETS, findings_of

CRASHERS = Path(__file__).parent / "crashers"


@pytest.fixture(autouse=True)
def _as_users_call_it(monkeypatch):
    """Without the shape checks of the tests, which would be first to notice."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_taken_and_crashers_refused_in_one_line(name, tmp_path):
    target = TARGETS[name]
    readers, seeds = target.readers(), target.seeds()
    kept = [path.read_bytes() for path in sorted((CRASHERS / name).glob("*"))]
    found = [
        finding for data in [*seeds, *kept] for finding in findings_of(readers, data, tmp_path)
    ]
    assert not found
    for file, reader in readers.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = 0
        for data in seeds:
            path.write_bytes(data)
            try:
                reader(path)
                taken += 1
            except ValueError:
                continue
        assert taken, f"{file}: no seed is taken"
        assert max(map(len, seeds)) <= target.max_bytes


def test_crashers_are_small_and_of_known_targets():
    files = [path for path in CRASHERS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= TARGETS.keys()
    assert sum(path.stat().st_size for path in files) < 100_000
