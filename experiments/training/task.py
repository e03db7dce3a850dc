"""From a config to the network and to what is trained."""

import copy
from collections.abc import Sequence
from dataclasses import asdict

import jax
from ml_collections import ConfigDict

from cerberus_jax.architecture import metadata_of
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.heads import HEADS
from cerberus_jax.microbatches import choose_microbatch_size
from cerberus_jax.model import Cerberus
from cerberus_jax.steps import Task
from cerberus_jax.train_state import OptimizerConfig
from data_pipeline.instruments import INSTRUMENTS
from experiments.config.loading import grid_of, heads_of, num_samples_of


def model_of(config: ConfigDict) -> Cerberus:
    """The network of a config."""
    fields = config.model.to_dict()
    groups = {name: value for name, value in fields.items() if isinstance(value, dict)}
    heads, trunk = heads_of(config), fields["trunk"]
    instruments = tuple(config.instruments)
    return Cerberus(
        grid=grid_of(config),
        instruments=instruments,
        transcribed=tuple(name for name in instruments if INSTRUMENTS[name].is_transcribed),
        heads=heads,
        trunk_name=trunk,
        options={name: value for name, value in groups.items() if name in (trunk, *heads)},
        **{name: value for name, value in fields.items() if name not in (*groups, "trunk")},
    )


def num_parameters(config: ConfigDict) -> int:
    """How many numbers the network of a config learns; nothing is computed for it."""
    model = model_of(config)
    magnitude = jax.ShapeDtypeStruct((1, 2, model.grid.num_bins), "float32")
    params = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), magnitude)
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def task_of(config: ConfigDict, *, num_devices: int = 1, platform: str | None = None) -> Task:
    """Model, losses and optimiser of a config.

    Args:
        config: of the run.
        num_devices: over which the batch is divided.
        platform: theirs, such as 'cpu' or 'tpu'; None: that of JAX's first device.
    """
    loss, model, parts = config.loss, model_of(config), config.train.accumulation_steps
    num_frames = model.grid.num_frames(num_samples_of(config))
    return Task(
        model=model,
        optimizer=OptimizerConfig(
            **config.optimizer.to_dict(),
            num_steps=config.train.num_steps,
            skip_nonfinite=config.train.skip_nonfinite > 0,
        ),
        loss_options={
            name: {field: loss[f"{name}_{field}"] for field in HEADS[name].loss_options()}
            for name in model.heads
        },
        microbatch_size=choose_microbatch_size(
            config.batch_size // num_devices // parts,
            num_frames,
            platform=platform or jax.devices()[0].platform,
            at_most=loss.microbatch_size,
        ),
        accumulation_steps=parts,
    )


def untuned_metadata(config: ConfigDict, model: Cerberus) -> dict:
    """What a checkpoint says of itself before note thresholds are tuned."""
    decoding = asdict(DecodingConfig(threshold=config.decoding.threshold))
    return metadata_of(model, dict.fromkeys(model.transcribed_instruments, decoding))


def config_of_all(configs: Sequence[ConfigDict]) -> ConfigDict:
    """The first config with the heads of all of them."""
    config = copy.deepcopy(configs[0])
    with config.unlocked():
        for name in HEADS:
            config.loss[name] = max(own.loss[name] for own in configs)
    return config
