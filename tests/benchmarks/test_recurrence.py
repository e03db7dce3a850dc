"""The recurrence benchmark: that its sides do what they say, and that the command works."""

import flax
import jax
import numpy as np
import pytest

from experiments.benchmarks import ours, recurrence, recurrence_ours, roofline
from experiments.benchmarks.figures import read
from experiments.benchmarks.workload import SMALL, Workload

RACED = recurrence.PARTS[1:]


@pytest.mark.parametrize("part", RACED)
def test_the_width_of_the_inputs_is_that_of_the_part(part):
    work = recurrence.part_of(part, Workload())
    assert work.num_frames == Workload().num_frames
    found = {"loop": (1, 1), "layer": (600, 1), "trunk": (513, 4)}[part]
    assert (work.num_bins, work.layers) == found


@pytest.mark.parametrize(("part", "frames"), [("loop", 313), ("trunk", 4 * 313)])
def test_serial_steps(part, frames):
    work = recurrence.part_of(part, Workload())
    assert recurrence.serial_steps(work, "forward") == frames
    assert recurrence.serial_steps(work, "gradient") == 2 * frames


def test_a_path_is_not_measured_in_the_name_of_another():
    with pytest.raises(ValueError, match="recurrence: 'persistent' does not run here, 'scan'"):
        recurrence_ours.make(SMALL, "forward", kind="trunk", recurrence="persistent")
    with pytest.raises(ValueError, match="recurrence: 'persistent' does not run here, 'scan'"):
        ours.make(SMALL, "train", recurrence="persistent")


def test_operations_of_the_floor():
    """Forward: inputs and recurrence once. Both passes: three times that, the first layer's input
    gradient left out."""
    work = Workload()
    rows, gates = work.batch_size * work.num_frames, 8 * work.hidden
    inputs = gates * (work.num_bins + 3 * 2 * work.hidden)
    loop = 4 * gates * work.hidden
    forward = roofline.total_flops(recurrence.roofline_parts(work, "forward", "float32"))
    assert forward == 2 * rows * (inputs + loop)
    both = roofline.total_flops(recurrence.roofline_parts(work, "gradient", "float32"))
    assert both == 3 * forward - 2 * rows * gates * work.num_bins
    narrow = recurrence.roofline_parts(recurrence.part_of("loop", work), "forward", "float32")
    assert roofline.total_flops(narrow) == 2 * rows * gates * (1 + work.hidden)


def test_linen_s_cells_compute_what_the_trunk_computes():
    """With the trunk's weights in their places."""
    work = recurrence.part_of("layer", SMALL)
    inputs = jax.random.normal(jax.random.key(1), (2, 5, work.num_bins))
    params, trunk = recurrence_ours.layers("trunk", work, inputs)
    cells, linen = recurrence_ours.layers("linen", work, inputs)
    layer, flat = params["params"]["layer_0"], flax.traverse_util.flatten_dict(cells)
    names = sorted({path[1] for path in flat})
    for path in flat:
        direction, (kind, gate) = names.index(path[1]), path[-2]
        at = slice(*(("ifgo".index(gate) + k) * work.hidden for k in (0, 1)))
        source = {"i": "input_kernel", "h": "recurrent_kernel"}[kind]
        source = "bias" if path[-1] == "bias" else source
        flat[path] = layer[source][direction][..., at]
    found = linen(flax.traverse_util.unflatten_dict(flat), inputs)
    np.testing.assert_allclose(found, trunk(params, inputs), atol=1e-5)


def test_an_unknown_mode_or_kind():
    with pytest.raises(ValueError, match="mode and kind: one of forward, gradient and one of"):
        recurrence_ours.make(SMALL, "sideways", kind="trunk")
    with pytest.raises(ValueError, match="got 'forward' and 'nothing'"):
        recurrence_ours.make(SMALL, "forward", kind="nothing")


def test_pytorch_has_the_same_modes():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from experiments.benchmarks import recurrence_peer

    settings = {"device": "cpu", "precision": "bfloat16"}
    for mode in recurrence_ours.MODES:
        assert abs(float(recurrence_peer.make(SMALL, mode, **settings)())) < 1
    with pytest.raises(ValueError, match="mode: forward or gradient, got 'sideways'"):
        recurrence_peer.make(SMALL, "sideways", **settings)


def test_the_command_writes_a_row_per_side_and_pass(tmp_path, capsys):
    path = tmp_path / "recurrence.json"
    assert recurrence.main(["--small", "--parts=loop", f"--out={path}"]) == 0
    rows = read(path).rows
    assert {row["passes"] for row in rows} == {"forward", "forward and backward"}
    ours = [row for row in rows if row["side"].startswith("cerberus_jax")]
    assert len(ours) == 4 and all(row["step_microseconds"] > 0 for row in ours)
    assert "us a serial step" in capsys.readouterr().out


def test_an_unknown_part(capsys):
    assert recurrence.main(["--parts=loop,brain"]) == 1
    assert "parts: among accuracy, loop, layer, trunk, got 'brain'" in capsys.readouterr().err
