"""The watch over a long run: what it counts, and that growth is found."""

import pytest

from experiments.studies import soak
from experiments.studies.soak import Sample, check_flat, growth, sample, watched


def test_a_sample_counts_what_this_process_holds(tmp_path):
    before = sample(0)
    with (tmp_path / "open").open("w"):
        held = bytearray(64_000_000)
        held[::4096] = b"x" * len(held[::4096])
        during = sample(1)
    assert during.handles == before.handles + 1
    assert during.megabytes - before.megabytes == pytest.approx(64, abs=8)


def test_batches_come_through_and_every_so_often_one_is_sampled():
    samples = []
    assert list(watched("abcdefg", samples, every=3)) == list("abcdefg")
    assert [s.step for s in samples] == [0, 3, 6]


def _samples(megabytes=lambda k: 100, handles=lambda k: 20):
    return [Sample(k, megabytes(k), handles(k)) for k in range(50)]


def test_what_grows_is_refused_and_what_only_varies_is_not():
    warming_up = _samples(lambda k: 50 if k < 10 else 100 + k % 3)
    check_flat(warming_up, max_growth_mb=1)
    assert growth(_samples(lambda k: 100 + k, lambda k: 20 + k // 10)) == (30, 3)
    with pytest.raises(ValueError, match=r"memory grew by 30\.00 MB \(at most 8\)"):
        check_flat(_samples(lambda k: 100 + k), max_growth_mb=8)
    with pytest.raises(ValueError, match="open files by 3 "):
        check_flat(_samples(handles=lambda k: 20 + k // 10), max_growth_mb=8)


def test_a_system_that_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(soak, "_PROCESS", tmp_path)
    with pytest.raises(ValueError, match="soak: needs Linux"):
        sample(0)
