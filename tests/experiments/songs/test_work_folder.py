"""The hidden folder of a song under way: gone afterwards, in use, or left by a killed call."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.separate import separate
from experiments.songs.work_folder import BEFORE, sweep, work_folder
from tests import ROOT
from tests.experiments.separate.test_separate import FILES, HalfAndHalf, names_in, song

KILLED = """
import os, signal, sys
from pathlib import Path
from experiments.songs.work_folder import work_folder

with work_folder(Path(sys.argv[1])) as folder:
    for name in sys.argv[2:]:
        (folder / name).mkdir()
        (folder / name / "piano.wav").write_text(name)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _killed(place, *folders):
    command = [sys.executable, "-c", KILLED, str(place), *folders]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    (left,) = place.glob(".separating.*")
    return left.name


def test_a_folder_in_use_is_left_alone_and_gone_afterwards(tmp_path):
    with work_folder(tmp_path) as folder:
        (folder / "a").mkdir()
        assert sweep(tmp_path) == [] and (folder / "a").is_dir()
    assert sweep(tmp_path) == [] and names_in(tmp_path) == []


def test_what_a_killed_call_left_goes_with_the_next(tmp_path, capsys):
    left = _killed(tmp_path, "a")
    separate([song(tmp_path / "b.wav")], predictor=HalfAndHalf(), out=tmp_path)
    assert f"removed what stopped calls had left ({left})" in capsys.readouterr().out
    assert names_in(tmp_path) == ["b", "b.wav"] and names_in(tmp_path / "b") == sorted(FILES)


@pytest.mark.parametrize("is_in_place", [False, True])
def test_killed_between_two_renames_the_new_result_takes_its_place(tmp_path, is_in_place):
    _killed(tmp_path, BEFORE, "a")
    if is_in_place:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "piano.wav").write_text("later")
    assert len(sweep(tmp_path)) == 1
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a" / "piano.wav").read_text() == ("later" if is_in_place else "a")


def test_without_locks_nothing_is_taken_away(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with work_folder(tmp_path) as folder:
        assert names_in(folder) == ["locking"]
        assert sweep(tmp_path) == [] and folder.is_dir()
    assert names_in(tmp_path) == []
