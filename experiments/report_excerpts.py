"""The best and the worst excerpts of an evaluation, as sounds beside the report.

They are cut and separated anew from the data and the checkpoint: the same excerpts, since both are
functions of the config with which they were scored.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cerberus_jax.inference import Predictor
from data_pipeline.audio_io import write_audio
from experiments import data, pages
from experiments.config import from_json

FOLDER = "excerpts"
METRIC, TITLE = "si_sdr_improvement", "SI-SDR improvement"


@dataclass(frozen=True)
class Listening:
    """One excerpt: where it stands among all, and its files relative to the report."""

    title: str
    score: float
    mixture: str
    stems: dict[str, tuple[str, str]]  # of every instrument: the estimate, the truth


def choose(results: Mapping, count: int) -> list[tuple[int, str, float]]:
    """(index, 'best' or 'worst', score) of the `count` best and worst items."""
    scores = []
    for index, item in enumerate(results["items"]):
        values = [found.get(METRIC) for found in item["metrics"].values()]
        values = [value for value in values if value is not None]
        if values:
            scores.append((float(np.mean(values)), index))
    scores.sort(reverse=True)
    count = min(count, len(scores) // 2)
    ends = [("best", scores[:count]), ("worst", scores[::-1][:count])]
    return [(index, end, score) for end, found in ends for score, index in found]


def write_excerpts(workdir: Path, results: Mapping, *, count: int) -> list[Listening]:
    """Write the sounds into the report's folder.

    Raises:
        FileNotFoundError: if the checkpoint or the data are not there.
        ValueError: if the network makes no masks, or the results are not those of this config.
    """
    predictor = Predictor.load(workdir, step=results["step"])
    if "mask_inference" not in predictor.model.heads:
        raise ValueError("the network has no mask head, so there is nothing to listen to")
    config = from_json(json.dumps(results.get("config", {})), source="results.json")
    planner, _ = data.test_excerpts(config, results["split"])
    folder = workdir / "report" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    rate, found = predictor.grid.sample_rate_hz, []
    for index, end, score in choose(results, count):
        excerpt = next(planner.excerpts(1, first=index))
        if excerpt.id != results["items"][index]["id"]:
            raise ValueError("results.json scores other excerpts than the config's; evaluate again")
        mixture = excerpt.sources.sum(0)
        estimates, _ = predictor.predict_batch(mixture[None])
        names, stems = f"{index:04d}", {}
        loudest = max(1.0, *(np.abs(x).max() for x in (mixture, excerpt.sources, estimates)))
        for slot, name in enumerate(predictor.instruments):
            pair = ((f"{names}_{name}", estimates[0, slot]), (f"{names}_{name}_true", None))
            stems[name] = tuple(
                _write(
                    folder, file, excerpt.sources[slot] if sound is None else sound, rate, loudest
                )
                for file, sound in pair
            )
        song = _write(folder, f"{names}_mixture", mixture, rate, loudest)
        found.append(Listening(f"{end}: {excerpt.id}", score, song, stems))
    return found


def excerpts_html(listening: list[Listening]) -> str:
    """A card with players for every excerpt; nothing without any."""
    if not listening:
        return ""
    cards = []
    for one in listening:
        players = f"<dt>mixture</dt><dd>{_player(one.mixture)}</dd><dd></dd>"
        players += "<dt></dt><dd>separated</dd><dd>true</dd>"
        for name, files in one.stems.items():
            cells = "".join(f"<dd>{_player(file)}</dd>" for file in files)
            players += f"<dt>{pages.escape(name)}</dt>{cells}"
        cards.append(
            f"<article><h3>{pages.escape(one.title)}</h3>"
            f'<p class="note">{TITLE} {one.score:+.1f} dB</p><dl>{players}</dl></article>'
        )
    return f'<h2>Best and worst excerpts</h2><div class="excerpts">{"".join(cards)}</div>'


def _write(folder, name, samples, rate, loudest):
    write_audio(folder / f"{name}.flac", samples / loudest, sample_rate_hz=rate)
    return f"{FOLDER}/{name}.flac"


def _player(file: str) -> str:
    label = pages.escape(Path(file).stem.replace("_", " "))
    source = pages.escape(file)
    return f'<audio controls preload="metadata" src="{source}" aria-label="{label}"></audio>'
