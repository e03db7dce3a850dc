"""How much context do windows need, and what is 0 dB in them? Windows against the song at once.

    python -m experiments.studies.context --workdir=RUN

Validation songs are joined into longer ones; each is separated whole and in windows. The default
context is the shortest that loses at most 0.05 dB and 0.002 of onset F1, and whose difference to
the whole song is no more than 3 dB larger near borders than elsewhere.
"""

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cerberus_jax.inference import DB_REFERENCES, Prediction, Predictor
from cerberus_jax.notes import Notes
from data_pipeline.planning.batch import Excerpt
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.markdown import markdown_row, markdown_table
from experiments.evaluation.scoring import Estimate, Reference, score_item, summarise
from experiments.evaluation.whole_songs import whole_songs
from experiments.training import data

CONTEXTS = (0.0, 0.25, 0.5, 1.0, 2.0)
BORDER_SECONDS = 0.05  # to either side of a border between windows
HEADINGS = (
    "context s",
    "0 dB",
    "SI-SDR dB",
    "onset F1",
    "frame F1",
    "difference at borders dB",
    "elsewhere dB",
    "x real time",
)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.context --workdir=DIR",
        "Print SI-SDR and onset F1 of windowed inference over context lengths and references of\n"
        "0 dB, beside those of whole-song inference, and the difference of both at window borders.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.string("split", "validation", "The split whose songs are heard.")
    flags.integer("num_songs", 6, "Joined songs.", lowest=1)
    flags.integer("join", 3, "Songs that make one.", lowest=1)
    flags.number("keep_seconds", 11.5, "What a window keeps; its context comes on top.")
    return run_command(_measure, flags, argv=argv)


def _measure(flags: CommandFlags) -> None:
    config = load_run_config(flags.workdir)
    predictor = replace(Predictor.load(flags.workdir), windows_per_call=2)
    rate, keep = predictor.grid.sample_rate_hz, flags.keep_seconds
    songs = list(
        _joined(
            whole_songs(*data.song_plan(config, flags.split)), flags.join, flags.num_songs, rate
        )
    )
    exact = replace(predictor, exact=True)
    whole = [exact.predict(song.sources.sum(0), rate) for song in songs]
    seconds = sum(song.sources.shape[1] for song in songs) / rate
    print(f"{len(songs)} songs, {seconds:.0f} s; windows keep {keep:g} s\n")
    print(
        markdown_table(
            HEADINGS, [["whole song", "song", *_scores(songs, whole, predictor), "", "", ""]]
        )
    )
    for db_reference, context in itertools.product(DB_REFERENCES, CONTEXTS):
        windows = {"context_seconds": context, "window_seconds": keep + 2 * context}
        windowed = replace(predictor, db_reference=db_reference, **windows)
        windowed.predict(songs[0].sources.sum(0), rate)  # compiles
        began = time.monotonic()
        predictions = [windowed.predict(song.sources.sum(0), rate) for song in songs]
        speed = seconds / (time.monotonic() - began)
        scores = _scores(songs, predictions, predictor)
        near, elsewhere = _differences(predictions, whole, keep, rate)
        figures = [f"{near:.1f}", f"{elsewhere:.1f}", f"{speed:.0f}"]
        print(markdown_row([f"{context:g}", db_reference, *scores, *figures]), flush=True)


def _joined(songs: Iterator[Excerpt], size: int, count: int, rate: int) -> Iterator[Excerpt]:
    """Songs one after the other, `size` at a time, as loud as they are."""
    for _ in range(count):
        group = list(itertools.islice(songs, size))
        if len(group) < size:
            return
        starts = np.cumsum([0, *(song.sources.shape[1] for song in group)])[:-1] / rate
        notes = [
            Notes.joined(
                [
                    Notes(notes.intervals + start, notes.pitches, notes.velocities)
                    for start, notes in zip(starts, of_songs, strict=True)
                ]
            )
            for of_songs in zip(*(song.notes for song in group), strict=True)
        ]
        sources = np.concatenate([song.sources for song in group], axis=1)
        yield Excerpt("+".join(song.id for song in group), sources, tuple(notes))


def _scores(
    songs: list[Excerpt], predictions: list[Prediction], predictor: Predictor
) -> tuple[str, str, str]:
    names = predictor.instruments
    items = [
        score_item(
            Estimate(prediction.sources[:, 0], prediction.notes),
            Reference.of(song, names),
            instruments=names,
            grid=predictor.grid,
        )
        for song, prediction in zip(songs, predictions, strict=True)
    ]
    mean = summarise(items, names)["mean"]
    return f"{mean['si_sdr']:.3f}", f"{mean['onset_f1']:.4f}", f"{mean['frame_f1']:.4f}"


def _differences(
    predictions: list[Prediction], whole: list[Prediction], keep: float, rate: int
) -> tuple[float, float]:
    """Energy of the difference to whole-song inference, in dB of the sources' energy per sample:
    near window borders, and everywhere else."""
    energy, count, total, length = np.zeros(2), np.zeros(2), 0.0, 0
    for windowed, exact in zip(predictions, whole, strict=True):
        moments = np.arange(exact.sources.shape[-1]) / rate
        near = (np.abs((moments + keep / 2) % keep - keep / 2) < BORDER_SECONDS) & (moments > 1)
        squares = np.square(windowed.sources - exact.sources).mean((0, 1))
        energy += squares[near].sum(), squares[~near].sum()
        count += near.sum(), (~near).sum()
        total += np.square(exact.sources).mean((0, 1)).sum()
        length += len(moments)
    return tuple(10 * np.log10(np.maximum(energy / count, 1e-20) / (total / length)))


if __name__ == "__main__":
    sys.exit(main())
