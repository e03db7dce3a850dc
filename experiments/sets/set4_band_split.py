"""Piano, guitar, bass, drums and strings with the network that beat Cerberus at the demo's budget.

    python -m experiments.run --config=sets/set4_band_split.py

The full-size configuration, for a GPU. It was never trained: what is known of its ingredients was
measured on MiniSlakh at the size of sets/demo.py (docs/beyond.md). Data, excerpts and batch are
those of sets/set4.py, so that both networks can be compared on Slakh2100.
"""

from ml_collections import ConfigDict

from experiments.sets import set4


def get_config() -> ConfigDict:
    """set4 with another network and other losses; each line says why."""
    config = set4.get_config()
    # 7.8 Hz a bin: the partials of two low notes a semitone apart fall into different bins, and the
    # hop stays that of the paper.
    config.audio.window = 2048
    # Recurrences within bands of the spectrum and of pitches, and over the bands, whose weights all
    # bands share; and features of every pitch, whose weights all pitches share.
    config.model.trunk = "band_split"
    # Twice the demo's and a layer more: a full run has 500 times the music.
    config.model.band_split.size = 64
    config.model.layers = 3
    # Three blocks see 11 frames, 0.18 s at this hop, about what two see at the demo's.
    config.model.band_split.blocks = 3
    config.model.band_split.channels = 32
    # Masks follow the harmonics of what is played: two decibels at the demo's size.
    config.model.mask_inference.pitch_channels = 32
    # A mean and a scale per bin, as the demo has it.
    config.model.input_scaling = "excerpt_db_affine"
    # No clustering: a third of a step on a CPU, and no gain in separation in the authors' table A.
    config.loss.deep_clustering = 0.0
    # The loss is what separation is scored with, and softmax masks can follow it.
    config.loss.mask_inference = 0.3
    config.loss.mask_inference_kind = "snr"
    # Both rolls by cross-entropy, which has a slope where a squared error of probabilities has none
    # left; divided by what sounds, so that silence does not outweigh notes.
    config.loss.transcription_kind = "bce"
    config.loss.transcription = 0.25
    config.loss.transcription_normaliser = "active"
    config.loss.onsets_kind = "bce"
    config.loss.onsets = 0.25
    # A warm-up and a decay to zero, for the average over the last thousand steps is what is used.
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 1000
    config.optimizer.average_decay = 0.999
    return config
