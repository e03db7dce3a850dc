"""Piano, guitar, bass, drums and strings: the largest set of the paper.

    python -m experiments.run --config=sets/set4.py

The paper's scores, piano / guitar / bass / drums / strings (Slakh2100; docs/paper.md): SDR
3.4 / 3.1 / 6.4 / 10.6 / 4.1 dB, onset F1 .61 / .49 / .87 / .64 / .53. A run is 50,000 steps of 40
excerpts of 6.4 s, 3,556 hours of music; this project has not had Slakh2100, so there are no scores
of ours on it. On a processor alone use sets/demo.py, the same instruments in minutes.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with five instruments."""
    config = base.get_config()
    config.instruments = ("piano", "guitar", "bass", "drums", "strings")
    return config
