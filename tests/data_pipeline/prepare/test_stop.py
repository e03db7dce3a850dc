"""Preparing that was stopped, killed or changed in between: a repeat gives what one run gives."""

import os
import re
import signal
import subprocess
import sys

import pytest

from data_pipeline import prepare
from data_pipeline.prepared import convert
from data_pipeline.prepared.catalogue import Catalogue
from tests import ROOT
from tests.data_pipeline.prepare.test_prepare import content, prepare_quietly
from tests.tiny_slakh import make_tree
from tests.waiting import MAX_SECONDS, wait_for


def test_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    make_tree(tmp_path / "raw", {"train": 3}, stems=("piano", "bass"), seconds=1)
    prepare_quietly(tmp_path / "raw", tmp_path / "whole")
    convert_one, done = convert.convert, []

    def fails(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job.track.id)
        convert_one(job)

    monkeypatch.setattr(convert, "convert", fails)
    with pytest.raises(KeyboardInterrupt):
        prepare_quietly(tmp_path / "raw", tmp_path / "out")
    with pytest.raises(ValueError, match="preparing slakh2100 has not been finished"):
        Catalogue.load(tmp_path / "out")
    done.clear()
    prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert done == ["Track00003"]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_what_unfinished_runs_with_other_settings_left_is_swept(tmp_path, monkeypatch):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano",), seconds=1)
    prepare_quietly(tmp_path / "raw", tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare, "pack", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        prepare_quietly(tmp_path / "raw", tmp_path / "out", sustain_pedal=True)
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 2
    prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.fixture(params=["tones", "genuine"])
def raw(request, tmp_path):
    """A raw tree of some tracks; the genuine ones are many copies of an excerpt of Slakh."""
    root = tmp_path / request.param
    if request.param == "tones":
        make_tree(root, {"train": 8}, seconds=4, rate=44100)
    else:
        samples = request.getfixturevalue("samples")
        (root / "train").mkdir(parents=True)
        for number in range(10):
            copy = root / f"train/Copy{9000 + number}"
            copy.symlink_to(samples / "slakh2100/train/Track00001")
    return root


def test_killed_in_the_middle_and_repeated(raw, tmp_path):
    prepare_quietly(raw, tmp_path / "whole")
    command = [sys.executable, "-m", "data_pipeline.prepare", f"--root={raw}", "--num_workers=2"]
    command.append(f"--out={tmp_path / 'out'}")
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    home = tmp_path / "out/slakh2100"
    wait_for(lambda: process.poll() is not None or list(home.glob("part-*/*/*.npz")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(home.glob("part-*/*/*.npz"))
    with pytest.raises(ValueError, match="has not been finished"):
        Catalogue.load(tmp_path / "out")
    again = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    done, of = re.search(r"(\d+) of (\d+) tracks are already done", again.stderr).groups()
    assert int(done) < int(of) or raw.name == "tones"  # of which all may be done in half a second
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path):
    make_tree(tmp_path / "raw", {"train": 8}, seconds=4, rate=44100)
    prepare_quietly(tmp_path / "raw", tmp_path / "whole")
    places = {"root": tmp_path / "raw", "out": tmp_path / "out"}
    command = [sys.executable, "-m", "data_pipeline.prepare", "--num_workers=2"]
    command += [f"--{name}={place}" for name, place in places.items()]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    part = tmp_path / "out/slakh2100"
    wait_for(lambda: process.poll() is not None or list(part.glob("part-*/*/*.npz")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of the process group
    shown = process.communicate(timeout=MAX_SECONDS)[1]
    assert process.returncode == 130, shown
    assert shown.rstrip().endswith("Stopped. The same command continues where it was.")
    assert "Traceback" not in shown
    prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


_KILLED_WHILE_PACKING = """
import os, signal, sys
from data_pipeline import prepare
from data_pipeline.prepared import pack
read, calls = pack.read_converted, []

def read_or_die(*args, **kwargs):
    calls.append(args)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*args, **kwargs)

pack.read_converted = read_or_die
prepare.prepare("slakh2100", sys.argv[1], out=sys.argv[2], num_workers=1, progress=False)
"""


def test_survives_sigkill_while_packing(tmp_path):
    make_tree(tmp_path / "raw", {"train": 4}, stems=("piano", "bass"), seconds=1)
    prepare_quietly(tmp_path / "raw", tmp_path / "whole")
    args = [sys.executable, "-c", _KILLED_WHILE_PACKING, tmp_path / "raw", tmp_path / "out"]
    process = subprocess.run(args, cwd=ROOT, capture_output=True)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ValueError, match="has not been finished"):
        Catalogue.load(tmp_path / "out")
    prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
