"""Piano and guitar: the pair on which the paper compares the heads.

    python -m experiments.run --config=sets/set1.py

The paper's scores with all three heads: SDR 10.0, SIR 16.9, SAR 11.8 dB; F1 of frames .85, onsets
.73, onsets with offsets .47 (means over both; Slakh2100). The loss weights of its other rows:
sweeps/loss_weights.py. Hours and scores of a run of ours: to be filled in from its results.json
when there is one.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with two instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar")
    return config
