"""The examples of docs/extending as modules: a trunk, a head, a kind of mask, an instrument, a
corpus. Their code is taken from the pages as it stands there."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import soundfile

from tests import ROOT

PAGES = {
    "trunk": "example_trunk",
    "head": "example_head",
    "mask": "example_mask",
    "instrument": "example_instrument",
    "corpus": "example_corpus",
}
RATE = 16000
SPLITS = ("train", "validation", "test")
INSTRUMENTS = ("theremin", "drums")


def code_of(page: str) -> str:
    """The Python of a page."""
    text = (ROOT / "docs" / "extending" / f"{page}.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return code


def import_examples(folder: Path) -> dict:
    """Writes the modules into `folder`, which must be on the path of processes too, and imports
    them; by page."""
    for page, name in PAGES.items():
        (folder / f"{name}.py").write_text(code_of(page))
    importlib.invalidate_caches()
    for name in PAGES.values():
        sys.modules.pop(name, None)
    return {page: importlib.import_module(name) for page, name in PAGES.items()}


def make_raw_tree(root: Path, *, seconds: int = 6) -> Path:
    """A corpus of the page's shape: tones on and off, two songs a split; of the second training
    song the theremin has no notes."""
    rng = np.random.default_rng(0)
    time = np.arange(seconds * RATE) / RATE
    for split in SPLITS:
        for number in range(2):
            song = root / split / f"song{number}"
            song.mkdir(parents=True)
            for name in INSTRUMENTS:
                pitches = rng.integers(40, 80, seconds) if name == "theremin" else [38] * seconds
                hertz = 440 * 2 ** ((np.repeat(pitches, RATE) - 69) / 12)
                samples = 0.3 * np.sin(2 * np.pi * hertz * time) * (time % 1 < 0.5)
                soundfile.write(song / f"{name}.wav", samples, RATE, subtype="PCM_16")
                rows = [f"{k} {k + 0.5} {pitch}\n" for k, pitch in enumerate(pitches)]
                if (split, number, name) != ("train", 1, "theremin"):
                    (song / f"{name}.txt").write_text("".join(rows))
            soundfile.write(song / "kazoo.wav", np.zeros(RATE), RATE)
    return root
