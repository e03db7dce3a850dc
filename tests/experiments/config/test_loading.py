"""Configs: the sets as delivered, overrides, every refusal, JSON, earlier versions."""

import itertools
import json

import pytest
from ml_collections import ConfigDict

from cerberus_jax import losses, lstm, model, parallel, products, targets, train_state
from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads import HEADS
from cerberus_jax.heads.deep_clustering import EMBEDDING_ACTIVATIONS
from cerberus_jax.masks import MASK_KINDS
from cerberus_jax.trunks import TRUNKS
from experiments.config import loading as configs
from experiments.config.resume import check_resume
from experiments.config.rules import _RULES, registry_rules
from experiments.sets import base

SETS = configs.known_files("sets")


@pytest.mark.parametrize("path", SETS)
def test_every_set_is_valid_and_survives_json(path):
    config = configs.load_config(path)
    assert configs.flatten(configs.from_json(configs.to_json(config))) == configs.flatten(config)
    assert config.is_locked


def test_the_paper_sets_differ_in_instruments_only():
    default = configs.flatten(base.get_config())
    sizes = []
    for number in range(1, 5):
        values = configs.flatten(configs.load_config(f"sets/set{number}.py"))
        differing = {field for field in default if values[field] != default[field]}
        assert differing <= {"instruments"}
        sizes.append(values["instruments"])
    assert [len(instruments) for instruments in sizes] == [2, 3, 4, 5]
    assert all(longer[:-1] == shorter for shorter, longer in itertools.pairwise(sizes))


def test_every_field_but_names_and_paths_has_a_rule():
    free = {"instruments", "data.root", "data.corpora", "evaluation.excerpts"}
    free |= {"data.minislakh_soundfonts", "data.minislakh_midi_dir"}
    free |= {"train.init_from", "train.wandb"}
    assert set(configs.flatten(base.get_config())) == set(_RULES) | set(registry_rules()) | free


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("loss.transcription", "0.7", 0.7),
        ("loss.transcription", "1", 1.0),
        ("train.num_steps", "5", 5),
        ("train.num_steps", 5.0, 5),
        ("excerpt_seconds", 3, 3.0),
        ("data.root", "/some/where", "/some/where"),
        ("instruments", "piano,bass", ("piano", "bass")),
        ("instruments", "('piano', 'bass')", ("piano", "bass")),
        ("instruments", ["drums", "bass"], ("drums", "bass")),
        ("data.corpora", "", ()),
        ("data.corpora", ",maps", ("", "maps")),
    ],
)
def test_overrides_take_the_type_of_the_field(field, text, expected):
    value = configs.flatten(configs.load_config("sets/set1.py", {field: text}))[field]
    assert value == expected
    assert type(value) is type(expected)


def test_the_last_override_wins():
    config = configs.load_config("sets/set1.py", [("seed", "1"), ("seed", "2")])
    assert config.seed == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loss.transcripton", "1", "no field 'loss.transcripton'; did you mean 'loss.transcrip"),
        ("hop", "1", "did you mean 'audio.hop'"),
        ("qqq", "1", "no field 'qqq'; known: audio, batch_size"),
        ("loss", "1", "'loss' is a group; set one of loss.deep_clustering"),
        ("loss.transcription", "nan", "loss.transcription must be a finite number, got nan"),
        ("loss.transcription", "inf", "loss.transcription must be a finite number, got inf"),
        ("loss.mask_inference", -0.1, "loss.mask_inference must be at least 0, got -0.1"),
        ("batch_size", "many", "batch_size must be a whole number, got 'many'"),
        ("batch_size", 4.5, "batch_size must be a whole number, got 4.5"),
        ("batch_size", float("nan"), "batch_size must be a whole number, got nan"),
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("seed", True, "seed must be a whole number, got True"),
        ("data.root", 3, "data.root must be text, got 3"),
        ("model.dropout", 1.0, "model.dropout must be at least 0 and below 1, got 1.0"),
        ("model.precision", "float16", "model.precision must be one of 'float32', 'bfloat16'"),
        ("audio.hop", 300, "audio.window and audio.hop do not fit"),
        ("excerpt_seconds", 0.01, "excerpt_seconds must cover at least one window"),
        ("excerpt_seconds", 600.0, "at most 32767 frames"),
        ("loss.deep_clustering_stride", 402, "at most the 401 frames of an excerpt, got 402"),
        ("instruments", "piano,gitar", "instruments must be some of piano, .*got 'gitar'"),
        ("instruments", "", "instruments must be some of .* got none"),
        ("instruments", "lute,lyre", "instruments must be some of .* got 'lute' and 1 more"),
        ("instruments", "piano,piano", "instruments must each be named once"),
        ("instruments", 3, "instruments must be names separated by commas, got 3"),
        ("data.minislakh_sounds", "broad", "must be one of 'narrow', 'wide', got 'broad'"),
        ("data.minislakh_rest", 1.5, "data.minislakh_rest must be between 0 and 1"),
        ("data.minislakh_midi_share", 0.2, "minislakh_midi_dir .* need each other, got '' and 0.2"),
        ("data.minislakh_midi_dir", "songs", "minislakh_midi_dir .* need each other"),
        ("data.corpora", "maps", "data.corpora must name one corpus per instrument"),
    ],
)
def test_bad_values_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        configs.load_config("sets/set1.py", {field: value})


def test_what_wide_songs_alone_have_is_refused_for_narrow_ones():
    with pytest.raises(ValueError, match=r"minislakh_rest=0.5 needs data.minislakh_sounds='wide'"):
        configs.load_config("sets/demo.py", {"data.minislakh_rest": 0.5})


def test_a_config_from_before_there_were_wide_songs_keeps_the_narrow_ones():
    saved = json.loads(configs.to_json(configs.load_config("sets/set4.py")))
    assert saved["data"].pop("minislakh_sounds") == "wide"
    assert configs.from_json(json.dumps(saved)).data.minislakh_sounds == "narrow"
    assert {
        path for path in SETS if configs.load_config(path).data.minislakh_sounds == "narrow"
    } == {"sets/demo.py", "sets/cerberus_demo.py"}


def test_all_weights_zero_is_refused():
    with pytest.raises(ValueError, match=r"at least one of loss.deep_clustering"):
        configs.load_config("sets/set1.py", {f"loss.{name}": 0 for name in HEADS})


def test_the_config_is_locked():
    config = configs.load_config("sets/set1.py")
    with pytest.raises(AttributeError):
        config.loss.new_field = 1


def test_sets_are_found_from_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.load_config("sets/set2.py").instruments[-1] == "bass"
    own = "from experiments.sets import set3\n\ndef get_config():\n    return set3.get_config()\n"
    (tmp_path / "own.py").write_text(own)
    assert configs.load_config("own.py").instruments[-1] == "drums"


def test_an_unknown_set_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match=r"did you mean 'sets/set1.py'.*sets/demo.py"):
        configs.load_config("sets/st1.py")


@pytest.mark.parametrize(
    ("folder", "name", "meant"),
    [
        ("sets", "set4", "sets/set4.py"),
        ("sets", "set4.py", "sets/set4.py"),
        ("sets", "sets/set4", "sets/set4.py"),
        ("sets", "experiments/sets/demo", "sets/demo.py"),
    ],
)
def test_a_file_named_in_short_is_recognised(folder, name, meant):
    with pytest.raises(FileNotFoundError, match=f"did you mean '{meant}'"):
        configs.find_file(name, folder=folder)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.txt", "", "is not a Python file"),
        ("own.py", "def get_config(:", r"own.py: get_config\(\) failed: SyntaxError"),
        ("own.py", "x = 1", r"own.py: get_config\(\) failed: AttributeError"),
        (
            "own.py",
            "from experiments.sets import base\n"
            "def get_config():\n    c = base.get_config()\n    c.los = 1\n    return c",
            "set .*own.py: no field 'los'",
        ),
        ("own.py", "def get_config():\n    return {}", "must return a ConfigDict, got dict"),
    ],
)
def test_unusable_set_files_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        configs.load_config(tmp_path / name)


def test_heads_are_those_with_a_positive_weight():
    config = configs.load_config("sets/set1.py", {"loss.mask_inference": 0})
    assert configs.heads_of(config) == ("deep_clustering", "transcription")


def test_derived_sizes():
    config = configs.load_config("sets/set1.py")
    assert configs.grid_of(config) == FrameGrid()
    assert configs.num_samples_of(config) == 102_400


def test_a_field_that_an_older_version_lacks_has_its_default(tmp_path):
    config = configs.load_config("sets/set1.py")
    values = json.loads(configs.to_json(config))
    del values["model"]["hidden"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    check_resume(config, tmp_path)
    assert configs.load_run_config(tmp_path) == config
    other = configs.load_config("sets/set1.py", {"model.hidden": 8})
    with pytest.raises(ValueError, match=r"model.hidden: 300 there, 8 now"):
        check_resume(other, tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", '{"seed": 0'])
def test_a_broken_config_file_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json: not a config as JSON"):
        configs.load_run_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"seed": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "RecursionError"),
        (b'{"__class__": 1}', "no field '__class__'"),
        (b'{"loss": {"__class__": 1}}', "no field 'loss.__class__'"),
        (b'{"items": 1}', "no field 'items'"),
        (b'{"seed": 1' + b"0" * 400 + b"}", "a number of at most 64 bits expected"),
        (b'{"excerpt_seconds": 1e999}', "a finite number expected"),
        (b'{"excerpt_seconds": 1e308}', "excerpt_seconds must be at most 1000000 s"),
        (b'{"batch_size": "x"}', "batch_size must be a whole number"),
        (b'{"version": "' + b"9" * 5000 + b'"}', "version 1 or 2 expected"),
    ],
)
def test_a_damaged_config_file_is_one_short_line_that_names_it(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"config\.json: .*{message}") as error:
        configs.load_run_config(tmp_path)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("value", [10**400, "9" * 400, 1e308, "1e308", float("inf"), "nan"])
@pytest.mark.parametrize("field", ["batch_size", "excerpt_seconds", "data.gain_db"])
def test_huge_numbers_are_refused_by_the_field(field, value):
    if field == "data.gain_db" and value in (1e308, "1e308"):
        return  # a number as good as any
    with pytest.raises(ValueError, match=rf"config: {field} must be") as error:
        configs.load_config("sets/set1.py", {field: value})
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("field", ["__class__", "loss.__class__", "items", "_fields", "", "\ud800"])
def test_names_of_attributes_are_no_fields(field):
    with pytest.raises(ValueError, match="config: no field"):
        configs.load_config("sets/set1.py", {field: "1"})


def test_run_config_round_trip_and_missing_run(tmp_path):
    config = configs.load_config("sets/demo.py")
    configs.save_config(config, tmp_path)
    assert isinstance(configs.load_run_config(tmp_path), ConfigDict)
    assert configs.load_run_config(tmp_path) == config
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]
    with pytest.raises(FileNotFoundError, match=r"no config.json, so it is no run's directory"):
        configs.load_run_config(tmp_path / "nothing")


def test_the_choices_are_those_of_the_network_and_its_training():
    choices = {
        "parallel": parallel.PARALLEL,
        "model.embedding_activation": EMBEDDING_ACTIVATIONS,
        "model.mask_activation": MASK_KINDS,
        "model.input_scaling": model.INPUT_SCALINGS,
        "model.precision": products.PRECISIONS,
        "model.recurrence": lstm.BACKENDS,
        "loss.mask_inference_target": targets.MASK_TARGETS,
        "loss.deep_clustering_target": targets.REAL_MASK_TARGETS,
        "model.trunk": TRUNKS,
        "loss.transcription_kind": losses.TRANSCRIPTION_KINDS,
        "loss.transcription_normaliser": losses.TRANSCRIPTION_NORMALISERS,
        "optimizer.schedule": train_state.SCHEDULES,
    }
    for field, names in choices.items():
        expected, holds = (_RULES | registry_rules())[field]
        assert expected == "one of " + ", ".join(map(repr, names)), field
        assert all(map(holds, names))


def test_a_run_of_the_first_version_still_loads(tmp_path):
    """Fields that were renamed, values that were renamed, fields that did not exist."""
    old_set = "sets/cerberus_demo.py"
    config = configs.load_config(old_set, {"loss.mask_inference_target": "magnitude",
                                                  "loss.deep_clustering_target": "magnitude",
                                                  "model.recurrence": "batched_scan"})  # fmt: skip
    old = json.loads(configs.to_json(config))
    del old["version"], old["model"]["trunk"], old["loss"]["transcription_stride"]
    del old["loss"]["deep_clustering_target"]
    old["loss"]["clips_per_turn"] = old["loss"].pop("microbatch_size")
    old["loss"]["mask_target"] = old["loss"].pop("mask_inference_target")
    old["model"]["input_scaling"] = "clip_db_affine"
    old["model"]["recurrence"] = "scan_together"
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert configs.load_run_config(tmp_path) == config
    check_resume(config, tmp_path)
    old["model"]["recurrence"] = "persistent"
    (tmp_path / "config.json").write_text(json.dumps(old))
    loaded = configs.load_run_config(tmp_path)
    assert loaded.model.recurrence == "experimental_persistent"
    old["version"] = 99
    (tmp_path / "config.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match="version 1 or 2 expected, got 99"):
        configs.load_run_config(tmp_path)


def test_a_head_that_reads_features_the_trunk_lacks_is_refused_before_anything_is_done():
    with pytest.raises(ValueError, match="config: the head mask_inference reads pitches"):
        configs.load_config("sets/demo.py", {"model.trunk": "blstm"})
    plain = {"model.trunk": "blstm", "model.mask_inference.pitch_channels": 0}
    assert configs.load_config("sets/demo.py", plain).model.trunk == "blstm"
