"""Downloads the corpora whose archives are open, checked against the published sums.

pooch checks and places the files; it cannot go on after an interruption, so the transfer is done
here: what has arrived stays in a `.part` file, and the rest is asked for with an HTTP range. An
archive of 100 GB does not start over because a line breaks.
"""

import contextlib
import logging
import os
import re
import shutil
import time
from pathlib import Path

import pooch
import requests
import urllib3

from data_pipeline.cli.progress import Progress
from data_pipeline.corpora.archive import need_space, unpack
from data_pipeline.corpora.corpus import Archive
from data_pipeline.corpora.registry import CORPORA

_CHUNK = 1 << 20
_ATTEMPTS = 5  # in a row without a new byte
_PAUSE = 2.0  # seconds after the first of them, doubled each time
_TIMEOUT = 60.0  # seconds without a byte
_BUSY = (429, 500, 502, 503, 504)  # answers after which a server is asked again


def download(
    corpus: str,
    root: str | os.PathLike,
    *,
    archives: tuple[Archive, ...] | None = None,
    progress: bool = True,
) -> None:
    """Download and unpack what is missing of a corpus.

    The transfer goes to ROOT.download beside `root`, on the same disk; into ROOT/.download where
    `root` is a disk of its own. Folders appear in `root` when they are whole,
    and their archives are deleted then.

    Args:
        corpus: its name.
        root: the folder for the raw tree.
        archives: what to download instead of the archives of the corpus.
        progress: show progress bars.

    Raises:
        ValueError: if the corpus cannot be had so, `root` holds something else, or an archive is
            damaged or unsafe.
        OSError: if the transfer fails or the disk is too full.
    """
    archives = _archives_of(corpus) if archives is None else archives
    root = Path(root).resolve()
    inside = root / ".download"
    work = inside if root.is_mount() else root.with_name(f"{root.name}.download")
    strange = {path.name for path in root.iterdir()} if root.is_dir() else set()
    strange -= {archive.folder for archive in archives} | {inside.name}
    if strange:
        raise ValueError(
            f"--root={root} holds other files already ({min(strange)}, ...); leave --download out "
            "if they are the corpus, or choose a new folder"
        )
    for archive in archives:
        file, unpacked = work / archive.name, work / f"{archive.name}.unpacked"
        if (root / archive.folder).exists():
            logging.warning("%s is there already", root / archive.folder)
        else:
            fetch(archive, work, progress=progress)
            content = unpack(file, unpacked, progress=progress)
            root.mkdir(parents=True, exist_ok=True)
            os.replace(content, root / archive.folder)
        shutil.rmtree(unpacked, ignore_errors=True)  # also of a run that was stopped here
        file.unlink(missing_ok=True)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def _archives_of(corpus: str) -> tuple[Archive, ...]:
    if corpus in CORPORA and CORPORA[corpus].archives:
        return CORPORA[corpus].archives
    known = ", ".join(name for name in CORPORA if CORPORA[name].archives)
    elsewhere = CORPORA[corpus].elsewhere if corpus in CORPORA else ""
    raise ValueError(f"--corpus={corpus}: {elsewhere or 'unknown'} (--download knows {known})")


def fetch(archive: Archive, folder: str | os.PathLike, *, progress: bool = True) -> Path:
    """The archive in `folder`, checked; what has arrived of it earlier is not asked for again.

    Raises:
        ValueError: if its sum is wrong; the file is deleted then.
        OSError: if the transfer fails or the disk is too full.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    whole, part = folder / archive.name, folder / f"{archive.name}.part"
    if whole.is_file():
        return whole
    _complete(archive.url, part, archive.growth, progress)
    # The name says that the sum is right; a stop while it is taken costs nothing but that.
    algorithm, _, expected = archive.checksum.partition(":")
    if (actual := pooch.file_hash(str(part), alg=algorithm)) != expected:
        part.unlink()
        raise ValueError(
            f"{archive.url}: its {algorithm} sum {actual} does not match the known hash "
            f"{expected}; deleted. The same command downloads it anew."
        )
    os.replace(part, whole)
    return whole


def _complete(url: str, part: Path, growth: float, progress: bool) -> None:
    """Append to `part` until it is whole."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _append(url, part, growth, progress)
            return
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless >= _ATTEMPTS:
                raise OSError(
                    f"{url}: broke off after {_size(part)} bytes ({error}); "
                    "the same command goes on from there"
                ) from error
        time.sleep(_PAUSE * 2 ** max(0, fruitless - 1))


def _append(url: str, part: Path, growth: float, progress: bool) -> None:
    begin = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if not total or int(total.group(1)) != begin:
                part.unlink()  # longer than the file, or of unknown length: start anew
                raise requests.ConnectionError("the server has less than what is here already")
            return
        if response.status_code in _BUSY:
            raise requests.ConnectionError(f"the server answered {response.status_code}")
        response.raise_for_status()
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if response.status_code != requests.codes.partial_content:
            begin = 0  # the server does not know ranges and sends all
        elif not start or int(start.group(1)) != begin:
            part.unlink()
            raise requests.ConnectionError("the server sent another range than it was asked for")
        length = int(response.headers.get("Content-Length", 0))
        need_space(part.parent, length + (begin + length) * growth, f"downloading {url}")
        label = {"desc": part.stem, "unit": "B", "unit_scale": True, "disable": not progress}
        with (
            part.open("ab" if begin else "wb") as file,
            Progress(total=begin + length or None, initial=begin, **label) as bar,
        ):
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
