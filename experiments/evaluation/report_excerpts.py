"""The best and the worst excerpts of an evaluation, as sounds inside the report.

They are cut and separated anew from the data and the checkpoint: the same excerpts, since both are
functions of the config with which they were scored.
"""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from cerberus_jax.heads import separates
from cerberus_jax.inference import Predictor
from data_pipeline.io.pcm import to_pcm16
from data_pipeline.reading.excerpts import read_excerpts
from experiments import pages
from experiments.config.loading import from_json
from experiments.training import data

METRIC, TITLE = "si_sdr_improvement", "SI-SDR improvement"


@dataclass(frozen=True)
class Listening:
    """One excerpt: where it stands among all, and its sounds as data URIs."""

    title: str
    score: float
    mixture: str
    stems: dict[str, tuple[str, str]]  # of every instrument: the estimate, the truth


def choose(results: Mapping, count: int) -> list[tuple[int, str, float]]:
    """(index, 'best' or 'worst', score) of the `count` best and worst items."""
    scores = []
    for index, item in enumerate(results["items"]):
        values = [metrics.get(METRIC) for metrics in item["metrics"].values()]
        values = [value for value in values if value is not None]
        if values:
            scores.append((float(np.mean(values)), index))
    scores.sort(reverse=True)
    count = min(count, len(scores) // 2)
    ends = [("best", scores[:count]), ("worst", scores[::-1][:count])]
    return [(index, end, score) for end, chosen in ends for score, index in chosen]


def listen(workdir: Path, results: Mapping, *, count: int) -> list[Listening]:
    """The sounds of the `count` best and worst excerpts.

    Raises:
        FileNotFoundError: if the checkpoint or the data are not there.
        ValueError: if the network makes no masks, or the results are not those of this config.
    """
    predictor = Predictor.load(workdir, step=results["step"])
    if not separates(predictor.model.heads):
        raise ValueError("the network has no mask head, so there is nothing to listen to")
    config = from_json(json.dumps(results.get("config", {})), source="results.json")
    planner, _ = data.test_excerpts(config, results["split"])
    rate, listening = predictor.grid.sample_rate_hz, []
    for index, end, score in choose(results, count):
        excerpt = next(read_excerpts(planner, 1, first=index))
        if excerpt.id != results["items"][index]["id"]:
            raise ValueError("results.json scores other excerpts than the config's; evaluate again")
        mixture = excerpt.sources.sum(0)
        estimates, _ = predictor.predict_batch(mixture[None])
        loudest = max(1.0, *(np.abs(x).max() for x in (mixture, excerpt.sources, estimates)))
        stems = {
            name: tuple(sound_uri(x[slot] / loudest, rate) for x in (estimates[0], excerpt.sources))
            for slot, name in enumerate(predictor.instruments)
        }
        song = sound_uri(mixture / loudest, rate)
        listening.append(Listening(f"{end}: {excerpt.id}", score, song, stems))
    return listening


def excerpts_html(listening: list[Listening]) -> str:
    """A card with players for every excerpt; nothing without any."""
    if not listening:
        return ""
    cards = []
    for excerpt in listening:
        players = f"<dt>mixture</dt><dd>{_player(excerpt.mixture, 'mixture')}</dd><dd></dd>"
        players += "<dt></dt><dd>separated</dd><dd>true</dd>"
        for name, (separated, true) in excerpt.stems.items():
            cells = f"<dd>{_player(separated, f'{name}, separated')}</dd>"
            cells += f"<dd>{_player(true, f'{name}, true')}</dd>"
            players += f"<dt>{pages.escape(name)}</dt>{cells}"
        cards.append(
            f"<article><h3>{pages.escape(excerpt.title)}</h3>"
            f'<p class="note">{TITLE} {excerpt.score:+.1f} dB</p><dl>{players}</dl></article>'
        )
    return f'<h2>Best and worst excerpts</h2><div class="excerpts">{"".join(cards)}</div>'


def sound_uri(samples: Float[np.ndarray, " n"], sample_rate_hz: int) -> str:
    """A waveform as the page holds it: in flac, as a lossy format would add to what one judges."""
    encoded = io.BytesIO()
    soundfile.write(encoded, to_pcm16(samples), sample_rate_hz, format="FLAC")
    return "data:audio/flac;base64," + base64.b64encode(encoded.getvalue()).decode()


def _player(sound: str, label: str) -> str:
    label = pages.escape(label)
    return f'<audio controls preload="metadata" src="{sound}" aria-label="{label}"></audio>'
