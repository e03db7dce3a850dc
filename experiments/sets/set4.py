"""Piano, guitar, bass, drums and strings: the largest set of the paper.

    python -m experiments.run --config=sets/set4.py

The paper's scores, piano / guitar / bass / drums / strings (Slakh2100): SDR 3.4 / 3.1 / 6.4 / 10.6
/ 4.1 dB, onset F1 .61 / .49 / .87 / .64 / .53. On a processor alone use sets/demo.py, the same
instruments in minutes. Hours and scores of a run of ours: to be filled in from its results.json
when there is one.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with five instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar", "bass", "drums", "strings")
    return config
