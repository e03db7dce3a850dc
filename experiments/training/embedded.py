"""The MiniSlakh that is rendered and prepared on first use, for a config without `data.root`."""

import fcntl
import logging
import shutil
import zlib
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.json_files import read_json
from data_pipeline.io.processes import check_script_may_start_processes
from data_pipeline.prepared.layout import PARTS, RECORDS_INFO, VERSION, prepared_folder
from experiments.config.resume import saved_songs
from experiments.runtime.cache_folder import CACHE_VARIABLE, cache_folder

DEFAULT_SONGS = 480  # training songs of 20 s each
USUAL_RATE_HZ = 16000  # that of songs in a folder without the rate in its name
# Rendered, prepared and packed side by side, a stem of a training song and its share of the
# held-out songs, at that rate; 1.80 to 1.97 MB were measured. Songs have about five, and two of
# the rest.
BYTES_PER_STEM = 2_000_000
_TREE = "tree"  # of rendered held-out songs, beside all that are prepared
_TRAINING_SPLIT = "train"
_REMOVED, _LOCK = "removed", "lock"
_OPTIONS = ("sounds", "soundfonts", "rest", "midi_dir", "midi_share")  # of `minislakh.build`


def root(config: ConfigDict) -> Path:
    """The prepared songs in the cache; several processes and interrupted runs are safe.

    Those that an earlier version prepared are used as they are.

    Raises:
        OSError: if the disk has no room for them; nothing is rendered then.
    """
    num_songs, options, sample_rate_hz = _recipe(config)
    folder = cache_folder() / _folder_name(num_songs, options, sample_rate_hz)
    prepared = folder / "prepared"
    home = prepared / "minislakh"
    if prepared_folder(home):
        _clear(folder)
        return prepared
    check_script_may_start_processes()  # here: a process must not wait for the one it works for
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"MiniSlakh: another process makes {folder}; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not prepared_folder(home):
            _make(folder, prepared, num_songs, options, sample_rate_hz)
    _clear(folder)
    return prepared


def songs(config: ConfigDict) -> str:
    """Which songs they are, by the name of their folder; '' for a config of other data."""
    return "" if config.data.root else _folder_name(*_recipe(config))


def other_songs(config: ConfigDict, workdir: str | Path) -> str:
    """How they differ from those that a run began with, and where those are; '' where they do not,
    or the run has not written it down."""
    then = saved_songs(workdir)
    if not then or config.data.root or then == (now := songs(config)):
        return ""
    prepared = cache_folder() / then / "prepared"
    place = f"in {prepared}" if prepared_folder(prepared / "minislakh") else "not in the cache"
    return (
        f"data.root: the run in {workdir} began with the songs {then}, which are {place}; "
        f"this version, with the soundfonts and MIDI files of now, makes {now}"
    )


def check_songs(config: ConfigDict, workdir: str | Path) -> None:
    """Refuse, before any are rendered, songs that are not those that a run began with.

    Raises:
        ValueError: naming both, and where those of then are.
    """
    if others := other_songs(config, workdir):
        raise ValueError(
            f"{others}; give the folder of then by --config.data.root, or another --workdir"
        )


def tree(config: ConfigDict) -> Path:
    """The held-out songs, a tree of Slakh's shape; made on first use.

    Raises:
        ValueError: if the config is of other data.
        OSError: as `root`.
    """
    if config.data.root:
        raise ValueError(
            "data.root: the songs of the embedded MiniSlakh were asked for, which a config has "
            f"with an empty data.root, got {config.data.root!r}"
        )
    return root(config).parent / _TREE


def soundfonts(config: ConfigDict) -> list[str]:
    """What plays the songs, as they were rendered; none where that is not known."""
    from data_pipeline.minislakh.tree import SETTINGS_FILE

    if config.data.root:
        return []
    file = tree(config) / SETTINGS_FILE
    if not file.is_file():
        return []
    form = {"soundfonts?": [str]}
    return read_json(file, "the settings of MiniSlakh", form).get("soundfonts", [])


def _make(folder, prepared, num_songs, options, sample_rate_hz):
    """Renders and prepares; what an interrupted call has made is kept."""
    from data_pipeline import minislakh, prepare
    from data_pipeline.corpora.archive import need_space
    from data_pipeline.prepared.pack import check_records_can_be_written

    check_records_can_be_written(())
    size = _bytes(num_songs, options["rest"], sample_rate_hz)
    made = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    need_space(folder, max(size - made, 0), f"MiniSlakh ({CACHE_VARIABLE} chooses its folder)")
    print(
        f"MiniSlakh: rendering {num_songs} songs into {folder}, once; while they are made they "
        f"take up to {max(size / 1e9, 0.1):.1f} GB",
        flush=True,
    )
    rendered = minislakh.build(
        folder / _TREE, num_songs=num_songs, sample_rate_hz=sample_rate_hz, **options
    )
    prepare.prepare("minislakh", rendered, out=prepared, sample_rate_hz=sample_rate_hz)


def _recipe(config: ConfigDict) -> tuple[int, dict, int]:
    """How many songs, the options of `minislakh.build`, and the rate."""
    options = {name: config.data[f"minislakh_{name}"] for name in _OPTIONS}
    num_songs = config.data.minislakh_songs or DEFAULT_SONGS
    return num_songs, options, config.audio.sample_rate_hz


def _bytes(num_songs: int, rest: float | int, sample_rate_hz: int) -> float | int:
    """The room that the songs take while they are made."""
    return (5 + 2 * rest) * BYTES_PER_STEM * num_songs * sample_rate_hz / USUAL_RATE_HZ


def _leftovers(folder: Path) -> list[Path]:
    """What is read no more once songs are packed: two thirds of the space.

    That is the converted and the rendered training songs, and such as a stopped call was removing.
    """
    packed = folder / "prepared" / "minislakh"
    if not (packed / VERSION / RECORDS_INFO).is_file():
        return []
    found = (folder / _REMOVED, folder / _TREE / _TRAINING_SPLIT, *packed.glob(PARTS))
    return [path for path in found if path.exists()]


def _clear(folder: Path) -> None:
    """Removes what is read no more, unless another process does, or the cache can only be read.

    Renamed first: a song of which a stopped call has removed files would be taken for a whole one.
    """
    if not _leftovers(folder):
        return
    removed = folder / _REMOVED
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in _leftovers(folder):
                if path != removed:
                    path.rename(removed)
                shutil.rmtree(removed)
    except BlockingIOError:
        return
    except OSError as error:
        logging.warning(
            "%s: songs that are read no more cannot be removed (%s); they take space alone",
            *(folder, error),
        )


def _folder_name(num_songs: int, options: dict, sample_rate_hz: int) -> str:
    """The folder of these songs: each option that is not the usual one changes it."""
    from data_pipeline.io.folders import files_below
    from data_pipeline.minislakh.composer import VERSION as SONGS_VERSION
    from data_pipeline.minislakh.soundfonts import found_soundfonts
    from data_pipeline.minislakh.wide import WIDE_VERSION

    kind = f"wide-{WIDE_VERSION}" if options["sounds"] == "wide" else str(SONGS_VERSION)
    unusual = [options["rest"]] if options["rest"] else []
    files = found_soundfonts(options["soundfonts"]) if options["soundfonts"] else ()
    if options["midi_share"]:
        unusual.append(options["midi_share"])
        files = (*files, *files_below(Path(options["midi_dir"])))
    unusual += [
        (Path(file).name, Path(file).stat().st_size) for file in files if Path(file).is_file()
    ]
    code = f"-{zlib.crc32(repr(unusual).encode()):08x}" if unusual else ""
    rate = "" if sample_rate_hz == USUAL_RATE_HZ else f"-{sample_rate_hz}hz"
    return f"minislakh-{kind}-{num_songs}{code}{rate}"
