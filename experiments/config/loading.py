"""Configs: load a set, override fields, validate, lock; JSON round trip.

The base set is the schema: a field it lacks does not exist, and the type of its default is the
field's type. Everything is checked here, before data or devices are touched, because ml_collections
alone accepts NaN, takes `instruments=piano,bass` for one string and answers an unknown field with a
bare AttributeError.
"""

import difflib
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.frames import FrameGrid
from cerberus_jax.json_files import check_form, parse_json, read_json
from cerberus_jax.outside import in_one_line, quoted, refusing
from data_pipeline.cli.paths import local_path
from data_pipeline.io.files import whole_file
from experiments.config.rules import check_values
from experiments.sets import base

EXPERIMENTS = Path(__file__).resolve().parents[1]
CONFIG_FILE = "config.json"
VERSION = 2  # of config.json
_EXPECTED = "a config as JSON"
_LARGEST = 2**63 - 1
PATH_FIELDS = (
    "data.root",
    "data.minislakh_midi_dir",
    "evaluation.excerpts",
)  # in which ~ is the home folder
# What fields meant before there were any: for saved configs that lack them.
_BEFORE = {"data.minislakh_sounds": "narrow"}
# What fields and values of version 1 are called now.
_RENAMED_FIELDS = {
    "loss.clips_per_turn": ("loss.microbatch_size",),
    "loss.mask_target": ("loss.mask_inference_target", "loss.deep_clustering_target"),
}
_RENAMED_VALUES = {
    "model.input_scaling": {
        "clip_db": "excerpt_db",
        "clip_db_affine": "excerpt_db_affine",
    },
    "model.recurrence": {
        "scan_together": "batched_scan",
        "persistent": "experimental_persistent",
    },
}


def load_config(
    path: str | Path, overrides: Mapping[str, object] | Iterable[tuple[str, object]] = ()
) -> ConfigDict:
    """The locked, valid config of the set file `path` with `overrides` applied.

    Args:
        path: set file, relative to the working directory or to `experiments/`.
        overrides: dotted field name -> value; text (as from a command line) is read as the field's
            type.

    Raises:
        FileNotFoundError: if there is no such set; the message lists the known ones.
        ValueError: if the file cannot be used, a field does not exist or a value is not allowed.
    """
    file = find_file(path, folder="sets")
    config = call_function(file, "get_config")
    if not isinstance(config, ConfigDict):
        got = type(config).__name__
        raise ValueError(f"{file}: get_config() must return a ConfigDict, got {got}")
    values = flatten(base.get_config()) | _known_fields(flatten(config), f"set {path}")
    overrides = overrides.items() if isinstance(overrides, Mapping) else overrides
    for field, value in overrides:
        _known_fields({field: value}, "config")
        values[field] = value
    return build_config(values)


def build_config(values: Mapping[str, object]) -> ConfigDict:
    """A locked and valid config from all its fields by dotted name."""
    config = base.get_config()
    for field, default in flatten(config).items():
        group, _, name = field.rpartition(".")
        section = config[group] if group else config
        value = _convert(field, values[field], default)
        section[name] = _local(field, value) if field in PATH_FIELDS else value
    check_values(flatten(config))
    return config.lock()


def flatten(config: ConfigDict | Mapping[str, object]) -> dict[str, object]:
    """All fields by dotted name."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict | Mapping):
            flat.update({f"{name}.{inner}": leaf for inner, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def heads_of(config: ConfigDict) -> tuple[str, ...]:
    """The heads of the network: those whose loss weight is positive."""
    from cerberus_jax.heads import HEADS  # late: commands that only read a config start no JAX

    return tuple(name for name in HEADS if config.loss[name] > 0)


def grid_of(config: ConfigDict) -> FrameGrid:
    """The frame grid of the config."""
    audio = config.audio
    return FrameGrid(sample_rate_hz=audio.sample_rate_hz, window=audio.window, hop=audio.hop)


def num_samples_of(config: ConfigDict) -> int:
    """Samples of one training excerpt."""
    return round(config.excerpt_seconds * config.audio.sample_rate_hz)


def to_json(config: ConfigDict) -> str:
    """The config as JSON text; tuples become lists."""
    return json.dumps({"version": VERSION} | config.to_dict(), indent=2) + "\n"


def from_json(text: str, *, source: str = "config.json") -> ConfigDict:
    """The config that `to_json` wrote; `source` names it in messages."""
    with refusing(source, _EXPECTED):
        values = parse_json(text)
        check_form(values, {})
    return _config_of(values, source)


def load_run_config(workdir: str | Path) -> ConfigDict:
    """The config of a run's directory."""
    file = Path(workdir) / CONFIG_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"workdir: {workdir} holds no {CONFIG_FILE}, so it is no run's directory; "
            f"train one with python -m experiments.run --config=sets/set4.py --workdir={workdir}"
        )
    return _config_of(read_json(file, _EXPECTED, {}), str(file))


def saved_fields(values: Mapping[str, object], source: str) -> dict[str, object]:
    """All fields of a saved config under their present names; those that an older version did not
    have are as they were then, or the defaults.

    Args:
        values: what `to_json` wrote.
        source: names it in messages.

    Raises:
        ValueError: if a field does not exist, or the version is another.
    """
    values = flatten(values)
    version = values.pop("version", 1)
    if version not in (1, VERSION):
        raise ValueError(f"{source}: version 1 or {VERSION} expected, got {quoted(version)}")
    present = {}
    for field, value in values.items():
        value = _renamed_value(field, value)
        for name in _RENAMED_FIELDS.get(field, (field,)) if version == 1 else (field,):
            present[name] = value
    defaults = json.loads(json.dumps(flatten(base.get_config())))
    return defaults | _BEFORE | _known_fields(present, source)


def _config_of(values: Mapping[str, object], source: str) -> ConfigDict:
    fields = saved_fields(values, source)
    try:
        return build_config(fields)
    except ValueError as error:
        raise ValueError(f"{source}: {str(error).removeprefix('config: ')}") from None


def save_config(config: ConfigDict, workdir: str | Path) -> None:
    """Write the config into the run's directory, whole or not at all."""
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with whole_file(workdir / CONFIG_FILE) as part:
        part.write_text(to_json(config))


def known_files(folder: str) -> list[str]:
    """The files of `experiments/<folder>` that `--config` accepts."""
    files = sorted((EXPERIMENTS / folder).glob("*.py"))
    return [f"{folder}/{file.name}" for file in files if file.stem not in ("__init__", "base")]


def find_file(path: str | Path, *, folder: str) -> Path:
    """The set file `path`, relative to the working directory or to `experiments/`."""
    for candidate in (Path(path), EXPERIMENTS / path):
        if candidate.is_file():
            return candidate
    known = known_files(folder)
    raise FileNotFoundError(
        f"no file {str(path)!r} in the working directory or in experiments/"
        f"{_hint(str(path), known, last_part=_stem)}; known: {', '.join(known)}"
    )


def call_function(file: Path, name: str) -> object:
    """What the function `name` of the Python file returns."""
    if file.suffix != ".py":
        raise ValueError(f"{file} is not a Python file; expected one like sets/set4.py")
    spec = importlib.util.spec_from_file_location(f"_set_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return getattr(module, name)()
    except Exception as error:  # a user's file may fail in any way; the message must name it
        raise ValueError(f"{file}: {name}() failed: {type(error).__name__}: {error}") from error


def _known_fields(values: dict[str, object], origin: str) -> dict[str, object]:
    schema = flatten(base.get_config())
    for field in values:
        if field in schema:
            continue
        inside = [name for name in schema if name.startswith(f"{field}.")]
        if inside:
            names = in_one_line(", ".join(inside))
            raise ValueError(f"{origin}: {quoted(field, 40)} is a group; set one of {names}")
        hint = _hint(field, list(schema), last_part=_field_name)
        groups = sorted({name.partition(".")[0] for name in schema})
        raise ValueError(
            f"{origin}: no field {quoted(field, 40)}{hint or '; known: ' + ', '.join(groups)}"
        )
    return values


def _hint(word: str, known: list[str], *, last_part: Callable[[str], str]) -> str:
    """Asks whether the known name was meant that is nearest, as a whole or by its last part."""
    by_last_part = {last_part(name): name for name in known}
    near = difflib.get_close_matches(word, known, n=1) or [
        by_last_part[name] for name in difflib.get_close_matches(last_part(word), by_last_part, n=1)
    ]
    return f"; did you mean {near[0]!r}?" if near else ""


def _stem(path: str) -> str:
    return Path(path).stem


def _field_name(field: str) -> str:
    return field.rpartition(".")[2]


def _convert(field: str, value: object, default: object) -> object:
    """`value` as the type of `default`."""
    wanted = type(default)
    if wanted is tuple:
        return _convert_names(field, value)
    try:
        if isinstance(value, str):
            converted = wanted(value)
        elif isinstance(value, bool) or wanted is str or not isinstance(value, int | float):
            raise ValueError
        else:
            converted = wanted(value)
            if wanted is int and converted != value:
                raise ValueError
    except (ValueError, OverflowError):
        kind = {int: "a whole number", float: "a number", str: "text"}[wanted]
        raise ValueError(f"config: {field} must be {kind}, got {quoted(value)}") from None
    if wanted is int and abs(converted) > _LARGEST:
        raise ValueError(f"config: {field} must be of at most 64 bits, got {quoted(converted)}")
    return converted


def _local(field: str, value: str) -> str:
    try:
        return local_path(value)
    except ValueError as error:
        raise ValueError(f"config: {field}={error}") from None


def _convert_names(field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        inner = value.strip().strip("()[]")
        value = [name.strip().strip("'\"") for name in inner.split(",")] if inner.strip() else []
    if not isinstance(value, tuple | list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"config: {field} must be names separated by commas, got {quoted(value)}")
    return tuple(value)


def _renamed_value(field: str, value: object) -> object:
    names = _RENAMED_VALUES.get(field, {})
    return names.get(value, value) if isinstance(value, str) else value
