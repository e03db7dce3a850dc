"""What basic-pitch 0.4 finds in a sound, by its own command.

It needs other versions of packages than this project, and so an environment of its own:

    python -m venv bp && bp/bin/pip install basic-pitch==0.4.0
    --basic_pitch=bp/bin/basic-pitch
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from cerberus_jax.notes import Notes
from cerberus_jax.outside import in_one_line
from data_pipeline.io.midi import read_notes


def basic_pitch_notes(command: str | Path, waveform: Float[np.ndarray, " n"], rate: int) -> Notes:
    """The notes in a waveform, by the defaults of basic-pitch.

    Raises:
        ValueError: if it cannot be started or writes no file; says what it printed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "song.wav", waveform, rate, subtype="FLOAT")
        call = [str(command), "--save-midi", str(folder), str(folder / "song.wav")]
        try:
            done = subprocess.run(call, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ValueError(
                f"--basic_pitch={command}: {error.strerror}; pip install basic-pitch==0.4.0 into "
                "an environment of its own, and give its bin/basic-pitch"
            ) from None
        file = folder / "song_basic_pitch.mid"
        if not file.exists():
            said = in_one_line(" ".join((done.stderr or done.stdout).split())[-120:])
            raise ValueError(f"--basic_pitch={command}: wrote no notes; it said: {said}")
        return read_notes(file)
