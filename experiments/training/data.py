"""From a config to its batches: which prepared data, which excerpts, which reader.

Training excerpts are mixed and scaled at random. Those that are scored, of whatever split, are
fixed, as loud as in their song, and from one song and moment wherever the config has such mixtures.
"""

import fcntl
import itertools
import logging
import math
import shutil
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from cerberus_jax.json_files import read_json
from data_pipeline.io.processes import check_script_may_start_processes
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.listed import ListedPlanner
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import prepared_folder
from data_pipeline.reading.numpy_reader import numpy_batches
from experiments.config.loading import grid_of
from experiments.runtime.cache_folder import cache_folder

TRAINING_SPLIT, VALIDATION_SPLIT = "train", "validation"
_TREE = "tree"  # of rendered held-out songs, beside all that are prepared
MINISLAKH_SONGS = 480  # training songs of 20 s each
USUAL_RATE_HZ = 16000  # that of songs in a folder without the rate in its name


def data_root(config: ConfigDict) -> Path:
    """The prepared data of the config; the embedded MiniSlakh is made on first use."""
    if config.data.root:
        return Path(config.data.root).expanduser()
    num_songs = config.data.minislakh_songs or MINISLAKH_SONGS
    options = {
        name: config.data[f"minislakh_{name}"]
        for name in ("sounds", "soundfonts", "rest", "midi_dir", "midi_share")
    }
    return _embedded_root(num_songs, options, config.audio.sample_rate_hz)


def embedded_tree(config: ConfigDict) -> Path:
    """The held-out songs of the embedded MiniSlakh, a tree of Slakh's shape; made on first use.

    Raises:
        ValueError: if the config is of other data.
    """
    if config.data.root:
        raise ValueError(
            "data.root: the songs of the embedded MiniSlakh were asked for, which a config has "
            f"with an empty data.root, got {config.data.root!r}"
        )
    return data_root(config).parent / _TREE


def soundfonts(config: ConfigDict) -> list[str]:
    """What plays the embedded MiniSlakh, as it was rendered; none where that is not known."""
    from data_pipeline.minislakh.tree import SETTINGS_FILE

    file = data_root(config).parent / _TREE / SETTINGS_FILE
    if config.data.root or not file.is_file():
        return []
    form = {"soundfonts?": [str]}
    return read_json(file, "the settings of MiniSlakh", form).get("soundfonts", [])


def planner(
    config: ConfigDict, split: str, *, excerpt_seconds: float = 0.0, training: bool = False
) -> Planner:
    """What each batch of `split` holds.

    Args:
        config: the run's config.
        split: 'train', 'validation', 'test' or another folder of the corpus.
        excerpt_seconds: 0 = the config's `excerpt_seconds`.
        training: draw other mixtures, gains and augmentations in every batch, to be trained on;
            otherwise excerpts are fixed, to be scored.
    """
    plan = _plan(config, split, excerpt_seconds or config.excerpt_seconds, training)
    return Planner(_catalogue(data_root(config)), plan)


def song_plan(config: ConfigDict, split: str) -> tuple[Catalogue, PlanConfig]:
    """What `whole_songs` takes; it does not matter whether excerpts can be drawn of them."""
    plan = _plan(config, split, config.excerpt_seconds, training=False)
    return _catalogue(data_root(config)), plan


def _plan(config, split, seconds, training) -> PlanConfig:
    data = config.data
    return PlanConfig(
        instruments=tuple(config.instruments),
        grid=grid_of(config),
        num_samples=round(seconds * config.audio.sample_rate_hz),
        batch_size=config.batch_size,
        seed=data.seed,
        coherent_probability=data.coherent_probability if training else held_out_coherence(config),
        gain_db=data.gain_db if training else 0.0,
        active_rms_db=data.active_rms_db,
        split=split,
        fixed=not training,
        corpora=tuple(data.corpora),
        augment_polarity=data.augment_polarity if training else 0.0,
        augment_semitones=data.augment_semitones if training else 0,
        augment_equaliser_db=data.augment_equaliser_db if training else 0.0,
        silence_probability=data.silence_probability if training else 0.0,
        rest_probability=data.rest_probability if training else 1.0,
    )


def test_excerpts(config: ConfigDict, split: str) -> tuple[Planner, int]:
    """The planner of the excerpts that evaluation scores, and how many there are.

    They are those of the list `evaluation.excerpts`; without one, the first
    `data.num_test_excerpts` that the plan draws.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if the list is of another split or other instruments, or does not fit the data.
    """
    path = config.evaluation.excerpts
    if not path:
        seconds = config.evaluation.excerpt_seconds
        return planner(config, split, excerpt_seconds=seconds), config.data.num_test_excerpts
    listed = ExcerptList.load(Path(path).expanduser())
    if listed.split != split:
        raise ValueError(
            f"evaluation.excerpts={path} holds excerpts of the split {listed.split!r}, "
            f"not of {split!r}"
        )
    if listed.instruments != tuple(config.instruments):
        raise ValueError(
            f"evaluation.excerpts={path} is a list of excerpts of "
            f"{', '.join(listed.instruments)}; the config has the instruments "
            f"{', '.join(config.instruments)}"
        )
    catalogue = _catalogue(data_root(config))
    listed_planner = ListedPlanner(catalogue, listed, grid_of(config), name=path)
    return listed_planner, len(listed_planner)


def held_out_coherence(config: ConfigDict) -> float:
    """Held-out mixtures are coherent wherever the config has coherent mixtures."""
    return 1.0 if config.data.coherent_probability > 0 else 0.0


def num_validation_batches(config: ConfigDict) -> int:
    """Batches that hold at least `data.num_validation_excerpts`."""
    return math.ceil(config.data.num_validation_excerpts / config.batch_size)


def validation_batches(config: ConfigDict, **process: int) -> list[dict]:
    """The fixed batches of every validation, this process's share of each."""
    count = num_validation_batches(config)
    return list(numpy_batches(planner(config, VALIDATION_SPLIT), num_steps=count, **process))


def tuning_planner(config: ConfigDict) -> Planner:
    """The validation excerpts that are scored in training, and on which note thresholds are chosen
    when a run ends: as long as those that evaluation scores, or where no song has any of that
    length, as those of training.

    Raises:
        ValueError: if there are none of either length.
    """
    seconds = config.evaluation.excerpt_seconds
    try:
        return planner(config, VALIDATION_SPLIT, excerpt_seconds=seconds)
    except ValueError as error:
        if seconds <= config.excerpt_seconds:
            raise
        logging.warning(
            "evaluation.excerpt_seconds=%g: %s. Note thresholds, and scores in training, are those "
            "of excerpts of %g s; evaluation needs a smaller value too if test songs are as short",
            seconds,
            error,
            config.excerpt_seconds,
        )
        return planner(config, VALIDATION_SPLIT)


def batches(
    config: ConfigDict,
    split: str,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[dict]:
    """The batches of `split` from `first_step` on, this process's share of each.

    Those of 'train' are drawn for training, those of other splits are fixed.

    The first is read with numpy, the others with tf.data, or with numpy where there is no
    TensorFlow: the bytes are the same. So a run can begin before TensorFlow, which takes seconds to
    import, is there.
    """
    plan = planner(config, split, training=split == TRAINING_SPLIT)
    process = {"process_index": process_index, "process_count": process_count}
    first = numpy_batches(plan, first_step=first_step, num_steps=1, **process)
    later = process | {"first_step": first_step + 1, "num_steps": num_steps and num_steps - 1}
    return itertools.islice(itertools.chain(first, _after_first(plan, config, later)), num_steps)


def excerpt_names(config: ConfigDict, k: int) -> list[str]:
    """The excerpts in the training batch of step k: songs, moments and stems."""
    return planner(config, TRAINING_SPLIT, training=True).batch(k).ids


def _after_first(plan, config, steps) -> Iterator[dict]:
    try:
        from data_pipeline.reading import tf_reader
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        logging.warning(
            "TensorFlow is not installed: batches are read with numpy, the same bytes by one thread"
        )
        yield from numpy_batches(plan, **steps)
    else:
        yield from tf_reader.batches(plan, num_threads=config.data.num_threads, **steps)


def describe(config: ConfigDict) -> str:
    """The prepared data in one line: where, which corpora, how many tracks per split."""
    catalogue = _catalogue(data_root(config))
    splits, counts = np.unique(catalogue.tables.track_splits, return_counts=True)
    tracks = ", ".join(f"{split} {n}" for split, n in zip(splits, counts, strict=True))
    return f"{catalogue.root} ({', '.join(catalogue.corpora)}); tracks: {tracks}"


def _embedded_name(num_songs: int, options: dict, sample_rate_hz: int) -> str:
    """The folder of these songs: each option that is not the usual one changes it."""
    from data_pipeline.io.folders import files_below
    from data_pipeline.minislakh.composer import VERSION
    from data_pipeline.minislakh.soundfonts import found_soundfonts
    from data_pipeline.minislakh.wide import WIDE_VERSION

    kind = f"wide-{WIDE_VERSION}" if options["sounds"] == "wide" else str(VERSION)
    unusual = [options["rest"]] if options["rest"] else []
    files = found_soundfonts(options["soundfonts"]) if options["soundfonts"] else ()
    if options["midi_share"]:
        unusual.append(options["midi_share"])
        files = (*files, *files_below(Path(options["midi_dir"])))
    unusual += [
        (Path(file).name, Path(file).stat().st_size) for file in files if Path(file).is_file()
    ]
    code = f"-{zlib.crc32(repr(unusual).encode()):08x}" if unusual else ""
    rate = "" if sample_rate_hz == USUAL_RATE_HZ else f"-{sample_rate_hz}hz"
    return f"minislakh-{kind}-{num_songs}{code}{rate}"


@lru_cache(maxsize=4)
def _catalogue(root: Path) -> Catalogue:
    return Catalogue.load(root)


def _embedded_root(num_songs: int, options: dict, sample_rate_hz: int) -> Path:
    """The prepared MiniSlakh of the cache; several processes and interrupted runs are safe.

    One that an earlier version prepared is used as it is.

    Args:
        num_songs: training songs.
        options: of `minislakh.build`.
        sample_rate_hz: of the songs and of the prepared audio.
    """
    folder = cache_folder() / _embedded_name(num_songs, options, sample_rate_hz)
    prepared = folder / "prepared"
    home = prepared / "minislakh"
    if prepared_folder(home):
        return prepared
    check_script_may_start_processes()  # here: a process must not wait for the one it works for
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not prepared_folder(home):
            from data_pipeline import minislakh, prepare
            from data_pipeline.prepared.pack import check_records_can_be_written

            check_records_can_be_written(())
            print(f"MiniSlakh: rendering {num_songs} songs into {folder}, once", flush=True)
            tree = minislakh.build(
                folder / _TREE, num_songs=num_songs, sample_rate_hz=sample_rate_hz, **options
            )
            prepare.prepare("minislakh", tree, out=prepared, sample_rate_hz=sample_rate_hz)
            # Read no more, and a third of the space; what cannot be removed takes space alone.
            shutil.rmtree(tree / TRAINING_SPLIT, ignore_errors=True)
    return prepared
