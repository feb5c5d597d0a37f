"""Maps of template space: a few coordinates a point that keep distances as they can.

Distances first (`distances`), then a map of them: by classical scaling, whose answer is
unique (`classical_mds`); by least squares on distances (`stress_maps`); or by t-SNE,
which keeps neighbours and nothing else (`neighbour_maps`). `align_map` lays one map on
another.
"""

import functools
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.labelled import as_templates
from facedirs_jax.directions.pca import with_fixed_signs
from facedirs_jax.errors import InputError

Metric = Literal["euclidean", "angular"]
MIN_POINTS = 3  # two points are a line at any distance
_ASYMMETRY = 1e-4  # of the largest distance, what rounding may leave


class ClassicalMap(NamedTuple):
    """A map by classical scaling.

    Attributes:
        points: [N, d] float32, centred; the dimension of most variance first, its
            entry of largest absolute value positive.
        eigenvalues: [N] float32 of the doubly centred squared distances, the largest
            first; negative ones belong to distances that no flat space has.
    """

    points: jax.Array
    eigenvalues: jax.Array

    @property
    def shares(self) -> np.ndarray:
        """[d] float64, of each dimension in the sum of all positive eigenvalues."""
        values = np.maximum(np.asarray(self.eigenvalues, np.float64), 0)
        return values[: self.points.shape[1]] / values.sum()

    @property
    def negative_share(self) -> float:
        """Sum of the negative eigenvalues over that of all, both of absolute values."""
        values = np.asarray(self.eigenvalues, np.float64)
        return float(np.maximum(-values, 0).sum() / np.abs(values).sum())


class AlignedMap(NamedTuple):
    """A map laid on another.

    Attributes:
        points: [N, d] float32, turned, mirrored, scaled and moved.
        disparity: 0 where they then agree, 1 where they have nothing in common: the
            sum of squared differences over the spread of the other map.
    """

    points: jax.Array
    disparity: float


def distances(points: Any, *, metric: Metric = "euclidean") -> jax.Array:
    """Distances of all points to all.

    Args:
        points: [N, D] float32.
        metric: "euclidean"; or "angular", the angle between them in radians, for
            templates on the unit sphere.

    Returns:
        [N, N] float32, symmetric, 0 on the diagonal.

    Raises:
        ValueError: if points are not [N, D], or the metric is unknown.
        InputError: if a point holds NaN or infinity, or one without length has no
            angle.
    """
    on_device = as_templates(points)
    if metric == "euclidean":
        return _euclidean(on_device)
    if metric != "angular":
        raise ValueError(f"metric is euclidean or angular, not {metric!r}")
    lengths = np.linalg.norm(np.asarray(on_device), axis=1)
    if not lengths.all():
        raise InputError(
            f"point {int(np.argmin(lengths))} of {len(lengths)} is 0 and has no angle; "
            "leave it out, or take Euclidean distances"
        )
    return _angular(on_device)


@jax.jit
def _euclidean(points: jax.Array) -> jax.Array:
    """Of differences, row by row: products of points would lose small distances."""
    return jax.lax.map(
        lambda point: jnp.linalg.norm(points - point[None], axis=1), points
    )


@jax.jit
def _angular(points: jax.Array) -> jax.Array:
    """2 atan2(|a - b|, |a + b|) of unit a and b, exact for small angles and large."""
    unit = points / jnp.linalg.norm(points, axis=1, keepdims=True)

    def row(point: jax.Array) -> jax.Array:
        apart = jnp.linalg.norm(unit - point[None], axis=1)
        return 2 * jnp.arctan2(apart, jnp.linalg.norm(unit + point[None], axis=1))

    return jax.lax.map(row, unit)


def classical_mds(distances: Any, *, dims: int = 2) -> ClassicalMap:
    """Finds the map whose scalar products are nearest to those of the distances.

    B = -1/2 J D^2 J, J = I - 1/N; coordinates are eigenvectors of B times the square
    roots of their eigenvalues (Torgerson, Multidimensional scaling: I. Theory and
    method, Psychometrika 1952). A dimension whose eigenvalue is not positive is 0.

    Args:
        distances: [N, N].
        dims: d, at most N - 1.

    Returns:
        ClassicalMap of [N, d] points.

    Raises:
        ValueError: if distances are not [N, N].
        InputError: if they are no distances (see `checked_distances`), or dims is out
            of range.
    """
    found = checked_distances(distances, dims=dims)
    points, eigenvalues = _classical(jnp.asarray(found, jnp.float32), dims)
    return ClassicalMap(points, eigenvalues)


def checked_distances(distances: Any, *, dims: int) -> np.ndarray:
    """Checks distances, and how many dimensions a map of them shall have.

    Args:
        distances: [N, N].
        dims: 1 to N - 1.

    Returns:
        [N, N] float64, symmetric to the last bit.

    Raises:
        ValueError: if distances are not [N, N].
        InputError: if there are fewer than `MIN_POINTS`, one is negative, NaN or
            infinite, they are not symmetric or not 0 on the diagonal, all are 0, or
            dims is out of range.
    """
    found = np.asarray(distances, np.float64)
    if found.ndim != 2 or len(found) != found.shape[1]:
        raise ValueError(f"distances must be [N, N], got {list(found.shape)}")
    if len(found) < MIN_POINTS:
        raise InputError(
            f"a map of {len(found)} points says nothing; give {MIN_POINTS} or more"
        )
    if not np.isfinite(found).all() or found.min() < 0:
        wrong = int((~(np.isfinite(found) & (found >= 0))).sum())
        raise InputError(f"{wrong} distances are negative, NaN or infinite")
    largest = found.max()
    if np.abs(found - found.T).max() > _ASYMMETRY * largest:
        raise InputError("distances are not symmetric; average those of both ways")
    if found.diagonal().max() > _ASYMMETRY * largest:
        raise InputError("a point has a distance from itself; set the diagonal to 0")
    if not largest:
        raise InputError(f"all {len(found)} points are the same; there is no map")
    if not 1 <= dims < len(found):
        raise InputError(
            f"{len(found)} points have maps of 1 to {len(found) - 1} dimensions, not "
            f"of {dims}"
        )
    return (found + found.T) / 2 * (1 - np.eye(len(found)))


@functools.partial(jax.jit, static_argnums=1)
def _classical(distances: jax.Array, dims: int) -> tuple[jax.Array, jax.Array]:
    """Points [N, dims] and eigenvalues [N]."""
    squared = distances**2
    rows = squared.mean(axis=0, keepdims=True)
    products = -0.5 * (squared - rows - rows.T + squared.mean())
    with jax.default_matmul_precision("highest"):
        eigenvalues, vectors = jnp.linalg.eigh(products)
    axes = with_fixed_signs(vectors.T[::-1][:dims])
    lengths = jnp.sqrt(jnp.maximum(eigenvalues[::-1][:dims], 0.0))
    return axes.T * lengths[None], eigenvalues[::-1]


def align_map(points: Any, onto: Any) -> AlignedMap:
    """Turns, mirrors, scales and moves a map so that it lies on another (Procrustes).

    Args:
        points: [N, d] float32.
        onto: [N, d] float32, the map of the same points by other means.

    Returns:
        AlignedMap of [N, d] points.

    Raises:
        ValueError: if the shapes differ.
        InputError: if a number is NaN or infinite, or all points of a map are the same.
    """
    moved, fixed = as_templates(points), as_templates(onto)
    chex.assert_equal_shape([moved, fixed], exception_type=ValueError)
    for which in (moved, fixed):
        if not np.ptp(np.asarray(which), axis=0).any():
            raise InputError("all points of a map are the same; it cannot be aligned")
    aligned, disparity = _align(moved, fixed)
    return AlignedMap(aligned, float(disparity))


@jax.jit
def _align(points: jax.Array, onto: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A^T B = U diag(s) V^T of centred maps; A U V^T sum(s) / |A|^2 is next to B."""
    centre = onto.mean(axis=0, keepdims=True)
    a, b = points - points.mean(axis=0, keepdims=True), onto - centre
    with jax.default_matmul_precision("highest"):
        u, s, vt = jnp.linalg.svd(a.T @ b)
        turned = a @ (u @ vt)
    within, spread = jnp.sum(a**2), jnp.sum(b**2)
    left = 1 - jnp.sum(s) ** 2 / (within * spread)
    return turned * jnp.sum(s) / within + centre, jnp.maximum(left, 0.0)
