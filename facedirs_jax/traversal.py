"""Template + a step along a direction -> templates (Plesh et al. 2024, eq. 6)."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np


def steps_of(start: float, end: float, count: int) -> np.ndarray:
    """Evenly spaced steps alpha; those about zero have an exact zero in the middle.

    Args:
        start: first one, in standard deviations of a direction.
        end: last one.
        count: how many.

    Returns:
        [count] float32.

    Raises:
        ValueError: if there are fewer than 2, or an end is not finite.
    """
    if count < 2 or not np.isfinite([start, end]).all():
        raise ValueError(f"cannot make {count} steps from {start} to {end}")
    turn = np.arange(1 - count, count, 2) / (count - 1)  # -1 to 1
    steps = (start + end) / 2 + (end - start) / 2 * turn
    return steps.astype(np.float32)


def traverse(
    template: Any, direction: Any, scale: Any, alphas: Any, *, unit_norm: bool
) -> jax.Array:
    """Moves a probe's template along a direction, jitted.

    t' = t + alpha * scale * v / |v|: eq. 6 with alpha counted in standard deviations of
    the direction, so that networks can be compared.

    Args:
        template: [D] float32, of the probe.
        direction: [D] float32, of any length but zero.
        scale: [] float32, one standard deviation along the direction over the data it
            was found on, in template units: the square root of its eigenvalue; see
            `Directions.scales`.
        alphas: [T] float32; see `steps_of`.
        unit_norm: whether the network's templates lie on the unit sphere, as
            `Preprocess.unit_norm` says; t' is then scaled back onto it.

    Returns:
        [T, D] float32 templates.

    Raises:
        ValueError: if the shapes do not agree, the direction is zero, or a number is
            not finite.
    """
    arrays = [np.asarray(a, np.float32) for a in (template, direction, scale, alphas)]
    for name, array in zip(
        ("template", "direction", "scale", "alphas"), arrays, strict=True
    ):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if not arrays[1].any():
        raise ValueError("the direction is zero; it leads nowhere")
    return _moved(*map(jnp.asarray, arrays), unit_norm)


def moved(
    template: jax.Array,
    direction: jax.Array,
    scale: jax.Array,
    alphas: jax.Array,
    unit_norm: bool,
) -> jax.Array:
    """The pure function behind `traverse`.

    Args:
        template: [D] float32.
        direction: [D] float32, not zero.
        scale: [] float32.
        alphas: [T] float32.
        unit_norm: static; whether the result is scaled onto the unit sphere.

    Returns:
        [T, D] float32.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank([template, alphas, scale], [1, 1, 0], exception_type=ValueError)
    chex.assert_equal_shape([template, direction], exception_type=ValueError)
    step = scale * direction / jnp.linalg.norm(direction)
    templates = template[None] + alphas[:, None] * step[None]
    if not unit_norm:
        return templates
    return templates / jnp.linalg.norm(templates, axis=1, keepdims=True)


_moved = jax.jit(moved, static_argnames="unit_norm")
