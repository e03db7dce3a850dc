"""The flags of the commands that show or list excerpts mean what evaluation scores by default."""

import pytest
from absl import flags

from data_pipeline import plan_flags
from experiments import data
from tests.tiny_run import prepare_data, tiny_config


@pytest.fixture
def parsed(monkeypatch):
    """Parses flags of its own, so that no other test meets them."""
    own = flags.FlagValues()
    monkeypatch.setattr(plan_flags.flags, "FLAGS", own)
    for name in ("string", "list", "float", "integer"):
        define = getattr(flags, f"DEFINE_{name}")
        monkeypatch.setattr(
            plan_flags.flags,
            f"DEFINE_{name}",
            lambda *args, define=define: define(*args, flag_values=own),
        )
    plan_flags.define_plan_flags()
    return lambda *args: own(["command", *args])


def test_defaults_are_those_of_evaluation(parsed, tmp_path):
    root = prepare_data(tmp_path / "data")
    parsed(f"--data={root}", "--instruments=piano,drums", "--seconds=2")
    planner = plan_flags.planner_of_flags()
    expected = data.planner(tiny_config(root), "test", excerpt_seconds=2)
    assert [planner.batch(k).ids[0] for k in range(2)] == expected.batch(0).ids
    assert (planner.batch(0).gains == 1).all()


def test_without_data(parsed):
    parsed()
    with pytest.raises(ValueError, match="--data=DIR is needed"):
        plan_flags.planner_of_flags()
