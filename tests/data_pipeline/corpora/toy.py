"""A corpus of a test: a text file of seconds and pitches beside each wav file."""

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.corpora.corpus import Corpus, Option
from data_pipeline.corpora.track import Stem, Track


def scan(root, *, toy_split="train"):
    """A track per wav file."""
    return [
        Track(
            path.stem,
            toy_split,
            root,
            (Stem("all", "piano", 0, False, path, path.with_suffix(".notes")),),
        )
        for path in sorted(root.glob("*.wav"))
    ]


def read_notes(stem):
    """Onset, offset and pitch a line."""
    rows = np.loadtxt(stem.notes_path, ndmin=2)
    return Notes(rows[:, :2], rows[:, 2].astype(int), np.full(len(rows), 100))


def looks_like(root):
    """Whether there is a file of the toy corpus."""
    return any(root.glob("*.notes"))


TOY = Corpus(
    scan,
    read_notes,
    (Option("toy_split", "the split of all.", ("train", "test")),),
    elsewhere="Write your own.",
    looks_like=looks_like,
)
