"""Flags that say which excerpts are meant, for the commands that show or list excerpts.

Their defaults are those of evaluation: coherent, unscaled, fixed by their number.
"""

from collections.abc import Callable

from absl import flags

from cerberus_jax.frames import FrameGrid
from data_pipeline.catalogue import Catalogue
from data_pipeline.plan import PlanConfig, Planner


def define_plan_flags() -> None:
    """The flags that say which excerpts are meant; defined only when a command runs."""
    flags.DEFINE_string("data", None, "Prepared directory.")
    flags.DEFINE_string("split", "test", "Split to draw from.")
    flags.DEFINE_list("instruments", ["piano", "guitar"], "Instruments, in order.")
    flags.DEFINE_list("corpora", [], "Corpus of each instrument; none given: any.")
    flags.DEFINE_float("seconds", 10.0, "Length of an excerpt.")
    flags.DEFINE_integer("seed", 0, "Seed of the draws (data.seed of a config).")
    flags.DEFINE_float("coherent_probability", 1.0, "Share of excerpts from one song and moment.")
    flags.DEFINE_float("gain_db", 0.0, "Gains are drawn from +- this.")
    flags.DEFINE_integer("augment_semitones", 0, "Shift sources by up to so many semitones.")
    flags.DEFINE_float("active_rms_db", -30.0, "Sources count as active above this.")


def planner_of_flags(make: Callable[[Catalogue, PlanConfig], Planner] = Planner) -> Planner:
    """What `make` makes of the data and the plan that the flags describe."""
    args = flags.FLAGS
    if not args.data:
        raise ValueError("--data=DIR is needed: a directory made by data_pipeline.prepare")
    catalogue = Catalogue.load(args.data)
    grid = FrameGrid(sample_rate_hz=catalogue.tables.sample_rate_hz)
    config = PlanConfig(
        instruments=tuple(args.instruments),
        grid=grid,
        num_samples=round(args.seconds * grid.sample_rate_hz),
        batch_size=1,
        seed=args.seed,
        split=args.split,
        coherent_probability=args.coherent_probability,
        gain_db=args.gain_db,
        active_rms_db=args.active_rms_db,
        augment_semitones=args.augment_semitones,
        fixed=True,
        corpora=tuple(args.corpora),
    )
    return make(catalogue, config)
