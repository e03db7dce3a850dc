"""Flags that say which excerpts are meant, for the commands that show or list excerpts.

Their defaults are those of evaluation: coherent, unscaled, fixed by their number.
"""

from collections.abc import Callable

from cerberus_jax.frames import FrameGrid
from data_pipeline.cli.flags import CommandFlags
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue


def add_plan_flags(flags: CommandFlags) -> None:
    """Define the flags that say which excerpts are meant."""
    flags.path("data", "", "Prepared directory.")
    flags.string("split", "test", "Split to draw from.")
    flags.names("instruments", ["piano", "guitar"], "Instruments, in order.")
    flags.names("corpora", [], "Corpus of each instrument; none given: any.")
    flags.number("seconds", 10.0, "Length of an excerpt.")
    flags.integer("seed", 0, "Seed of the draws (data.seed of a config).")
    flags.number("coherent_probability", 1.0, "Share of excerpts from one song and moment.")
    flags.number("gain_db", 0.0, "Gains are drawn from +- this.")
    flags.integer("augment_semitones", 0, "Shift sources by up to so many semitones.")
    flags.number("active_rms_db", -30.0, "Sources count as active above this.")


def planner_of_flags(
    flags: CommandFlags, make: Callable[[Catalogue, PlanConfig], Planner] = Planner
) -> Planner:
    """What `make` makes of the data and the plan that the flags describe."""
    if not flags.data:
        raise ValueError("--data=DIR is needed: a directory made by data_pipeline.prepare")
    catalogue = Catalogue.load(flags.data)
    grid = FrameGrid(sample_rate_hz=catalogue.tables.sample_rate_hz)
    config = PlanConfig(
        instruments=tuple(flags.instruments),
        grid=grid,
        num_samples=round(flags.seconds * grid.sample_rate_hz),
        batch_size=1,
        seed=flags.seed,
        split=flags.split,
        coherent_probability=flags.coherent_probability,
        gain_db=flags.gain_db,
        active_rms_db=flags.active_rms_db,
        augment_semitones=flags.augment_semitones,
        fixed=True,
        corpora=tuple(flags.corpora),
    )
    return make(catalogue, config)
