"""The watch over a long run: what it counts, and that growth is found."""

import itertools
import re

import pytest

from experiments import train
from experiments.studies import soak
from experiments.studies.soak import Sample, check_flat, growth, sample, watched
from experiments.training import data
from tests.tiny_run import INSTRUMENTS, prepare_data


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


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ([], ""),
        (["--max_growth_mb=3.7"], ""),
        (["--max_growth_mb=3.5"], "memory grew by 3.60 MB (at most 3.5)"),
    ],
)
def test_the_command_watches_every_batch_and_allows_the_growth_of_its_flag(
    tmp_path, monkeypatch, capsys, flags, error
):
    """Batches are read, and memory grows by a tenth of a MB with each; nothing is trained."""
    batches, read = data.batches, []

    def train_on(config, given, *, workdir, validation_batches):
        read.extend(batch["sources"].shape for batch in given)

    def by_numpy(config, split, *, num_steps):
        return itertools.islice(itertools.cycle([*batches(config, split, num_steps=1)]), num_steps)

    monkeypatch.setattr(train, "train", train_on)
    monkeypatch.setattr(data, "batches", by_numpy)
    monkeypatch.setattr(soak, "sample", lambda step: Sample(step, 100 + step / 10, 20))
    fields = {"data.root": prepare_data(tmp_path), "instruments": ",".join(INSTRUMENTS)}
    flags = [*flags, *(f"--config.{name}={value}" for name, value in fields.items())]
    assert soak.main(["--steps=60", *flags]) == bool(error)
    out, said = capsys.readouterr()
    assert read == [(2, 2, 1600)] * 60
    steps = re.findall(r"^\| (\d+) \|", out, re.MULTILINE)
    assert steps == [str(step) for step in range(0, 60, 6)]
    assert "Growth from the second fifth to the last: +3.60 MB, +0.0 files" in out
    assert error in said and bool(said) == bool(error)
