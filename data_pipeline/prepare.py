"""Prepares a corpus once: python -m data_pipeline.prepare --corpus=slakh2100 --root=DIR --out=DIR

Reads the raw tree, resamples all stems of the five instruments to 16 kHz, and writes
OUT/<corpus>/1.0.0 with the PCM, the TFDS records, their numpy twin and a report. Interrupted, the
same command goes on; the folder appears only when it is whole.
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import soundfile

from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.corpora import guitarset, maps, slakh, slakh_splits
from data_pipeline.corpora.archive import need_space
from data_pipeline.io.files import whole_file
from data_pipeline.prepared.catalogue import SIDECAR, VERSION
from data_pipeline.prepared.convert import Job, convert_all, read_converted
from data_pipeline.prepared.fingerprint import fingerprint_of
from data_pipeline.prepared.pack import pack, tables_of
from data_pipeline.prepared.report import Report, make_report

SAMPLE_RATE_HZ = 16000
CORPORA = ("slakh2100", "babyslakh", "minislakh", "guitarset", "maps")
SLAKH_OPTIONS = {"splits", "bass_octave_correction", "sustain_pedal"}
OPTIONS = {"guitarset": set(), "maps": {"maps_sections"}}  # of the others: SLAKH_OPTIONS


def prepare(
    corpus: str,
    root: str | os.PathLike,
    *,
    out: str | os.PathLike,
    num_workers: int = 0,
    progress: bool = True,
    check: bool = False,
    records: bool = True,
    **options,
) -> Report:
    """Prepare a corpus, or only go through it.

    Args:
        corpus: one of CORPORA.
        root: the raw tree.
        out: the prepared directory; it may hold other corpora already.
        num_workers: processes; 0: one per processor.
        progress: show a progress bar.
        check: read everything, write nothing.
        records: write the TFDS records too (training reads only their numpy twin).
        options: what the index of the corpus takes: for Slakh-shaped trees splits,
            bass_octave_correction and sustain_pedal, for MAPS maps_sections.

    Returns:
        The report; of the earlier run if the corpus was already prepared.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if the corpus or an option is unknown, the corpus holds no usable track, or
            OUT/<corpus> was prepared from something else.
        OSError: if the disk is too full, or another process is preparing OUT/<corpus>.
    """
    tracks = _index(corpus, root, options)
    fingerprint = fingerprint_of(tracks, SAMPLE_RATE_HZ)
    if check:
        with tempfile.TemporaryDirectory() as folder:
            files = _convert(tracks, Path(folder), num_workers, progress, check=True)
            return make_report(corpus, [read_converted(path) for path in files], fingerprint)
    home = Path(out) / corpus
    if report := _finished(home, root, fingerprint):
        return report
    part = home / f"part-{fingerprint}"
    need_space(home, bytes_needed(tracks, part), f"preparing {corpus}")
    with _alone(home):
        if report := _finished(home, root, fingerprint):  # while we looked
            return report
        files = _convert(tracks, part, num_workers, progress, check=False)
        return _complete(home, files, fingerprint, records=records)


def _finished(home: Path, root, fingerprint: str) -> Report | None:
    """The report of an earlier run, None where there is none."""
    final = home / VERSION
    if not (final / SIDECAR).is_file():
        return None
    report = Report(**json.loads((final / "report.json").read_text()))
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


def _complete(home: Path, files: list[Path], fingerprint: str, *, records: bool) -> Report:
    """Puts the converted tracks together; what is written last says that all is there."""
    final = home / VERSION
    converted = [read_converted(path) for path in files]
    report = make_report(home.name, converted, fingerprint)
    pack(converted, files, home.name, home.parent, records=records)
    with whole_file(final / "report.json") as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=1))
    tables_of(converted).save(final / SIDECAR)
    for folder in home.glob("part-*"):  # those of unfinished runs with other settings too
        shutil.rmtree(folder)
    return report


def _index(corpus: str, root, options: dict) -> list[slakh.Track]:
    if corpus not in CORPORA:
        raise ValueError(f"--corpus={corpus}: unknown; expected one of {', '.join(CORPORA)}")
    unknown = sorted(options.keys() - OPTIONS.get(corpus, SLAKH_OPTIONS))
    if unknown:
        raise ValueError(f"--corpus={corpus} has no option --{unknown[0]}")
    if corpus == "guitarset":
        return guitarset.scan(root)
    if corpus == "maps":
        return maps.scan(root, sections=tuple(options.get("maps_sections", maps.SECTIONS)))
    return slakh.scan(root, corpus=corpus, **options)


def bytes_needed(tracks: list[slakh.Track], part: Path) -> int:
    """Bytes that preparing these tracks still writes: each track on its own, then all together."""
    total = 0
    for track in tracks:
        samples = [_num_samples(stem.audio_path) for stem in track.stems if stem.instrument]
        done = _file_of(track, part).is_file()
        total += len(samples) * max(samples, default=0) * 2 * (1 if done else 2)
    return total


def _num_samples(path: Path) -> int:
    """The length at the rate of the prepared data, by the header; 0 if that cannot be read."""
    try:
        info = soundfile.info(path)
    except soundfile.SoundFileError:
        return 0
    return math.ceil(info.frames * SAMPLE_RATE_HZ / info.samplerate)


def _file_of(track: slakh.Track, folder: Path) -> Path:
    return folder / track.split / f"{track.id}.npz"


def _convert(tracks, folder: Path, num_workers: int, progress: bool, *, check: bool) -> list[Path]:
    """The files of all tracks, sorted by split and track; those already there are kept."""
    files = [_file_of(track, folder) for track in tracks]
    jobs = [
        Job(track, file, SAMPLE_RATE_HZ, check)
        for track, file in zip(tracks, files, strict=True)
        if not file.is_file()
    ]
    if len(jobs) < len(files):
        logging.warning("%d of %d tracks are already done", len(files) - len(jobs), len(files))
    convert_all(jobs, num_workers=num_workers, progress=progress)
    return files


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
        "Prepare a corpus once: its stems at 16 kHz, their notes and a report in OUT/CORPUS.\n"
        "Interrupted, the same command goes on. Training takes OUT as --config.data.root.",
    )
    flags.choice("corpus", "slakh2100", CORPORA, "What --root holds.")
    flags.string("root", "", "Folder of the raw corpus.")
    flags.string("out", "", "Prepared directory to write; it may hold several corpora.")
    flags.boolean("check", "Only read the corpus and report; --out is not needed.")
    flags.integer("num_workers", 0, "Processes; 0 means one per processor.", lowest=0)
    flags.boolean("download", "First download the corpus into --root, or what is missing of it.")
    flags.choice(
        "splits",
        None,
        [*slakh_splits.RULES, slakh.FOLDERS],
        "Slakh: its published splits, or the folders as they are (default: redux for slakh2100, "
        "folders for the others).",
    )
    flags.boolean(
        "bass_octave_correction",
        "Slakh: shift bass labels by -12, to what is heard (default: yes).",
        default=None,
    )
    flags.boolean("sustain_pedal", "Slakh: lengthen notes by the pedal.", default=None)
    flags.names("maps_sections", None, "MAPS: which of MUS,ISOL to use (default: both).")
    return flags


def _prepare(flags: CommandFlags) -> None:
    if not flags.root or not (flags.out or flags.check):
        raise ValueError("--root=DIR and --out=DIR (or --check) are needed, see --help")
    names = ("splits", "bass_octave_correction", "sustain_pedal", "maps_sections")
    options = {name: flags[name].value for name in names if flags[name].value is not None}
    if flags.download:
        from data_pipeline.corpora.download import download

        download(flags.corpus, flags.root)
    report = prepare(
        flags.corpus,
        flags.root,
        out=flags.out,
        num_workers=flags.num_workers,
        check=flags.check,
        **options,
    )
    print(report.text())
    if flags.check and report.num_unreadable:
        raise ValueError(f"--root={flags.root}: {report.num_unreadable} stems cannot be read")
    if not flags.check:
        home = Path(flags.out) / flags.corpus
        print(f"prepared: {home}; train with --config.data.root={flags.out}")


if __name__ == "__main__":
    sys.exit(main())
