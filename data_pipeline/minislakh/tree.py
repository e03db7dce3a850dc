"""Builds a tree of rendered songs: ROOT/<split>/TrackXXXXX, the splits as folders.

A repeat makes only the tracks that are missing; a tree of other settings is refused.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path

from cerberus_jax.json_files import read_json
from cerberus_jax.outside import quoted
from data_pipeline.minislakh.composer import VERSION
from data_pipeline.minislakh.jobs import Job, midi_jobs, song_jobs, uuid_of, with_passages
from data_pipeline.minislakh.pool import render_all
from data_pipeline.minislakh.renderer import Renderer
from data_pipeline.minislakh.soundfonts import found_soundfonts
from data_pipeline.minislakh.track_folder import partial_root
from data_pipeline.minislakh.wide import WIDE_VERSION
from data_pipeline.minislakh.wide.palettes import SEEN

MAX_SONGS = 20000
MIN_WIDE_SECONDS = 2.0  # in shorter wide songs there may be no note at all
SOUNDS = ("narrow", "wide")
SETTINGS_FILE = "minislakh.json"


def build(
    out: str | os.PathLike,
    *,
    num_songs: int = 480,
    seed: int = 0,
    song_seconds: float | int = 20.0,
    soundfonts: tuple[str, ...] | list[str] = (),
    num_workers: int = 0,
    midi_dir: str | os.PathLike = "",
    sounds: str = "narrow",
    rest: float | int = 0.0,
    midi_share: float | int = 0.0,
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
        soundfonts: files; each stem draws one. None: TimGM6mb; 'auto': that and those that are
            installed. Several names of one, and copies, count once.
        num_workers: processes; 0 means one for each core, 1 renders in this process.
        midi_dir: render the MIDI files in this folder (and below) instead of composing, or with
            `midi_share` beside it.
        sounds: 'narrow' (few programs, no effects) or 'wide' (see `minislakh.wide`), of composed
            songs.
        rest: probability that a wide song holds instruments beside the five.
        midi_share: share of wide songs that are passages of the files of `midi_dir`.
        sample_rate_hz: of the audio.
        progress: show a progress bar.

    Returns:
        The tree.

    Raises:
        ValueError: on a value out of range, a file that is no soundfont, wide songs of held-out
            soundfonts alone, an `out` made with other settings, a midi_dir without a usable file,
            and at the end if some of its files could not be rendered.
        FileNotFoundError: if a soundfont or midi_dir does not exist.
    """
    _check(num_songs, song_seconds, num_workers)
    _check_sounds(sounds, rest, midi_dir, midi_share)
    if sounds == "wide" and song_seconds < MIN_WIDE_SECONDS:
        raise ValueError(
            f"song_seconds must be at least {MIN_WIDE_SECONDS} with sounds=wide, got {song_seconds}"
        )
    out = Path(out)
    fonts = found_soundfonts(soundfonts)
    # Fonts that cannot play and a bad rate fail here, before anything is written.
    if sounds == "wide":
        SEEN.allowed_soundfonts(fonts)
    Renderer(fonts, sample_rate_hz=sample_rate_hz)
    settings, jobs = _planned(
        num_songs, seed, float(song_seconds), midi_dir, sounds, rest, midi_share
    )
    settings |= {
        "soundfonts": [os.path.basename(path) for path in fonts],
        "sample_rate_hz": sample_rate_hz,
    }
    _claim(out, settings, jobs)
    missing = [job for job in jobs if not _is_done(out, job)]
    try:
        render_all(
            missing,
            out,
            fonts,
            sample_rate_hz=sample_rate_hz,
            num_workers=num_workers,
            progress=progress,
        )
    finally:
        _sweep(out)
    return out


def _planned(num_songs, seed, song_seconds, midi_dir, sounds, rest, midi_share) -> tuple:
    """What the songs are made by, and a job for each."""
    if midi_dir and not midi_share:
        nothing = {"composer": None, "seed": None, "song_seconds": None}
        return {**nothing, "source": "midi_dir"}, midi_jobs(Path(midi_dir))
    settings = {"composer": VERSION, "seed": seed, "song_seconds": song_seconds}
    settings["source"] = "composer"
    if sounds == "wide":
        settings |= {"composer": f"wide {WIDE_VERSION}", "rest": float(rest)}
    jobs = song_jobs(num_songs, seed, song_seconds, sounds=sounds, rest=float(rest))
    if not midi_share:
        return settings, jobs
    settings["midi_share"] = float(midi_share)
    return settings, with_passages(jobs, Path(midi_dir), midi_share)


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
    if not 1 <= num_songs <= MAX_SONGS:
        raise ValueError(f"num_songs must lie in 1..{MAX_SONGS}, got {num_songs}")
    if not 0.5 <= song_seconds <= 3600:
        raise ValueError(f"song_seconds must lie in 0.5..3600, got {song_seconds}")
    if num_workers < 0:
        raise ValueError(f"num_workers must be 0 (one for each core) or more, got {num_workers}")


def _check_sounds(
    sounds: str, rest: float | int, midi_dir: str | os.PathLike, midi_share: float | int
) -> None:
    if sounds not in SOUNDS:
        raise ValueError(f"sounds must be one of {', '.join(SOUNDS)}, got {quoted(sounds)}")
    if not 0 <= rest <= 1:
        raise ValueError(f"rest must lie in 0..1, got {rest}")
    if not 0 <= midi_share <= 1:
        raise ValueError(f"midi_share must lie in 0..1, got {midi_share}")
    for name, value in (("rest", rest), ("midi_share", midi_share)):
        if value and sounds != "wide":
            raise ValueError(f"{name}={value} needs sounds=wide, got {sounds}")
    if midi_share and not midi_dir:
        raise ValueError(f"midi_share={midi_share} needs midi_dir, a folder of MIDI files")
    if midi_dir and not midi_share and sounds == "wide":
        raise ValueError(
            "midi_dir with sounds=wide needs midi_share above 0: whole files are rendered by the "
            "programs that they name"
        )


def _claim(out: Path, settings: dict, jobs: list[Job]) -> None:
    """Writes the settings beside the splits, or compares them with those of an earlier run."""
    file = out / SETTINGS_FILE
    if file.is_file():
        found = found_settings(file)
        differing = [key for key in found | settings if found.get(key) != settings.get(key)]
        if differing:
            raise ValueError(
                f"out: {out} was made with other settings: "
                + ", ".join(
                    f"{key}={quoted(found.get(key))} (now {settings.get(key)})" for key in differing
                )
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


def found_settings(file: Path) -> dict:
    """The settings with which a tree was made.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it holds none.
    """
    return read_json(file, "the settings of a tree", {}, remedy="choose another --out or remove it")


def _is_done(out: Path, job: Job) -> bool:
    folder = out / job.split / job.name
    if not folder.is_dir():
        return False
    metadata = folder / "metadata.yaml"
    if job.midi_path and f"UUID: {uuid_of(job)}" not in metadata.read_text(encoding="utf-8"):
        raise ValueError(
            f"out: {folder} was made from another version of {job.source}; "
            "remove it or choose another --out"
        )
    return True
