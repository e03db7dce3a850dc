"""Piano, guitar and bass.

    python -m experiments.run --config=sets/set2.py

The paper's scores, piano / guitar / bass (Slakh2100; docs/paper.md): SDR 7.6 / 6.9 / 10.1
dB, onset F1 .73 / .63 / .91. A run is 50,000 steps of 40 excerpts of 6.4 s, 3,556 hours of music;
this project has not had Slakh2100, so there are no scores of ours on it.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with three instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar", "bass")
    return config
