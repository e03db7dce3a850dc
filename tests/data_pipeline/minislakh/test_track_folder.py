"""A track appears in its place whole, or the place says why it cannot."""

import numpy as np
import pytest

from data_pipeline.minislakh.renderer import Voice
from data_pipeline.minislakh.track_folder import TrackInfo, partial_root, write_track
from tests.data_pipeline.minislakh.test_renderer import one_part

INFO = TrackInfo("Track00001", 32 * "0", "a test", 120.0, {})


def _write(folder):
    voice = Voice("none", lambda part, num_samples: np.zeros(num_samples, np.float32))
    write_track(folder, [one_part(0, 60)], [voice], INFO, seconds=0.1, sample_rate_hz=16000)


def test_a_file_in_the_place_of_a_track_is_named_and_nothing_unfinished_stays(tmp_path):
    folder = tmp_path / "train" / "Track00001"
    folder.parent.mkdir()
    folder.write_text("mine")
    with pytest.raises(OSError, match=r"Track00001: the rendered track could not be moved there"):
        _write(folder)
    assert folder.read_text() == "mine"
    assert not list(partial_root(tmp_path).iterdir())


def test_the_track_that_another_process_has_just_made_stays(tmp_path):
    folder = tmp_path / "train" / "Track00001"
    _write(folder)
    (folder / "of the other").touch()
    _write(folder)
    assert (folder / "of the other").exists()
    assert not list(partial_root(tmp_path).iterdir())
