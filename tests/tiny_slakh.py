"""A Slakh-shaped tree of sine tones, made in a moment without a soundfont, for tests."""

from pathlib import Path

import numpy as np
import yaml

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline import prepare
from data_pipeline.io.audio import write_audio
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.prepared.catalogue import Catalogue

PROGRAM = {"piano": 0, "guitar": 25, "bass": 33, "drums": 128, "strings": 48, "organ": 17}
PROGRAM["no_class"] = 200
LOWEST = {"guitar": 50, "bass": 33, "drums": 36, "strings": 65}  # of the others: 60
GRID = FrameGrid()
FIRST_NUMBER = {"validation": 1501, "test": 1895}  # as in Slakh2100, redux
FIVE = ("piano", "guitar", "bass", "drums", "strings")


def random_notes(rng: np.random.Generator, lowest: int, seconds: float) -> Notes:
    """About three notes a second, sometimes two at once, between pauses."""
    onsets = np.sort(rng.uniform(0, seconds - 0.1, max(3, int(3 * seconds))))
    offsets = np.minimum(onsets + rng.uniform(0.05, 0.8, len(onsets)), seconds)
    pitches = lowest + rng.integers(0, 12, len(onsets))
    for pitch in np.unique(pitches):  # a pitch ends where it is played again
        where = np.flatnonzero(pitches == pitch)
        offsets[where[:-1]] = np.minimum(offsets[where[:-1]], onsets[where[1:]])
    return Notes(np.stack([onsets, offsets], 1), pitches, rng.integers(40, 120, len(onsets)))


def tones(notes: Notes, num_samples: int, rate: int) -> np.ndarray:
    """A sine tone per note, louder at higher velocities."""
    wave = np.zeros(num_samples)
    for (onset, offset), pitch, velocity in zip(
        notes.intervals, notes.pitches, notes.velocities, strict=True
    ):
        first, end = round(onset * rate), min(round(offset * rate), num_samples)
        hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
        wave[first:end] += velocity / 600 * np.sin(2 * np.pi * hz * np.arange(end - first) / rate)
    return np.clip(wave, -0.99, 0.99)


def make_track(
    folder: Path,
    stems: tuple[str, ...],
    *,
    seconds: float = 8.0,
    rate: int = 16000,
    suffix: str = ".flac",
    seed: int = 0,
    extra: dict | None = None,
) -> dict[str, Notes]:
    """Write one track; `stems` are classes in order. Returns what sounds, per stem id."""
    rng = np.random.default_rng(seed)
    (folder / "stems").mkdir(parents=True)
    (folder / "MIDI").mkdir()
    entries, sounding = {}, {}
    own = (extra or {}).get("renderer") == "minislakh"
    for number, name in enumerate(stems):
        key, program, is_drum = f"S{number:02d}", PROGRAM[name], name == "drums"
        notes = random_notes(rng, LOWEST.get(name, 60), seconds)
        audio = tones(notes, round(seconds * rate), rate)
        write_audio(folder / "stems" / f"{key}{suffix}", audio, sample_rate_hz=rate)
        written = notes.transposed(12) if name == "bass" and not own else notes
        part = Part(name, program if program < 128 else 0, is_drum, written)
        write_midi(folder / "MIDI" / f"{key}.mid", [part])
        entries[key] = {"inst_class": name, "is_drum": is_drum, "program_num": program}
        sounding[key] = notes
    metadata = {"UUID": folder.name, "stems": entries, **(extra or {})}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return sounding


def make_tree(
    root: Path,
    splits: dict[str, int],
    *,
    stems: tuple[str, ...] = FIVE,
    seconds: float = 8.0,
    rate: int = 16000,
    suffix: str = ".flac",
    extra: dict | None = None,
) -> dict[str, dict[str, Notes]]:
    """Tracks in folders named as their splits; what sounds, per track and stem.

    Numbers start at 1 and go on from split to split, but for FIRST_NUMBER.
    """
    sounding, seed = {}, 0
    for split, count in splits.items():
        for index in range(count):
            seed += 1
            name = f"Track{FIRST_NUMBER[split] + index if split in FIRST_NUMBER else seed:05d}"
            sounding[name] = make_track(
                root / split / name,
                stems,
                seconds=seconds,
                rate=rate,
                suffix=suffix,
                seed=seed,
                extra=extra,
            )
    return sounding


def tiny_catalogue(root: Path) -> Catalogue:
    """Three train and two validation tracks of 6 s, one with piano alone, one too short."""
    stems = (*FIVE, "guitar", "piano")
    make_tree(root / "raw", {"train": 3, "validation": 2}, stems=stems, seconds=6)
    make_track(root / "raw/train/Track00009", ("piano",), seconds=4, seed=9)
    make_track(root / "raw/short/Track00010", ("piano",), seconds=1, seed=9)
    prepare.prepare("slakh2100", root / "raw", out=root / "out", progress=False)
    return Catalogue.load(root / "out")


def plan_config(**kwargs) -> PlanConfig:
    """Excerpts of 1.5 s in batches of 8."""
    defaults = {"instruments": ("piano", "guitar", "bass"), "grid": GRID, "num_samples": 24000}
    return PlanConfig(**(defaults | {"batch_size": 8} | kwargs))


def naive_notes(notes: Notes, begin: float, num_frames: int) -> list[tuple[int, int, int]]:
    """The frame rule once more, note by note."""
    rows = []
    for (onset, offset), pitch in zip(notes.intervals, notes.pitches, strict=True):
        first = round((onset - begin) * GRID.frame_rate_hz)
        end = max(first + 1, round((offset - begin) * GRID.frame_rate_hz))
        end = min(end, num_frames)
        if end > max(first, 0):
            first = max(first, -1)  # of all that began before
            rows.append((first, end, int(pitch)))
    return sorted(rows)
