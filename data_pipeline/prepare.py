"""Prepares a corpus once: python -m data_pipeline.prepare --corpus=slakh2100 --root=DIR --out=DIR

Reads the raw tree, resamples every stem that has a class of instruments to one rate, and writes
OUT/<corpus>/<version> with the PCM, the TFDS records, their tables for numpy and a report.
Interrupted, the same command goes on; the folder appears only when it is whole.
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.corpora.archive import need_space
from data_pipeline.corpora.flags import add_option_flags, options_of_flags
from data_pipeline.corpora.registry import CORPORA, DEFAULT_CORPUS
from data_pipeline.corpora.scan import scan_corpus
from data_pipeline.corpora.track import Track
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.io.audio_decoding import estimated_length
from data_pipeline.io.files import fitting_name
from data_pipeline.prepared.convert import Job, convert_all, read_converted
from data_pipeline.prepared.fingerprint import fingerprint_of
from data_pipeline.prepared.layout import FIRST_VERSION, PARTS, REPORT, VERSION, prepared_folder
from data_pipeline.prepared.pack import check_records_can_be_written, pack, tables_of
from data_pipeline.prepared.report import Report, load_uuids, make_report
from data_pipeline.prepared.same_songs import Song, check_splits, how_to_split, songs_of_tables
from data_pipeline.prepared.tables_cache import load_tables

SAMPLE_RATE_HZ = 16000
MIN_SAMPLE_RATE_HZ = 1000


def prepare(
    corpus: str,
    root: str | os.PathLike,
    *,
    out: str | os.PathLike,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    instruments: Sequence[str] | None = None,
    num_workers: int = 0,
    progress: bool = True,
    check: bool = False,
    **options,
) -> Report:
    """Prepare a corpus, or only go through it.

    Args:
        corpus: one of CORPORA.
        root: the raw tree.
        out: the prepared directory; it may hold other corpora of the same rate already.
        sample_rate_hz: of the prepared audio.
        instruments: classes to keep; None: every stem that has a class.
        num_workers: processes; 0: one per processor.
        progress: show a progress bar.
        check: read everything, write nothing.
        options: what the scan of the corpus takes: its `Corpus.options`.

    Returns:
        The report; of the earlier run if the corpus was already prepared.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if the corpus, an option or an instrument is unknown, the corpus holds no usable
            track, OUT/<corpus> was prepared from something else, OUT holds another rate, or TFDS
            is not installed or refuses the names of the splits, or OUT holds another corpus that
            has a song of this one in another split.
        OSError: if the disk is too full, or another process is preparing OUT/<corpus>.
    """
    if sample_rate_hz < MIN_SAMPLE_RATE_HZ:
        raise ValueError(
            f"--sample_rate_hz={sample_rate_hz}: must be at least {MIN_SAMPLE_RATE_HZ}"
        )
    tracks = scan_corpus(corpus, root, options=options, instruments=instruments)
    fingerprint = fingerprint_of(tracks, sample_rate_hz)

    def convert_into(folder: Path) -> list[Path]:
        jobs = [
            Job(track, _file_of(track, folder), sample_rate_hz, check, CORPORA[corpus].read_notes)
            for track in tracks
        ]
        return _convert(jobs, num_workers, progress)

    if check:
        with tempfile.TemporaryDirectory() as folder:
            converted = [read_converted(path) for path in convert_into(Path(folder))]
            return make_report(corpus, converted, fingerprint)
    home = Path(out) / corpus
    _check_rates(Path(out), sample_rate_hz)
    if report := _finished(home, root, fingerprint):
        if any(home.glob(PARTS)):  # stopped while they were removed
            with _alone(home):
                _remove_parts(home)
        return report
    songs = [Song(corpus, track.split, track.id, track.uuid) for track in tracks]
    check_splits([*songs_beside(home), songs], how_to_split(corpus))  # by their UUIDs, in advance
    check_records_can_be_written({track.split for track in tracks})
    part = home / f"part-{fingerprint}"
    size = bytes_needed(tracks, part, sample_rate_hz=sample_rate_hz)
    need_space(home, size, f"preparing {corpus}")
    with _alone(home):
        if report := _finished(home, root, fingerprint):  # while we looked
            return report
        return _complete(home, convert_into(part), fingerprint)


def _check_rates(out: Path, sample_rate_hz: int) -> None:
    """Refuse a rate that is not the one of what the prepared directory holds already."""
    for home in sorted(out.glob("*")):
        folder = prepared_folder(home)
        if folder is None or not (folder / REPORT).is_file():
            continue
        report = Report.load(folder / REPORT)
        if report.sample_rate_hz != sample_rate_hz:
            raise ValueError(
                f"--sample_rate_hz={sample_rate_hz}: {home} was prepared at "
                f"{report.sample_rate_hz} Hz, and a directory has one rate; choose another --out, "
                "or delete that folder"
            )


def songs_beside(home: Path) -> list[list[Song]]:
    """The songs of the other corpora that are prepared in the directory of this one."""
    corpora = []
    for other in sorted(home.parent.glob("*")):
        folder = prepared_folder(other)
        if folder is not None and other.name != home.name:
            corpora.append(songs_of_tables(other.name, load_tables(folder), load_uuids(folder)))
    return corpora


def _finished(home: Path, root, fingerprint: str) -> Report | None:
    """The report of an earlier run, None where there is none."""
    folder = prepared_folder(home)
    if folder is None or folder.name != VERSION:
        return None
    report = Report.load(folder / REPORT)
    if report.fingerprint != fingerprint:
        raise ValueError(
            f"{home} was prepared from another tree or with other settings than {root}; "
            "choose another --out, or delete that folder"
        )
    logging.warning("%s is already prepared; nothing to do", home)
    return report


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """While no other process works in the folder: one would delete what the other writes."""
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OSError(f"{home}: another process is preparing this corpus; wait for it") from error
    finally:
        os.close(lock)


def _complete(home: Path, files: list[Path], fingerprint: str) -> Report:
    """Puts the converted tracks together, and removes what that takes the place of."""
    converted = [read_converted(path) for path in files]
    report = make_report(home.name, converted, fingerprint)
    songs = songs_of_tables(home.name, tables_of(converted), report.uuids)
    check_splits([*songs_beside(home), songs], how_to_split(home.name))
    pack(converted, files, json.dumps(asdict(report), indent=1), home)
    _remove_parts(home)
    if (home / FIRST_VERSION).is_dir():
        logging.warning("%s is no longer read; it can be deleted", home / FIRST_VERSION)
    return report


def _remove_parts(home: Path) -> None:
    """What was converted, of unfinished runs with other settings too."""
    for folder in home.glob(PARTS):
        shutil.rmtree(folder)


def bytes_needed(tracks: list[Track], part: Path, *, sample_rate_hz: int) -> int:
    """Bytes that preparing these tracks still writes: each track on its own, then all together."""
    total = 0
    for track in tracks:
        samples = [
            _num_samples(stem.audio_path, sample_rate_hz) for stem in track.stems if stem.instrument
        ]
        done = _file_of(track, part).is_file()
        total += len(samples) * max(samples, default=0) * 2 * (1 if done else 2)
    return total


def _num_samples(path: Path, sample_rate_hz: int) -> int:
    """The length at the rate of the prepared data, about; 0 if the file cannot be read."""
    try:
        num_samples, rate = estimated_length(path)
    except (ValueError, OSError):  # said when it is converted
        return 0
    return math.ceil(num_samples * sample_rate_hz / rate)


def _file_of(track: Track, folder: Path) -> Path:
    return folder / track.split / fitting_name(track.id, ".npz")


def _convert(jobs: list[Job], num_workers: int, progress: bool) -> list[Path]:
    """The files of all tracks, sorted by split and track; those already there are kept."""
    missing = [job for job in jobs if not job.target.is_file()]
    if len(missing) < len(jobs):
        logging.warning("%d of %d tracks are already done", len(jobs) - len(missing), len(jobs))
    if num_workers != 1 and missing:
        _check_importable(missing[0].read_notes)
    convert_all(missing, num_workers=num_workers, progress=progress)
    return [job.target for job in jobs]


def _check_importable(read_notes: Callable) -> None:
    """Refuse a function that other processes cannot import."""
    try:
        pickle.dumps(read_notes)
        is_importable = getattr(read_notes, "__module__", "") != "__main__"
    except (pickle.PicklingError, AttributeError, TypeError):
        is_importable = False
    if not is_importable:
        raise ValueError(
            f"the corpus's read_notes, {read_notes}, cannot be imported by other processes; write "
            "it as a function of a module, or prepare with --num_workers=1"
        )


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return run_command(
        _prepare,
        _flags(),
        argv=argv,
        on_interrupt="Stopped. The same command continues where it was.",
    )


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m data_pipeline.prepare --corpus=NAME --root=DIR --out=DIR",
        "Prepare a corpus once: its stems at one rate, their notes and a report in OUT/CORPUS.\n"
        "Interrupted, the same command goes on. Training takes OUT as --config.data.root.",
    )
    flags.choice("corpus", DEFAULT_CORPUS, list(CORPORA), "What --root holds.")
    flags.path("root", "", "Folder of the raw corpus.")
    flags.path("out", "", "Prepared directory to write; it may hold several corpora.")
    flags.integer("sample_rate_hz", SAMPLE_RATE_HZ, "Rate of the prepared audio.")
    flags.names(
        "instruments",
        None,
        f"Classes to keep, of {', '.join(INSTRUMENTS)} (default: all that the corpus has).",
    )
    flags.boolean("check", "Only read the corpus and report; --out is not needed.")
    flags.integer("num_workers", 0, "Processes; 0 means one per processor.", lowest=0)
    flags.boolean("download", "First download the corpus into --root, or what is missing of it.")
    add_option_flags(flags)
    return flags


def _prepare(flags: CommandFlags) -> None:
    if not flags.root or not (flags.out or flags.check):
        raise ValueError("--root=DIR and --out=DIR (or --check) are needed, see --help")
    if flags.download:
        from data_pipeline.corpora.download import download

        download(flags.corpus, flags.root)
    report = prepare(
        flags.corpus,
        flags.root,
        out=flags.out,
        sample_rate_hz=flags.sample_rate_hz,
        instruments=flags.instruments,
        num_workers=flags.num_workers,
        check=flags.check,
        **options_of_flags(flags),
    )
    print(report.text())
    if flags.check and report.num_unreadable:
        raise ValueError(f"--root={flags.root}: {report.num_unreadable} stems cannot be read")
    if not flags.check:
        home = Path(flags.out) / flags.corpus
        print(f"prepared: {home}; train with --config.data.root={flags.out}")


if __name__ == "__main__":
    sys.exit(main())
