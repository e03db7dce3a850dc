"""Builds a tree of rendered songs: ROOT/<split>/TrackXXXXX, the splits as folders.

Which song a track holds depends on the seed, the split and its number alone, never on how many
songs are asked for or how many processes render them. A repeat makes only the tracks that are
missing.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import zlib
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data_pipeline.convert import end_with
from data_pipeline.midi_io import Part, read_midi
from data_pipeline.minislakh.composer import VERSION, compose
from data_pipeline.minislakh.dice import song_seed
from data_pipeline.minislakh.renderer import (
    Renderer,
    TrackInfo,
    content_uuid,
    default_soundfont,
    partial_root,
    write_track,
)

# The number of a split's first track, less one: track names are unique in the whole tree.
SPLITS = {"train": 0, "validation": 20000, "test": 30000, "test_unseen": 40000}
MOST_SONGS = 20000
SETTINGS_FILE = "minislakh.json"
MIDI_TAIL_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """One track to render: a composed song, or a MIDI file if `midi_path` is given."""

    split: str
    number: int
    seed: int
    seconds: float | int
    midi_path: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """The name of the track's folder."""
        return f"Track{self.number:05d}"


def build(
    out: str | os.PathLike,
    *,
    num_songs: int = 480,
    seed: int = 0,
    song_seconds: float | int = 20.0,
    soundfonts: tuple[str, ...] | list[str] = (),
    num_workers: int = 0,
    midi_dir: str | os.PathLike = "",
    sample_rate_hz: int = 16000,
    progress: bool = True,
) -> Path:
    """Compose (or read) and render songs into a tree of Slakh's shape.

    Args:
        out: the tree; made if missing. Tracks already there are kept.
        num_songs: training songs; validation, test and test_unseen get max(2, num_songs // 20)
            each.
        seed: of all songs.
        song_seconds: length of every composed song.
        soundfonts: files; each stem draws one. None: TimGM6mb.
        num_workers: processes; 0 means one for each core, 1 renders in this process.
        midi_dir: render the MIDI files in this folder (and below) instead of composing.
        sample_rate_hz: of the audio.
        progress: show a progress bar.

    Returns:
        The tree.

    Raises:
        ValueError: on a value out of range, a file that is no soundfont, an `out` made with other
            settings, or a midi_dir without a usable file.
        FileNotFoundError: if a soundfont or midi_dir does not exist.
    """
    _check(num_songs, song_seconds, num_workers)
    out = Path(out)
    fonts = tuple(os.path.abspath(path) for path in soundfonts) or (default_soundfont(),)
    # A bad font or rate fails here, before anything is written.
    Renderer(fonts, sample_rate_hz=sample_rate_hz)
    settings = {
        "composer": VERSION,
        "seed": seed,
        "song_seconds": float(song_seconds),
        "soundfonts": [os.path.basename(path) for path in fonts],
        "sample_rate_hz": sample_rate_hz,
        "source": "midi_dir" if midi_dir else "composer",
    }
    if midi_dir:
        settings.update(composer=None, seed=None, song_seconds=None)
        jobs = _midi_jobs(Path(midi_dir))
    else:
        jobs = _song_jobs(num_songs, seed, float(song_seconds))
    _claim(out, settings, jobs)
    missing = [job for job in jobs if not _is_done(out, job)]
    try:
        _render_all(out, missing, fonts, sample_rate_hz, num_workers, progress)
    finally:
        _sweep(out)
    return out


def _sweep(out: Path) -> None:
    """Removes what killed processes left unfinished."""
    folder = partial_root(out)
    for left in folder.glob("*") if folder.is_dir() else ():
        try:
            os.kill(int(left.name.rpartition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, ValueError):
            continue
    with contextlib.suppress(OSError):  # not empty: another process works here
        os.removedirs(folder)


def _check(num_songs: int, song_seconds: float | int, num_workers: int) -> None:
    if not 1 <= num_songs <= MOST_SONGS:
        raise ValueError(f"num_songs must lie in 1..{MOST_SONGS}, got {num_songs}")
    if not 0.5 <= song_seconds <= 3600:
        raise ValueError(f"song_seconds must lie in 0.5..3600, got {song_seconds}")
    if num_workers < 0:
        raise ValueError(f"num_workers must be 0 (one for each core) or more, got {num_workers}")


def _song_jobs(num_songs: int, seed: int, seconds: float | int) -> list[Job]:
    sizes = {split: num_songs if split == "train" else max(2, num_songs // 20) for split in SPLITS}
    return [
        Job(split, SPLITS[split] + 1 + index, song_seed(seed, split, index), seconds)
        for split, size in sizes.items()
        for index in range(size)
    ]


def _midi_jobs(folder: Path) -> list[Job]:
    """A job for each usable MIDI file; split and number follow from its path inside the folder.

    Eight of ten files (by a hash) train, one validates, one tests.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"midi_dir: {folder} is not a folder")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
    jobs, taken = [], set()
    for path in files:
        source = path.relative_to(folder).as_posix()
        crc = zlib.crc32(source.encode())
        number = 1 + crc // 10 % 99999
        while number in taken:
            number = 1 + number % 99999
        taken.add(number)
        try:
            if not _sounding(read_midi(path)):
                raise ValueError(f"{path}: holds no notes")
        except ValueError as error:
            print(f"midi_dir: skipped {error}", file=sys.stderr)
            continue
        split = {0: "validation", 1: "test"}.get(crc % 10, "train")
        jobs.append(Job(split, number, 0, 0.0, str(path), source))
    if not jobs:
        raise ValueError(
            f"midi_dir: {folder} holds no usable .mid or .midi file "
            f"({len(files)} found, none with notes)"
        )
    return jobs


def _sounding(parts: list[Part]) -> list[Part]:
    return [part for part in parts if len(part.notes)]


def _claim(out: Path, settings: dict, jobs: list[Job]) -> None:
    """Writes the settings beside the splits, or compares them with those of an earlier run."""
    file = out / SETTINGS_FILE
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        differing = [key for key in settings if found.get(key) != settings[key]]
        if differing:
            raise ValueError(
                f"out: {out} was made with other settings: "
                + ", ".join(f"{key}={found.get(key)} (now {settings[key]})" for key in differing)
                + "; choose another --out or remove it"
            )
        wanted = {(job.split, job.name) for job in jobs}
        extra = [p for p in out.glob("*/Track*") if (p.parent.name, p.name) not in wanted]
        if extra:
            raise ValueError(
                f"out: {out} holds {len(extra)} tracks more than these settings give, such as "
                f"{extra[0]}; choose another --out or remove them"
            )
        return
    if out.is_dir() and any(p.is_dir() and any(p.glob("Track*")) for p in out.iterdir()):
        raise ValueError(
            f"out: {out} holds tracks that MiniSlakh did not make; choose another --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary = out / f".{SETTINGS_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise ValueError(f"out: {out} cannot be written ({error})") from error


def _is_done(out: Path, job: Job) -> bool:
    folder = out / job.split / job.name
    if not folder.is_dir():
        return False
    if job.midi_path:
        uuid = content_uuid(Path(job.midi_path).read_bytes())
        if f"UUID: {uuid}" not in (folder / "metadata.yaml").read_text(encoding="utf-8"):
            raise ValueError(
                f"out: {folder} was made from another version of {job.source}; "
                "remove it or choose another --out"
            )
    return True


def render_job(out: Path, job: Job, renderer: Renderer) -> None:
    """Make one track."""
    if job.midi_path:
        parts = _sounding(read_midi(job.midi_path, sustain_pedal=True))
        seconds = max(part.notes.offsets.max() for part in parts) + MIDI_TAIL_SECONDS
        uuid = content_uuid(Path(job.midi_path).read_bytes())
        info = TrackInfo(job.name, uuid, job.source, 120.0, {})
    else:
        song = compose(job.seed, seconds=job.seconds, unseen=job.split == "test_unseen")
        parts, seconds = song.parts, job.seconds
        uuid = content_uuid(f"minislakh {VERSION} {job.split} {job.seed} {seconds}".encode())
        extra = {"bpm": song.bpm, "key": song.key, "style": song.style}
        info = TrackInfo(job.name, uuid, f"minislakh/{job.seed:016x}", song.bpm, extra)
    write_track(out / job.split / job.name, parts, info, renderer=renderer, seconds=seconds)


_renderer: Renderer | None = None


@contextlib.contextmanager
def _without_ctrl_c():
    """Processes started inside never hear Ctrl-C, not even while they import."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere Python forbids it
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _start_worker(fonts: tuple[str, ...], sample_rate_hz: int, parent: int) -> None:
    """Ctrl-C is the parent's to handle: a worker finishes its track."""
    global _renderer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    _renderer = Renderer(fonts, sample_rate_hz=sample_rate_hz)


def _work(out: Path, job: Job) -> None:
    render_job(out, job, _renderer)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _render_all(out, jobs, fonts, sample_rate_hz, num_workers, progress) -> None:
    num_workers = min(num_workers or _num_cores(), max(len(jobs), 1))
    bar = tqdm(total=len(jobs), desc="MiniSlakh", unit="song", disable=not (progress and jobs))
    with bar:
        if num_workers == 1:
            renderer = Renderer(fonts, sample_rate_hz=sample_rate_hz) if jobs else None
            for job in jobs:
                render_job(out, job, renderer)
                bar.update()
            return
        pool = ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(fonts, sample_rate_hz, os.getpid()),
        )
        try:
            with _without_ctrl_c():
                futures = [pool.submit(_work, out, job) for job in jobs]
            for done in as_completed(futures):
                done.result()
                bar.update()
        except BrokenExecutor as error:
            raise ChildProcessError(
                "rendering failed: a process was killed, perhaps for want of memory; finished "
                "tracks are kept, the same command goes on from there"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
