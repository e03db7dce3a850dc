"""Piano, guitar and bass.

    python -m experiments.run --config=sets/set2.py

The paper's scores, piano / guitar / bass (Slakh2100): SDR 7.6 / 6.9 / 10.1 dB, onset F1 .73 / .63 /
.91. Hours and scores of a run of ours: to be filled in from its results.json when there is one.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with three instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar", "bass")
    return config
