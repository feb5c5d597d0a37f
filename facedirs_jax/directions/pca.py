"""Region directions: PCA of donor-centred templates (Plesh et al. 2024, eqs. 1-5)."""

import functools
from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.grid import Grid, GridSums

Mode = Literal["corrected", "paper"]
SHARE = 0.9  # of the variance that the first d' components hold
MIN_COMPONENTS = 3
_NULL_DRAWS = 200
_NULL_QUANTILE = 0.95


class Scatter(NamedTuple):
    """Second moment of donor-centred templates, over all or some of the blends.

    Attributes:
        matrix: [D, D] float64, sum of (t[m, k] - mu_m)(t[m, k] - mu_m)^T.
        num_blends: number of blends in it.
        num_means: number of means mu_m that were removed from them.
    """

    matrix: np.ndarray
    num_blends: int
    num_means: int

    def covariance(self, mode: Mode) -> np.ndarray:
        """[D, D] float64; divides by what `mode` says.

        "paper" divides by the number of blends minus 1 (eq. 3); "corrected" by the
        number of blends minus the number of means, which is unbiased.
        """
        lost = {"paper": 1, "corrected": self.num_means}[mode]
        return self.matrix / max(self.num_blends - lost, 1)


class Components(NamedTuple):
    """Principal components of a covariance, the largest first.

    Attributes:
        directions: [K, D] float32, orthonormal rows; in each the entry of largest
            absolute value is positive.
        eigenvalues: [K] float32, variance along each, in squared template units.
    """

    directions: jax.Array
    eigenvalues: jax.Array


def donor_centred_scatter(
    sums: GridSums,
    grid: Grid,
    *,
    face_blocks: tuple[int, ...] | None = None,
    region_blocks: tuple[int, ...] | None = None,
) -> Scatter:
    """Centres templates over the region donors of each face donor (eqs. 1-2).

    Any half of the donors can be looked at alone: name some of the face blocks, or some
    of the region blocks, but not both.

    Args:
        sums: of the whole grid.
        grid: the grid.
        face_blocks: keeps only face donors of these blocks; None for all.
        region_blocks: keeps only region donors of these blocks; None for all.

    Returns:
        Scatter with a [D, D] matrix.

    Raises:
        ValueError: if both kinds of blocks are named.
    """
    if face_blocks is not None and region_blocks is not None:
        raise ValueError("name face_blocks or region_blocks, not both")
    faces = _member(grid.face_blocks, face_blocks)  # [F] bool
    regions = _member(grid.region_blocks, region_blocks)  # [K] bool
    counts = (grid.filled & regions[None, :]).sum(axis=1) * faces  # [F]
    if face_blocks is not None:
        moment = sums.face_moments[list(face_blocks)].sum(axis=0)
        by_face = sums.by_face.sum(axis=0)
    else:
        kept = np.unique(grid.region_blocks[regions])
        moment = sums.region_moments[kept].sum(axis=0)
        by_face = sums.by_face[kept].sum(axis=0)
    kept_faces = counts > 0
    by_face = np.asarray(by_face)[kept_faces]
    means = by_face / counts[kept_faces, None]
    matrix = np.asarray(moment) - by_face.T @ means
    return Scatter((matrix + matrix.T) / 2, int(counts.sum()), int(kept_faces.sum()))


def _member(blocks: np.ndarray, kept: tuple[int, ...] | None) -> np.ndarray:
    return np.isin(blocks, blocks if kept is None else kept)


@jax.jit
def principal_components(covariance: jax.Array) -> Components:
    """Eigenvectors of a covariance, largest eigenvalue first (eq. 4).

    Args:
        covariance: [D, D] float32, symmetric.

    Returns:
        Components with [D, D] directions and [D] eigenvalues; those that rounding has
        made negative are 0.

    Raises:
        ValueError: if covariance is not square.
    """
    chex.assert_rank(covariance, 2, exception_type=ValueError)
    chex.assert_shape(covariance, (len(covariance),) * 2, exception_type=ValueError)
    with jax.default_matmul_precision("highest"):
        eigenvalues, vectors = jnp.linalg.eigh(covariance)
    directions = with_fixed_signs(vectors.T[::-1])
    return Components(directions, jnp.maximum(eigenvalues[::-1], 0.0))


@jax.jit
def components_of_templates(templates: jax.Array) -> Components:
    """Principal components of templates held in memory; the plain form of eqs. 1-4.

    Args:
        templates: [F, K, D] float32, t[m, k] of every face donor and region donor; no
            donor may be both.

    Returns:
        Components with [D, D] directions and [D] eigenvalues, corrected divisor.

    Raises:
        ValueError: if templates are not [F, K, D].
    """
    chex.assert_rank(templates, 3, exception_type=ValueError)
    faces, regions, dim = templates.shape
    centred = (templates - templates.mean(axis=1, keepdims=True)).reshape(-1, dim)
    with jax.default_matmul_precision("highest"):
        return principal_components(centred.T @ centred / (faces * max(regions - 1, 1)))


def with_fixed_signs(directions: jax.Array) -> jax.Array:
    """Flips rows so that the entry of largest absolute value is positive; [K, D]."""
    largest = jnp.argmax(jnp.abs(directions), axis=1, keepdims=True)
    return directions * jnp.sign(jnp.take_along_axis(directions, largest, axis=1))


def count_by_share(eigenvalues: np.ndarray, *, share: float = SHARE) -> int:
    """Smallest d' >= 3 whose components hold `share` of the variance (eq. 5).

    Args:
        eigenvalues: [D], the largest first.
        share: of their sum, in (0, 1].

    Returns:
        d', at most D.
    """
    eigenvalues = np.asarray(eigenvalues, np.float64)
    cumulated = np.cumsum(eigenvalues) / max(eigenvalues.sum(), np.finfo(float).tiny)
    reached = int(np.searchsorted(cumulated, share - 1e-9)) + 1
    return min(max(reached, MIN_COMPONENTS), len(eigenvalues))


def null_eigenvalues(
    key: jax.Array, variances: jax.Array, *, num_donors: int, draws: int = _NULL_DRAWS
) -> jax.Array:
    """Eigenvalues that noise of the same variances would give (Horn 1965).

    Region donors, not blends, are the sample: a region pasted into many faces is seen
    many times but drawn once. So each draw is `num_donors` independent Gaussian
    templates whose dimensions are uncorrelated.

    Args:
        key: random key, consumed.
        variances: [D] float32, variance of each template dimension.
        num_donors: number of region donors, at least 2.
        draws: number of data sets drawn.

    Returns:
        [min(num_donors, D)] float32, the 95th percentile of each eigenvalue.

    Raises:
        ValueError: if variances are not [D].
    """
    chex.assert_rank(variances, 1, exception_type=ValueError)
    return _null_eigenvalues(key, variances, num_donors, draws)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _null_eigenvalues(
    key: jax.Array, variances: jax.Array, num_donors: int, draws: int
) -> jax.Array:
    def one(key: jax.Array) -> jax.Array:
        noise = jax.random.normal(key, (num_donors, len(variances)))
        noise = noise * jnp.sqrt(variances)[None, :]
        noise = noise - noise.mean(axis=0, keepdims=True)
        small = noise @ noise.T if num_donors < len(variances) else noise.T @ noise
        return jnp.linalg.eigvalsh(small)[::-1] / (num_donors - 1)

    with jax.default_matmul_precision("highest"):
        drawn = jax.lax.map(one, jax.random.split(key, draws))
    return jnp.quantile(drawn, _NULL_QUANTILE, axis=0)


def count_by_parallel_analysis(eigenvalues: np.ndarray, null: np.ndarray) -> int:
    """Number of leading components above what noise gives.

    Args:
        eigenvalues: [D], the largest first.
        null: [M], from `null_eigenvalues`.

    Returns:
        How many of the first eigenvalues exceed theirs before one does not, 0 .. M.
    """
    above = np.asarray(eigenvalues)[: len(null)] > np.asarray(null)[: len(eigenvalues)]
    return int(np.argmin(np.append(above, False)))
