"""Whole songs: those of a split, and their notes as tracks and table."""

from collections.abc import Iterator

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.io.pcm import PCM_SCALE
from data_pipeline.planning.activity import usable_stems
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.planner import Planner


def whole_songs(planner: Planner) -> Iterator[Excerpt]:
    """The songs of the planner's split that have every instrument, in the catalogue's order.

    Where excerpts take one stem per instrument, a song has them all: two guitars are one source.

    Raises:
        ValueError: if there is none.
    """
    config, catalogue = planner.config, planner.catalogue
    t, pcm = catalogue.tables, catalogue.pcm()
    corpora = config.corpora or ("",) * len(config.instruments)
    stems = [
        usable_stems(catalogue, name, corpus, config.split, config.instruments)
        for name, corpus in zip(config.instruments, corpora, strict=True)
    ]
    tracks = sorted(set.intersection(*(set(t.stem_tracks[of_slot].tolist()) for of_slot in stems)))
    if not tracks:
        raise ValueError(
            f"{config.split}: no song of {catalogue.root} has {', '.join(config.instruments)} "
            "together; score excerpts instead of songs"
        )
    for track in tracks:
        length = int(t.track_num_samples[track])
        samples = pcm[int(t.track_corpora[track])]
        sources = np.zeros((len(stems), length), np.float32)
        notes, labelled = [], []
        for slot, of_slot in enumerate(stems):
            own = of_slot[t.stem_tracks[of_slot] == track].tolist()
            for stem in own:
                start = int(t.stem_pcm_start[stem])
                sources[slot] += samples[start : start + length] / PCM_SCALE
            notes.append(Notes.joined([catalogue.notes(stem) for stem in own]))
            labelled.append(bool(t.stem_is_labelled[own].all()))
        yield Excerpt(str(t.track_ids[track]), sources, tuple(notes), tuple(labelled))
