"""The tracks of a MiniSlakh tree and how one is made, from a seed or from a MIDI file.

Which song a track holds depends on the seed, the split and its number alone, never on how many
songs are asked for.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from data_pipeline.cli.console import printable
from data_pipeline.io.folders import files_below
from data_pipeline.minislakh.composer import VERSION, Song, compose
from data_pipeline.minislakh.dice import Dice, song_seed
from data_pipeline.minislakh.midi_song import read_midi_song
from data_pipeline.minislakh.renderer import Renderer, usual_voices
from data_pipeline.minislakh.track_folder import TrackInfo, content_uuid, write_track
from data_pipeline.minislakh.wide import WIDE_VERSION
from data_pipeline.minislakh.wide.casting import cast
from data_pipeline.minislakh.wide.composer import compose_wide, instrument_of_part
from data_pipeline.minislakh.wide.midi_excerpt import midi_excerpt, passage_starts
from data_pipeline.minislakh.wide.palettes import palette_of

# The number of a split's first track, less one: track names are unique in the whole tree.
SPLITS = {"train": 0, "validation": 20000, "test": 30000, "test_unseen": 40000}
MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf")


@dataclass(frozen=True)
class Job:
    """One track to render: a composed song, or a MIDI file if `midi_path` is given, of which wide
    songs take a passage.

    Args:
        split: its folder.
        number: in its name.
        seed: of the song and its sounds.
        seconds: its length.
        midi_path: a MIDI file to render instead of a composed song.
        source: where its notes come from, for metadata.yaml.
        sounds: 'narrow' or 'wide'.
        rest: probability of instruments beside the five, in wide songs.
        has_effects: wide songs have effects.
    """

    split: str
    number: int
    seed: int
    seconds: float | int
    midi_path: str = ""
    source: str = ""
    sounds: str = "narrow"
    rest: float | int = 0.0
    has_effects: bool = True

    @property
    def is_passage(self) -> bool:
        """Of a MIDI file, not the whole of one."""
        return bool(self.midi_path) and self.sounds == "wide"

    @property
    def name(self) -> str:
        """The name of the track's folder."""
        return f"Track{self.number:05d}"


def song_jobs(num_songs: int, seed: int, seconds: float | int, **options) -> list[Job]:
    """The jobs of all splits; a track's song depends on the seed, its split and number alone.

    `options` are those of `Job`.
    """
    sizes = {split: num_songs if split == "train" else max(2, num_songs // 20) for split in SPLITS}
    return [
        Job(
            split,
            SPLITS[split] + 1 + index,
            song_seed(seed, split, index),
            seconds,
            **options,
        )
        for split, size in sizes.items()
        for index in range(size)
    ]


def midi_jobs(folder: Path, *, passage_seconds: float | int = 0) -> list[Job]:
    """A job for each usable MIDI file, of which copies are left out.

    Eight of ten files train, one validates, one tests; split and number follow from a hash of the
    content, so that a song stays where it is under another name. What is left out is said.

    Args:
        folder: with files in it and below.
        passage_seconds: above 0, files without a passage of this length are not usable.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no usable file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"midi_dir: {folder} is not a folder")
    files, others = [], []
    for path in files_below(folder):
        (files if path.suffix.lower() in MIDI_SUFFIXES else others).append(path)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        kinds = ", ".join(MIDI_SUFFIXES)
        print(f"midi_dir: left out {others[0]}{more}: not {kinds}", file=sys.stderr)
    jobs, copies, taken = {}, [], set()
    for path in files:
        source = printable(path.relative_to(folder).as_posix())
        try:
            uuid = content_uuid(path.read_bytes())
            if uuid in jobs:
                copies.append(f"{source} (of {jobs[uuid].source})")
                continue
            song = read_midi_song(path)
            if passage_seconds:
                passage_starts(path, song, passage_seconds)
        except (ValueError, OSError, MemoryError) as error:
            print(f"midi_dir: skipped {describe(error, path)}", file=sys.stderr)
            continue
        if song.doubt:
            print(f"midi_dir: {path}: {song.doubt}", file=sys.stderr)
        code = int(uuid, 16)
        split = {0: "validation", 1: "test"}.get(code % 10, "train")
        number = 1 + code // 10 % 99999
        while number in taken:
            number = 1 + number % 99999
        taken.add(number)
        jobs[uuid] = Job(split, number, 0, 0.0, str(path), source)
    if copies:
        print(f"midi_dir: left out copies: {', '.join(copies)}", file=sys.stderr)
    if not jobs:
        raise ValueError(
            f"midi_dir: {folder} holds no usable MIDI file ({', '.join(MIDI_SUFFIXES)}; "
            f"{len(files)} found, none with notes that can be played)"
        )
    return list(jobs.values())


def describe(error: Exception, path: str | Path) -> str:
    """What went wrong with a file, which the text names."""
    text = "not enough memory" if isinstance(error, MemoryError) else str(error)
    return text if str(path) in text else f"{path}: {text}"


def with_passages(jobs: list[Job], folder: Path, share: float | int) -> list[Job]:
    """Jobs of wide songs of which a share are passages of MIDI files, each file in one split.

    A split without a file stays composed; test_unseen takes those of test.

    Raises:
        FileNotFoundError, ValueError: as `midi_jobs`.
    """
    files = {}
    for job in midi_jobs(folder, passage_seconds=jobs[0].seconds):
        files.setdefault(job.split, []).append((job.midi_path, job.source))
    files["test_unseen"] = files.get("test", [])
    mixed = []
    for job in jobs:
        dice = Dice(job.seed, "source")
        if files.get(job.split) and dice.chance(share):
            path, source = dice.pick(files[job.split])
            job = replace(job, midi_path=path, source=source)
        mixed.append(job)
    return mixed


def uuid_of(job: Job) -> str:
    """The UUID of a track: of the MIDI file, or of what its song and sounds follow from."""
    what = f"{job.split} {job.seed} {job.seconds}"
    is_wide = job.sounds == "wide"
    what = f"wide {WIDE_VERSION} {what} {job.rest}" if is_wide else f"{VERSION} {what}"
    if not job.midi_path:
        return content_uuid(f"minislakh {what}".encode())
    content = Path(job.midi_path).read_bytes()
    return content_uuid(content + what.encode() if job.is_passage else content)


def render_job(out: Path, job: Job, renderer: Renderer) -> None:
    """Compose or read a song and write its track, whole or not at all."""
    uuid = uuid_of(job)
    if job.midi_path and not job.is_passage:
        song = read_midi_song(job.midi_path)
        info = TrackInfo(job.name, uuid, job.source, 120.0, {})
        parts, voices = song.parts, usual_voices(song.parts, renderer, uuid)
    else:
        song = _song(job)
        extra = {"bpm": song.bpm, "key": song.key, "style": song.style}
        source = job.source or f"minislakh/{job.seed:016x}"
        info = TrackInfo(job.name, uuid, source, song.bpm, extra)
        if job.sounds == "wide":
            names = [instrument_of_part(part) for part in song.parts]
            palette = palette_of(job.split, job.number)
            parts, voices = cast(
                *(song.parts, names, palette, renderer, job.seed), has_effects=job.has_effects
            )
        else:
            parts, voices = song.parts, usual_voices(song.parts, renderer, uuid)
    write_track(
        out / job.split / job.name,
        *(parts, voices, info),
        seconds=song.seconds,
        sample_rate_hz=renderer.sample_rate_hz,
    )


def _song(job: Job) -> Song:
    if job.sounds == "narrow":
        return compose(job.seed, seconds=job.seconds, unseen=job.split == "test_unseen")
    options = {"seconds": job.seconds, "rest": job.rest}
    if job.midi_path:
        return midi_excerpt(job.midi_path, seed=job.seed, **options)
    return compose_wide(job.seed, **options)
