"""The songs of a split as excerpts, whole: all stems of an instrument are one source."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32

from cerberus_jax.notes import Notes
from data_pipeline.io.pcm import PCM_SCALE
from data_pipeline.planning.activity import usable_stems
from data_pipeline.planning.batch import Excerpt, PlanConfig
from data_pipeline.prepared.catalogue import Catalogue
from experiments.evaluation.note_scores import ONSET_TOLERANCE_SECONDS


def whole_songs(catalogue: Catalogue, config: PlanConfig) -> Iterator[Excerpt]:
    """The songs of the config's split that have every instrument, in the catalogue's order.

    Where excerpts take one stem per instrument, a song has them all: two guitars are one source.

    Raises:
        ValueError: if there is none.
    """
    t = catalogue.tables
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
        sources = np.zeros((len(stems), length), np.float32)
        notes, labelled = [], []
        for slot, of_slot in enumerate(stems):
            own = of_slot[t.stem_tracks[of_slot] == track].tolist()
            sources[slot], joined, known = sum_of_stems(catalogue, own, length)
            notes.append(joined)
            labelled.append(known)
        yield Excerpt(str(t.track_ids[track]), sources, tuple(notes), tuple(labelled))


def sum_of_stems(
    catalogue: Catalogue, stems: Sequence[int], num_samples: int
) -> tuple[Float32[np.ndarray, " n"], Notes, bool]:
    """Stems of one track as one source: their sum, their notes, and whether all notes are known.

    A key that two stems strike within the tolerance of onsets is one note: nothing could find two.
    """
    t, pcm = catalogue.tables, catalogue.pcm()
    source = np.zeros(num_samples, np.float32)
    for stem in stems:
        start = int(t.stem_pcm_start[stem])
        samples = pcm[int(t.track_corpora[t.stem_tracks[stem]])]
        source += samples[start : start + num_samples] / PCM_SCALE
    notes = [own for stem in stems if len(own := catalogue.notes(stem))]
    joined = Notes.joined(notes)
    if len(notes) > 1:
        joined = joined.without_unisons(ONSET_TOLERANCE_SECONDS)
    return source, joined, all(bool(t.stem_is_labelled[stem]) for stem in stems)
