"""What others add in one file and one line: the examples of docs/extending go through preparation,
training, saving, restoring, evaluation and separation without an edit of a module."""

import json

import jax
import jax.numpy as jnp
import mido
import numpy as np
import pytest
import soundfile

from cerberus_jax.heads import HEADS, PAPER_HEADS
from cerberus_jax.heads.base import linear, strided
from cerberus_jax.inference import Predictor
from cerberus_jax.joint_loss import head_losses
from cerberus_jax.masks import MASK_KINDS
from cerberus_jax.steps import batch_targets
from cerberus_jax.trunks import TRUNKS
from data_pipeline.corpora.registry import CORPORA
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.prepare import prepare
from experiments.config.loading import load_config, load_run_config, save_config
from experiments.evaluate import evaluate
from experiments.separate import separate
from experiments.songs.files import SongOptions
from experiments.train import train
from experiments.training import data
from experiments.training.task import task_of
from tests.extensions import INSTRUMENTS as SLOTS
from tests.extensions import import_examples, make_raw_tree
from tests.tiny_run import tiny_config

FIELDS = {
    "instruments": SLOTS,
    "data.coherent_probability": 0.0,
    "model.trunk": "pitchwise",
    "model.pitchwise.channels": 3,
    "model.offsets.gain": 0.5,
    "model.mask_activation": "bounded",
    "loss.mask_inference_target": "spectrum",
    "loss.offsets": 0.4,
    "loss.offsets_stride": 2,
    "loss.offsets_power": 2.0,
    "train.num_steps": 3,
}


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory):
    """The examples of the pages, registered by the line that each page names."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))  # the processes that prepare
        examples = import_examples(folder)
        patch.setitem(TRUNKS, "pitchwise", examples["trunk"].Pitchwise)
        patch.setitem(HEADS, "offsets", examples["head"].Offsets)
        patch.setitem(MASK_KINDS, "bounded", examples["mask"].BOUNDED)
        patch.setitem(INSTRUMENTS, "theremin", examples["instrument"].THEREMIN)
        patch.setitem(CORPORA, "plain_folders", examples["corpus"].PLAIN_FOLDERS)
        yield


@pytest.fixture(scope="module")
def prepared(registered, tmp_path_factory):
    """The example's corpus, prepared by the real command's function; its folder and report."""
    folder = tmp_path_factory.mktemp("corpus")
    raw = make_raw_tree(folder / "raw")
    report = prepare("plain_folders", raw, out=folder / "prepared", num_workers=2, progress=False)
    return folder / "prepared", report


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """A run of three steps: its directory and config."""
    workdir = tmp_path_factory.mktemp("seams") / "run"
    config = tiny_config(prepared[0], **FIELDS)
    save_config(config, workdir)
    train(
        config,
        data.batches(config, "train", num_steps=3),
        workdir=workdir,
        validation_batches=data.validation_batches(config),
        progress=False,
    )
    return workdir, config


def test_the_corpus_is_prepared(prepared):
    _, report = prepared
    assert report.num_tracks == {"test": 2, "train": 2, "validation": 2}
    assert [row[1:] for row in report.skipped] == [["kazoo", "not the name of a class"]] * 6
    (prepared[0].parent / "empty").mkdir()
    with pytest.raises(ValueError, match="no song found"):
        prepare("plain_folders", prepared[0].parent / "empty", out=prepared[0])


def test_the_config_has_the_fields_of_all_that_is_registered(run):
    workdir, config = run
    assert load_run_config(workdir) == config
    assert config.model.pitchwise.channels == 3 and config.loss.offsets_power == 2.0
    for fields, message in (
        ({"model.trunk": "none"}, "model.trunk must be one of .*'pitchwise'"),
        ({"model.trunk": "blstm"}, "offsets reads pitch_features, and the trunk blstm gives"),
        ({"loss.offsets_stride": 0}, "loss.offsets_stride must be at least 1"),
        ({"loss.mask_inference_target": "magnitude"}, "must be one of spectrum for bounded"),
    ):
        with pytest.raises(ValueError, match=message):
            load_config("sets/set1.py", FIELDS | fields)


def test_the_log_has_the_losses_of_all_heads(run):
    last = json.loads((run[0] / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 3
    for name in (*PAPER_HEADS, "offsets"):
        assert np.isfinite(last[name]) and np.isfinite(last[f"validation_{name}"])


def test_a_restored_network_is_the_trained_one(run):
    predictor = Predictor.load(run[0], step="last")
    assert predictor.model.trunk_name == "pitchwise" and "offset_head" in predictor.params
    assert predictor.model.head_objects()["offsets"].gain == 0.5
    magnitude = jnp.ones((2, 5, predictor.grid.num_bins))
    output = predictor.model.apply({"params": predictor.params}, magnitude, train=False)
    assert output.offsets.shape == (2, 2, 5, 88)
    assert jnp.iscomplexobj(output.mask) and output.mask.shape == (2, 2, 5, predictor.grid.num_bins)


def test_the_joint_loss_equals_the_composition(run):
    """Value and gradient of a head that is not linear and of complex masks, in float64."""
    _, config = run
    with jax.enable_x64(True):
        task = task_of(config)
        batch = next(iter(data.batches(config, "train", num_steps=1)))
        targets = jax.tree.map(
            lambda a: (
                a.astype(jnp.promote_types(a.dtype, jnp.float64))
                if jnp.issubdtype(a.dtype, jnp.inexact)
                else a
            ),
            batch_targets(task, batch),
        )
        magnitude = targets["mixture_magnitude"]
        params = task.model.init(jax.random.key(0), magnitude, train=False)["params"]
        params = jax.tree.map(lambda a: a.astype(jnp.float64), params)
        features = task.model.apply({"params": params}, magnitude, train=False, method="features")
        weights = {name: jnp.float64(config.loss[name]) for name in task.heads}
        heads = {name: params[head.submodule] for name, head in task.heads.items()}

        def joint(features, heads):
            by_submodule = {HEADS[name].submodule: value for name, value in heads.items()}
            settings = {"microbatch_size": 1, "heads": task.heads, "first_frame": 3}
            return head_losses(features, by_submodule, targets, weights, **settings)[0].mean()

        def composed(features, heads):
            total = 0
            for name, head in task.heads.items():
                read = {key: strided(features[key], head.stride, 3, 1) for key in head.reads}
                if head.is_linear:
                    raw = linear(heads[name], read["features"])
                else:
                    raw = head.module().apply({"params": heads[name]}, read)
                total += weights[name] * head.loss(raw, targets, 3)
            return total.mean()

        ours = jax.jit(jax.value_and_grad(joint, (0, 1)))(features, heads)
        theirs = jax.jit(jax.value_and_grad(composed, (0, 1)))(features, heads)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), ours, theirs
        )


def test_evaluation_scores_the_new_instrument(run):
    results = evaluate(run[0], step="last")
    scores = results["per_instrument"]["theremin"]
    assert np.isfinite(scores["si_sdr"]) and scores["onset_f1"] is not None
    assert scores["onset_offset_f1"] is None  # it has no offsets


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_song_is_separated_by_complex_masks_at_any_rate(run, tmp_path, rate):
    rng = np.random.default_rng(0)
    song = tmp_path / "song.wav"
    samples = rng.uniform(-0.2, 0.2, (rate, 2))
    soundfile.write(song, samples, rate, subtype="PCM_16")
    predictor = Predictor.load(run[0], step="last")
    (folder,) = separate([song], predictor=predictor, out=tmp_path, options=SongOptions(other=True))
    stems = [soundfile.read(folder / f"{name}.wav", dtype="int16")[0].astype(int)
             for name in ("theremin", "drums", "other")]  # fmt: skip
    mixture = soundfile.read(song, dtype="int16")[0]
    np.testing.assert_array_equal(sum(stems), mixture)
    assert np.abs(stems[0]).mean() > 1
    tracks = mido.MidiFile(folder / "transcription.mid").tracks
    programs = [message.program for track in tracks for message in track
                if message.type == "program_change" and message.channel != 9]  # fmt: skip
    assert programs == [80]
    assert "#112233" in (folder / "index.html").read_text()
