"""Which files are audio: by their names, and by what libsndfile says."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import soundfile

# Those of what libsndfile reads, lossless kinds first: of several files of one name the first is
# taken.
AUDIO_SUFFIXES = (
    *(".flac", ".wav", ".wave", ".bwf", ".rf64", ".w64", ".aiff", ".aif", ".aifc", ".caf"),
    *(".au", ".snd", ".opus", ".ogg", ".oga", ".mp3"),
)
# Audio, or with audio, that it does not read.
OTHER_AUDIO_SUFFIXES = (
    *(".m4a", ".m4b", ".mp4", ".aac", ".wma", ".ape", ".wv", ".tta", ".ac3", ".dts", ".amr"),
    *(".mka", ".mkv", ".webm", ".mov", ".avi", ".dsf", ".dff", ".mpc", ".ra", ".alac"),
)
NOT_READ = "not a kind of audio that libsndfile reads; convert it, to flac for instance"


def is_audio_name(path: Path) -> bool:
    """Whether a name is that of a kind of audio that can be read."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def is_other_audio_name(path: Path) -> bool:
    """Whether a name is that of a kind of audio that cannot be read."""
    return path.suffix.lower() in OTHER_AUDIO_SUFFIXES


def can_be_opened(path: str | os.PathLike) -> bool:
    """Whether libsndfile knows what a file holds, whatever its name."""
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            return file.channels > 0
    except (soundfile.SoundFileError, TypeError, ValueError):
        return False


def best_first(paths: Iterable[Path]) -> list[Path]:
    """Files of one stem, in the order in which they are taken."""
    suffixes = AUDIO_SUFFIXES
    return sorted(paths, key=lambda path: (suffixes.index(path.suffix.lower()), path))


def named_files(folder: Path, name: str, suffixes: Sequence[str] = AUDIO_SUFFIXES) -> list[Path]:
    """The audio files NAME.* of a folder, in the order in which they are taken."""
    return [path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()]
