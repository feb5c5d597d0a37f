"""Optimisers with a warm-up, a cosine decay, clipped gradients and weight decay."""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from facedirs_jax.errors import InputError

Kind = Literal["sgd", "adamw"]


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """How gradients become changes of parameters.

    Attributes:
        kind: "sgd" with Nesterov momentum 0.9, or "adamw" (Loshchilov and Hutter,
            1711.05101).
        learning_rate: the highest.
        weight_decay: of kernels; biases, normalisations and slopes are left alone. With
            "sgd" added to the gradient, with "adamw" decoupled from it.
        warmup: share of the steps in which the rate rises from 0.
        final: share of the highest rate that is left at the end.
        clip_norm: largest norm of the gradient of all parameters; None for any.

    Raises:
        InputError: if a field is out of its range.
    """

    kind: Kind = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    final: float = 0.01
    clip_norm: float | None = 5.0

    def __post_init__(self):
        if self.kind not in ("sgd", "adamw"):
            raise InputError(f"the optimiser is sgd or adamw, not {self.kind!r}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise InputError(
                "learning_rate must be positive and weight_decay not negative, got "
                f"{self.learning_rate} and {self.weight_decay}"
            )
        if not (0 <= self.warmup < 1 and 0 <= self.final <= 1):
            raise InputError(
                "warmup and final are shares, 0 to 1 (warmup below 1), got "
                f"{self.warmup} and {self.final}"
            )


def warmup_cosine(config: OptimiserConfig, *, steps: int) -> optax.Schedule:
    """Learning rate of each step: up in a line, down along half a cosine.

    Args:
        config: how high, and for how long up.
        steps: of the whole training.

    Returns:
        Step [] -> learning rate [] float32.
    """
    rising = round(config.warmup * steps)

    def rate(step: jax.typing.ArrayLike) -> jax.Array:
        done = jnp.asarray(step, jnp.float32)
        falling = jnp.clip((done - rising) / max(steps - rising, 1), 0.0, 1.0)
        left = config.final + (1 - config.final) * (1 + jnp.cos(math.pi * falling)) / 2
        risen = jnp.minimum(done / rising, 1.0) if rising else 1.0
        return config.learning_rate * risen * left

    return rate


def one_after_another(
    first: optax.Schedule, steps: int, second: optax.Schedule
) -> optax.Schedule:
    """The first `steps` steps [] of one schedule, then another from its start."""

    def rate(step: jax.typing.ArrayLike) -> jax.Array:
        step = jnp.asarray(step, jnp.int32)
        return jnp.where(step < steps, first(step), second(step - steps))

    return rate


def optimiser(
    config: OptimiserConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """The chain of transformations that a config asks for.

    Args:
        config: of the optimiser.
        schedule: learning rate [] of each step, such as `warmup_cosine`.

    Returns:
        An optax transformation of gradients of any shapes; decay needs the parameters.
    """
    clip = (
        []
        if config.clip_norm is None
        else [optax.clip_by_global_norm(config.clip_norm)]
    )
    decay = optax.add_decayed_weights(config.weight_decay, mask=_is_kernel)
    rate = optax.scale_by_learning_rate(schedule)
    if config.kind == "adamw":
        chain = optax.chain(*clip, optax.scale_by_adam(), decay, rate)
    else:
        momentum = optax.trace(decay=0.9, nesterov=True)
        chain = optax.chain(*clip, decay, momentum, rate)

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
    ) -> tuple[optax.Updates, optax.OptState]:
        # Its Adam takes float32 to the power of an int32 count.
        with jax.numpy_dtype_promotion("standard"):
            return chain.update(updates, state, params)

    return optax.GradientTransformation(chain.init, update)


def _is_kernel(parameters: optax.Params) -> optax.Params:
    return jax.tree.map(lambda array: array.ndim > 1, parameters)
