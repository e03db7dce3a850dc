"""PyTorch's side, and its race against this project; skipped where PyTorch is not installed."""

import math
import sys

import pytest

from experiments.benchmarks import race, sides
from experiments.benchmarks.workload import SMALL

pytest.importorskip("torch", reason="PyTorch, optional, is not installed")
from experiments.benchmarks import peer

FORMS = [(), ("published",), ("bf16",), ("foreach",)]


@pytest.fixture(scope="module")
def losses() -> dict:
    """The first three losses of every form; all begin with the same parameters."""
    found = {}
    for variants in FORMS:
        call = peer.make(SMALL, "train", variants=variants)
        found[variants] = [float(call()) for _ in range(3)]
    return found


def test_forms_take_the_same_step_but_for_rounding(losses):
    plain = losses[()]
    assert all(map(math.isfinite, plain))
    assert len(set(plain)) == 3
    assert losses["published",] == losses["foreach",] == pytest.approx(plain, rel=1e-4)
    assert losses["bf16",] == pytest.approx(plain, rel=1e-2)


@pytest.mark.parametrize("variants", FORMS[1:3])
def test_forms_of_inference_give_the_same_sound(variants):
    plain = float(peer.make(SMALL, "infer")())
    assert float(peer.make(SMALL, "infer", variants=variants)()) == pytest.approx(plain, rel=1e-2)


def test_unknown_names_are_told():
    with pytest.raises(ValueError, match=r"variants: among published, .*, got fast"):
        peer.make(SMALL, "train", variants=["fast"])
    with pytest.raises(ValueError, match="mode: one of train, infer, got 'sing'"):
        peer.make(SMALL, "sing")


def test_the_race_between_both():
    where = {"precision": "bfloat16", "device": "cpu"}
    contestants = [
        sides.peer("eager", python=sys.executable, **where),
        sides.ours("cerberus_jax", {}, **where),
    ]
    results = race.race(contestants, SMALL, "train", rounds=1, quiet_seconds=0, say=lambda _: None)
    for result in results:
        assert result.error is None
        assert math.isfinite(result.values[0])
    assert [sides.is_peer(result.side) for result in results] == [True, False]
    assert "torch" in results[0].versions
    assert "jax" in results[1].versions
    assert "torch" not in results[1].versions
