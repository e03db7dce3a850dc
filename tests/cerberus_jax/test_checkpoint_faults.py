"""Damaged checkpoints, stray files among them, and folders that cannot be written to."""

import errno
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from cerberus_jax import checkpoint, checkpoint_integrity
from cerberus_jax.checkpoint_folder import CheckpointFolder, steps_in
from cerberus_jax.checkpoint_integrity import checksums_of, read_arrays
from cerberus_jax.parallel import make_mesh, replicated
from tests.cerberus_jax.test_checkpoint import METADATA, TASK, _state
from tests.tiny_network import tiny_model

STEPS = {"best": (3,), "last": (4, 5)}


@pytest.fixture(scope="module")
def states():
    """The state of each step, and the form they have."""
    states = {step: jax.tree.map(np.asarray, _state(step)) for step in (3, 4, 5)}
    return states | {"like": jax.eval_shape(lambda: _state(5))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, states):
    """A run whose best step is 3 and whose last are 4 and 5."""
    folder = tmp_path_factory.mktemp("whole")
    with checkpoint.CheckpointWriter(folder) as writer:
        for kind, steps in STEPS.items():
            for step in steps:
                writer.save(kind, states[step], METADATA)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def _restored(run, states):
    """The step of the state that is restored, which must be that step's to the bit."""
    state = checkpoint.restore_state(run, states["like"], replicated(make_mesh()))
    step = int(state.step)
    jax.tree.map(np.testing.assert_array_equal, state, states[step])
    return step


def _flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1 << 3
    file.write_bytes(content)


def _cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _damage(path):
    """Damage for certain."""
    for file in path.glob("params/**/d/*"):
        _cut(file)


@pytest.mark.parametrize("harm", [_flip, _cut, os.remove])
def test_whatever_file_is_harmed_what_is_restored_is_what_was_saved(
    whole, tmp_path, states, harm, caplog, capfd
):
    names = [path.relative_to(whole) for path in (whole / "checkpoints/last/5").rglob("*")]
    files = [name for name in names if (whole / name).is_file() and (whole / name).stat().st_size]
    found = {}
    for number, name in enumerate(files):
        run = shutil.copytree(whole, tmp_path / str(number))
        harm(run / name)
        caplog.clear()
        found[str(name)] = _restored(run, states)
        is_aside = (run / "checkpoints/damaged/last-5").is_dir()
        assert is_aside == (found[str(name)] == 4) == len(caplog.records)
        shutil.rmtree(run)
    assert set(found.values()) == {4, 5}
    # Of the folders of data only the manifests and the files of the final list are read.
    needed = [name for name in found if "/d/" in name and "process_0" not in name]
    assert needed and {found[name] for name in needed} == {4}
    assert len([step for step in found.values() if step == 4]) >= 6
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("item", ["params", "training"])
def test_an_array_that_is_another_than_the_one_saved_is_named(run, states, item):
    """What every reader takes for whole: the same arrays, one of them with one bit changed."""
    path = checkpoint.locate(run, "last")
    file = path / "checksums" / "metadata"
    checksums = json.loads(file.read_text())
    name = sorted(checksums["arrays"][item])[1]
    checksums["arrays"][item][name] ^= 1
    file.write_text(json.dumps(checksums))
    with pytest.raises(ValueError, match=rf"^{item}/{name}: not as saved$"):
        read_arrays(path, ("params", "training"))
    assert _restored(run, states) == 4


def test_checksums_are_those_of_bytes_and_names():
    import zlib

    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = checksums_of({"params": {"a": {"b": array.T}}}, {"z": 1, "a": 2})
    assert found["arrays"] == {"params": {"a.b": zlib.crc32(array.T.tobytes())}}
    assert found["metadata"] == checksums_of({}, {"a": 2, "z": 1})["metadata"]


def test_metadata_that_were_changed_are_found(run, states):
    file = checkpoint.locate(run, "last") / "metadata" / "metadata"
    file.write_text(file.read_text().replace('"layers": 2', '"layers": 3'))
    assert _restored(run, states) == 4


def test_without_a_whole_last_training_goes_on_from_the_best(run, states, caplog):
    for step in STEPS["last"]:
        _damage(checkpoint.locate(run, step))
    assert _restored(run, states) == 3
    assert sorted(path.name for path in (run / "checkpoints/damaged").iterdir()) == [
        "last-4",
        "last-5",
    ]
    assert len(caplog.records) == 2


def test_a_damaged_best_makes_room_for_the_next(run, states, caplog):
    _damage(checkpoint.locate(run, "best"))
    with pytest.raises(ValueError, match="best/3: the checkpoint cannot be read as this network"):
        checkpoint.restore_model(run)
    assert _restored(run, states) == 5
    assert "best/3 is damaged" in caplog.text
    with checkpoint.CheckpointWriter(run) as writer:
        writer.save("best", states[3], METADATA)
    jax.tree.map(np.testing.assert_array_equal, checkpoint.restore_model(run)[1], states[3].params)


def test_a_start_reads_what_it_restores_twice_and_the_best_once(run, states, monkeypatch):
    read = []
    monkeypatch.setattr(
        checkpoint, "read_arrays", lambda path, *_: read.append(path.name) or read_arrays(path, *_)
    )
    for _ in range(2):  # to know the step, before and after the data are there
        assert checkpoint.newest_whole(run, with_arrays=False)[0].name == "5"
    assert _restored(run, states) == 5
    assert sorted(read) == ["3", "5", "5"]
    _flip(run / "checkpoints/last/5/params/manifest.ocdbt")
    assert checkpoint.newest_whole(run, with_arrays=False)[0].name == "4"


def test_where_nothing_is_whole_the_run_says_so_once_and_begins_anew(run, states):
    for kind, steps in STEPS.items():
        for step in steps:
            _damage(run / "checkpoints" / kind / str(step))
    with pytest.raises(ValueError, match=r"all checkpoints are damaged \(last/5, last/4, best/3\)"):
        checkpoint.newest_whole(run)
    assert checkpoint.newest_whole(run) is None


def test_what_cannot_be_read_now_is_no_damage(run, monkeypatch):
    """A file of another owner: nothing is set aside, and nothing begins anew."""
    file = next(run.glob("checkpoints/last/5/params/**/d/*"))

    def refuse(*_):
        raise ValueError("PERMISSION_DENIED: as tensorstore says it")

    def refuse_one(name, *mode):
        if str(name) == str(file):
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return open(name, *mode)

    monkeypatch.setattr(checkpoint, "read_arrays", refuse)
    monkeypatch.setattr(checkpoint_integrity, "open", refuse_one, raising=False)
    with pytest.raises(PermissionError, match=re.escape(str(file))):
        checkpoint.newest_whole(run)
    assert checkpoint.saved_steps(run) == {"best": 3, "last": 5}
    assert not (run / "checkpoints/damaged").exists()


def test_what_is_set_aside_keeps_what_was_set_aside_before(run, states):
    for name in ("last-5", "last-5-2"):
        (run / "checkpoints/damaged" / name).mkdir(parents=True)
    _damage(checkpoint.locate(run, "last"))
    assert _restored(run, states) == 4
    assert (run / "checkpoints/damaged/last-5-3/params").is_dir()


def test_a_checkpoint_of_an_earlier_version_is_restored(tmp_path, states):
    """As Orbax's own manager writes it, without checksums."""
    state = states[4]
    training = {"step": state.step, "opt_state": state.opt_state, "plateau": state.plateau}
    folder = tmp_path / "checkpoints" / "last"
    names = ("params", "training", "metadata")
    with ocp.CheckpointManager(folder, item_names=names) as manager:
        items = {"params": state.params, "training": training}
        saved = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        manager.save(4, args=ocp.args.Composite(**saved, metadata=ocp.args.JsonSave(METADATA)))
    assert _restored(tmp_path, states) == 4
    assert checkpoint.restore_model(tmp_path, 4)[0] == TASK.model
    with checkpoint.CheckpointWriter(tmp_path) as writer:
        writer.save("last", states[5], METADATA)
    assert steps_in(folder) == [4, 5] and _restored(tmp_path, states) == 5


def test_a_checkpoint_of_a_later_version_is_refused(run):
    file = checkpoint.locate(run, "last") / "metadata" / "metadata"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 99}))
    with pytest.raises(ValueError, match=r"version: 1 to \d expected, got 99; it takes a newer"):
        checkpoint.read_network(checkpoint.locate(run, "last"))


def test_another_network_is_no_damage(run):
    from cerberus_jax.steps import init_state
    from tests.tiny_network import noise_batch, tiny_task

    wider = tiny_task(model=tiny_model(hidden=9))
    like = jax.eval_shape(lambda: init_state(wider, jax.random.key(0), noise_batch(2)))
    with pytest.raises(ValueError, match="cannot be read as this network: its params differ in"):
        checkpoint.restore_state(run, like, replicated(make_mesh()))
    assert not (run / "checkpoints/damaged").exists()


def test_stray_names_are_left_alone(run, states):
    last = run / "checkpoints" / "last"
    for name in ("\u00b2", "\u0667", "best", "old 5", "-7", "9.orbax-checkpoint-tmp"):
        (last / name).mkdir()
    (last / "12").write_text("a file")
    assert steps_in(last) == [4, 5] and _restored(run, states) == 5
    with checkpoint.CheckpointWriter(run) as writer:
        writer.save("last", states[5].replace(step=np.int32(6)), METADATA)
    assert steps_in(last) == [5, 6]
    assert {path.name for path in last.iterdir()} == {
        *("5", "6", "\u00b2", "\u0667", "best", "old 5", "-7", "12")
    }


def test_a_file_in_place_of_a_folder_is_named(run):
    shutil.rmtree(run / "checkpoints/best")
    (run / "checkpoints/best").write_text("")
    assert checkpoint.saved_steps(run) == {"last": 5}
    with pytest.raises(NotADirectoryError, match="checkpoints/best"):
        checkpoint.CheckpointWriter(run)


@pytest.fixture
def immutable(run):
    """The folder of the last checkpoints, in which nothing can be made."""
    folder = run / "checkpoints" / "last"
    if os.getuid():
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    command = shutil.which("chattr")
    if not command or subprocess.run([command, "+i", folder], capture_output=True).returncode:
        pytest.skip("the file system knows no immutable folders")
    yield folder
    subprocess.run([command, "-i", folder], check=True)


@pytest.mark.parametrize("is_found_before", [True, False])
def test_a_folder_that_cannot_be_written_to_is_one_error_that_names_it(
    run, states, immutable, is_found_before, monkeypatch
):
    """Found by our own look, and by Orbax without it."""
    if not is_found_before:
        monkeypatch.setattr(CheckpointFolder, "_check_access", lambda *_: None)
    with pytest.raises(PermissionError) as error, checkpoint.CheckpointWriter(run) as writer:
        writer.save("last", states[5].replace(step=np.int32(6)), METADATA)
    assert Path(error.value.filename).parent == immutable
    assert checkpoint.saved_steps(run)["last"] == 5


@pytest.mark.parametrize("kind", [TimeoutError, RuntimeError, ValueError])
def test_what_fails_in_the_background_names_the_folder(tmp_path, monkeypatch, kind):
    """As where the clock jumps ahead by hours, which Orbax takes for the time that saving took."""
    folder = CheckpointFolder(tmp_path / "last", ("params",), keep=1)

    errors = [kind("timed out after\n-18000 seconds")]

    def fail():
        if errors:
            raise errors.pop()

    monkeypatch.setattr(folder._writer, "wait_until_finished", fail)
    with pytest.raises(OSError, match=r"No checkpoint was saved \(timed out after -18000") as error:
        folder.close()
    assert error.value.filename == str(tmp_path / "last")
