"""The paper's network on the data of `sets/wide.py`, in as many steps.

    python -m experiments.run --config=sets/cerberus_wide.py

About an hour on a CPU; stopped, the same command goes on.
"""

from ml_collections import ConfigDict

from experiments.sets import cerberus_demo, wide


def get_config() -> ConfigDict:
    """The network of `cerberus_demo`, and what `wide` hears."""
    config, of_wide = cerberus_demo.get_config(), wide.get_config()
    config.instruments = of_wide.instruments
    config.data = of_wide.data
    config.train = of_wide.train
    return config
