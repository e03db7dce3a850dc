"""What the pages of songs and of runs share: a player over spectrograms and piano rolls.

Each song or excerpt on a page is a script element of class `listening` that holds its data as JSON:

    seconds      its length
    frequencies  the lowest and the highest of its spectrograms, in Hz
    sets         what one may listen to, first the mixture, then its parts: key, title, hint
    rows         the mixture, without a name, then its parts: name, colours, about, isDrum, file,
                 picture, notes, reference, and `sets`, which gives each set of sounds this row's
                 `src` and `volume`, with a picture and notes of its own where it has some
"""

import base64
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from cerberus_jax.notes import Notes
from data_pipeline.instruments import INSTRUMENTS
from experiments import pages
from experiments.songs.spectrogram import png

SCRIPTS = ("player", "names", "view", "paint", "pointer", "rows", "listening")
TRUTH = '<span><span class="swatch true"></span>true notes</span>'


def style(*more: str) -> str:
    """The styles of a page with players, and others after them."""
    return "".join(map(pages.asset, ("base.css", "listening.css", *more)))


def script(*more: str) -> str:
    """The scripts of a page with players, which go behind the data, and others after them."""
    return "".join(map(pages.asset, (*(f"{name}.js" for name in SCRIPTS), *more)))


def player_html(data: Mapping) -> str:
    """The place of a player on a page."""
    text = pages.json_for_html(data)
    return f'<script type="application/json" class="listening">{text}</script>'


def legend_html(*, truth: bool) -> str:
    """What the signs and keys of the players mean; with `truth`, true notes too."""
    return pages.fill("legend.html", {"truth": TRUTH if truth else ""})


def row_heading(name: str) -> dict:
    """Name, colours and kind of an instrument's row; what is no instrument is grey."""
    known = INSTRUMENTS.get(name)
    return {
        "name": name,
        "colours": known.colours if known else None,  # on a light and on a dark ground
        "isDrum": bool(known and known.is_drum),
    }


def note_rows(notes: Notes) -> list[list[float]]:
    """[onset, offset, pitch, velocity] of every note, in milliseconds' precision."""
    return [
        [round(onset, 3), round(offset, 3), pitch, velocity]
        for (onset, offset), pitch, velocity in zip(
            notes.intervals.tolist(), notes.pitches.tolist(), notes.velocities.tolist(), strict=True
        )
    ]


def picture_uri(decibels: Float[np.ndarray, "rows columns"], *, top_db: float) -> str:
    """A spectrogram as the page holds it."""
    return "data:image/png;base64," + base64.b64encode(png(decibels, top_db=top_db)).decode()
