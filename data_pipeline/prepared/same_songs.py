"""Songs that several corpora share: they must not be trained on in one and tested in another.

BabySlakh, for instance, is the first twenty tracks of Slakh2100. A song is known by the UUID of its
metadata, or by its notes: those of more than half of its stems are the same. Unlabelled songs
without a UUID are not compared. Within a corpus its own splits hold.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data_pipeline.corpora.registry import CORPORA
from data_pipeline.prepared.tables import Tables

OMITTED = "omitted"  # the split of tracks that nothing uses
MIN_NOTES, MAX_NOTES = 16, 256  # of a stem that are compared, from the first one on
_ONSET_SECONDS = 1e-3


@dataclass(frozen=True)
class Song:
    """A song of a prepared corpus.

    Args:
        corpus, split, id: where it is.
        uuid: of its metadata, '' if it has none.
        stems: a checksum of the notes of each stem with enough of them.
    """

    corpus: str
    split: str
    id: str
    uuid: str = ""
    stems: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"{self.corpus} {self.split}/{self.id}"


def songs_of_tables(corpus: str, tables: Tables, uuids: Iterable[Sequence[str]] = ()) -> list[Song]:
    """The songs of one corpus.

    Args:
        corpus: its name.
        tables: of this corpus alone.
        uuids: (split, track, UUID) of those that have one.
    """
    uuid_of = {(split, track): uuid for split, track, uuid in uuids}
    stems = [set() for _ in tables.track_ids]
    for stem, track in enumerate(tables.stem_tracks.tolist()):
        rows = slice(*tables.note_start[stem : stem + 2].tolist())
        if rows.stop - rows.start >= MIN_NOTES:
            stems[track].add(_checksum(tables.onsets[rows], tables.pitches[rows]))
    names = zip(tables.track_splits.tolist(), tables.track_ids.tolist(), strict=True)
    return [
        Song(corpus, *name, uuid_of.get(name, ""), frozenset(own))
        for name, own in zip(names, stems, strict=True)
    ]


def _checksum(onsets: np.ndarray, pitches: np.ndarray) -> int:
    """Of the first notes, relative to the first one: corrections shift all notes of a stem."""
    times = np.rint((onsets - onsets.min()) / _ONSET_SECONDS).astype(np.int64)
    order = np.lexsort((pitches, times))[:MAX_NOTES]
    steps = pitches[order].astype(np.int64) - int(pitches[order[0]])
    return zlib.crc32(times[order].tobytes() + steps.tobytes())


def check_splits(corpora: Sequence[Sequence[Song]], remedy: str) -> None:
    """Refuse corpora that have a song in common which is in different splits.

    Args:
        corpora: the songs of each.
        remedy: what helps, for the message.

    Raises:
        ValueError: names both places of the first such song.
    """
    pairs, earlier = [], []
    for songs in corpora:
        pairs += _same_songs(earlier, songs)
        earlier += songs
    pairs = [
        (one, other)
        for one, other in pairs
        if one.split != other.split and OMITTED not in (one.split, other.split)
    ]
    if pairs:
        one, other = pairs[0]
        more = f" ({len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
        raise ValueError(
            f"{one} and {other} are the same song{more}, and a song must not be in two splits; "
            + remedy
        )


def how_to_split(corpus: str) -> str:
    """What helps where the songs of a corpus are split otherwise than those of another."""
    choices = [
        choice
        for option in (CORPORA[corpus].options if corpus in CORPORA else ())
        if option.name == "splits"
        for choice in option.choices
    ]
    if not choices:
        return f"prepare {corpus} into another --out"
    return (
        f"prepare {corpus}, or the other one anew, so that their splits agree "
        f"(--splits={'|'.join(choices)}), or into another --out"
    )


def _same_songs(earlier: Sequence[Song], songs: Sequence[Song]) -> list[tuple[Song, Song]]:
    """The pairs of one of `earlier` and one of `songs` that are the same song."""
    by_uuid, by_stem = defaultdict(list), defaultdict(list)
    for song in earlier:
        if song.uuid:
            by_uuid[song.uuid].append(song)
        for stem in song.stems:
            by_stem[stem].append(song)
    pairs = []
    for song in songs:
        same = dict.fromkeys(by_uuid.get(song.uuid, ()))
        num_shared = Counter(other for stem in song.stems for other in by_stem.get(stem, ()))
        for other, count in num_shared.items():
            if 2 * count > min(len(song.stems), len(other.stems)):
                same[other] = None
        pairs += [(other, song) for other in same]
    return pairs
