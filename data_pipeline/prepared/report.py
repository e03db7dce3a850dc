"""What a preparation found: numbers, and what was left out or corrected, with the reason."""

import logging
from dataclasses import dataclass

from data_pipeline.corpora import slakh


@dataclass(frozen=True)
class Report:
    """What a prepared corpus holds and what was left out.

    Args:
        corpus: its name.
        num_tracks: usable tracks per split.
        minutes: minutes of stems per split and instrument.
        skipped: (track, stem, reason) of every stem of a wanted instrument that is left out.
        num_other_stems: stems of other instruments.
        corrections: stems per kind of label correction.
        notes_out_of_range: notes outside the 88 keys, left out.
        fingerprint: of the tree and the settings it was prepared from.
        num_unreadable: stems among the skipped ones that could not be read.
    """

    corpus: str
    num_tracks: dict[str, int]
    minutes: dict[str, dict[str, float]]
    skipped: list[list[str]]
    num_other_stems: int
    corrections: dict[str, int]
    notes_out_of_range: int
    fingerprint: str
    num_unreadable: int = 0

    def text(self) -> str:
        """The report for people."""
        names = sorted({name for row in self.minutes.values() for name in row})
        lines = [f"{self.corpus}: hours of stems per split and instrument"]
        lines.append(f"  {'split':<14}{'tracks':>8}" + "".join(f"{name:>10}" for name in names))
        for split, count in self.num_tracks.items():
            cells = "".join(f"{self.minutes[split].get(name, 0.0) / 60:>10.2f}" for name in names)
            lines.append(f"  {split:<14}{count:>8}{cells}")
        for kind, count in sorted(self.corrections.items()):
            lines.append(f"  labels corrected: {kind}: {count} stems")
        lines.append(f"  stems of other instruments left out: {self.num_other_stems}")
        lines.append(f"  notes outside the 88 keys left out: {self.notes_out_of_range}")
        lines.append(f"  stems skipped: {len(self.skipped)}")
        lines += [f"    {track} {stem}: {reason}" for track, stem, reason in self.skipped]
        return "\n".join(lines)


def make_report(corpus: str, converted: list[dict], fingerprint: str) -> Report:
    """The report on converted tracks; a stem that could not be read is also a warning.

    Raises:
        ValueError: if no track has a usable stem.
    """
    num_tracks, minutes, skipped, corrections, others, unreadable = {}, {}, [], {}, 0, 0
    for meta in (one["meta"] for one in converted):
        for stem, reason in meta["skipped"]:
            if reason == slakh.OTHER_INSTRUMENT:
                others += 1
            else:
                skipped.append([meta["id"], stem, reason])
        unreadable += len(meta["unreadable"])
        for stem, reason in meta["unreadable"]:
            skipped.append([meta["id"], stem, reason])
            logging.warning("%s %s left out: %s", meta["id"], stem, reason)
        for kind, count in meta["corrections"].items():
            corrections[kind] = corrections.get(kind, 0) + count
        if not meta["stems"]:
            continue
        num_tracks[meta["split"]] = num_tracks.get(meta["split"], 0) + 1
        row = minutes.setdefault(meta["split"], {})
        for stem in meta["stems"]:
            length = meta["num_samples"] / meta["sample_rate_hz"] / 60
            row[stem["instrument"]] = row.get(stem["instrument"], 0.0) + length
    if not num_tracks:
        reasons = "".join(f"; {' '.join(row)}" for row in skipped[:5])
        raise ValueError(
            f"{corpus}: no usable track: none of {len(converted)} has a stem of "
            f"a known instrument with audio and notes{reasons}"
        )
    outside = sum(one["meta"]["notes_out_of_range"] for one in converted)
    return Report(
        corpus,
        num_tracks,
        minutes,
        skipped,
        others,
        corrections,
        outside,
        fingerprint,
        unreadable,
    )
