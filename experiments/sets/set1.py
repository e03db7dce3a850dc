"""Piano and guitar: the pair on which the paper compares the heads.

    python -m experiments.run --config=sets/set1.py

The paper's scores with all three heads (Slakh2100; docs/paper.md): SDR 10.0, SIR 16.9, SAR
11.8 dB; F1 of frames .85, onsets .73, onsets with offsets .47 (means over both). The loss weights
of its other rows: --sweep=loss_weights. A run is 50,000 steps of 40 excerpts of 6.4 s, 3,556
hours of music; this project has not had Slakh2100, so there are no scores of ours on it.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with two instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar")
    return config
