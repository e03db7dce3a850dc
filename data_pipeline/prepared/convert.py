"""One track of any corpus -> one file of PCM, notes and levels. A process pool around it.

Runs as a process of its own (`python -m data_pipeline.prepared.convert`), so that the workers of
the pool import nothing but numpy and the readers, whatever the caller has loaded.
"""

import json
import math
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Int16

from cerberus_jax.json_files import check_form, parse_json
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from cerberus_jax.outside import DAMAGE, reason_of, refusing
from data_pipeline.cli.console import forgiving_output
from data_pipeline.cli.progress import Progress
from data_pipeline.corpora.track import OTHER_INSTRUMENT, Stem, Track, read_midi_notes
from data_pipeline.io.arrays import check_arrays, read_arrays
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.io.files import whole_file
from data_pipeline.io.pcm import PCM_SCALE, to_pcm16
from data_pipeline.io.processes import end_with, num_processors
from data_pipeline.prepared.stem_sound import StemSound, sound_of

RMS_HOP_SECONDS = 0.1
SILENCE_DB = -200.0
FULL_SCALE = 32767 / 32768  # what the peak of a track that exceeds it is scaled to
# Songs are arrays of tens of MB, which glibc hands back to the system and fetches anew, zeroed page
# by page, for each of them. Kept, they save a tenth of the CPU time; elsewhere this has no effect.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}

_META_FORM = {
    **dict.fromkeys(("id", "split"), str),
    **dict.fromkeys(("num_samples", "sample_rate_hz", "notes_out_of_range"), int),
    **{name: [[str, str]] for name in ("skipped", "unreadable", "doubts?")},
    "corrections": {str: int},
    "stems": [
        {"id": str, "instrument": str, "program": int, "is_drum": bool, "labelled?": bool},
    ],
}
# Kind of number, and names of the axes.
_ARRAYS = {
    "meta": ("U", ""),
    "rms_db": ("f", "stems rms"),
    "note_stems": ("i", "notes"),
    "intervals": ("f", "notes two"),
    "pitches": ("i", "notes"),
    "velocities": ("i", "notes"),
}


@dataclass(frozen=True)
class Job:
    """A track to convert.

    Args:
        track: the track.
        target: the file to write.
        sample_rate_hz: of the audio in it.
        check: the PCM is read but not written.
        read_notes: `Corpus.read_notes`; the processes of the pool get its name and import it.
    """

    track: Track
    target: Path
    sample_rate_hz: int
    check: bool = False
    read_notes: Callable[[Stem], Notes] = read_midi_notes


def rms_db_of(pcm: Int16[np.ndarray, "s n"], rms_hop: int) -> Float16[np.ndarray, "s r"]:
    """RMS in dB re full scale of each whole piece of `rms_hop` samples."""
    count = pcm.shape[1] // rms_hop
    power = np.zeros((len(pcm), count), np.float32)
    for row, stem in zip(power, pcm, strict=True):  # stem by stem: floats of all take much memory
        pieces = stem[: count * rms_hop].reshape(count, rms_hop).astype(np.float32)
        row[:] = np.einsum("rn,rn->r", pieces, pieces) / (rms_hop * PCM_SCALE**2)
    floor = 10.0 ** (SILENCE_DB / 10)
    return (10 * np.log10(np.maximum(power, floor))).astype(np.float16)


def read_labels(stem: Stem, read_notes: Callable[[Stem], Notes]) -> Notes:
    """The notes of a stem, shifted in pitch and time as its scan says; none if it is unlabelled."""
    if not stem.is_labelled:
        return Notes.empty()
    notes = read_notes(stem).transposed(stem.pitch_shift)
    if stem.time_shift:
        notes = notes.select(notes.offsets + stem.time_shift > 0)
        moved = np.maximum(notes.intervals + stem.time_shift, 0.0)
        notes = Notes(moved, notes.pitches, notes.velocities)
    return notes


def convert(job: Job) -> None:
    """Read one track and write its file; a stem that cannot be read is left out, with reason."""
    track, rate = job.track, job.sample_rate_hz
    skipped = [list(pair) for pair in track.skipped]
    skipped += [[stem.id, OTHER_INSTRUMENT] for stem in track.stems if not stem.instrument]
    stems, audio, labels, num_outside, unreadable, doubts, levels = [], [], [], 0, [], [], []
    paths, peak = [], 1.0
    for stem in (stem for stem in track.stems if stem.instrument):
        try:
            sound, notes = _read(stem, job)
        except (ValueError, FileNotFoundError) as error:
            unreadable.append([stem.id, str(error)])
            continue
        except DAMAGE as error:  # from the reader of a corpus; what else goes wrong may pass
            file = stem.notes_path or stem.audio_path
            unreadable.append([stem.id, f"{file}: cannot be read ({reason_of(error)})"])
            continue
        inside = (notes.pitches >= LOWEST_PITCH) & (notes.pitches < LOWEST_PITCH + NUM_PITCHES)
        num_outside += int((~inside).sum())
        stems.append(stem)
        paths.append(sound.path)
        doubts += [[stem.id, doubt] for doubt in sound.doubts]
        levels += [[stem.id, change] for change in sound.changes]
        peak = max(peak, float(np.abs(sound.samples).max()))
        audio.append(to_pcm16(sound.samples))
        labels.append(_until(len(sound.samples) / rate, notes.select(inside)))
    gain = 1.0
    if peak > 1:
        gain = FULL_SCALE / peak
        decibels = 20 * math.log10(gain)
        levels.append(["all stems", f"scaled by {decibels:.2f} dB: they exceed full scale"])
        audio = [read_mono_pcm16(path, rate, gain=gain) for path in paths]
    num_samples = max((len(samples) for samples in audio), default=0)
    pcm = np.zeros((len(stems), num_samples), np.int16)
    for row, samples in zip(pcm, audio, strict=True):
        row[: len(samples)] = samples
    meta = {
        "id": track.id,
        "split": track.split,
        "uuid": track.uuid,
        "num_samples": num_samples,
        "sample_rate_hz": rate,
        "skipped": skipped,
        "unreadable": unreadable,
        "doubts": doubts,
        "levels": levels,
        "gain": gain,
        "notes_out_of_range": num_outside,
        "corrections": _corrections(stems),
        "stems": [_entry(stem) for stem in stems],
    }
    _write(job, meta, pcm, labels)


def _read(stem: Stem, job: Job) -> tuple[StemSound, Notes]:
    sound = sound_of(stem, job.sample_rate_hz)
    if not len(sound.samples):
        raise ValueError(f"{stem.audio_path}: no samples")
    return sound, read_labels(stem, job.read_notes)


def _entry(stem: Stem) -> dict:
    entry = {name: getattr(stem, name) for name in ("id", "instrument", "program", "is_drum")}
    return entry | {"labelled": stem.is_labelled}


def _corrections(stems: list[Stem]) -> dict[str, int]:
    """How many stems had their labels corrected, per instrument and kind of correction."""
    kinds = []
    for stem in stems:
        shifts = {name: getattr(stem, name) for name in ("pitch_shift", "time_shift")}
        kinds += [f"{stem.instrument} {name} {shift:+g}" for name, shift in shifts.items() if shift]
        kinds += [f"{stem.instrument} sustain_pedal"] if stem.sustain_pedal else []
    return dict(Counter(kinds))


def _until(end: float, notes: Notes) -> Notes:
    """The notes that the audio of a stem, which ends there, can hold."""
    notes = notes.select(notes.onsets < end)
    return Notes(np.minimum(notes.intervals, end), notes.pitches, notes.velocities)


def _write(job: Job, meta: dict, pcm: np.ndarray, labels: list[Notes]) -> None:
    arrays = {
        "meta": np.array(json.dumps(meta)),
        "rms_db": rms_db_of(pcm, round(RMS_HOP_SECONDS * job.sample_rate_hz)),
        "note_stems": np.repeat(np.arange(len(labels)), [len(n) for n in labels]).astype(np.int16),
        "intervals": _joined(labels, "intervals", (0, 2)),
        "pitches": _joined(labels, "pitches", (0,)).astype(np.int16),
        "velocities": _joined(labels, "velocities", (0,)).astype(np.int16),
    }
    if not job.check:
        arrays["pcm"] = pcm
    job.target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(job.target) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _joined(labels: list[Notes], name: str, empty_shape: tuple) -> np.ndarray:
    arrays = [getattr(notes, name) for notes in labels]
    return np.concatenate(arrays) if arrays else np.zeros(empty_shape)


def read_converted(path: str | os.PathLike, *, with_pcm: bool = False) -> dict:
    """What `convert` wrote: `meta` as a dict, the other arrays as they are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is none.
    """
    expected, remedy = "a converted track", "delete it and prepare again"
    without = () if with_pcm else ("pcm",)
    track = read_arrays(path, expected, without=without, remedy=remedy)
    with refusing(path, expected, remedy=remedy):
        check_arrays(track, _ARRAYS)
        track["meta"] = parse_json(str(track["meta"]))
        check_form(track["meta"], _META_FORM)
    return track


def convert_all(jobs: list[Job], *, num_workers: int = 0, progress: bool = True) -> None:
    """Convert all tracks, in `num_workers` processes (0: one per processor).

    Raises:
        OSError: if a track cannot be written or a process was killed; finished tracks are kept.
    """
    if not jobs:
        return
    num_workers = min(num_workers or num_processors(), len(jobs))
    if num_workers <= 1:
        for job in Progress(jobs, "preparing", unit="track", disable=not progress):
            convert(job)
        return
    command = [
        sys.executable,
        "-m",
        "data_pipeline.prepared.convert",
        str(num_workers),
        str(int(progress)),
    ]
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # In a process group of its own: of Ctrl-C it hears from here alone, and ends in order.
    environment = {**os.environ, **_KEEP_MEMORY, "PYTHONPATH": paths}
    with subprocess.Popen(command, **pipes, env=environment, process_group=0) as process:
        try:
            output, _ = process.communicate(pickle.dumps(jobs))
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        reason = output.decode(errors="replace").strip() or f"status {process.returncode}"
        raise ChildProcessError(
            f"preparing failed ({reason}); finished tracks are kept, "
            "the same command goes on from there"
        )


def _main() -> None:
    """Converts the jobs on stdin; what went wrong goes to stdout, for the caller's message."""
    end_with(os.getppid())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with forgiving_output():
        _convert_jobs(int(sys.argv[1]), progress=bool(int(sys.argv[2])))


def _convert_jobs(num_workers: int, *, progress: bool) -> None:
    jobs = pickle.load(sys.stdin.buffer)
    pool = ProcessPoolExecutor(
        num_workers, get_context("spawn"), initializer=end_with, initargs=(os.getpid(),)
    )
    try:
        done = as_completed([pool.submit(convert, job) for job in jobs])
        for future in Progress(done, "preparing", len(jobs), unit="track", disable=not progress):
            future.result()
    except (OSError, BrokenExecutor) as error:
        print(error)
        sys.exit(1)
    finally:
        pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    _main()
