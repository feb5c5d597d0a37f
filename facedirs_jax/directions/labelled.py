"""What directions of labels share: checks of what they are made from, and the record.

Labels are numbers (`as_labels`) or classes (`as_classes`). Whatever is wrong with them
is refused here, with what was found and what to do.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError

UNITS = "template units; alpha counts square roots of eigenvalues"
FOLDS = 5
ROUNDING = 1e-6  # of the size of a mean template; float32 tells no less apart
_MOST_BLOCKS = 64
_MOST_SUMS = 4096  # kept at once


class Classes(NamedTuple):
    """Classes of N templates, C of them, in the order of their values.

    Attributes:
        values: C words, or C whole numbers.
        codes: [N] int32, 0 to C - 1, the class of each template.
        counts: [C] int64, at least 2 each.
    """

    values: list[str] | list[int]
    codes: np.ndarray
    counts: np.ndarray


def as_templates(templates: Any) -> jax.Array:
    """Checks templates and puts them on the device.

    Args:
        templates: [N, D] numbers.

    Returns:
        [N, D] float32.

    Raises:
        ValueError: if they are not [N, D].
        InputError: if one holds NaN or infinity.
    """
    found = jnp.asarray(templates, jnp.float32)
    chex.assert_rank(found, 2, exception_type=ValueError)
    wrong = np.flatnonzero(~np.asarray(_finite_rows(found)))
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {len(found)} templates hold NaN or infinity, the first "
            f"in row {wrong[0]}; leave out the faces without a template"
        )
    return found


def as_classes(classes: Any, size: int) -> Classes:
    """Checks the class of each template.

    Args:
        classes: [N] str or int.
        size: N, number of templates.

    Returns:
        Classes of [N] templates.

    Raises:
        ValueError: if they are not [N], or neither words nor whole numbers.
        InputError: if one is the empty word, there is one class only, or a class has
            one member only.
    """
    array = np.asarray(classes)
    _check_size(array, size, "classes")
    if array.dtype.kind not in "Uiub":
        raise ValueError(f"classes are words or whole numbers, not {array.dtype}")
    unknown = int((array == "").sum()) if array.dtype.kind == "U" else 0
    if unknown:
        raise InputError(
            f"the class of {unknown} of {size} templates is unknown (an empty word); "
            "leave such faces out"
        )
    values, codes, counts = np.unique(array, return_inverse=True, return_counts=True)
    if len(values) < 2:
        raise InputError(
            f"all {size} templates are of one class ({', '.join(map(str, values))}); "
            "a direction needs two"
        )
    single = [str(value) for value in values[counts < 2]]
    if single:
        raise InputError(
            f"only one template has the class {', '.join(single[:5])} "
            f"({len(single)} of {len(values)} classes); add pictures, merge classes or "
            "leave these out"
        )
    return Classes(values.tolist(), codes.astype(np.int32), counts)


def as_labels(labels: Any, size: int, name: str) -> np.ndarray:
    """Checks the number that each template is labelled with.

    Args:
        labels: [N] numbers.
        size: N, number of templates.
        name: of the label, for errors.

    Returns:
        [N] float64.

    Raises:
        ValueError: if they are not [N].
        InputError: if one is NaN or infinite, or all are the same.
    """
    values = np.asarray(labels, np.float64)
    _check_size(values, size, "labels")
    unknown = int((~np.isfinite(values)).sum())
    if unknown:
        raise InputError(
            f"{name}: {unknown} of {size} labels are NaN or infinite; leave such faces "
            "out"
        )
    if not size or (values == values[0]).all():
        raise InputError(
            f"{name}: is the same in all {size} templates; nothing can be learnt from "
            "a label that does not vary"
        )
    return values


def people_in_folds(
    identities: Any, size: int, *, folds: int = FOLDS, seed: int = 0
) -> np.ndarray:
    """Deals people out to folds at random, all templates of one into one fold.

    Args:
        identities: [N], whose each template is; numbers or names.
        size: N, number of templates.
        folds: F, at least 2; they hold equally many people, give or take one.
        seed: of the draw.

    Returns:
        [N] int64, 0 to F - 1.

    Raises:
        ValueError: if they are not [N], or there are fewer than 2 folds.
        InputError: if there are fewer people than folds.
    """
    array = np.asarray(identities)
    _check_size(array, size, "identities")
    if folds < 2:
        raise ValueError(f"cross-validation needs 2 folds or more, got {folds}")
    people, codes = np.unique(array, return_inverse=True)
    if len(people) < folds:
        raise InputError(
            f"{len(people)} identities cannot be dealt out to {folds} folds; add "
            "people or ask for fewer folds"
        )
    dealt = np.random.default_rng(seed).permutation(len(people)) % folds
    return dealt[codes]


def _check_size(array: np.ndarray, size: int, what: str) -> None:
    if array.shape != (size,):
        raise ValueError(f"{what} are {list(array.shape)} for {size} templates")


def unit_rows(
    vectors: np.ndarray, names: Sequence[Any], *, rounding: float = 0.0
) -> np.ndarray:
    """Scales directions to length 1.

    Args:
        vectors: [K, D].
        names: K of them, for errors.
        rounding: a length that means nothing.

    Returns:
        [K, D] float32.

    Raises:
        InputError: if one has no length.
    """
    lengths = np.linalg.norm(np.asarray(vectors, np.float64), axis=1)
    short = lengths <= rounding
    if short.any():
        raise InputError(
            f"{names[int(np.argmax(short))]}: the templates do not vary with it, so "
            "it has no direction; label other pictures"
        )
    return (vectors / lengths[:, None]).astype(np.float32)


def record_of(
    templates: jax.Array,
    rows: np.ndarray,
    about: dict[str, Any],
    *,
    weights: np.ndarray | None = None,
    intercepts: np.ndarray | None = None,
) -> Directions:
    """Makes the record of directions: alpha counts standard deviations of templates.

    Args:
        templates: [N, D] float32, those that the directions were found on.
        rows: [K, D] float32, of length 1.
        about: what they are; plain JSON values.
        weights: [K, D] float32, of the readings, if there are any.
        intercepts: [K] float64, of the readings, if there are any.

    Returns:
        Directions, whose [K] eigenvalues are variances of all templates about their
        mean, not about those of their classes: as far as the data go.
    """
    mean, variances = _spread(templates, jnp.asarray(rows))
    return Directions(
        *(rows, np.asarray(variances), np.asarray(mean), about),
        weights=weights,
        intercepts=intercepts,
    )


@functools.partial(jax.jit, static_argnums=2)
def sums_by_code(templates: jax.Array, codes: jax.Array, count: int) -> jax.Array:
    """Sums the templates of each code.

    In blocks of rows, whose sums are then added up: a long sum of float32 loses digits.

    Args:
        templates: [N, D] float32.
        codes: [N] int32, 0 to C - 1.
        count: C, static.

    Returns:
        [C, D] float32.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank(templates, 2, exception_type=ValueError)
    chex.assert_shape(codes, (len(templates),), exception_type=ValueError)
    blocks = max(1, min(_MOST_BLOCKS, _MOST_SUMS // count))
    block = jnp.arange(len(templates)) * blocks // len(templates)
    sums = jax.ops.segment_sum(templates, block * count + codes, blocks * count)
    return sums.reshape(blocks, count, -1).sum(axis=0)


@jax.jit
def _finite_rows(templates: jax.Array) -> jax.Array:
    return jnp.isfinite(templates).all(axis=1)


@jax.jit
def _spread(templates: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean template [D], and variances along rows [K], unbiased."""
    one_code = jnp.zeros(len(templates), jnp.int32)
    mean = sums_by_code(templates, one_code, 1) / len(templates)  # [1, D]
    with jax.default_matmul_precision("highest"):
        along = templates @ rows.T - mean @ rows.T
    return mean[0], jnp.sum(along**2, axis=0) / max(len(templates) - 1, 1)
