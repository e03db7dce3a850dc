"""A run's directory from the weights of a PyTorch network, so that every command takes it.

The config says what the network is. Weights of another shape are refused with the fields to set,
because only the config knows what weights do not tell: instruments, hop, activations.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from cerberus_jax.json_files import check_form, parse_json
from cerberus_jax.outside import in_one_line, quoted, refusing
from data_pipeline.io.arrays import read_arrays
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import CONFIG_FILE, flatten, known_files, load_config, save_config

# What the two code bases feed their trunk, and their embedding's activation where it is fixed.
LAYOUTS = {
    "cerberus_pytorch": {
        "model.input_scaling": "linear",
        "model.embedding_activation": "tanh",
    },
    "nussl": {"model.input_scaling": "db_affine"},
}
_TORCH_ENDINGS = (".pt", ".pth", ".ckpt")
_SAFETENSORS_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_import, _flags(), argv=argv, with_config=True)


def import_torch(
    state_dict: Mapping[str, object],
    config: ConfigDict,
    workdir: str | Path,
    *,
    layout: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """Write `config.json` and `checkpoints/` of a network that was trained in PyTorch.

    The checkpoint is of step 0, with the decoding of the config; `experiments.run` with the same
    config trains it further.

    Args:
        state_dict: arrays by name.
        config: what the network is, its instruments in the order of its outputs.
        workdir: the run's directory.
        layout, names: as for `cerberus_jax.from_torch`.

    Raises:
        FileExistsError: if `workdir` holds a run.
        ValueError: if a key cannot be placed, or the weights are not those of the config's network.
    """
    import jax
    import jax.numpy as jnp

    from cerberus_jax.checkpoint import CheckpointWriter, saved_steps
    from cerberus_jax.parameter_shapes import check_same_network
    from cerberus_jax.torch_weights import from_torch
    from cerberus_jax.train_state import TrainState
    from experiments.training.task import task_of, untuned_metadata

    workdir = Path(workdir)
    if (workdir / CONFIG_FILE).exists() or saved_steps(workdir):
        raise FileExistsError(f"workdir: {workdir} holds a run already; give another --workdir")
    params = from_torch(state_dict, layout=layout, names=names)
    check_fit(params, config)
    task = task_of(config)
    check_same_network(params, task.model, "config")
    state = TrainState.create(jax.tree.map(jnp.asarray, params), task.optimizer)
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".importing.", dir=workdir) as folder:
        with CheckpointWriter(folder) as writer:
            for kind in ("last", "best"):
                writer.save(kind, state, untuned_metadata(config, task.model))
        os.rename(Path(folder) / "checkpoints", workdir / "checkpoints")
    save_config(config, workdir)  # last: with it the directory is a run


def check_fit(params: Mapping[str, dict], config: ConfigDict) -> None:
    """Compare what weights tell of a network with its config.

    Raises:
        ValueError: naming every field that differs and what to give for it.
    """
    from cerberus_jax.heads import HEADS

    fields = flatten(config)
    problems = [
        f"--config.{field}={value}, not {fields[field]}"
        for field, value in _told(params).items()
        if fields[field] != value
    ]
    for name, head in HEADS.items():
        weight = fields[f"loss.{name}"]
        if (head.submodule in params) != (weight > 0):
            needed = "=WEIGHT above 0" if head.submodule in params else "=0"
            problems.append(f"--config.loss.{name}{needed}, not {weight}")
    if counts := _num_outputs(params) - {len(config.instruments)}:
        problems.append(
            f"--config.instruments with {' or '.join(map(str, sorted(counts)))} names in the order "
            f"of the network's outputs, not {','.join(config.instruments)}"
        )
    if ("input_affine" in params) != config.model.input_scaling.endswith("affine"):
        has = "a" if "input_affine" in params else "no"
        problems.append(
            f"--config.model.input_scaling for a network with {has} normalisation of its input, "
            f"not {config.model.input_scaling}"
        )
    if problems:
        raise ValueError(f"config: the weights are of another network. Give {'; '.join(problems)}")


def _told(params: Mapping[str, dict]) -> dict[str, object]:
    """The fields of a config that weights settle."""
    first = params["trunk"]["layer_0"]
    told = {
        "model.trunk": "blstm",
        "model.layers": len(params["trunk"]),
        "model.hidden": first["recurrent_kernel"].shape[1],
        "audio.window": 2 * (first["input_kernel"].shape[1] - 1),
    }
    if "embedding_head" in params:
        told["model.embedding_dim"] = params["embedding_head"]["kernel"].shape[1]
    return told


def _num_outputs(params: Mapping[str, dict]) -> set[int]:
    """How many instruments the network has: by its masks, or else by its rolls."""
    heads = [params[name] for name in ("mask_head", "transcription_head") if name in params]
    return {head["kernel"].shape[1] for head in heads[:1]}


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz or .safetensors file, or of one that PyTorch wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as its ending says, or needs PyTorch, which is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: {path}: no such file")
    if path.suffix in _TORCH_ENDINGS:
        return _read_torch(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        endings = ", ".join([*readers, *_TORCH_ENDINGS])
        raise ValueError(f"checkpoint: {path}: a file that ends in one of {endings} expected")
    return readers[path.suffix](path)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    arrays = read_arrays(path, "a state dict")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{path}: {quoted(name)}: numbers expected, got {array.dtype}")
    return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Eight bytes with the length of a header, the header as JSON, the arrays."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    entry_form = {"dtype": str, "shape": [int], "data_offsets": [int]}
    arrays = {}
    with refusing(path, "a file of safetensors"):
        header = parse_json(data[8:end])
        check_form(header, {})
        header.pop("__metadata__", None)
        for name, entry in header.items():
            check_form(entry, entry_form, name)
            if entry["dtype"] not in _SAFETENSORS_TYPES:
                raise ValueError(f"{name} has the type {quoted(entry['dtype'])}; save it as F32")
            first, last = (end + offset for offset in entry["data_offsets"])
            if not end <= first <= last <= len(data):
                raise ValueError(f"{name} lies outside of the file")
            content = memoryview(data)[first:last]
            array = np.frombuffer(content, _SAFETENSORS_TYPES[entry["dtype"]])
            arrays[name] = array.reshape(entry["shape"])
    if sum(array.nbytes for array in arrays.values()) > len(data):
        raise ValueError(f"{path}: not a file of safetensors (its arrays overlap)")
    return arrays


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    """A state dict, or a checkpoint that has one as 'state_dict'; nothing in it is executed."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ValueError(
            f"checkpoint: {path.suffix} files are read by PyTorch, which is not installed: "
            "pip install torch, or save the state dict as .npz or .safetensors elsewhere"
        ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        tensors = loaded.get("state_dict", loaded)
        return {name: tensor.float().numpy() for name, tensor in tensors.items()}
    except Exception as error:  # a pickle that is damaged or holds other objects fails in many ways
        raise ValueError(
            f"checkpoint: {path} holds more than tensors, or is damaged "
            f"({in_one_line(str(error).partition('.')[0])}). Save the state dict alone: "
            "torch.save(network.state_dict(), 'weights.pt')"
        ) from error


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.import_torch --checkpoint=FILE --layout=LAYOUT --config=SET "
        "--workdir=DIR [--config.FIELD=VALUE ...]",
        "Make a run's directory of a network that was trained in PyTorch: evaluate, separate,\n"
        "report and further training then take it like one trained here. The config says what\n"
        "the network is: its instruments in the order of its outputs, and activations as\n"
        "--config.model.mask_activation=sigmoid. A layout sets what its code fixes.",
    )
    flags.path(
        "checkpoint",
        "",
        "The weights: .npz or .safetensors with the state dict's keys, or, where PyTorch is "
        "installed, .pt, .pth or .ckpt.",
    )
    flags.choice("layout", "cerberus_pytorch", list(LAYOUTS), "The code base of the network.")
    flags.names(
        "modules",
        [],
        "Where modules have other names than in that code, e.g. --modules=trunk:layers.blstm.rnn.",
    )
    flags.path("config", "", f"The set to start from: {', '.join(known_files('sets'))}.")
    flags.path("workdir", "", "The run's directory; it must not hold a run.")
    return flags


def _import(flags: CommandFlags, overrides: Overrides) -> None:
    for name in ("checkpoint", "config", "workdir"):
        if not flags[name].value:
            raise ValueError(
                f"--{name} is missing, e.g. --checkpoint=weights.pt --layout=cerberus_pytorch "
                "--config=sets/set4.py --workdir=runs/imported"
            )
    config = load_config(flags.config, [*LAYOUTS[flags.layout].items(), *overrides])
    state_dict = read_state_dict(flags.checkpoint)
    names = dict(_pair(text) for text in flags.modules)
    import_torch(state_dict, config, flags.workdir, layout=flags.layout, names=names)
    print(
        f"{flags.workdir}: a network of {', '.join(config.instruments)}, in this order. Next:\n"
        f"  python -m experiments.evaluate --workdir={flags.workdir}\n"
        f"  python -m experiments.separate --workdir={flags.workdir} --out=separated SONG.wav"
    )


def _pair(text: str) -> tuple[str, str]:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise ValueError(f"--modules: MODULE:NAME expected, got {text!r}")
    return module, name


if __name__ == "__main__":
    sys.exit(main())
