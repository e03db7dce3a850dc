"""Music as it comes: the network of `sets/demo.py` on wide songs, with a stem for the rest.

    python -m experiments.run --config=sets/wide.py

MiniSlakh that is wide (docs/data.md), played by all soundfonts that are installed, with other
instruments in every song, which are heard in three of eight excerpts. Hours on a CPU; stopped, the
same command goes on.
"""

from ml_collections import ConfigDict

from experiments.sets import demo


def get_config() -> ConfigDict:
    """The heads and losses of `demo`, and data that are as unlike one another as can be."""
    config = demo.get_config()
    config.instruments = ("piano", "guitar", "bass", "drums", "strings", "rest")
    config.data.minislakh_songs = 960
    config.data.minislakh_sounds = "wide"
    config.data.minislakh_soundfonts = ("auto",)
    # In every song, since excerpts of one song are cut where all its slots sound.
    config.data.minislakh_rest = 1.0
    # Excerpts are cut where all play, so sources are silenced as often as they rest in wide songs
    # (docs/data.md); what is none of the five more often.
    config.data.silence_probability = 0.25
    config.data.rest_probability = 0.5
    # Here the loss of the masks is small beside those of the rolls. With the demo's weight it
    # hardly improved after 2000 steps (docs/beyond.md).
    config.loss.mask_inference = 1.0
    config.loss.mask_inference_silence_db = 20.0
    config.train.num_steps = 20000
    config.train.eval_every = 2000
    return config
