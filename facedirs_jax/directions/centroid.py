"""Class directions: differences of mean templates (Plesh et al. 2024, eqs. 8-9)."""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.labelled import (
    ROUNDING,
    UNITS,
    Classes,
    as_classes,
    as_templates,
    record_of,
    sums_by_code,
    unit_rows,
)
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import RESAMPLES, identity_weights

Baseline = Literal["rest", "all"]
_AT_ONCE = 50  # draws of people, which bounds memory
_TAIL = 95  # percent of the draws stay within the angle that is told


class _Contrast(NamedTuple):
    """What each class is compared with; hashable, for jit."""

    neutral: int | None
    baseline: Baseline


def centroid_directions(
    templates: Any,
    classes: Any,
    *,
    neutral: str | int | None = None,
    baseline: Baseline = "rest",
    identities: Any = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Directions:
    """Finds the way from neutral templates to those of each other class.

    d = mean(t | class) - mean(t | neutral) (eq. 8). The rows of the record are d / |d|;
    the paper's t + d (eq. 9 with its alpha of 1) is `about["lengths"]` template units
    along them, and so lengths / scales of ours.

    Args:
        templates: [N, D] float32.
        classes: [N] str or int, each at least twice.
        neutral: the class that others are compared with; None if there is none.
        baseline: what each class is compared with if there is no neutral one: "rest",
            the mean of all templates of other classes, or "all", that of all templates.
        identities: [N], whose each is, numbers or names; None does without the angles.
        resamples: draws of people for the angles.
        seed: of the draws.

    Returns:
        Directions with [K, D] unit rows, one a class but the neutral one, in the order
        of their values. `about` has `labels`, `counts`, `lengths` of d, and, with
        identities, `degrees_over_people`: median and 95th percentile of the angle to
        the direction that other people would give; see `resampled_degrees`.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if a template is not finite, there is one class only, a class with
            one member, no such neutral class, or a class whose mean does not differ.
    """
    on_device = as_templates(templates)
    known = as_classes(classes, len(on_device))
    contrast = _Contrast(_place(neutral, known), baseline)
    sums = sums_by_code(on_device, jnp.asarray(known.codes), len(known.values))
    found = np.asarray(_differences(sums, jnp.asarray(known.counts), contrast))
    place = contrast.neutral
    kept = [other for other in range(len(known.values)) if other != place]
    labels = [known.values[other] for other in kept]
    about = {
        "kind": "label_centroid",
        "labels": labels,
        "neutral": None if place is None else known.values[place],
        "baseline": baseline if place is None else "neutral",
        "units": UNITS,
        "sign_rule": "towards the class",
        "templates": len(on_device),
        "counts": known.counts[kept].tolist(),
        "neutral_count": None if place is None else int(known.counts[place]),
        "lengths": np.linalg.norm(found, axis=1).tolist(),
    }
    if identities is not None:
        about["degrees_over_people"] = _told(
            _degrees(on_device, known, contrast, identities, resamples, seed)
        )
    mean = np.asarray(sums).sum(axis=0) / len(on_device)
    rounding = ROUNDING * float(np.linalg.norm(mean))
    rows = unit_rows(found, labels, rounding=rounding)
    return record_of(on_device, rows, about)


def resampled_degrees(
    templates: Any,
    classes: Any,
    identities: Any,
    *,
    neutral: str | int | None = None,
    baseline: Baseline = "rest",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Angles between class directions and those of people drawn with replacement.

    Sums of each person's templates are made once; a draw only weighs them.

    Args:
        templates: [N, D] float32.
        classes: [N] str or int, each at least twice.
        identities: [N], whose each is; numbers or names.
        neutral: as in `centroid_directions`.
        baseline: as in `centroid_directions`.
        resamples: R.
        seed: of the draws.

    Returns:
        [R, K] float32, degrees; NaN where a draw had no template of a class.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: as `centroid_directions` does, or if there is one identity only.
    """
    on_device = as_templates(templates)
    known = as_classes(classes, len(on_device))
    contrast = _Contrast(_place(neutral, known), baseline)
    return _degrees(on_device, known, contrast, identities, resamples, seed)


def _place(neutral: str | int | None, known: Classes) -> int | None:
    if neutral is None:
        return None
    if neutral not in known.values:
        raise InputError(
            f"no template is of the neutral class {neutral!r}; the classes are: "
            f"{', '.join(map(str, known.values))}"
        )
    return known.values.index(neutral)  # pyright: ignore[reportArgumentType]


def _degrees(
    templates: jax.Array,
    known: Classes,
    contrast: _Contrast,
    identities: Any,
    resamples: int,
    seed: int,
) -> np.ndarray:
    array = np.asarray(identities)
    if array.shape != (len(templates),):
        raise ValueError(
            f"identities are {list(array.shape)} for {len(templates)} templates"
        )
    people, owners = np.unique(array, return_inverse=True)
    if len(people) < 2:
        raise InputError("all templates are of one identity only; angles need others")
    num_classes = len(known.values)
    cells = owners * num_classes + known.codes
    shape = (len(people), num_classes)
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    sums = sums_by_code(templates, jnp.asarray(cells, jnp.int32), counts.size)
    weights = identity_weights(len(people), resamples=resamples, seed=seed)
    found = _resampled(
        sums.reshape(*shape, -1),
        jnp.asarray(counts, jnp.float32),
        jnp.asarray(weights, jnp.float32),
        contrast,
    )
    return np.asarray(found)


def _told(degrees: np.ndarray) -> dict[str, list[float | None]]:
    parts = [column[np.isfinite(column)] for column in degrees.T]
    return {
        name: [
            round(float(np.percentile(part, percent)), 2) if len(part) else None
            for part in parts
        ]
        for name, percent in (("median", 50), ("high", _TAIL))
    }


@functools.partial(jax.jit, static_argnums=2)
def _differences(sums: jax.Array, counts: jax.Array, contrast: _Contrast) -> jax.Array:
    """[K, D] of the sums [C, D] and counts [C] of classes."""
    sizes = counts[:, None].astype(sums.dtype)
    means = sums / sizes
    if contrast.neutral is not None:
        differences = means - means[contrast.neutral][None]
        return jnp.delete(differences, contrast.neutral, axis=0)
    total, number = sums.sum(axis=0, keepdims=True), sizes.sum()
    if contrast.baseline == "all":
        return means - total / number
    return means - (total - sums) / (number - sizes)


@functools.partial(jax.jit, static_argnums=3)
def _resampled(
    sums: jax.Array, counts: jax.Array, weights: jax.Array, contrast: _Contrast
) -> jax.Array:
    """[R, K] degrees; sums [G, C, D], counts [G, C] of G people, weights [R, G]."""
    own = _differences(sums.sum(axis=0), counts.sum(axis=0), contrast)

    def one(weights: jax.Array) -> jax.Array:
        drawn = _differences(
            jnp.tensordot(weights, sums, 1), weights @ counts, contrast
        )
        lengths = jnp.linalg.norm(drawn, axis=1) * jnp.linalg.norm(own, axis=1)
        return jnp.rad2deg(jnp.arccos(jnp.clip((drawn * own).sum(1) / lengths, -1, 1)))

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(one, weights, batch_size=_AT_ONCE)
