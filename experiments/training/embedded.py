"""The MiniSlakh that is rendered and prepared on first use, for a config without `data.root`."""

import fcntl
import shutil
import zlib
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.json_files import read_json
from data_pipeline.io.processes import check_script_may_start_processes
from data_pipeline.prepared.layout import prepared_folder
from experiments.runtime.cache_folder import CACHE_VARIABLE, cache_folder

DEFAULT_SONGS = 480  # training songs of 20 s each
USUAL_RATE_HZ = 16000  # that of songs in a folder without the rate in its name
# Rendered, prepared and packed side by side, a stem of a training song and its share of the
# held-out songs, at that rate; 1.80 to 1.97 MB were measured. Songs have about five, and two of
# the rest.
BYTES_PER_STEM = 2_000_000
_TREE = "tree"  # of rendered held-out songs, beside all that are prepared
_TRAINING_SPLIT = "train"
_OPTIONS = ("sounds", "soundfonts", "rest", "midi_dir", "midi_share")  # of `minislakh.build`


def root(config: ConfigDict) -> Path:
    """The prepared songs in the cache; several processes and interrupted runs are safe.

    Those that an earlier version prepared are used as they are.

    Raises:
        OSError: if the disk has no room for them; nothing is rendered then.
    """
    options = {name: config.data[f"minislakh_{name}"] for name in _OPTIONS}
    num_songs = config.data.minislakh_songs or DEFAULT_SONGS
    sample_rate_hz = config.audio.sample_rate_hz
    folder = cache_folder() / _folder_name(num_songs, options, sample_rate_hz)
    prepared = folder / "prepared"
    home = prepared / "minislakh"
    if prepared_folder(home):
        return prepared
    check_script_may_start_processes()  # here: a process must not wait for the one it works for
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not prepared_folder(home):
            _make(folder, prepared, num_songs, options, sample_rate_hz)
    return prepared


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
    size = (5 + 2 * options["rest"]) * BYTES_PER_STEM * num_songs * sample_rate_hz / USUAL_RATE_HZ
    made = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    need_space(folder, max(size - made, 0), f"MiniSlakh ({CACHE_VARIABLE} chooses its folder)")
    print(
        f"MiniSlakh: rendering {num_songs} songs into {folder}, once; while they are made they "
        f"take up to {size / 1e9:.1f} GB",
        flush=True,
    )
    songs = minislakh.build(
        folder / _TREE, num_songs=num_songs, sample_rate_hz=sample_rate_hz, **options
    )
    prepare.prepare("minislakh", songs, out=prepared, sample_rate_hz=sample_rate_hz)
    # Read no more, and a third of the space; what cannot be removed takes space alone. Renamed
    # first: a song of which a stopped call has removed files would be taken for a whole one.
    removed = folder / "removed"
    shutil.rmtree(removed, ignore_errors=True)
    (songs / _TRAINING_SPLIT).rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def _folder_name(num_songs: int, options: dict, sample_rate_hz: int) -> str:
    """The folder of these songs: each option that is not the usual one changes it."""
    from data_pipeline.io.folders import files_below
    from data_pipeline.minislakh.composer import VERSION
    from data_pipeline.minislakh.soundfonts import found_soundfonts
    from data_pipeline.minislakh.wide import WIDE_VERSION

    kind = f"wide-{WIDE_VERSION}" if options["sounds"] == "wide" else str(VERSION)
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
