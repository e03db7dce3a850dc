"""Downloads the corpora whose archives are open, checked against the published md5 sums.

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
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
import urllib3
from tqdm import tqdm

from data_pipeline.corpora.archive import need_space, unpack

_CHUNK = 1 << 20
_ATTEMPTS = 5  # in a row without a new byte
_PAUSE = 2.0  # seconds after the first of them, doubled each time
_TIMEOUT = 60.0  # seconds without a byte
_BUSY = (429, 500, 502, 503, 504)  # answers after which a server is asked again


@dataclass(frozen=True)
class Archive:
    """An archive on the net.

    Args:
        url: where it is.
        md5: its published sum.
        folder: the folder below the root that it becomes.
        growth: size unpacked over size packed, a guess to judge the free space by.
    """

    url: str
    md5: str
    folder: str
    growth: float = 2.0

    @property
    def name(self) -> str:
        """Its file name."""
        return re.sub(r"[?#].*", "", self.url).rsplit("/", 1)[-1]


_ZENODO = "https://zenodo.org/records/"
ARCHIVES = {
    "slakh2100": (
        Archive(
            f"{_ZENODO}4599666/files/slakh2100_flac_redux.tar.gz?download=1",
            "f4b71b6c45ac9b506f59788456b3f0c4",
            "slakh2100_flac_redux",
            growth=1.1,
        ),
    ),
    "babyslakh": (
        Archive(
            f"{_ZENODO}4603870/files/babyslakh_16k.tar.gz?download=1",
            "311096dc2bde7d61c97e930edbfc7f78",
            "babyslakh_16k",
        ),
    ),
    "guitarset": (
        Archive(
            f"{_ZENODO}3371780/files/annotation.zip?download=1",
            "b39b78e63d3446f2e54ddb7a54df9b10",
            "annotation",
            growth=10.0,
        ),
        Archive(
            f"{_ZENODO}3371780/files/audio_mono-mic.zip?download=1",
            "275966d6610ac34999b58426beb119c3",
            "audio_mono-mic",
        ),
    ),
}
_ELSEWHERE = {
    "maps": (
        "MAPS is given out on request only: register at the address in its description, "
        "https://hal.inria.fr/inria-00544155, unpack the archives of the nine pianos (AkPnBcht, "
        "AkPnBsdf, AkPnCGdD, AkPnStgb, ENSTDkAm, ENSTDkCl, SptkBGAm, SptkBGCl, StbgTGd2) into one "
        "folder and name it with --root"
    ),
    "minislakh": "MiniSlakh is rendered here: python -m data_pipeline.minislakh --out=DIR",
}


def download(
    corpus: str,
    root: str | os.PathLike,
    *,
    archives: tuple[Archive, ...] | None = None,
    progress: bool = True,
) -> None:
    """Download and unpack what is missing of a corpus.

    The transfer goes to ROOT.download beside `root`; folders appear in `root` when they are whole,
    and their archives are deleted then.

    Args:
        corpus: its name.
        root: the folder for the raw tree.
        archives: what to download instead of ARCHIVES[corpus].
        progress: show progress bars.

    Raises:
        ValueError: if the corpus cannot be had so, `root` holds something else, or an archive is
            damaged or unsafe.
        OSError: if the transfer fails or the disk is too full.
    """
    if archives is None and corpus not in ARCHIVES:
        known = f"--download knows {', '.join(ARCHIVES)}"
        raise ValueError(f"--corpus={corpus}: {_ELSEWHERE.get(corpus, 'unknown')} ({known})")
    archives = ARCHIVES[corpus] if archives is None else archives
    root = Path(root)
    others = {path.name for path in root.iterdir()} if root.is_dir() else set()
    others -= {archive.folder for archive in archives}
    if others:
        raise ValueError(
            f"--root={root} holds other files already ({min(others)}, ...); leave --download out "
            "if they are the corpus, or choose a new folder"
        )
    work = root.absolute().with_name(f"{root.absolute().name}.download")
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
    if (found := pooch.file_hash(str(part), alg="md5")) != archive.md5:
        part.unlink()
        raise ValueError(
            f"{archive.url}: its md5 sum {found} does not match the known hash {archive.md5}; "
            "deleted. The same command downloads it anew."
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
            tqdm(total=begin + length or None, initial=begin, **label) as bar,
        ):
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
