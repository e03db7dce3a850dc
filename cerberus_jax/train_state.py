"""The optimiser and everything that training carries from step to step.

The learning rate is a schedule of the step times the plateau's scale. The plateau (scale, patience
counter, best value) lives in arrays of the state, so a checkpoint holds all of it.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

SCHEDULES = ("plateau", "cosine")
Number = float | Float[Array, ""]


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam behind clipping to a global norm.

    Args:
        learning_rate, b1, b2, eps: Adam's; inside a compiled function they, and the largest norm,
            may be arrays.
        gradient_clip_norm: largest global norm of a gradient.
        schedule: 'plateau' multiplies the rate by `plateau_factor` after more than
            `plateau_patience` validations in a row without improvement; 'cosine' decays it to
            zero over `num_steps`.
        average_decay: of an exponential moving average of the parameters, which is what is
            evaluated and used then; 0 for none. The average is younger in the first steps.
        warmup_steps: steps over which the rate rises linearly from zero, with either schedule.
        skip_nonfinite: leave out updates with a non-finite loss or gradient, and count them.
    """

    learning_rate: Number = 1e-3
    b1: Number = 0.9
    b2: Number = 0.999
    eps: Number = 1e-8
    gradient_clip_norm: Number = 5.0
    average_decay: float = 0.0
    schedule: str = "plateau"
    warmup_steps: int = 0
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    num_steps: int = 1
    skip_nonfinite: bool = False

    def __post_init__(self):
        if self.schedule not in SCHEDULES:
            raise ValueError(f"optimizer.schedule: one of {SCHEDULES}, got {self.schedule!r}")

    def transform(self) -> optax.GradientTransformation:
        """Clipping and Adam, without the learning rate."""
        return optax.chain(
            optax.clip_by_global_norm(self.gradient_clip_norm),
            optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps),
        )

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The scheduled learning rate of a step, before the plateau's scale."""
        warm = jnp.minimum(1.0, (step + 1) / max(self.warmup_steps, 1))
        if self.schedule == "plateau":
            return self.learning_rate * warm
        decay_steps = max(self.num_steps - self.warmup_steps, 1)
        progress = jnp.clip((step - self.warmup_steps) / decay_steps, 0, 1)
        return self.learning_rate * warm * 0.5 * (1 + jnp.cos(jnp.pi * progress))


@struct.dataclass
class Plateau:
    """How far the learning rate has come down, and what it waits for (scalar arrays)."""

    scale: Any
    stale: Any
    best: Any

    @classmethod
    def start(cls) -> "Plateau":
        """Nothing seen yet."""
        return cls(jnp.float32(1), jnp.int32(0), jnp.float32(jnp.inf))

    def update(self, loss: float, *, factor: float, patience: int) -> "Plateau":
        """After a validation: scale down once more than `patience` in a row brought no improvement,
        as torch's ReduceLROnPlateau does."""
        better = loss < self.best
        stale = jnp.where(better, 0, self.stale + 1)
        lower = stale > patience
        return Plateau(
            scale=jnp.where(lower, self.scale * factor, self.scale),
            stale=jnp.where(lower, 0, stale).astype(jnp.int32),
            best=jnp.where(better, loss, self.best).astype(jnp.float32),
        )


@struct.dataclass
class TrainState:
    """Step number, parameters, optimiser moments, plateau and, where they are kept, the parameters'
    average and the number of updates left out: a pytree, which may also hold shapes or shardings in
    place of arrays."""

    step: Any
    params: dict
    opt_state: Any
    plateau: Plateau
    average: Any = None
    skipped: Any = None

    @property
    def evaluated(self) -> dict:
        """The parameters that are evaluated and used: the average where there is one."""
        return self.params if self.average is None else self.average

    @classmethod
    def create(cls, params: dict, optimizer: OptimizerConfig) -> "TrainState":
        """The state before the first step."""
        opt_state = optimizer.transform().init(params)
        average = jax.tree.map(jnp.copy, params) if optimizer.average_decay else None
        skipped = jnp.int32(0) if optimizer.skip_nonfinite else None
        return cls(jnp.int32(0), params, opt_state, Plateau.start(), average, skipped)

    def apply_gradients(
        self, grads: dict, optimizer: OptimizerConfig
    ) -> tuple["TrainState", Float[Array, ""]]:
        """The state after one update, and the learning rate used."""
        rate = optimizer.rate(self.step) * self.plateau.scale
        updates, opt_state = optimizer.transform().update(grads, self.opt_state, self.params)
        params = jax.tree.map(lambda p, u: (p - rate * u).astype(p.dtype), self.params, updates)
        average = self.average
        if average is not None:
            young = (1 + self.step) / (10 + self.step)
            share = 1 - jnp.minimum(optimizer.average_decay, young)
            average = jax.tree.map(
                lambda a, p: (a + share * (p - a)).astype(p.dtype), average, params
            )
        after = self.replace(
            step=self.step + 1, params=params, opt_state=opt_state, average=average
        )
        return after, rate

    def update_if(self, is_finite: Bool[Array, ""], after: "TrainState") -> "TrainState":
        """The state `after` an update, or else this one at the next step, one more left out."""
        kept = jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), after, self)
        left_out = jnp.where(is_finite, 0, 1).astype(self.skipped.dtype)
        return kept.replace(step=after.step, skipped=self.skipped + left_out)
