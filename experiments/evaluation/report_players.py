"""The excerpts of a report as players, with sounds and pictures inside the page."""

import base64
import io
import re
from collections.abc import Sequence

import numpy as np
import soundfile
from jaxtyping import Float

from cerberus_jax.notes import Notes
from data_pipeline.io.pcm import to_pcm16
from experiments import pages
from experiments.evaluation.report_excerpts import Listening
from experiments.evaluation.scoring import Reference
from experiments.pages import listening
from experiments.songs.spectrogram import Spectrogram

TITLE = "SI-SDR improvement"
SILENCE_DB = -40.0  # of a spectrogram: less than this is shown dark
# Song and moment of an excerpt's id; what stands in a song's name may look like the rest.
_MOMENT = re.compile(r"(.+?)@(\d+\.\d+)\[[^\]]*\](?:\+|$)")


def excerpts_html(
    chosen: Sequence[Listening], instruments: Sequence[str], sample_rate_hz: int
) -> str:
    """A heading and a player for every excerpt; nothing without any."""
    articles = []
    for heard in chosen:
        scores = [f"{name} {take.improvement:+.1f} dB" for name, take in heard.takes.items()]
        if len(scores) == 1:
            scores = [scores[0].removeprefix(next(iter(heard.takes)))]
        articles.append(
            f"<article><details{' open' * (not articles)}>"
            f"<summary><h3>{pages.escape(title_of(heard))}</h3></summary>"
            f'<p class="note">{TITLE} {pages.escape(", ".join(scores))}</p>'
            f"{listening.player_html(player_data(heard, instruments, sample_rate_hz))}"
            "</details></article>"
        )
    if not articles:
        return ""
    heading = "<h2>Best and worst excerpts</h2>"
    return heading + "".join(articles) + listening.legend_html(truth=True)


def title_of(heard: Listening) -> str:
    """Which song and moment, for readers; a mixture of several songs has no one moment."""
    moments = _MOMENT.findall(heard.excerpt.id)
    if len(moments) > 1:
        names = ", ".join(dict.fromkeys(name for name, _ in moments))
        return f"{heard.end.capitalize()}: a mixture of {names}"
    ((name, start),) = moments
    end = float(start) + heard.seconds
    return f"{heard.end.capitalize()}: {name}, {float(start):.1f} to {end:.1f} s"


def player_data(heard: Listening, instruments: Sequence[str], sample_rate_hz: int) -> dict:
    """What the player of an excerpt holds: the mixture, the true sources and those of each run."""
    true, mixture = heard.excerpt.sources, heard.excerpt.sources.sum(0)
    reference = Reference.of(heard.excerpt, instruments).notes
    keys = {name: f"run{number}" for number, name in enumerate(heard.takes)}
    sounds = {"true": true} | {keys[name]: take.sources for name, take in heard.takes.items()}
    loudest = max(1.0, *(float(np.abs(x).max()) for x in (mixture, *sounds.values())))
    pictures = {(None, 0): _decibels(mixture, sample_rate_hz)}
    for key, sources in sounds.items():
        for slot, source in enumerate(sources):
            pictures[key, slot] = _decibels(source, sample_rate_hz)
    top = max(SILENCE_DB, *(float(picture.max()) for picture in pictures.values()))

    def held(key, slot, samples):
        return {
            "src": sound_uri(samples / loudest, sample_rate_hz),
            "picture": listening.picture_uri(pictures[key, slot], top_db=top),
        }

    rows = [{"name": None, "sets": {"mixture": held(None, 0, mixture)}}]
    rows[0]["picture"] = rows[0]["sets"]["mixture"].pop("picture")
    for slot, name in enumerate(instruments):
        sets = {key: held(key, slot, sources[slot]) for key, sources in sounds.items()}
        for run, take in heard.takes.items():
            sets[keys[run]]["notes"] = listening.note_rows(take.notes.get(name, Notes.empty()))
        truth = listening.note_rows(reference[name]) if name in reference else []
        sets["true"]["notes"] = truth
        row = listening.row_heading(name) | {"sets": sets, "reference": truth}
        row |= {field: sets["run0"][field] for field in ("picture", "notes")}
        rows.append(row | {"about": f"{len(truth)} true notes" if truth else "no true notes"})
    sets = [{"key": "mixture", "title": "Mixture", "hint": "What the networks hear"}]
    sets.append({"key": "true", "title": "True", "hint": "The true sources"})
    for name in heard.takes:
        title = name if len(heard.takes) > 1 else "Separated"
        sets.append({"key": keys[name], "title": title, "hint": f"What {name} made of it"})
    frequencies = Spectrogram(sample_rate_hz, len(mixture)).frequencies
    return {"seconds": heard.seconds, "frequencies": frequencies, "sets": sets, "rows": rows}


def _decibels(samples: Float[np.ndarray, " n"], sample_rate_hz: int):
    picture = Spectrogram(sample_rate_hz, len(samples))
    picture.add(samples)
    return picture.decibels()


def sound_uri(samples: Float[np.ndarray, " n"], sample_rate_hz: int) -> str:
    """A waveform as the page holds it: in flac, as a lossy format would add to what one judges."""
    encoded = io.BytesIO()
    soundfile.write(encoded, to_pcm16(samples), sample_rate_hz, format="FLAC")
    return "data:audio/flac;base64," + base64.b64encode(encoded.getvalue()).decode()
