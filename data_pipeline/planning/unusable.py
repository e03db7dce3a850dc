"""Why a split cannot be used: what is missing, in which track, and what to do about it."""

import numpy as np
from jaxtyping import Int

from data_pipeline.instruments import takes
from data_pipeline.planning.activity import Activity
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.prepared.catalogue import Catalogue


def explain_unusable(
    catalogue: Catalogue,
    config: PlanConfig,
    stems: list[Int[np.ndarray, " _"]],
    activity: Activity,
) -> str:
    """The reason why no excerpt can be drawn as a sentence, '' if excerpts can be drawn.

    Args:
        catalogue: the prepared data.
        config: what is drawn.
        stems: the stems of each slot in the split of the config.
        activity: where these are active.
    """
    t, split = catalogue.tables, config.split
    if split not in catalogue.splits:
        return f"{split}: {catalogue.root} has no such split; it has {', '.join(catalogue.splits)}"
    for name, of_slot in zip(config.instruments, stems, strict=True):
        if not len(of_slot):
            return f"{split}: no track has {name}; {_example(catalogue, config)}"
    together = config.coherent_probability > 0
    tracks = [set(t.stem_tracks[of_slot].tolist()) for of_slot in stems]
    common = set.intersection(*tracks) if together else set.union(*tracks)
    if not common:
        return (
            f"{split}: no track has {', '.join(config.instruments)} together; "
            f"{_example(catalogue, config)}, or set data.coherent_probability=0"
        )
    seconds = config.num_samples / t.sample_rate_hz
    # Where sources come from tracks of their own, each instrument needs long ones.
    of_what = {"": common} if together else dict(zip(config.instruments, tracks, strict=True))
    fitting = {
        name: [k for k in found if activity.num_starts[k] > 0] for name, found in of_what.items()
    }
    for name, found in of_what.items():
        if not fitting[name]:
            longest = max(found, key=lambda k: t.track_num_samples[k])
            return (
                f"{split}: all usable tracks{name and f' with {name}'} are shorter than "
                f"excerpt_seconds={seconds:g} ({t.track_ids[longest]}, the longest, lasts "
                f"{t.track_num_samples[longest] / t.sample_rate_hz:.3f} s); lower excerpt_seconds"
            )
    silent = [
        name
        for name, starts in zip(config.instruments, activity.slots, strict=True)
        if not len(starts.tracks)
    ]
    if silent or (together and not len(activity.joint.tracks)):
        what = ", ".join(silent or config.instruments)
        example = fitting["" if together else silent[0]][0]
        return (
            f"{split}: {what} never active{'' if silent else ' together'} for {seconds:g} s above "
            f"data.active_rms_db={config.active_rms_db:g} (for example in "
            f"{t.track_ids[example]}); lower that, or excerpt_seconds"
        )
    return ""


def _example(catalogue: Catalogue, config: PlanConfig) -> str:
    """The track of the split that has the largest number of the instruments: its, and missing."""
    t = catalogue.tables
    instruments_of = {
        track: set(t.stem_instruments[t.stem_tracks == track].tolist())
        for track in np.flatnonzero(t.track_splits == config.split).tolist()
    }
    track = max(instruments_of, key=lambda k: len(instruments_of[k] & set(config.instruments)))
    missing = [
        name
        for name in config.instruments
        if not any(takes(name, found, config.instruments) for found in instruments_of[track])
    ]
    lacks = f"but no {', '.join(missing)}" if missing else "all of one corpus"
    return (
        f"{t.track_ids[track]} has {', '.join(sorted(instruments_of[track]))}, {lacks}; "
        "choose instruments that the data has, or prepare a corpus that has them all"
    )
