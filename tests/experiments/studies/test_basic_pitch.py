"""Notes by a command that stands for basic-pitch, and commands that fail."""

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from experiments.studies.basic_pitch import basic_pitch_notes
from tests.experiments.studies.test_tracks import fake_basic_pitch

SOUND = np.zeros(1000, np.float32)


def test_its_notes_are_read(tmp_path):
    notes = Notes(np.array([[0.5, 1.0], [1.5, 1.75]]), np.array([60, 64]), np.array([90, 100]))
    found = basic_pitch_notes(fake_basic_pitch(tmp_path, notes), SOUND, 16000)
    np.testing.assert_allclose(found.intervals, notes.intervals, atol=1e-3)
    np.testing.assert_array_equal(found.pitches, notes.pitches)


def test_a_command_that_is_not_there():
    with pytest.raises(ValueError, match=r"pip install basic-pitch==0\.4\.0 into an environment"):
        basic_pitch_notes("/none/basic-pitch", SOUND, 16000)


def test_a_command_that_writes_nothing(tmp_path):
    command = tmp_path / "basic-pitch"
    command.write_text("#!/bin/sh\necho no model >&2\n")
    command.chmod(0o755)
    with pytest.raises(ValueError, match="wrote no notes; it said: no model"):
        basic_pitch_notes(command, SOUND, 16000)
