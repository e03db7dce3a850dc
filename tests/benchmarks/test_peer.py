"""PyTorch's side, and its race against this project; skipped where PyTorch is not installed."""

import math

import pytest

from experiments.benchmarks import sides
from experiments.benchmarks.race import race
from experiments.benchmarks.workload import SMALL

pytest.importorskip("torch", reason="PyTorch, optional, is not installed")
from experiments.benchmarks import peer


def test_forms_take_the_same_step_but_for_rounding():
    losses = {}
    for variants in ((), ("published",), ("bf16",)):
        step = peer.make(SMALL, "train", variants=variants)
        losses[variants] = [float(step()) for _ in range(3)]
    plain = losses[()]
    assert all(map(math.isfinite, plain)) and len(set(plain)) == 3
    assert losses["published",] == pytest.approx(plain, rel=1e-4)
    assert losses["bf16",] == pytest.approx(plain, rel=1e-2)


@pytest.mark.parametrize("variant", ["published", "bf16"])
@pytest.mark.parametrize("mode", ["infer", "forward", "gradient"])
def test_forms_give_the_same_numbers(mode, variant):
    plain = float(peer.make(SMALL, mode)())
    other = float(peer.make(SMALL, mode, variants=[variant])())
    assert other == pytest.approx(plain, rel=1e-2, abs=1e-2)


def test_the_race_between_both():
    contestants = [
        sides.peer("eager", SMALL, "train", "bfloat16", "cpu", ()),
        sides.ours("cerberus_jax", SMALL, "train", "bfloat16", "cpu"),
    ]
    assert all(result.error is None for result in race(contestants, rounds=1))
