"""What no network can pass: the notes that come back out of the reference rolls themselves.

    python -m experiments.studies.ceiling --data=PREPARED --split=test --count=100

A roll has frames of 16 ms and cannot tell a held key from one struck again at once, so even a
perfect roll does not score 1. Prints the mean F1 of decoded reference rolls per instrument and hop,
and how well audio and labels are aligned in these excerpts: the energy in frames with a note
against that in frames without, and the share of the energy at the pitch classes of the notes.
"""

import json
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.decoding import decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.planning.batch import Excerpt, PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.planning.rolls import draw_roll, note_frames
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.command_line import CommandFlags, run_command
from experiments.evaluation.markdown import markdown_table
from experiments.evaluation.note_scores import activity, score_notes

HOPS = (256, 512)
SCORES = ("frame_f1", "onset_f1", "onset_offset_f1")
CHROMA_WINDOW = 8192  # samples; a semitone at 33 Hz is 2 Hz wide


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_ceiling, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.studies.ceiling --data=DIR [--split=test] [--count=100]",
        "Decode the reference rolls of every instrument that the split has, excerpt by excerpt,\n"
        "and score them; and measure how well its audio and labels are aligned.",
    )
    flags.path("data", "", "Prepared directory.")
    flags.string("split", "test", "Split.")
    flags.integer("count", 100, "Excerpts of each instrument.", lowest=1)
    flags.number("seconds", 10.0, "Length of an excerpt.")
    flags.path("out", "", "JSON file that gets the figures too.")
    return flags


def _ceiling(flags: CommandFlags) -> None:
    if not flags.data:
        raise ValueError("--data is missing: a directory made by data_pipeline.prepare")
    figures = measure(Catalogue.load(flags.data), flags.split, flags.count, flags.seconds)
    if not figures:
        raise ValueError(f"--split={flags.split}: no instrument of {flags.data} has excerpts there")
    print(table(figures))
    if flags.out:
        Path(flags.out).write_text(json.dumps(figures, indent=1))


def measure(catalogue: Catalogue, split: str, count: int, seconds: float) -> dict:
    """{instrument: {hop: scores, 'alignment': figures}} of the first `count` excerpts of each."""
    figures, present = {}, set(catalogue.tables.stem_instruments.tolist())
    grid = FrameGrid(sample_rate_hz=catalogue.tables.sample_rate_hz)
    num_samples = round(seconds * grid.sample_rate_hz)
    for name in INSTRUMENTS:
        if name not in present or not INSTRUMENTS[name].is_transcribed:
            continue
        of_split = {"split": split, "gain_db": 0, "fixed": True}
        try:
            planner = Planner(catalogue, PlanConfig((name,), grid, num_samples, 1, **of_split))
        except ValueError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        excerpts = [item for item in read_excerpts(planner, count) if len(item.notes[0])]
        figures[name] = {"items": len(excerpts), "alignment": _alignment(excerpts, grid)}
        for hop in HOPS:
            own = FrameGrid(sample_rate_hz=grid.sample_rate_hz, window=grid.window, hop=hop)
            scores = [roll_scores(item.notes[0], own, num_samples, name) for item in excerpts]
            of_hop = figures[name][hop] = {}
            for metric in SCORES:
                values = [score[metric] for score in scores if score[metric] is not None]
                of_hop |= {metric: float(np.mean(values))} if values else {}
    return figures


def roll_scores(notes: Notes, grid: FrameGrid, num_samples: int, instrument: str) -> dict:
    """Scores of the notes that come back out of the roll of `notes`, an excerpt's."""
    frames = [*note_frames(np.maximum(notes.onsets, 0), notes.offsets, grid), notes.pitches]
    roll = draw_roll(np.stack(frames, 1), grid.num_frames(num_samples))
    return score_notes(
        decode(roll.astype(np.float32), grid),
        notes,
        grid=grid,
        num_samples=num_samples,
        with_offsets=INSTRUMENTS[instrument].has_offsets,
    )


def _alignment(excerpts: list[Excerpt], grid: FrameGrid) -> dict:
    """Median over the excerpts; None where no excerpt tells."""
    ratios = [energy_ratio_db(item.sources[0], item.cut_notes[0], grid) for item in excerpts]
    shares = [chroma_share(item.sources[0], item.cut_notes[0], grid) for item in excerpts]
    return {
        name: float(np.nanmedian(values)) if not np.isnan(values).all() else None
        for name, values in (("energy_ratio_db", ratios), ("chroma_share", shares))
    }


def energy_ratio_db(source: Float[np.ndarray, " n"], notes: Notes, grid: FrameGrid) -> float:
    """Mean energy of frames with a note over that of frames without; NaN if there are none."""
    active = activity(notes, grid, grid.num_frames(len(source))).any(1)
    frames = source[: len(source) // grid.hop * grid.hop].reshape(-1, grid.hop)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    active = active[: len(power)]
    if active.all() or not active.any():
        return float("nan")
    return float(10 * np.log10((power[active].mean() + 1e-12) / (power[~active].mean() + 1e-12)))


def chroma_share(source: Float[np.ndarray, " n"], notes: Notes, grid: FrameGrid) -> float:
    """Share of the energy, from 27.5 Hz to 5 kHz, at the pitch classes that sound.

    By chance it would be the number of sounding classes over twelve; harmonics of a note fall on
    other classes too, so 1 is not to be expected.
    """
    hertz = np.fft.rfftfreq(CHROMA_WINDOW, 1 / grid.sample_rate_hz)
    heard = (hertz > 27.5) & (hertz < 5000)
    classes = np.rint(69 + 12 * np.log2(hertz[heard] / 440)).astype(int) % 12
    window = np.hanning(CHROMA_WINDOW)
    sounding, total = 0.0, 0.0
    for start in range(0, len(source) - CHROMA_WINDOW + 1, CHROMA_WINDOW // 2):
        piece = source[start : start + CHROMA_WINDOW] * window
        energy = np.abs(np.fft.rfft(piece))[heard] ** 2
        begin, end = start / grid.sample_rate_hz, (start + CHROMA_WINDOW) / grid.sample_rate_hz
        sounding_classes = np.unique(notes.window(begin, end).pitches % 12)
        sounding += energy[np.isin(classes, sounding_classes)].sum()
        total += energy.sum()
    return sounding / total if total else float("nan")


def table(figures: dict) -> str:
    """The figures as a Markdown table."""
    scores = [f"{metric.replace('_', ' ')}, hop {hop}" for hop in HOPS for metric in SCORES]
    rows = []
    for name, row in figures.items():
        cells = [_text(row[hop].get(metric), ".3f") for hop in HOPS for metric in SCORES]
        energy = _text(row["alignment"]["energy_ratio_db"], "+.1f")
        share = "" if name == "drums" else _text(row["alignment"]["chroma_share"], ".2f")
        rows.append([name, row["items"], *cells, f"{energy} dB", share])
    headings = ["instrument", "excerpts", *scores, "energy with/without notes", "chroma"]
    return markdown_table(headings, rows)


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    sys.exit(main())
