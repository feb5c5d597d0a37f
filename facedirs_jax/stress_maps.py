"""Metric scaling by least squares: the map whose distances are nearest to those given.

Computed in float64, since a step near the end changes the stress by less than float32
can tell.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.manifold import checked_distances, classical_mds

TOLERANCE = 1e-6  # of the sum of squared distances of the map
MAX_STEPS = 1000


class StressMap(NamedTuple):
    """A map by least squares on distances.

    Attributes:
        points: [N, d] float32, centred.
        stress: stress-1, see `stress`.
        steps: taken.
        converged: whether it stopped by itself.
    """

    points: jax.Array
    stress: float
    steps: int
    converged: bool


class _State(NamedTuple):
    points: jax.Array  # [N, d]
    stress: jax.Array  # [], sum of squared errors
    drop: jax.Array  # [], of the last step, over the sum of squared distances
    step: jax.Array  # []


def smacof(
    distances: Any,
    *,
    dims: int = 2,
    start: Any = None,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> StressMap:
    """Minimises sum_(i<j) (d_ij - D_ij)^2 over maps, d_ij their distances.

    By majorisation: each step, X <- B(X) X / N, with B_ij = -D_ij / d_ij and rows that
    sum to 0, lowers the stress (de Leeuw 1977; Borg and Groenen, Modern
    Multidimensional Scaling, 2nd ed., eq. 8.29). The minimum found is that next to the
    start; nothing is random.

    Args:
        distances: [N, N], D.
        dims: d, at most N - 1.
        start: [N, d]; None for classical scaling.
        tolerance: stops when a step lowers the stress by less, as a share of the sum
            of the map's squared distances.
        max_steps: at most.

    Returns:
        StressMap of [N, d] points.

    Raises:
        ValueError: if distances are not [N, N], or start is not [N, d].
        InputError: if they are no distances (see `checked_distances`), or dims is out
            of range.
    """
    found = checked_distances(distances, dims=dims)
    first = classical_mds(found, dims=dims).points if start is None else start
    first = np.asarray(first, np.float64)
    chex.assert_shape(first, (len(found), dims), exception_type=ValueError)
    with jax.enable_x64(True):
        end = _descend(jnp.asarray(found), jnp.asarray(first), tolerance, max_steps)
        points, drop, step = map(np.asarray, (end.points, end.drop, end.step))
    return StressMap(
        jnp.asarray(points, jnp.float32),
        stress(points, found),
        int(step),
        bool(drop < tolerance),
    )


def stress(points: Any, distances: Any) -> float:
    """How far a map's distances are from those given: stress-1.

    sqrt(sum (d_ij - D_ij)^2 / sum d_ij^2) over i < j, d_ij those of the map (Kruskal,
    Psychometrika 1964, who calls 0.2 poor, 0.1 fair, 0.05 good and 0.025 excellent).

    Args:
        points: [N, d].
        distances: [N, N].

    Returns:
        0 or more; infinity for a map of one place.

    Raises:
        ValueError: if the shapes do not agree.
    """
    rows = np.asarray(points, np.float64)
    chex.assert_rank(rows, 2, exception_type=ValueError)
    wanted = np.asarray(distances, np.float64)
    chex.assert_shape(wanted, (len(rows),) * 2, exception_type=ValueError)
    with jax.enable_x64(True):
        error, spread = _sums(jnp.asarray(rows), jnp.asarray(wanted))
    return float(np.sqrt(error / spread)) if spread else float("inf")


@jax.jit
def _sums(points: jax.Array, wanted: jax.Array) -> tuple[jax.Array, jax.Array]:
    found = _distances(points)
    return jnp.sum((found - wanted) ** 2), jnp.sum(found**2)


@jax.jit
def _descend(
    wanted: jax.Array, start: jax.Array, tolerance: float, max_steps: int
) -> _State:
    def goes_on(state: _State) -> jax.Array:
        return (state.step < max_steps) & (state.drop >= tolerance)

    def step(state: _State) -> _State:
        found = _distances(state.points)
        ratio = jnp.where(found > 0, wanted / jnp.where(found > 0, found, 1.0), 0.0)
        with jax.default_matmul_precision("highest"):
            pulled = ratio.sum(axis=1, keepdims=True) * state.points
            points = (pulled - ratio @ state.points) / len(wanted)
        error, spread = _sums(points, wanted)
        drop = (state.stress - error) / jnp.where(spread > 0, spread, 1.0)
        return _State(points, error, drop, state.step + 1)

    start = start - start.mean(axis=0, keepdims=True)
    error, _ = _sums(start, wanted)
    first = _State(
        start, error, jnp.full_like(error, jnp.inf), jnp.zeros((), jnp.int32)
    )
    return jax.lax.while_loop(goes_on, step, first)


def _distances(points: jax.Array) -> jax.Array:
    apart = points[:, None, :] - points[None, :, :]  # [N, N, d]
    return jnp.sqrt(jnp.sum(apart**2, axis=2))
