"""What a preparation found: numbers, and what was left out or corrected, with the reason."""

import logging
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

from cerberus_jax.json_files import read_json
from cerberus_jax.outside import quoted
from data_pipeline.cli.console import printable
from data_pipeline.corpora.track import OTHER_INSTRUMENT
from data_pipeline.prepared.layout import REPORT

_MAX_SHOWN = 5  # stems left out for the same reason
_FORM = {
    "corpus": str,
    "num_tracks": {str: int},
    "minutes": {str: {str: float}},
    "skipped": [[str, str, str]],
    "num_other_stems": int,
    "corrections": {str: int},
    "notes_out_of_range": int,
    "fingerprint": str,
    "num_unreadable?": int,
    "unlabelled?": {str: int},
    "sample_rate_hz?": int,
    "doubts?": [[str, str, str]],
    "uuids?": [[str, str, str]],
    "levels?": [[str, str, str]],
}


@dataclass(frozen=True)
class Report:
    """What a prepared corpus holds and what was left out.

    Args:
        corpus: its name.
        num_tracks: usable tracks per split.
        minutes: minutes of stems per split and instrument.
        skipped: (track, stem, reason) of every stem that should be there and is left out.
        num_other_stems: stems of no class, or of one that was not asked for.
        corrections: stems per kind of label correction.
        notes_out_of_range: notes outside the 88 keys, left out.
        fingerprint: of the tree and the settings it was prepared from.
        num_unreadable: stems among the skipped ones that could not be read.
        unlabelled: stems without notes per instrument, of which only the audio is known.
        sample_rate_hz: of the prepared audio.
        doubts: (track, stem, what) of audio files that were read, and that something is wrong with.
        uuids: (split, track, UUID) of the tracks whose metadata name their song.
        levels: (track, stem, what) of stems whose channels cancel or that have an offset, and of
            tracks that were scaled.
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
    unlabelled: dict[str, int] = field(default_factory=dict)
    sample_rate_hz: int = 16000  # of reports that do not say it
    doubts: list[list[str]] = field(default_factory=list)
    uuids: list[list[str]] = field(default_factory=list)
    levels: list[list[str]] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "Report":
        """A report from its file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: naming the file, if it is no report.
        """
        values = read_json(
            path, "a report on a prepared corpus", _FORM, remedy="delete its folder, prepare again"
        )
        if absent := values["num_tracks"].keys() - values["minutes"].keys():
            raise ValueError(f"{path}: no minutes of the split {quoted(min(absent))}")
        known = {field.name for field in fields(cls)}
        return cls(**{name: values[name] for name in known & values.keys()})

    def text(self) -> str:
        """The report for people."""
        splits = list(self.num_tracks)
        names = sorted({name for row in self.minutes.values() for name in row})
        width = max(map(len, ["tracks", *names]))
        rows = [("", splits), ("tracks", [str(self.num_tracks[split]) for split in splits])]
        for name in names:
            hours = [self.minutes[split].get(name, 0.0) / 60 for split in splits]
            rows.append((name, [f"{value:.2f}" for value in hours]))
        lines = [
            f"{self.corpus}, {self.sample_rate_hz} Hz: hours of stems per instrument and split"
        ]
        for name, cells in rows:
            lines.append(f"  {name:<{width}}" + "".join(f"{cell:>14}" for cell in cells))
        for kind, count in sorted(self.corrections.items()):
            lines.append(f"  labels corrected: {kind}: {count} stems")
        for name, count in sorted(self.unlabelled.items()):
            lines.append(f"  unlabelled, audio without notes: {name}: {count} stems")
        lines.append(f"  stems of other instruments left out: {self.num_other_stems}")
        lines.append(f"  notes outside the 88 keys left out: {self.notes_out_of_range}")
        lines.append(f"  stems skipped: {len(self.skipped)}")
        lines += _stem_lines(self.skipped)
        if self.doubts:
            lines.append(f"  audio files with doubts, read: {len(self.doubts)}")
            lines += _stem_lines(self.doubts)
        if self.levels:
            lines.append(
                f"  stems and tracks whose level or channels were changed: {len(self.levels)}"
            )
        return "\n".join(lines + _stem_lines(self.levels))


def load_uuids(folder: Path) -> list[list[str]]:
    """(split, track, UUID) by the report of a prepared corpus; none where it has no report."""
    path = folder / REPORT
    return Report.load(path).uuids if path.is_file() else []


def _stem_lines(rows: list[list[str]]) -> list[str]:
    """(track, stem, reason), by reason where many share one."""
    stems_of = {}
    for track, stem, reason in rows:
        stems_of.setdefault(reason, []).append(f"{track} {stem}")
    lines = []
    for reason, stems in stems_of.items():
        if len(stems) > _MAX_SHOWN:
            lines.append(f"    {len(stems)} stems, {stems[0]} the first: {reason}")
        else:
            lines += [f"    {stem}: {reason}" for stem in stems]
    return lines


def make_report(corpus: str, converted: list[dict], fingerprint: str) -> Report:
    """The report on converted tracks; a stem that could not be read is also a warning.

    Raises:
        ValueError: if no track has a usable stem.
    """
    metas = [track["meta"] for track in converted]
    num_tracks, minutes, skipped, num_others = {}, {}, [], 0
    unlabelled, corrections = Counter(), Counter()
    for meta in metas:
        reasons = meta["skipped"] + meta["unreadable"]
        skipped += [[meta["id"], *pair] for pair in reasons if pair[1] != OTHER_INSTRUMENT]
        num_others += sum(reason == OTHER_INSTRUMENT for _, reason in reasons)
        for stem, reason in meta["unreadable"]:
            logging.warning("%s", printable(f"{meta['id']} {stem} left out: {reason}"))
        corrections.update(meta["corrections"])
        if not meta["stems"]:
            continue
        num_tracks[meta["split"]] = num_tracks.get(meta["split"], 0) + 1
        row = minutes.setdefault(meta["split"], {})
        for stem in meta["stems"]:
            length = meta["num_samples"] / meta["sample_rate_hz"] / 60
            row[stem["instrument"]] = row.get(stem["instrument"], 0.0) + length
            unlabelled[stem["instrument"]] += not stem.get("labelled", True)
    if not num_tracks:
        reasons = "".join(f"; {' '.join(row)}" for row in skipped[:5])
        raise ValueError(
            f"{corpus}: no usable track: none of {len(converted)} has a stem of "
            f"a known instrument with audio that can be read{reasons}"
        )
    return Report(
        corpus,
        num_tracks,
        minutes,
        skipped,
        num_others,
        dict(corrections),
        sum(meta["notes_out_of_range"] for meta in metas),
        fingerprint,
        sum(len(meta["unreadable"]) for meta in metas),
        dict(+unlabelled),
        metas[0]["sample_rate_hz"],
        [[meta["id"], *pair] for meta in metas for pair in meta.get("doubts", ())],
        [[meta["split"], meta["id"], meta["uuid"]] for meta in metas if meta.get("uuid")],
        [[meta["id"], *pair] for meta in metas for pair in meta.get("levels", ())],
    )
