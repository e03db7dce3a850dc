"""Songs taken apart by a trained network: a wav per instrument, one MIDI file, a table of notes.

A song's files are written into a hidden folder beside their place and moved when all of them are
whole, so neither a full disk nor Ctrl-C leaves half a song.
"""

import csv
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.inference import Prediction, Predictor
from cerberus_jax.notes import Notes
from data_pipeline.audio_io import read_audio, write_audio
from data_pipeline.midi_io import Part, write_midi
from experiments.command_line import CommandFlags, hide_gpus_from_tensorflow, run_command

MIDI_FILE = "transcription.mid"
NOTES_FILE = "notes.csv"
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64")

# General MIDI program (from 0) that plays an instrument's track.
PROGRAMS = {"piano": 0, "guitar": 25, "bass": 33, "drums": 0, "strings": 48}
DRUMS = ("drums",)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        _separate, _flags(), argv=argv, on_interrupt="Stopped. Songs already separated are whole."
    )


def separate(
    songs: Sequence[str | Path],
    *,
    predictor: Predictor,
    out: str | Path,
    overwrite: bool = False,
) -> list[Path]:
    """Separate and transcribe files and the audio files of folders.

    A song that cannot be read, or whose output exists already, is reported and skipped.

    Args:
        songs: audio files, or folders of them.
        predictor: the network.
        out: gets one folder per song, named like it.
        overwrite: replace the files of an earlier call.

    Returns:
        the folders written.

    Raises:
        FileNotFoundError: if a song or folder does not exist, before anything is done.
        OSError: if `out` cannot be written to.
        ValueError: at the end, if songs failed; and before anything is done if the network lacks
            a head, if a folder has no audio files or two songs would share one output folder.
    """
    _check_network(predictor)
    folders = _output_folders(find_songs(songs), Path(out))
    _check_writable(Path(out))
    written, failed = [], []
    for number, (song, folder) in enumerate(folders.items(), 1):
        print(f"[{number}/{len(folders)}] {song}", flush=True)
        started = time.monotonic()
        try:
            _check_absent(folder, overwrite)
            waveform, rate = _read_song(song)
            prediction = predictor.predict(waveform, rate)
        except (ValueError, OSError) as error:
            print(f"  failed: {error}", file=sys.stderr, flush=True)
            failed.append(str(song))
            continue
        _write_song(prediction, folder, sample_rate_hz=rate)
        written.append(folder)
        print(
            f"  {_describe(waveform, rate)} -> {folder} ({time.monotonic() - started:.1f} s)",
            flush=True,
        )
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(folders)} songs failed (messages above): {', '.join(failed)}"
        )
    return written


def find_songs(paths: Sequence[str | Path]) -> list[Path]:
    """The files among `paths` and the audio files in the folders among them, in order."""
    songs = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in AUDIO_SUFFIXES and not file.name.startswith(".")
            )
            if not inside:
                raise ValueError(
                    f"{path}: no audio files in this folder; looked for {' '.join(AUDIO_SUFFIXES)}"
                )
            songs += inside
        elif path.exists():
            songs.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such song or folder")
    return list(dict.fromkeys(songs))


def write_notes(path: Path, notes: dict[str, Notes]) -> None:
    """All notes as a table, by onset: times in seconds, MIDI pitches and velocities."""
    rows = [
        (f"{onset:.4f}", f"{offset:.4f}", name, int(pitch), int(velocity))
        for name, found in notes.items()
        for (onset, offset), pitch, velocity in zip(
            found.intervals, found.pitches, found.velocities, strict=True
        )
    ]
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("onset_seconds", "offset_seconds", "instrument", "pitch", "velocity"))
        table.writerows(sorted(rows, key=lambda row: (float(row[0]), row[2], row[3])))


def parts_of(notes: dict[str, Notes]) -> list[Part]:
    """One MIDI track per instrument."""
    return [
        Part(name=name, program=PROGRAMS.get(name, 0), is_drum=name in DRUMS, notes=found)
        for name, found in notes.items()
    ]


class _Flags(CommandFlags):
    """Flags, and the songs as the arguments without a name."""

    songs: tuple[str, ...] = ()

    def __call__(self, argv, known_only=False):
        command, *songs = super().__call__(argv, known_only)
        self.__dict__["songs"] = tuple(songs)
        return [command]


def _flags() -> _Flags:
    flags = _Flags(
        "python -m experiments.separate --workdir=DIR --out=DIR SONG_OR_FOLDER ...",
        "Take songs apart with a trained network. Each song gets a folder OUT/SONG with one wav\n"
        f"per instrument (rate, length and channels of the song), {MIDI_FILE} (one track per\n"
        f"instrument) and {NOTES_FILE}. Reads wav, flac, ogg, mp3 and aiff of any rate.",
    )
    flags.string("workdir", "", "The run's directory: the network to use.")
    flags.string("out", "", "Where the folders of the songs go.")
    flags.string("step", "best", "The checkpoint: best, last, or the number of a step.")
    flags.boolean("overwrite", "Replace the files of an earlier call.")
    return flags


def _separate(flags: _Flags) -> None:
    for name in ("workdir", "out"):
        if not flags[name].value:
            raise ValueError(
                f"--{name} is missing, e.g. --workdir=runs/demo --out=separated SONG.wav"
            )
    if not flags.songs:
        raise ValueError("no song given; name audio files or folders after the flags")
    find_songs(flags.songs)  # a mistyped name is told before the network is loaded
    hide_gpus_from_tensorflow()
    predictor = Predictor.load(flags.workdir, step=flags.step)
    separate(flags.songs, predictor=predictor, out=flags.out, overwrite=flags.overwrite)


def _check_network(predictor: Predictor) -> None:
    for loss, purpose in (("mask_inference", "separate"), ("transcription", "transcribe")):
        if loss not in predictor.model.heads:
            raise ValueError(
                f"this network cannot {purpose} a song: it was trained with loss.{loss} = 0 and "
                f"has only {', '.join(predictor.model.heads)}; use a run with both heads"
            )


def _output_folders(songs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The folder of each song; songs of one name are told apart by the folder they come from."""
    stems = [song.stem for song in songs]
    names = [
        song.stem if stems.count(song.stem) == 1 else f"{song.resolve().parent.name}_{song.stem}"
        for song in songs
    ]
    for name in names:
        if names.count(name) > 1:
            same = [str(song) for song, own in zip(songs, names, strict=True) if own == name]
            raise ValueError(
                f"{' and '.join(same)} would both be written to {out / name}; "
                "separate them one by one, with another --out"
            )
    return {song: out / name for song, name in zip(songs, names, strict=True)}


def _check_writable(out: Path) -> None:
    """Find a read-only place before the first song is computed."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=out):
        pass


def _check_absent(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder} exists already; --overwrite replaces it")


def _read_song(song: Path) -> tuple[Float[np.ndarray, "c n"], int]:
    waveform, rate = read_audio(song)
    if not waveform.shape[1]:
        raise ValueError(f"{song}: holds no samples")
    return waveform, rate


def _write_song(prediction: Prediction, folder: Path, *, sample_rate_hz: int) -> None:
    """All files of a song, or none of them."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
            part = Path(name) / folder.name
            part.mkdir()
            _write_files(prediction, part, sample_rate_hz=sample_rate_hz)
            if folder.exists():
                for file in sorted(part.iterdir()):
                    os.replace(file, folder / file.name)
            else:
                shutil.move(part, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write the files of a song ({reason})"
        raise OSError(error.errno, message, str(folder)) from error


def _write_files(prediction: Prediction, folder: Path, *, sample_rate_hz: int) -> None:
    for name, source in zip(prediction.instruments, prediction.sources, strict=True):
        too_loud = np.abs(source).max() > 1  # 16 bits would clip it
        write_audio(
            folder / f"{name}.wav",
            source,
            sample_rate_hz=sample_rate_hz,
            subtype="FLOAT" if too_loud else "PCM_16",
        )
    write_midi(folder / MIDI_FILE, parts_of(prediction.notes))
    write_notes(folder / NOTES_FILE, prediction.notes)


def _describe(waveform: Float[np.ndarray, "c n"], rate: int) -> str:
    minutes, seconds = divmod(waveform.shape[1] / rate, 60)
    channels = {1: "mono", 2: "stereo"}.get(len(waveform), f"{len(waveform)} channels")
    return f"{minutes:.0f}:{seconds:04.1f}, {channels}, {rate} Hz"


if __name__ == "__main__":
    sys.exit(main())
