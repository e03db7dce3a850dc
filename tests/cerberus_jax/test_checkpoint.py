"""Checkpoints: round trip, choice of step, broken ones."""

import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

from cerberus_jax import checkpoint
from cerberus_jax.architecture import metadata_of, model_from_json, model_to_json
from cerberus_jax.parallel import make_mesh, replicated
from cerberus_jax.parameter_shapes import check_same_network
from cerberus_jax.steps import init_state
from tests.full_disk import room_for
from tests.tiny_network import noise_batch, tiny_model, tiny_task

TASK = tiny_task(model=tiny_model(input_scaling="excerpt_db_affine", embedding_activation="tanh"))
METADATA = metadata_of(TASK.model, {name: {"threshold": 0.4} for name in TASK.model.instruments})


def _state(step):
    state = init_state(TASK, jax.random.key(step), noise_batch(2))
    return state.replace(step=state.step + step)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose best step is 3 and whose last is 5."""
    folder = tmp_path_factory.mktemp("run")
    with checkpoint.CheckpointWriter(folder) as writer:
        for kind, step in (
            *(("best", 2), ("last", 2), ("best", 3), ("last", 4), ("last", 5), ("last", 5)),
        ):
            writer.save(kind, _state(step), METADATA)
    return folder


def _equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_model_json_round_trip():
    again = model_from_json(json.loads(json.dumps(METADATA["model"])))
    assert again == TASK.model


def test_the_two_newest_and_the_best_are_kept(run):
    assert checkpoint.saved_steps(run) == {"last": 5, "best": 3}
    folders = sorted(path.relative_to(run).as_posix() for path in run.glob("checkpoints/*/*"))
    assert folders == [f"checkpoints/{name}" for name in ("best/3", "last/4", "last/5")]
    assert checkpoint.locate(run, "best") == checkpoint.locate(run, 3)
    assert checkpoint.locate(run, "5") == checkpoint.locate(run, "last")
    assert checkpoint.locate(run, 4).parent.name == "last"


def test_more_are_kept_on_request(tmp_path):
    with checkpoint.CheckpointWriter(tmp_path, keep=3) as writer:
        for step in range(1, 6):
            writer.save("last", _state(step), METADATA)
    assert sorted(path.name for path in (tmp_path / "checkpoints/last").iterdir()) == list("345")


def test_a_later_step_that_a_crash_has_left_makes_room(tmp_path):
    for step in (7, 4):
        with checkpoint.CheckpointWriter(tmp_path) as writer:
            writer.save("best", _state(step), METADATA)
    assert checkpoint.saved_steps(tmp_path) == {"best": 4}
    _equal(checkpoint.restore_model(tmp_path, "best")[1], _state(4).params)


def test_state_round_trip(run):
    like = jax.eval_shape(lambda: _state(5))
    again = checkpoint.restore_state(run, like, replicated(make_mesh()))
    _equal(again, _state(5))
    assert jax.tree.structure(again) == jax.tree.structure(_state(5))


def test_model_round_trip(run):
    model, params, metadata = checkpoint.restore_model(run, "best")
    assert model == TASK.model and metadata == METADATA
    _equal(params, _state(3).params)


def test_a_moved_run_is_restored(run, tmp_path):
    moved = tmp_path / "moved"
    run.rename(moved)
    try:
        _equal(checkpoint.restore_model(moved)[1], _state(3).params)
    finally:
        moved.rename(run)


def test_decoding_is_stored_beside_a_checkpoint(run):
    path = checkpoint.locate(run, "last")
    checkpoint.store_decoding(path, {"piano": {"threshold": 0.3}})
    assert checkpoint.read_metadata(path)["decoding"] == {"piano": {"threshold": 0.3}}
    assert checkpoint.read_metadata(checkpoint.locate(run, "best")) == METADATA


def test_a_full_disk_leaves_the_earlier_decoding_whole(tmp_path):
    checkpoint.store_decoding(tmp_path, {"piano": {"threshold": 0.3}})
    before = (tmp_path / "decoding.json").read_bytes()
    with room_for(10), pytest.raises(OSError, match=r"File too large.*decoding\.json'$"):
        checkpoint.store_decoding(tmp_path, {"piano": {"threshold": 0.4}})
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_missing_checkpoints_are_named(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint '7'.*last \(step 4, 5\), best"):
        checkpoint.locate(run, "7")
    with pytest.raises(FileNotFoundError, match="holds no checkpoint; train first"):
        checkpoint.locate(tmp_path, "best")
    with pytest.raises(FileNotFoundError, match="holds no checkpoint to go on from"):
        like = jax.eval_shape(lambda: _state(5))
        checkpoint.restore_state(tmp_path, like, replicated(make_mesh()))


def test_an_incomplete_checkpoint_is_an_error_that_names_it(run, tmp_path):
    path = tmp_path / "checkpoints" / "best" / "4"
    path.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"4: the checkpoint is incomplete"):
        checkpoint.restore_model(tmp_path)
    (path / "metadata").mkdir()
    (path / "metadata" / "metadata").write_text(json.dumps(METADATA))
    with pytest.raises(ValueError, match="the checkpoint cannot be read as this network"):
        checkpoint.restore_model(tmp_path)


def test_an_unfinished_save_is_not_seen(run, tmp_path):
    (tmp_path / "checkpoints" / "last" / "9.orbax-checkpoint-tmp-1").mkdir(parents=True)
    assert checkpoint.saved_steps(tmp_path) == {}


def test_a_full_disk_is_one_error_and_leaves_the_last_checkpoint(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    full = type(shutil.disk_usage(run))(total=2**30, used=2**30 - 1000, free=1000)
    with checkpoint.CheckpointWriter(tmp_path / "run") as writer:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
        with pytest.raises(OSError, match=r"No space for a checkpoint.*last"):
            writer.save("last", _state(6), METADATA)
    assert checkpoint.saved_steps(tmp_path / "run") == {"last": 5, "best": 3}


def test_another_architecture_names_its_first_parameters(run, tmp_path):
    wider = tiny_model(hidden=9, input_scaling="excerpt_db_affine", embedding_activation="tanh")
    with pytest.raises(
        ValueError,
        match=r"run: .*: embedding_head/kernel \(\[16, 5, 65\] in the checkpoint.*and \d more",
    ):
        check_same_network(checkpoint.restore_model(run)[1], wider, "run")
    other = model_to_json(tiny_model(heads=("transcription",)))
    with pytest.raises(
        ValueError, match=r"embedding_head/\w+ \(\[.*5, 65\] in the checkpoint, absent here"
    ):
        model = model_from_json(other)
        check_same_network(_state(3).params, model, "run")
    like = jax.eval_shape(
        lambda: init_state(tiny_task(model=wider), jax.random.key(0), noise_batch(2))
    )
    with pytest.raises(
        ValueError, match=r"cannot be read as this network: .*embedding_head/kernel"
    ):
        checkpoint.restore_state(run, like, replicated(make_mesh()))


def test_an_average_is_what_is_restored_for_use_and_both_go_on(tmp_path):
    task = replace(TASK, optimizer=replace(TASK.optimizer, average_decay=0.9))
    state = init_state(task, jax.random.key(0), noise_batch(2))
    state = state.replace(params=jax.tree.map(lambda p: p + 1, state.params), step=state.step + 4)
    with checkpoint.CheckpointWriter(tmp_path) as writer:
        writer.save("last", state, METADATA)
    _equal(checkpoint.restore_model(tmp_path, "last")[1], state.average)
    again = checkpoint.restore_state(
        tmp_path, jax.eval_shape(lambda: state), replicated(make_mesh())
    )
    _equal(again, state)


NETWORK = METADATA["model"]
GRID = NETWORK["grid"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "RecursionError"),
        ([], "an object expected"),
        ({}, "model is missing"),
        ({"model": {}}, "grid is missing"),
        ({"model": NETWORK | {"grid": 3}}, "grid: an object expected, got 3"),
        ({"model": NETWORK | {"instruments": [3]}}, r"instruments\[0\]: text expected, got 3"),
        ({"model": NETWORK | {"instruments": ["../x"]}}, "instruments: names of letters expected"),
        (
            {"model": NETWORK | {"instruments": []}},
            r"instruments: one or more, each once, got \(\)",
        ),
        (
            {"model": NETWORK | {"instruments": ["bass", "bass"]}},
            r"instruments: one or more, each once, got \('bass', 'bass'\)",
        ),
        (
            {"model": NETWORK | {"grid": GRID | {"window": 0}}},
            "window: 1 to 1048576 expected, got 0",
        ),
        (
            {"model": NETWORK | {"grid": GRID | {"window": 1048577}}},
            "window: 1 to 1048576 expected, got 1048577",
        ),
        ({"model": NETWORK | {"transcribed": ["oboe"]}}, "transcribed: some of the instruments"),
        ({"model": NETWORK | {"layers": "2"}}, "layers: a whole number expected, got '2'"),
        ({"model": NETWORK | {"layers": 10**9}}, "layers: 1 to 256 expected"),
        ({"model": NETWORK | {"input_scaling": None}}, "input_scaling: text expected, got None"),
        ({"model": NETWORK | {"trunk_name": "x"}}, "trunk_name: one of"),
        ({"model": NETWORK | {"more": 1}}, r"unknown fields \['more'\]"),
        ({"model": NETWORK | {"options": {"blstm": {"more": 1}}}}, "describe no network"),
        ({"model": NETWORK}, "decoding: .* is missing"),
        ({"model": NETWORK, "decoding": []}, r"an object expected, got \[\]"),
        ({"model": NETWORK, "decoding": {"piano": {"dip": "x"}}}, r"piano\.dip: a number expected"),
    ],
)
def test_damaged_metadata_are_one_short_line_that_names_the_checkpoint(tmp_path, metadata, message):
    path = tmp_path / "checkpoints" / "best" / "4" / "metadata"
    path.mkdir(parents=True)
    content = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    (path / "metadata").write_bytes(content)
    with pytest.raises(ValueError, match=rf"best/4.*: .*{message}") as error:
        checkpoint.restore_model(tmp_path)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    "content", [b'{"piano": \xff}', b'{"piano": {"onset_distance_frames": 1.5}}']
)
def test_a_damaged_decoding_names_its_file(run, tmp_path, content):
    copy = shutil.copytree(run, tmp_path / "run")
    (checkpoint.locate(copy, "best") / "decoding.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"decoding\.json: not settings of decoding"):
        checkpoint.restore_model(copy)


def test_metadata_of_orbax_alone_are_not_needed(run, tmp_path, capfd):
    copy = shutil.copytree(run, tmp_path / "run")
    path = checkpoint.locate(copy, "best")
    for file in (*path.glob("params/array_metadatas/*"), path / "params/_METADATA"):
        file.write_text("{")
    _equal(checkpoint.restore_model(copy)[1], _state(3).params)
    assert "Traceback" not in capfd.readouterr().err
