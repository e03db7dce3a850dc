"""Prepares a corpus once: python -m data_pipeline.prepare --corpus=slakh2100 --root=DIR --out=DIR

Reads the raw tree, resamples all stems of the five instruments to 16 kHz, and writes
OUT/<corpus>/1.0.0 with the PCM, the TFDS records, their numpy twin and a report. Interrupted, the
same command goes on; the folder appears only when it is whole.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
import zlib
from dataclasses import asdict
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

from data_pipeline import guitarset, maps, slakh_index
from data_pipeline.audio_io import whole_file
from data_pipeline.catalogue import SIDECAR, VERSION
from data_pipeline.convert import CELL_SECONDS, Job, convert_all, read_converted
from data_pipeline.pack import pack, tables_of
from data_pipeline.prepare_report import Report, make_report

SAMPLE_RATE_HZ = 16000
CORPORA = ("slakh2100", "babyslakh", "minislakh", "guitarset", "maps")


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
        ValueError: if the corpus is unknown, holds no usable track, or OUT/<corpus> was prepared
            from something else.
    """
    tracks = _index(corpus, root, bass_octave_correction)
    fingerprint = _fingerprint(tracks)
    if check:
        with tempfile.TemporaryDirectory() as folder:
            files = _convert(tracks, Path(folder), num_workers, progress, check=True)
            return make_report(corpus, [read_converted(path) for path in files], fingerprint)
    home = Path(out) / corpus
    final = home / VERSION
    if (final / SIDECAR).is_file():
        report = Report(**json.loads((final / "report.json").read_text()))
        if report.fingerprint != fingerprint:
            raise ValueError(
                f"{home} was prepared from another tree or with other settings than {root}; "
                "choose another --out, or delete that folder"
            )
        logging.warning("%s is already prepared; nothing to do", home)
        return report
    part = home / f"part-{fingerprint}"
    files = _convert(tracks, part, num_workers, progress, check=False)
    converted = [read_converted(path) for path in files]
    report = make_report(corpus, converted, fingerprint)
    pack(converted, files, corpus, out, records=records)
    with whole_file(final / "report.json") as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=1))
    tables_of(converted).save(final / SIDECAR)  # the last file: it says that all are there
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
        logging.warning("%d of %d tracks are already done", len(files) - len(jobs), len(files))
    convert_all(jobs, num_workers=num_workers, progress=progress)
    return files


def define_flags() -> None:
    """The flags of the command line; not on import, where they could meet those of a program."""
    flags.DEFINE_enum("corpus", "slakh2100", CORPORA, "What --root holds.")
    flags.DEFINE_string("root", None, "Folder of the raw corpus.")
    flags.DEFINE_string("out", None, "Prepared directory to write; it may hold several corpora.")
    flags.DEFINE_bool("check", False, "Only read the corpus and report; --out is not needed.")
    flags.DEFINE_integer("num_workers", 0, "Processes (0: one per processor).", lower_bound=0)
    flags.DEFINE_bool(
        "bass_octave_correction", True, "Shift Slakh's bass labels by -12, to what is heard."
    )


def main(argv: list[str]) -> None:
    """The command line."""
    args = flags.FLAGS
    absl_logging.set_verbosity(absl_logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    if not args.root or not (args.out or args.check):
        raise app.UsageError("--root=DIR and --out=DIR (or --check) are needed")
    try:
        report = prepare(
            args.corpus,
            args.root,
            out=args.out or "",
            num_workers=args.num_workers,
            check=args.check,
            bass_octave_correction=args.bass_octave_correction,
        )
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    except KeyboardInterrupt:
        print("\nStopped. The same command continues where it was.", file=sys.stderr)
        sys.exit(130)
    print(report.text())
    if not args.check:
        home = Path(args.out) / args.corpus
        print(f"prepared: {home}; train with --config.data.root={args.out}")


if __name__ == "__main__":
    define_flags()
    app.run(main)
