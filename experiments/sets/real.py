"""Real recordings: piano from MAPS and guitar from GuitarSet.

    python -m data_pipeline.prepare --corpus=maps --root=MAPS --out=PREPARED
    python -m data_pipeline.prepare --corpus=guitarset --root=GUITARSET --out=PREPARED
    python -m experiments.run --config=sets/real.py --config.data.root=PREPARED

The two corpora share no song, so every mixture is incoherent. GuitarSet has 360 recordings of about
half a minute, three hours in all; MAPS 30 pieces for each of nine pianos. The paper's table for
real recordings is not public, and this project has not had MAPS: there are no scores to expect.
"""

from ml_collections import ConfigDict

from experiments.sets import base


def get_config() -> ConfigDict:
    """The defaults with one corpus per instrument and no coherent mixtures."""
    config = base.get_config()
    config.instruments = ("piano", "guitar")
    config.data.corpora = ("maps", "guitarset")
    config.data.coherent_probability = 0.0
    return config
