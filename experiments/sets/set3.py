"""Piano, guitar, bass and drums.

    python -m experiments.run --config=sets/set3.py

The paper's scores, piano / guitar / bass / drums (Slakh2100; docs/paper.md): SDR 6.1 / 5.8
/ 7.7 / 11.3 dB, onset F1 .68 / .58 / .89 / .63. A run is 50,000 steps of 40 excerpts of 6.4 s,
3,556 hours of music; this project has not had Slakh2100, so there are no scores of ours on it.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with four instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar", "bass", "drums")
    return config
