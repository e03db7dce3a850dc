"""Levels and channels that are not ordinary: what they cost, on a run's validation songs.

    python -m experiments.studies.levels --workdir=RUN

Songs out of phase and with an offset are scored as they are; of dither, and of music that is far
too quiet, the notes are counted.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float

from cerberus_jax.inference import Predictor
from data_pipeline.planning.batch import Excerpt
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.markdown import markdown_table
from experiments.evaluation.scoring import Estimate, Reference, score_item, summarise
from experiments.evaluation.whole_songs import whole_songs
from experiments.training import data

OFFSET = 0.3
QUIET_DB = -80.0
MUSIC_SECONDS, DITHER_SECONDS = 6, 34
HEADINGS = ("input", "onset F1", "SI-SDR dB", "of the instrument", "SI-SDR dB")


def out_of_phase(
    sources: Float[np.ndarray, "s n"], slots: Sequence[int]
) -> Float[np.ndarray, "2 n"]:
    """The mixture in stereo, some of its sources inverted on the right."""
    mixture = sources.sum(0)
    return np.stack([mixture, mixture - 2 * sources[list(slots)].sum(0)])


def dithered(music: Float[np.ndarray, " n"], num_after: int) -> Float[np.ndarray, " m"]:
    """Music, then nothing, in 16 bits with triangular dither."""
    rng = np.random.default_rng(0)
    samples = np.concatenate([music, np.zeros(num_after)]) * 32768
    dither = rng.uniform(-0.5, 0.5, (2, len(samples))).sum(0)
    return (np.rint(samples + dither) / 32768).astype(np.float32)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.levels --workdir=DIR",
        "Print scores of songs out of phase and with an offset, and the notes heard in dither and\n"
        "in music far below full scale.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.string("split", "validation", "The split whose songs are heard.")
    flags.string("instrument", "guitar", "The one that is put out of phase.")
    flags.integer("num_songs", 12, "Songs.", lowest=1)
    return run_command(_measure, flags, argv=argv)


def _measure(flags: CommandFlags) -> None:
    config = load_run_config(flags.workdir)
    predictor = Predictor.load(flags.workdir, windows_per_call=2)
    songs = list(islice(whole_songs(*data.song_plan(config, flags.split)), flags.num_songs))
    names = predictor.instruments
    if flags.instrument not in names:
        raise ValueError(f"--instrument={flags.instrument}: one of {', '.join(names)} expected")
    slot = names.index(flags.instrument)
    inputs = {
        "the songs as they are": lambda sources: sources.sum(0),
        f"{flags.instrument} inverted on the right": lambda sources: out_of_phase(sources, [slot]),
        "all inverted on the right": lambda sources: out_of_phase(sources, range(len(names))),
        f"an offset of {OFFSET:g}": lambda sources: sources.sum(0) + np.float32(OFFSET),
    }
    rows = [
        [name, *_scores(songs, make, predictor, flags.instrument)] for name, make in inputs.items()
    ]
    print(markdown_table(HEADINGS, rows))
    rate = predictor.grid.sample_rate_hz
    in_dither, in_quiet = [], []
    for song in songs:
        mixture = song.sources.sum(0)
        music = mixture[: MUSIC_SECONDS * rate]
        after = predictor.predict(dithered(music, DITHER_SECONDS * rate), rate)
        in_dither.append(_count(after, MUSIC_SECONDS + 0.2, np.inf))
        full = mixture / np.abs(mixture).max()
        faded = np.concatenate([full * np.float32(10 ** (QUIET_DB / 20)), full])
        in_quiet.append(_count(predictor.predict(faded, rate), 0, len(full) / rate - 0.5))
    alone = predictor.predict(dithered(np.zeros(0), 40 * rate), rate)
    print(f"\nnotes in {DITHER_SECONDS} s of dither after music: {np.mean(in_dither):.1f}")
    print(f"notes in 40 s of dither alone: {_count(alone, 0, np.inf)}")
    print(f"notes of a song at {QUIET_DB:g} dBFS before it: {np.mean(in_quiet):.1f}")


def _scores(
    songs: list[Excerpt], make: Callable, predictor: Predictor, instrument: str
) -> list[str]:
    names, rate, items = predictor.instruments, predictor.grid.sample_rate_hz, []
    for song in songs:
        found = predictor.predict(make(song.sources), rate)
        estimate = Estimate(found.sources[:, 0], found.notes)
        reference = Reference.of(song, names)
        items.append(score_item(estimate, reference, instruments=names, grid=predictor.grid))
    summary = summarise(items, names)
    scores = (summary["mean"], summary["per_instrument"][instrument])
    return [
        text
        for own in scores
        for text in (_text(own["onset_f1"], ".3f"), _text(own["si_sdr"], ".2f"))
    ]


def _text(score: float | None, form: str) -> str:
    return "" if score is None else f"{score:{form}}"


def _count(prediction, first: float | int, last: float | int) -> int:
    """Notes that begin between two moments."""
    onsets = np.concatenate([notes.onsets for notes in prediction.notes.values()])
    return int(((onsets >= first) & (onsets < last)).sum())


if __name__ == "__main__":
    sys.exit(main())
