"""Scores beside the losses of a validation, and what the best checkpoint goes by."""

import dataclasses

import jax
import numpy as np
import pytest

from cerberus_jax import checkpoint
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from cerberus_jax.steps import Rolls
from data_pipeline.reading.excerpts import read_excerpts
from experiments import run, train
from experiments.config.loading import load_config
from experiments.evaluation.note_scores import activity
from experiments.evaluation.scoring import Estimate, Reference, score_item, summarise
from experiments.training import data, validation_scores
from experiments.training.metric_log import read_metrics
from experiments.training.steppers import InTurn, Stacked
from experiments.training.validation_scores import ValidationScores
from tests import tiny_run
from tests.tiny_network import half_full_network, noise_batch
from tests.tiny_training import batches, last_state, tiny_config, without_time

ALL = {"si_sdr_improvement", "onset_f1"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny_run.prepare_data(tmp_path_factory.mktemp("prepared"))


def predictor_of(root, **fields):
    config = tiny_run.tiny_config(root, **fields)
    return config, Predictor.untrained(train.model_of(config), seed=3)


def parts(predictor):
    return predictor.model, predictor.params, predictor.decoding


@pytest.mark.parametrize("count", [3, 9])
def test_they_are_those_of_evaluation(root, count):
    """Nine excerpts are more than the network takes at once. Rounding may move a note."""
    config, predictor = predictor_of(root, **{"train.scored_excerpts": count})
    sure = dict.fromkeys(predictor.instruments, DecodingConfig(threshold=0.8))
    predictor = dataclasses.replace(half_full_network(predictor, contrast=20.0), decoding=sure)
    found = ValidationScores.of([config])(*parts(predictor))
    items = []
    for excerpt in read_excerpts(data.tuning_planner(config), count):
        sources, rolls = predictor.predict_batch(excerpt.sources.sum(0)[None])
        items.append(
            score_item(
                Estimate(sources[0], predictor.decode(rolls.frames[0])),
                Reference.of(excerpt, predictor.instruments),
                instruments=predictor.instruments,
                grid=predictor.grid,
            )
        )
    expected = summarise(items, predictor.instruments)["mean"]
    assert set(found) == ALL and expected["onset_f1"] > 0
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-4)


def test_an_instrument_that_is_silent_takes_no_part(root, monkeypatch):
    config, predictor = predictor_of(root)
    excerpts = list(read_excerpts(data.tuning_planner(config), 2))
    silent = [
        dataclasses.replace(
            excerpt,
            sources=excerpt.sources * np.float32([[1], [0]]),
            notes=(excerpt.notes[0], excerpt.notes[1].select(np.zeros(0, int))),
        )
        for excerpt in excerpts
    ]
    scored = ValidationScores(data.tuning_planner(config), count=2)
    monkeypatch.setattr(validation_scores, "read_excerpts", lambda *_: iter(silent))
    sources, _ = predictor.predict_batch(np.stack([excerpt.sources.sum(0) for excerpt in silent]))
    reference = np.stack([excerpt.sources[0] for excerpt in silent]).astype(float)
    expected = np.mean([_si_sdr(*pair) for pair in zip(sources[:, 0], reference, strict=True)])
    # The piano alone is its mixture, whose ratio is bounded by 100 dB.
    assert scored(*parts(predictor))["si_sdr_improvement"] == pytest.approx(
        expected - 100, abs=1e-3
    )
    nothing = [
        dataclasses.replace(e, sources=0 * e.sources, notes=(e.notes[1],) * 2) for e in silent
    ]
    monkeypatch.setattr(validation_scores, "read_excerpts", lambda *_: iter(nothing))
    assert ValidationScores(scored.planner, count=2)(*parts(predictor)) == {}


def test_an_instrument_of_which_no_note_counts_takes_no_part(root, monkeypatch):
    """All its notes have begun before the excerpt, so none can be found."""
    config, predictor = predictor_of(root)
    planner = data.tuning_planner(config)
    (excerpt,) = read_excerpts(planner, 1)
    held = Notes(np.array([[-1.0, 0.5]]), np.array([60]), np.array([90]))
    changed = dataclasses.replace(excerpt, notes=(excerpt.notes[0], held))
    num_frames = predictor.grid.num_frames(planner.config.num_samples)
    true = [activity(notes, predictor.grid, num_frames) for notes in changed.notes]
    heard = [changed], None, Rolls(0.9 * np.float32([true]))
    monkeypatch.setattr(validation_scores, "predicted", lambda *_: [heard])
    assert ValidationScores(planner, count=1)(*parts(predictor)) == {"onset_f1": 1.0}


def _si_sdr(estimate, reference):
    target = reference * (estimate @ reference) / (reference @ reference)
    return 10 * np.log10((target**2).sum() / ((estimate - target) ** 2).sum())


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        ("loss.mask_inference", {"onset_f1"}),
        ("loss.transcription", {"si_sdr_improvement"}),
        ("train.scored_excerpts", set()),
    ],
)
def test_a_network_has_those_of_its_heads(root, off, expected):
    config, predictor = predictor_of(root, **{off: 0})
    scored = ValidationScores.of([config])
    assert set(scored(*parts(predictor)) if scored else ()) == expected


def test_clustering_alone_has_none(root):
    config, _ = predictor_of(root, **{"loss.mask_inference": 0, "loss.transcription": 0})
    assert ValidationScores.of([config]) is None


def test_a_run_logs_them_at_every_validation(root, tmp_path):
    begun = tiny_run.write_run(tmp_path / "begun", tiny_run.tiny_config(root), with_notes=True)
    fields = {"train.num_steps": 4, "train.eval_every": 2, "train.log_every": 1}
    fields |= {"train.init_from": str(begun), "decoding.threshold": 0.75}
    fields["optimizer.learning_rate"] = 1e-5  # it keeps the notes that it begins with
    config = tiny_run.tiny_config(root, **fields, **{"train.scored_excerpts": 3})
    run.train_run(config, tmp_path / "run")
    entries = read_metrics(tmp_path / "run")
    names = {f"validation_{name}" for name in ALL}
    assert [names <= set(entry) for entry in entries] == [False, True, False, True]
    untuned = dict.fromkeys(config.instruments, DecodingConfig(threshold=0.75))
    last = Predictor.load(tmp_path / "run", step="last")
    predictor = dataclasses.replace(last, decoding=untuned)
    assert entries[-1]["validation_onset_f1"] > 0
    for name, value in ValidationScores.of([config])(*parts(predictor)).items():
        assert entries[-1][f"validation_{name}"] == pytest.approx(value, abs=1e-9)


def training(workdir, values, *, steps=12, **changes):
    """A run whose network is worth the next of the values at each of its validations."""
    config = tiny_config(train__num_steps=steps, **changes)
    scores = iter(values)
    train.train(
        config,
        batches(train.start_step(workdir)),
        workdir=workdir,
        validation_batches=[noise_batch(4, seed=1000)],
        scored=lambda *_: next(scores),
        progress=False,
    )
    return workdir


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_best_network_is_that_with_the_largest_score(tmp_path, name):
    values = [{name: score} for score in (0.1, 0.5, -0.2, 0.4)]
    training(tmp_path, values, train__best_by=f"validation_{name}")
    assert checkpoint.saved_steps(tmp_path) == {"last": 12, "best": 6}
    logged = [entry[f"validation_{name}"] for entry in read_metrics(tmp_path)[2::3]]
    assert logged == [0.1, 0.5, -0.2, 0.4]


def test_the_plateau_goes_by_the_same_score(tmp_path):
    values = [{"onset_f1": score} for score in (0.5, 0.4, 0.3, 0.6)]
    changes = {"optimizer__plateau_patience": 1, "train__best_by": "validation_onset_f1"}
    training(tmp_path, values, **changes)
    rates = [entry["learning_rate"] for entry in read_metrics(tmp_path)]
    assert rates == pytest.approx([1e-3] * 9 + [5e-4] * 3)


def test_a_run_that_stopped_remembers_its_best_score(tmp_path):
    values = [{"onset_f1": score, "si_sdr_improvement": -score} for score in (0.1, 0.5, 0.2, 0.4)]
    changes = {"train__best_by": "validation_onset_f1", "train__checkpoint_every": 3}
    through = training(tmp_path / "through", values, **changes)
    stopped = training(tmp_path / "stopped", values[:2], steps=6, **changes)
    training(stopped, values[2:], **changes)
    assert checkpoint.saved_steps(stopped) == {"last": 12, "best": 6}
    assert without_time(read_metrics(stopped)) == without_time(read_metrics(through))
    jax.tree.map(np.testing.assert_array_equal, last_state(stopped), last_state(through))


def test_a_score_that_nothing_has_ends_the_run(tmp_path):
    with pytest.raises(
        ValueError, match=r"best_by: validation_onset_f1 .* at step 3, .* none of the"
    ):
        training(tmp_path, [{}], train__best_by="validation_onset_f1")


def test_a_score_that_nobody_takes_is_refused_at_once(tmp_path):
    config = tiny_config(train__num_steps=3, train__best_by="validation_onset_f1")
    with pytest.raises(ValueError, match="needs validation batches and scores, got 1 batches"):
        train.train(config, batches(), workdir=tmp_path, validation_batches=[noise_batch(4)])
    with pytest.raises(ValueError, match="needs validation batches and scores, got 0 batches"):
        train.train(config, batches(), workdir=tmp_path, scored=lambda *_: {"onset_f1": 1.0})


def test_of_equal_scores_the_first_stays_the_best(tmp_path):
    """.7 is no number of the precision in which the state remembers it."""
    values = [{"onset_f1": 0.7}] * 4
    training(tmp_path, values, train__best_by="validation_onset_f1")
    assert checkpoint.saved_steps(tmp_path)["best"] == 3


def total(model, params, decoding):
    """A score that tells networks apart."""
    sums = [float(np.abs(array).sum()) for array in jax.tree.leaves(params)]
    return {"onset_f1": 1 / sum(sums)}


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_network_that_is_scored_is_that_which_is_saved(tmp_path, parallel, decay):
    config = tiny_config(train__num_steps=3, optimizer__average_decay=decay, parallel=parallel)
    train.train(
        config,
        batches(),
        workdir=tmp_path,
        validation_batches=[noise_batch(4, seed=1000)],
        scored=total,
        progress=False,
    )
    expected = total(*parts(Predictor.load(tmp_path, step="last")))["onset_f1"]
    logged = read_metrics(tmp_path)[-1]["validation_onset_f1"]
    assert logged == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("stepper", [InTurn, Stacked])
def test_so_it_is_for_each_point_of_a_sweep(tmp_path, stepper):
    configs = {
        tmp_path / str(seed): tiny_config(
            train__num_steps=3, optimizer__average_decay=0.9, seed=seed, loss__onsets=0.5 * seed
        )
        for seed in range(2)
    }
    train.train_together(
        configs,
        batches,
        stepper=stepper,
        set_apart=lambda run, error: pytest.fail(str(error)),
        validation_batches=[noise_batch(4, seed=1000)],
        scored=total,
        progress=False,
    )
    for workdir in configs:
        expected = total(*parts(Predictor.load(workdir, step="last")))["onset_f1"]
        logged = read_metrics(workdir)[-1]["validation_onset_f1"]
        assert logged == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train.best_by": "loss"}, "train.best_by must be one of 'validation_loss'"),
        (
            {"train.best_by": "validation_onset_f1", "loss.transcription": 0},
            "train.best_by='validation_onset_f1' needs loss.transcription above 0",
        ),
        (
            {"train.best_by": "validation_si_sdr_improvement", "loss.mask_inference": 0},
            "train.best_by='validation_si_sdr_improvement' needs loss.mask_inference above 0",
        ),
        (
            {"train.best_by": "validation_onset_f1", "train.scored_excerpts": 0},
            "train.best_by='validation_onset_f1' needs train.scored_excerpts above 0",
        ),
    ],
)
def test_what_cannot_be_the_best_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        load_config("sets/set1.py", fields)
