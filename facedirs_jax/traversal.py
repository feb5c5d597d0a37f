"""Template + a step along a direction -> templates (Plesh et al. 2024, eqs. 6, 12).

A step is so many standard deviations long (`traverse`), or as long as it takes until a
label is read (`edit_to_label`).
"""

import functools
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError

Step = Literal["chord", "geodesic"]
EditMode = Literal["corrected", "paper"]
_PARALLEL = 1e-6  # sine of an angle that only rounding keeps from 0
_UNIT = 1e-3  # how far from 1 the length of a template on the unit sphere may be


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
    template: Any,
    direction: Any,
    scale: Any,
    alphas: Any,
    *,
    unit_norm: bool,
    step: Step = "chord",
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
        step: on the unit sphere, "chord" steps off it and is scaled back, so that even
            the longest step turns t by less than 90 degrees; "geodesic" goes along the
            great circle through t and v, alpha * scale being the length of the arc.
            Elsewhere both are the straight line.

    Returns:
        [T, D] float32 templates.

    Raises:
        ValueError: if the shapes do not agree, the direction is zero or, on a great
            circle, runs through the template, or a number is not finite.
    """
    arrays = [np.asarray(a, np.float32) for a in (template, direction, scale, alphas)]
    for name, array in zip(
        ("template", "direction", "scale", "alphas"), arrays, strict=True
    ):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if not arrays[1].any():
        raise ValueError("the direction is zero; it leads nowhere")
    if unit_norm and step == "geodesic":
        _check_circle(*arrays[:2])
    return _moved(*map(jnp.asarray, arrays), unit_norm, step=step)


def moved(
    template: jax.Array,
    direction: jax.Array,
    scale: jax.Array,
    alphas: jax.Array,
    unit_norm: bool,
    *,
    step: Step = "chord",
) -> jax.Array:
    """The pure function behind `traverse`.

    Args:
        template: [D] float32.
        direction: [D] float32, not zero.
        scale: [] float32.
        alphas: [T] float32.
        unit_norm: static; whether the result is scaled onto the unit sphere.
        step: static; see `traverse`.

    Returns:
        [T, D] float32.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank([template, alphas, scale], [1, 1, 0], exception_type=ValueError)
    chex.assert_equal_shape([template, direction], exception_type=ValueError)
    if unit_norm and step == "geodesic":
        start, tangent = _circle(template, direction)
        turns = (alphas * scale)[:, None]
        return jnp.cos(turns) * start[None] + jnp.sin(turns) * tangent[None]
    along = scale * direction / jnp.linalg.norm(direction)
    templates = template[None] + alphas[:, None] * along[None]
    if not unit_norm:
        return templates
    return templates / jnp.linalg.norm(templates, axis=1, keepdims=True)


_moved = jax.jit(moved, static_argnames=("unit_norm", "step"))


def edit_to_label(
    template: Any,
    directions: Directions,
    row: int,
    label: float,
    *,
    unit_norm: bool,
    mode: EditMode = "corrected",
) -> jax.Array:
    """Moves a probe's template along a direction until it reads a label, jitted.

    With the reading t . w + b of the direction v, t' = t + (y - t . w - b) v / (v . w).
    Eqs. 12-13 leave out the division, for v = w that by |w|^2, and so miss y unless
    |w| = 1; they are `mode="paper"`. On the unit sphere t' lies on the great circle
    through t and v, at the nearest place that reads y.

    Args:
        template: [D] float32, of the probe.
        directions: which read a label, as those of `regression_direction` do.
        row: which of them.
        label: y, in the label's own unit.
        unit_norm: whether the network's templates lie on the unit sphere.
        mode: "corrected", or "paper": t' = t + (y - t . w - b) w, scaled back onto the
            unit sphere if templates lie there.

    Returns:
        [D] float32 template, which reads y to float32's precision in "corrected" mode.

    Raises:
        ValueError: if the shapes do not agree, a number is not finite, or a template
            that should be is not of length 1.
        InputError: if the directions read no label, the label does not change along
            this one, or no place on the great circle reads it.
    """
    w, b = directions.reading(row)
    t, v = (np.asarray(a, np.float64) for a in (template, directions.directions[row]))
    chex.assert_rank(t, 1, exception_type=ValueError)
    chex.assert_equal_shape([t, v, w], exception_type=ValueError)
    wanted = float(label) - b
    if not np.isfinite([*t, *v, *w, wanted]).all():
        raise ValueError(
            "template, direction, reading or label holds numbers that are not finite"
        )
    if not v.any():
        raise ValueError("the direction is zero; it leads nowhere")
    if unit_norm:
        _check_circle(t, v)
    elif mode == "corrected" and abs(v @ w) <= _PARALLEL * _length(v) * _length(w):
        raise InputError("the label does not change along this direction; take another")
    with jax.enable_x64(True):
        parts = (jnp.asarray(t), jnp.asarray(v), jnp.asarray(w), jnp.asarray(wanted))
        if mode == "paper":
            return _paper(parts[0], parts[2], parts[3], unit_norm)
        if not unit_norm:
            return _shifted(*parts)
        moved_to, reach = _turned(*parts)
        _check_reach(float(label), b, float(reach), _PARALLEL * _length(w))
        return moved_to


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def _check_circle(template: np.ndarray, direction: np.ndarray) -> None:
    length = _length(template)
    if abs(length - 1) > _UNIT:
        raise ValueError(f"the template is {length:g} long and should be on the sphere")
    unit = direction / _length(direction)
    if _length(unit - (unit @ template) * template / length**2) <= _PARALLEL:
        raise ValueError("the direction runs through the template; no circle does")


def _check_reach(label: float, middle: float, reach: float, rounding: float) -> None:
    if abs(label - middle) > reach or reach <= rounding:
        raise InputError(
            f"no template along this direction reads {label:g}; from this probe "
            f"{middle - reach:.6g} to {middle + reach:.6g} can be reached"
        )


def _circle(template: jax.Array, direction: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Unit vectors [D]: towards the template, and at right angles in the plane of v."""
    start = template / jnp.linalg.norm(template)
    across = direction - (direction @ start) * start
    return start, across / jnp.linalg.norm(across)


@jax.jit
def _shifted(t: jax.Array, v: jax.Array, w: jax.Array, wanted: jax.Array) -> jax.Array:
    return (t + (wanted - t @ w) * v / (v @ w)).astype(jnp.float32)


@jax.jit
def _turned(
    t: jax.Array, v: jax.Array, w: jax.Array, wanted: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Place [D] on the circle where t . w is as wanted, and the most it can be, []."""
    start, tangent = _circle(t, v)
    a, c = start @ w, tangent @ w  # w . t' = a cos + c sin = reach cos(turn - top)
    reach, top = jnp.hypot(a, c), jnp.arctan2(c, a)
    half = jnp.arccos(jnp.clip(wanted / reach, -1.0, 1.0))
    turns = jnp.stack([top - half, top + half])
    turns = turns - 2 * jnp.pi * jnp.round(turns / (2 * jnp.pi))
    turn = turns[jnp.argmin(jnp.abs(turns))]
    moved_to = jnp.cos(turn) * start + jnp.sin(turn) * tangent
    return moved_to.astype(jnp.float32), reach


@functools.partial(jax.jit, static_argnames="unit_norm")
def _paper(t: jax.Array, w: jax.Array, wanted: jax.Array, unit_norm: bool) -> jax.Array:
    """Eqs. 12-13 as printed, in the plane."""
    moved_to = t + (wanted - t @ w) * w
    if unit_norm:
        moved_to = moved_to / jnp.linalg.norm(moved_to)
    return moved_to.astype(jnp.float32)
