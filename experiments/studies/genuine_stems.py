"""Real input: genuine Slakh stems are prepared, trained on, separated, transcribed and scored.

    python -m experiments.studies.genuine_stems --root=SLAKH [--workdir=runs/demo]

SLAKH is a raw tree with validation/Track01501 in it and no drum audio, as in the sample data. The
last part looks for clicks: the same song goes through windows that meet elsewhere. What is heard at
a border must then be no rougher than at the same place without one; as a proof that the measure
would find a click, it is also taken of a signal that jumps from one result to the other there.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cerberus_jax.inference import Prediction, Predictor
from cerberus_jax.windows import WindowCutter
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import load_config
from experiments.evaluation.result_table import RESULTS_FILE, read_results
from experiments.evaluation.scoring import Estimate, Reference, score_item
from experiments.evaluation.systems import oracle_sources
from experiments.evaluation.whole_songs import sum_of_stems
from experiments.training import data
from experiments.training.metric_log import read_metrics

TRACK, SPLIT = "Track01501", "validation"
WITHOUT_AUDIO = "drums"
TRAINED = {
    "sets/set1.py": {},
    "sets/set2.py": {},
    "no drums": {"instruments": "piano,guitar,bass,strings"},
}
# Guitar and strings of these songs lie near -33 dB over the whole song, so the default of -30 dB
# leaves as little as a twelfth of the start positions. -45 dB still means "plays in this excerpt".
ACTIVE_RMS_DB = -45.0
OVERRIDES = {
    "batch_size": 2,
    "data.active_rms_db": ACTIVE_RMS_DB,
    "data.num_validation_excerpts": 2,
    "train.log_every": 1,
}
SHOWN_LOSSES = ("loss", "deep_clustering", "mask_inference", "transcription")
SHOWN_SCORES = ("si_sdr", "si_sdr_improvement", "frame_f1", "onset_f1")

# The second grid: 20 s are kept of a window, after 3 s of context; other borders in any case.
OTHER_WINDOWS = {"window_seconds": 26.0, "context_seconds": 3.0}
NEAR_SECONDS = 0.032
# The result itself; that of the other windows, without border there; a jump between the two at each
# border. The first may exceed the second by this much, since the two estimates differ.
KINDS = ("", "_without_border", "_with_jumps")
MAX_RATIO = {"roughness": 1.5, "click": 1.5}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_real_stems, _flags(), argv=argv, with_config=True)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.studies.genuine_stems --root=DIR [--workdir=DIR] [--out=FILE.json]",
        f"Prepare genuine stems, train a few steps on them, and take {TRACK} apart with a trained\n"
        "network. --config.FIELD=VALUE changes the networks that are trained a few steps.",
    )
    flags.path("root", "", f"A raw tree of Slakh's shape with {SPLIT}/{TRACK} in it.")
    flags.path("workdir", "runs/demo", "Directory of the run whose network takes the song apart.")
    flags.string("step", "best", "Its checkpoint: best, last, or the number of a step.")
    flags.integer("steps", 3, "Training steps per list of instruments.", lowest=1)
    flags.path("out", "", "JSON file that gets the printed figures too.")
    return flags


def _real_stems(flags: CommandFlags, overrides: Overrides) -> None:
    if not flags.root:
        raise ValueError("--root is missing: a raw tree of Slakh's shape")
    predictor = Predictor.load(flags.workdir, step=flags.step)
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = prepare("slakh2100", flags.root, out=folder / "prepared", progress=False)
        figures["prepared"] = {"tracks": report.num_tracks, "minutes": report.minutes}
        print(report.text(), flush=True)
        settings = OVERRIDES | {"data.root": str(folder / "prepared")}
        settings |= {"train.num_steps": flags.steps} | dict(overrides)
        figures["training"] = {
            title: _train(title, settings, folder / f"run{number}")
            for number, title in enumerate(TRAINED)
        }
        figures["errors"] = _show_errors(settings)
        reference = whole_song(Catalogue.load(folder / "prepared"), predictor.instruments)
    figures["song"], prediction = _score_song(reference, predictor, Path(flags.workdir))
    figures["borders"] = _show_borders(reference, predictor, prediction)
    if flags.out:
        Path(flags.out).write_text(json.dumps(figures, indent=1) + "\n")


def _train(title: str, settings: dict, workdir: Path) -> dict:
    """A few steps on the first split that has all instruments; every step's losses."""
    from experiments import train

    set_file = title if title.endswith(".py") else "sets/set1.py"
    config = load_config(set_file, settings | TRAINED[title])
    split = next(s for s in ("train", SPLIT) if _starts(config, s) or s == SPLIT)
    at_default = load_config(set_file, settings | TRAINED[title] | {"data.active_rms_db": -30.0})
    counts = {f"{c.data.active_rms_db:g} dB": _starts(c, split) for c in (config, at_default)}
    validation = []
    if split == "train":
        validation = list(data.batches(config, SPLIT, num_steps=1))
    batches = data.batches(config, split, num_steps=config.train.num_steps)
    train.train(config, batches, workdir=workdir, validation_batches=validation, progress=False)
    entries = read_metrics(workdir)
    names = ", ".join(config.instruments)
    print(f"\n{title}: {names}; {config.model.layers} x {config.model.hidden}", end="")
    print(f"; split {split}; usable starts: {counts}")
    for entry in entries:
        losses = [f"{name} {entry[name]:.4f}" for name in SHOWN_LOSSES]
        if "validation_loss" in entry:
            losses.append(f"validation_loss {entry['validation_loss']:.4f}")
        print(f"  step {entry['step']}: {', '.join(losses)}", flush=True)
    losses = [{k: v for k, v in entry.items() if k != "time"} for entry in entries]
    return {"split": split, "usable_starts": counts, "steps": losses}


def _starts(config, split: str) -> int:
    """Start positions at which all instruments play, 0 where the split lacks one."""
    try:
        return len(data.planner(config, split).activity.joint.positions)
    except ValueError:
        return 0


def _show_errors(settings: dict) -> dict[str, str]:
    """What is said about set3, whose drums have no audio in these splits."""
    config, messages = load_config("sets/set3.py", settings), {}
    print()
    for split in ("train", SPLIT):
        try:
            data.planner(config, split)
            messages[split] = ""
        except ValueError as error:
            messages[split] = str(error)
        named = f"no {WITHOUT_AUDIO}" in messages[split] and "Track" in messages[split]
        print(f"{'ok  ' if named else 'MISS'} sets/set3.py: {messages[split] or 'no error'}")
    return messages


def whole_song(catalogue: Catalogue, instruments: tuple[str, ...]) -> Reference:
    """Summed stems and joined notes of the track, per instrument; silence where it has none."""
    t = catalogue.tables
    tracks = np.flatnonzero((t.track_ids == TRACK) & (t.track_splits == SPLIT))
    if not len(tracks):
        raise ValueError(f"--root: {SPLIT}/{TRACK} expected, it is not there")
    track = tracks[0]
    num_samples = int(t.track_num_samples[track])
    sources, notes = np.zeros((len(instruments), num_samples), np.float32), {}
    for slot, name in enumerate(instruments):
        stems = np.flatnonzero((t.stem_tracks == track) & (t.stem_instruments == name)).tolist()
        sources[slot], notes[name], _ = sum_of_stems(catalogue, stems, num_samples)
    return Reference(sources, notes)


def _score_song(
    reference: Reference, predictor: Predictor, workdir: Path
) -> tuple[dict, Prediction]:
    """Scores of the whole song beside those that the run has in its results.json; both printed."""
    instruments, grid = predictor.instruments, predictor.grid
    prediction = predictor.predict(reference.sources.sum(0), grid.sample_rate_hz)
    scored = {"instruments": instruments, "grid": grid}
    estimate = Estimate(prediction.sources[:, 0], prediction.notes)
    scores = score_item(estimate, reference, **scored)
    oracle = Estimate(np.asarray(oracle_sources(reference.sources[None], grid))[0])
    best = score_item(oracle, reference, **scored)
    file, demo = workdir / RESULTS_FILE, None
    if file.is_file():
        demo = read_results(file)["per_instrument"]
    seconds = reference.sources.shape[1] / grid.sample_rate_hz
    print(f"\n{TRACK}, {seconds:.0f} s, whole, by {workdir}; right: its own scores, ", end="")
    print(RESULTS_FILE if demo else f"which it lacks (no {file}; see experiments.evaluate)")
    title = "".join(f"{name.replace('si_sdr_improvement', 'SDRi'):>10}" for name in SHOWN_SCORES)
    print(f"{'':<10}{title}{'oracle':>10}{'false/min':>11}  |{title if demo else ''}")
    for name in instruments:
        cells = "".join(_cell(scores[name][metric]) for metric in SHOWN_SCORES)
        cells += _cell(best[name]["si_sdr_improvement"])
        cells += f"{_cell(scores[name]['false_notes_per_minute']):>11}  |"
        if demo:
            cells += "".join(_cell(demo[name][metric]) for metric in SHOWN_SCORES)
        print(f"{name:<10}{cells}")
    return {"seconds": seconds, "scores": scores, "oracle": best, "demo": demo}, prediction


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.2f'):>10}"


def _show_borders(reference: Reference, predictor: Predictor, prediction: Prediction) -> dict:
    grid = predictor.grid
    moved = replace(predictor, **OTHER_WINDOWS)
    moved_prediction = moved.predict(reference.sources.sum(0), grid.sample_rate_hz)
    borders = borders_of(predictor, prediction)
    measured = click_measures(
        prediction.sources[:, 0],
        moved_prediction.sources[:, 0],
        borders,
        moved_borders=borders_of(moved, moved_prediction),
        near=round(NEAR_SECONDS * grid.sample_rate_hz),
    )
    print(f"\nWindow borders at {', '.join(f'{b / grid.sample_rate_hz:.1f}' for b in borders)} s")
    print("difference: from the result of other windows, dB re the estimate at the same place;")
    print(
        "second differences within 32 ms of borders: the largest / the 99.9th percentile elsewhere,"
    )
    print(
        "and at the border itself / the median around it; then both without border and with a jump"
    )
    titles = ("near", "elsewhere", "largest", "no border", "jump", "at it", "no border", "jump")
    print(f"{'':<10}{''.join(f'{title:>10}' for title in titles)}")
    for name, values in zip(predictor.instruments, measured, strict=True):
        print(f"{name:<10}{''.join(_cell(value) for value in values.values())}")
    for measure, limit in MAX_RATIO.items():
        ratio, jump = (
            max(v[f"{measure}{kind}"] / v[f"{measure}{KINDS[1]}"] for v in measured)
            for kind in (KINDS[0], KINDS[2])
        )
        print(f"{'ok  ' if ratio <= limit else 'MISS'} {measure}, with / without borders: ", end="")
        print(f"{ratio:.2f} (at most {limit}; with jumps {jump:.2f})")
    return dict(zip(predictor.instruments, measured, strict=True))


def borders_of(predictor: Predictor, prediction: Prediction) -> Int[np.ndarray, " k"]:
    """The samples midway between the last frame of a window and the first of the next."""
    cutter = WindowCutter.of(
        predictor.grid,
        window_seconds=predictor.window_seconds,
        context_seconds=predictor.context_seconds,
    )
    first = np.arange(cutter.keep, prediction.rolls.shape[1], cutter.keep)
    return first * predictor.grid.hop - predictor.grid.hop // 2


def click_measures(
    estimates: Float[np.ndarray, "s n"],
    moved_estimates: Float[np.ndarray, "s n"],
    borders: Int[np.ndarray, " k"],
    *,
    moved_borders: Int[np.ndarray, " j"],
    near: int,
) -> list[dict[str, float]]:
    """What happens within `near` samples of `borders`, and elsewhere, for each source; the moved
    estimates have their borders at other places."""
    at = _around(borders, near, estimates.shape[1])
    elsewhere = ~at & ~_around(moved_borders, near, estimates.shape[1])
    window = np.searchsorted(borders, np.arange(estimates.shape[1]), side="right")
    measured = []
    for signal, moved in zip(
        *(a.astype(np.float64) for a in (estimates, moved_estimates)), strict=True
    ):
        values = {}
        for name, places in (("near", at), ("elsewhere", elsewhere)):
            energy = np.sum((signal - moved)[places] ** 2) / np.sum(signal[places] ** 2)
            values[f"difference_{name}_db"] = float(10 * np.log10(energy))
        signals = (signal, moved, np.where(window % 2, moved, signal))
        bends = [np.abs(np.diff(x, 2, prepend=x[0], append=x[-1])) for x in signals]
        usual = np.quantile(bends[0][elsewhere], 0.999)
        for kind, bend in zip(KINDS, bends, strict=True):
            values[f"roughness{kind}"] = float(bend[at].max() / usual)
        for kind, bend in zip(KINDS, bends, strict=True):
            peaks = [
                bend[b - 2 : b + 3].max() / np.median(bend[b - near : b + near]) for b in borders
            ]
            values[f"click{kind}"] = float(max(peaks))
        measured.append(values)
    return measured


def _around(places, near, num_samples):
    distance = np.abs(np.arange(num_samples)[:, None] - places)
    return (distance <= near).any(1)


if __name__ == "__main__":
    sys.exit(main())
