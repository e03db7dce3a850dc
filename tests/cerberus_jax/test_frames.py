"""FrameGrid against counts made by hand and by framing a real array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid

GRIDS = [FrameGrid(), FrameGrid(window=1024, hop=512), FrameGrid(44100, 2048, 512)]


def test_the_default_grid_has_the_published_numbers():
    grid = FrameGrid()
    assert (grid.sample_rate_hz, grid.window, grid.hop) == (16000, 1024, 256)
    assert grid.num_bins == 513
    assert grid.frame_rate_hz == 62.5
    assert grid.num_frames(102_400) == 401


def test_two_seconds_have_126_frames_not_122_or_125():
    assert FrameGrid().num_frames(32_000) == 126


@given(st.sampled_from(GRIDS), st.integers(0, 200_000))
def test_frames_are_the_hop_multiples_inside_the_signal(grid, num_samples):
    centres = np.arange(0, num_samples + 1, grid.hop)
    assert grid.num_frames(num_samples) == len(centres)
    times = grid.frame_times(len(centres))
    np.testing.assert_allclose(times, centres / grid.sample_rate_hz, rtol=1e-12)


@given(st.sampled_from(GRIDS), st.integers(0, 50_000))
def test_centred_windows_over_a_padded_signal_give_the_same_count(grid, num_samples):
    padded = np.zeros(num_samples + grid.window)
    assert grid.num_frames(num_samples) == 1 + (len(padded) - grid.window) // grid.hop


@given(st.sampled_from(GRIDS))
def test_bins_are_those_of_a_real_fourier_transform(grid):
    assert grid.num_bins == len(np.fft.rfft(np.zeros(grid.window)))


def test_no_frames_have_no_times():
    assert FrameGrid().frame_times(0).shape == (0,)


@pytest.mark.parametrize("name", ["sample_rate_hz", "window", "hop"])
@pytest.mark.parametrize("value", [0, -256, 256.0, "256", None, True])
def test_a_value_that_is_no_positive_integer_is_named(name, value):
    value = 256.5 if (name, value) == ("sample_rate_hz", 256.0) else value  # 256.0 is a rate
    with pytest.raises((ValueError, TypeError), match=name):
        FrameGrid(**{name: value})


@pytest.mark.parametrize(("window", "hop"), [(1024, 300), (1023, 341), (1024, 1024), (512, 1024)])
def test_a_grid_without_exact_overlap_is_refused(window, hop):
    with pytest.raises(ValueError, match=f"window={window}, hop={hop}"):
        FrameGrid(window=window, hop=hop)


def test_a_negative_length_is_refused():
    with pytest.raises(ValueError, match="num_samples must not be negative, got -1"):
        FrameGrid().num_frames(-1)


def test_grids_compare_by_value_and_cannot_change():
    assert FrameGrid() == FrameGrid(16000, 1024, 256)
    assert len({FrameGrid(), FrameGrid(hop=512), FrameGrid()}) == 2
    with pytest.raises(AttributeError):
        FrameGrid().hop = 128
