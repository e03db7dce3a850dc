"""All five instruments in minutes on two processor cores: what `make demo` trains.

python -m experiments.run --config=sets/demo.py

"""

from ml_collections import ConfigDict

from experiments.sets import cerberus_demo


def get_config() -> ConfigDict:
    """The data and excerpts of `cerberus_demo`, and a network that makes more of them."""
    config = cerberus_demo.get_config()
    config.audio.window = 2048
    config.model.trunk = "harmonic"
    config.model.mask_inference.pitch_channels = 16
    config.loss.deep_clustering = 0.0
    config.loss.mask_inference = 0.3
    config.loss.mask_inference_kind = "snr"
    config.loss.transcription = 0.8
    config.loss.onsets = 0.8
    config.optimizer.average_decay = 0.998
    config.train.num_steps = 3200
    config.train.eval_every = 800
    config.train.checkpoint_every = 800
    return config
