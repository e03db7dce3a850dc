"""The split of MiniSlakh whose songs are played by programs that training never heard."""

import sys

from ml_collections import ConfigDict

from data_pipeline.planning.planner import Planner
from experiments.training import data

UNSEEN_SPLIT = "test_unseen"


def unseen_planner(config: ConfigDict, planner: Planner) -> Planner | None:
    """The planner of the excerpts of MiniSlakh's unseen programs.

    None where the data have no such songs, or `evaluation.excerpts` lists what is scored; and where
    they cannot be used, which is printed.

    Args:
        config: the run's config.
        planner: of its test excerpts.
    """
    if config.evaluation.excerpts or UNSEEN_SPLIT not in planner.catalogue.splits:
        return None
    try:
        return data.test_excerpts(config, UNSEEN_SPLIT)[0]
    except ValueError as error:  # a small data set may lack an instrument there
        print(f"{UNSEEN_SPLIT} is left out: {error}", file=sys.stderr, flush=True)
        return None
