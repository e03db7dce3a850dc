"""Scans a corpus by its name: the options are checked, classes that are not wanted left out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_pipeline.cli.console import printable
from data_pipeline.corpora.registry import CORPORA
from data_pipeline.corpora.track import Track
from data_pipeline.instruments import INSTRUMENTS


def scan_corpus(
    corpus: str,
    root: str | os.PathLike,
    *,
    options: Mapping[str, object],
    instruments: Sequence[str] | None = None,
) -> list[Track]:
    """The tracks of a raw tree.

    Args:
        corpus: its name.
        root: the raw tree.
        options: arguments of the scan of this corpus.
        instruments: classes to keep, the stems of others become stems of no class; None: all.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if the corpus, an option or an instrument is unknown, or the tree is no such
            corpus.
    """
    if corpus not in CORPORA:
        raise ValueError(f"--corpus={corpus}: unknown; expected one of {', '.join(CORPORA)}")
    names = [option.name for option in CORPORA[corpus].options]
    if unknown := sorted(options.keys() - set(names)):
        flags = ", ".join(f"--{name}" for name in names) or "none"
        raise ValueError(f"--corpus={corpus} has no option --{unknown[0]} (it has {flags})")
    if instruments is not None:
        _check(instruments)
    tracks = [_printable(track) for track in CORPORA[corpus].scan(Path(root), **options)]
    return tracks if instruments is None else [_selected(track, instruments) for track in tracks]


def _printable(track: Track) -> Track:
    """The track with names that records and tables can hold."""
    return replace(
        track,
        id=printable(track.id),
        split=printable(track.split),
        stems=tuple(replace(stem, id=printable(stem.id)) for stem in track.stems),
        skipped=tuple((printable(stem), printable(reason)) for stem, reason in track.skipped),
    )


def _check(instruments: Sequence[str]) -> None:
    if not instruments or set(instruments) - set(INSTRUMENTS):
        raise ValueError(
            f"--instruments={','.join(instruments)}: expected some of {', '.join(INSTRUMENTS)}"
        )


def _selected(track: Track, instruments: Sequence[str]) -> Track:
    stems = (
        stem if stem.instrument in instruments else replace(stem, instrument="")
        for stem in track.stems
    )
    return replace(track, stems=tuple(stems))
