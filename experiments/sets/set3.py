"""Piano, guitar, bass and drums.

    python -m experiments.run --config=sets/set3.py

The paper's scores, piano / guitar / bass / drums (Slakh2100): SDR 6.1 / 5.8 / 7.7 / 11.3 dB, onset
F1 .68 / .58 / .89 / .63. Hours and scores of a run of ours: to be filled in from its results.json
when there is one.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with four instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar", "bass", "drums")
    return config
