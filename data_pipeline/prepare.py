"""Prepares a corpus once: python -m data_pipeline.prepare --corpus=slakh2100 --root=DIR --out=DIR

Reads the raw tree, resamples all stems of the five instruments to 16 kHz, and writes OUT/<corpus>/1.0.0 with the PCM, the
TFDS records, their numpy twin and a report. Interrupted, the same command goes on; the folder appears only when it is whole.
"""

import importlib.util
import json
import logging
import os
import shutil
import tempfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from absl import app, flags

from data_pipeline import guitarset, maps, slakh_index
from data_pipeline.audio_io import whole_file
from data_pipeline.catalogue import PCM, SIDECAR, VERSION, Tables
from data_pipeline.convert import CELL_SECONDS, Job, convert_all, read_converted

SAMPLE_RATE_HZ = 16000
CORPORA = ("slakh2100", "babyslakh", "minislakh", "guitarset", "maps")
_log = logging.getLogger(__name__)


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
    """

    corpus: str
    num_tracks: dict[str, int]
    minutes: dict[str, dict[str, float]]
    skipped: list[list[str]]
    num_other_stems: int
    corrections: dict[str, int]
    notes_out_of_range: int
    fingerprint: str

    def text(self) -> str:
        """The report for people."""
        names = sorted({name for row in self.minutes.values() for name in row})
        lines = [f"{self.corpus}: minutes of stems per split and instrument"]
        lines.append(f"  {'split':<14}{'tracks':>8}" + "".join(f"{name:>10}" for name in names))
        for split, count in self.num_tracks.items():
            cells = "".join(f"{self.minutes[split].get(name, 0.0):>10.1f}" for name in names)
            lines.append(f"  {split:<14}{count:>8}{cells}")
        for kind, count in sorted(self.corrections.items()):
            lines.append(f"  labels corrected: {kind}: {count} stems")
        lines.append(f"  stems of other instruments left out: {self.num_other_stems}")
        lines.append(f"  notes outside the 88 keys left out: {self.notes_out_of_range}")
        lines.append(f"  stems skipped: {len(self.skipped)}")
        lines += [f"    {track} {stem}: {reason}" for track, stem, reason in self.skipped]
        return "\n".join(lines)


def prepare(
    corpus: str,
    root: str | os.PathLike,
    *,
    out: str | os.PathLike,
    num_workers: int = 0,
    progress: bool = True,
    check: bool = False,
    bass_octave_correction: bool = True,
    records: bool = True,
) -> Report:
    """Prepare a corpus, or only go through it.

    Args:
        corpus: one of CORPORA.
        root: the raw tree.
        out: the prepared directory; it may hold other corpora already.
        num_workers: processes; 0: one per processor.
        progress: show a progress bar.
        check: read everything, write nothing.
        bass_octave_correction: shift the labels of Slakh's bass by -12 semitones, to what is heard.
        records: write the TFDS records too (training reads only their numpy twin).

    Returns:
        The report; of the earlier run if the corpus was already prepared.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if the corpus is unknown, holds no usable track, or OUT/<corpus> was prepared from something else.
    """
    tracks = _index(corpus, root, bass_octave_correction)
    fingerprint = _fingerprint(tracks)
    if check:
        with tempfile.TemporaryDirectory() as folder:
            files = _convert(tracks, Path(folder), num_workers, progress, check=True)
            return _report(corpus, [read_converted(path) for path in files], fingerprint)
    home = Path(out) / corpus
    final = home / VERSION
    if (final / SIDECAR).is_file():
        report = Report(**json.loads((final / "report.json").read_text()))
        if report.fingerprint != fingerprint:
            raise ValueError(
                f"{home} was prepared from another tree or with other settings than {root}; "
                "choose another --out, or delete that folder"
            )
        _log.warning("%s is already prepared; nothing to do", home)
        return report
    part = home / f"part-{fingerprint}"
    files = _convert(tracks, part, num_workers, progress, check=False)
    converted = [read_converted(path) for path in files]
    report = _report(corpus, converted, fingerprint)
    _pack(converted, files, corpus, out, records=records)
    with whole_file(final / "report.json") as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=1))
    _tables(converted).save(final / SIDECAR)  # the last file: it says that all are there
    shutil.rmtree(part)
    return report


def _index(corpus: str, root, bass_octave_correction: bool) -> list[slakh_index.Track]:
    if corpus not in CORPORA:
        raise ValueError(f"--corpus={corpus}: unknown; expected one of {', '.join(CORPORA)}")
    if corpus == "guitarset":
        return guitarset.scan(root)
    if corpus == "maps":
        return maps.scan(root)
    return slakh_index.scan(root, corpus=corpus, bass_octave_correction=bass_octave_correction)


def _fingerprint(tracks: list[slakh_index.Track]) -> str:
    code = zlib.crc32(f"{VERSION} {SAMPLE_RATE_HZ} {CELL_SECONDS}".encode())
    for track in tracks:
        code = zlib.crc32(repr((track.split, track.id, track.skipped)).encode(), code)
        for s in track.stems:
            sizes = (s.audio_path.stat().st_size, s.midi_path.stat().st_size)
            row = (s.id, s.instrument, s.program, s.pitch_shift, s.time_shift, s.sustain_pedal)
            code = zlib.crc32(repr((row, sizes)).encode(), code)
    return f"{code:08x}"


def _convert(tracks, folder: Path, num_workers: int, progress: bool, *, check: bool) -> list[Path]:
    """The files of all tracks, sorted by split and track; those already there are kept."""
    files = [folder / track.split / f"{track.id}.npz" for track in tracks]
    jobs = [
        Job(track, file, SAMPLE_RATE_HZ, check)
        for track, file in zip(tracks, files, strict=True)
        if not file.is_file()
    ]
    if len(jobs) < len(files):
        _log.warning("%d of %d tracks are already done", len(files) - len(jobs), len(files))
    convert_all(jobs, num_workers=num_workers, progress=progress)
    return files


def _report(corpus: str, converted: list[dict], fingerprint: str) -> Report:
    num_tracks, minutes, skipped, corrections, others = {}, {}, [], {}, 0
    for meta in (one["meta"] for one in converted):
        for stem, reason in meta["skipped"]:
            if reason == slakh_index.OTHER_INSTRUMENT:
                others += 1
            else:
                skipped.append([meta["id"], stem, reason])
        for stem, reason in meta["unreadable"]:
            skipped.append([meta["id"], stem, reason])
            _log.warning("%s %s left out: %s", meta["id"], stem, reason)
        for kind, count in meta["corrections"].items():
            corrections[kind] = corrections.get(kind, 0) + count
        if not meta["stems"]:
            continue
        num_tracks[meta["split"]] = num_tracks.get(meta["split"], 0) + 1
        row = minutes.setdefault(meta["split"], {})
        for stem in meta["stems"]:
            length = meta["num_samples"] / SAMPLE_RATE_HZ / 60
            row[stem["instrument"]] = row.get(stem["instrument"], 0.0) + length
    if not num_tracks:
        reasons = "".join(f"\n  {' '.join(row)}" for row in skipped[:5])
        raise ValueError(
            f"{corpus}: no usable track: none of {len(converted)} has a stem of "
            f"{', '.join(slakh_index.INSTRUMENTS)} with audio and notes{reasons}"
        )
    outside = sum(one["meta"]["notes_out_of_range"] for one in converted)
    return Report(corpus, num_tracks, minutes, skipped, others, corrections, outside, fingerprint)


def _tables(converted: list[dict]) -> Tables:
    converted = [one for one in converted if one["meta"]["stems"]]
    metas = [one["meta"] for one in converted]
    stems = [stem for meta in metas for stem in meta["stems"]]
    counts = [len(meta["stems"]) for meta in metas]
    lengths = np.repeat([meta["num_samples"] for meta in metas], counts).astype(np.int64)
    cells = np.repeat([one["levels"].shape[1] for one in converted], counts)
    notes = [
        np.bincount(one["note_stems"], minlength=count)
        for one, count in zip(converted, counts, strict=True)
    ]

    def flat(name):
        return np.concatenate([one[name] for one in converted])

    def starts(lengths):
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    return Tables(
        sample_rate_hz=SAMPLE_RATE_HZ,
        cell=round(CELL_SECONDS * SAMPLE_RATE_HZ),
        track_ids=np.array([meta["id"] for meta in metas]),
        track_splits=np.array([meta["split"] for meta in metas]),
        track_corpora=np.zeros(len(metas), np.int32),
        track_num_samples=np.array([meta["num_samples"] for meta in metas], np.int64),
        stem_tracks=np.repeat(np.arange(len(metas)), counts).astype(np.int32),
        stem_ids=np.array([stem["id"] for stem in stems]),
        stem_instruments=np.array([stem["instrument"] for stem in stems]),
        stem_programs=np.array([stem["program"] for stem in stems], np.int32),
        stem_is_drum=np.array([stem["is_drum"] for stem in stems], np.bool_),
        stem_pcm_start=starts(lengths)[:-1],
        level_start=starts(cells),
        levels=np.concatenate([one["levels"].ravel() for one in converted]),
        note_start=starts(np.concatenate(notes)),
        onsets=flat("intervals")[:, 0].copy(),
        offsets=flat("intervals")[:, 1].copy(),
        pitches=flat("pitches"),
        velocities=flat("velocities"),
    )


def _pack(converted: list[dict], files: list[Path], corpus: str, out, *, records: bool) -> None:
    """Write records and PCM into OUT/<corpus>/<version>."""
    final = Path(out) / corpus / VERSION
    if final.exists():
        shutil.rmtree(final)  # without its last file: an earlier run ended while packing
    if records and importlib.util.find_spec("tensorflow_datasets") is None:
        _log.warning("tensorflow_datasets is not installed: no TFDS records (training needs none)")
    elif records:
        from data_pipeline.builder import write_records  # imports TensorFlow

        write_records(_tables(converted), corpus, out)
    final.mkdir(parents=True, exist_ok=True)
    with whole_file(final / PCM) as temporary, temporary.open("wb") as file:
        for path in files:
            read_converted(path, with_pcm=True)["pcm"].tofile(file)


_CORPUS = flags.DEFINE_enum("corpus", "slakh2100", CORPORA, "What --root holds.")
_ROOT = flags.DEFINE_string("root", None, "Folder of the raw corpus.")
_OUT = flags.DEFINE_string("out", None, "Prepared directory to write; it may hold several corpora.")
_CHECK = flags.DEFINE_bool("check", False, "Only read the corpus and report; --out is not needed.")
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", 0, "Processes (0: one per processor).", lower_bound=0
)
_BASS = flags.DEFINE_bool(
    "bass_octave_correction", True, "Shift Slakh's bass labels by -12 semitones, to what is heard."
)


def main(argv: list[str]) -> None:
    """The command line."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    if not _ROOT.value or not (_OUT.value or _CHECK.value):
        raise app.UsageError("--root=DIR and --out=DIR (or --check) are needed")
    try:
        report = prepare(
            _CORPUS.value,
            _ROOT.value,
            out=_OUT.value or "",
            num_workers=_NUM_WORKERS.value,
            check=_CHECK.value,
            bass_octave_correction=_BASS.value,
        )
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error
    print(report.text())
    if not _CHECK.value:
        print(
            f"prepared: {Path(_OUT.value) / _CORPUS.value}; train with --config.data.root={_OUT.value}"
        )


if __name__ == "__main__":
    app.run(main)
