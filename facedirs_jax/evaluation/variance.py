"""Two-way analysis of variance of a grid: face donor, region donor, interaction.

The model is t[m, k] = mu + a_m + b_k + (ab)_mk, fitted by least squares, which is exact
for the missing cells of a donor and itself.
"""

from typing import NamedTuple

import numpy as np

from facedirs_jax.grid import Grid, GridSums

_TINY = np.finfo(float).tiny


class VarianceShares(NamedTuple):
    """Where the variance of t[m, k] lies; shares that sum to 1.

    They are shares of the variance components under random effects, estimated without
    bias (Henderson's method 3) and cut at 0, so that they do not depend on the number
    of donors of either kind. Scalars for the whole template; [K] where K directions
    are given.

    Attributes:
        face: of a_m, who the face is.
        region: of b_k, whose region it is, the same in every face.
        interaction: of (ab)_mk, what the region does differently in each face.
    """

    face: np.ndarray
    region: np.ndarray
    interaction: np.ndarray

    @property
    def consistency(self) -> np.ndarray:
        """Share of the region's effect that is alike in every face, 0..1; [] or [K]."""
        return self.region / np.maximum(self.region + self.interaction, _TINY)


def region_effects(sums: GridSums, grid: Grid) -> np.ndarray:
    """What each region donor's region does to a template, averaged over faces: b_k.

    Args:
        sums: of the whole grid.
        grid: the grid.

    Returns:
        [K, D] float64, mean 0 over k.
    """
    filled = grid.filled.astype(np.float64)  # [F, K]
    per_face = filled / np.maximum(filled.sum(axis=1, keepdims=True), 1.0)
    left = np.diag(filled.sum(axis=0)) - filled.T @ per_face  # [K, K]
    return _centred_solution(left, _region_right_side(sums, per_face))


def _region_right_side(sums: GridSums, per_face: np.ndarray) -> np.ndarray:
    """Sums over faces of x[m, k] less its face donor's mean, [K, D]."""
    return np.asarray(sums.by_region) - per_face.T @ np.sum(sums.by_face, axis=0)


def _centred_solution(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    return solution - solution.mean(axis=0, keepdims=True)


def variance_shares(
    sums: GridSums,
    grid: Grid,
    own: np.ndarray,
    *,
    directions: np.ndarray | None = None,
) -> VarianceShares | None:
    """Splits the variance of the templates of a grid.

    Args:
        sums: of the whole grid.
        grid: the grid.
        own: [F, D], templates of the face donors themselves.
        directions: [K, D], unit rows: shares along each; None for the whole template.

    Returns:
        VarianceShares; None where the grid leaves no degree of freedom for the
        interaction, as with a single face donor.
    """
    filled = grid.filled.astype(np.float64)  # [F, K]
    (num_faces, num_regions), num_blends = filled.shape, filled.sum()
    freedom = num_blends - num_faces - num_regions + 1
    if num_faces < 2 or freedom < 1:
        return None
    per_face = filled / filled.sum(axis=1, keepdims=True)
    per_region = filled / filled.sum(axis=0, keepdims=True)
    by_face = np.sum(sums.by_face, axis=0)  # [F, D], sums of x = t - own
    # Sums of squares of each main effect, given the other, as the products of the
    # right and left sides of its normal equations; matrices, so that any direction's
    # share is a quadratic form.
    b_right = _region_right_side(sums, per_face)
    b_squares = b_right.T @ region_effects(sums, grid)
    t_by_face = by_face + filled.sum(axis=1, keepdims=True) * own
    t_by_region = np.asarray(sums.by_region) + filled.T @ own
    a_right = t_by_face - per_region @ t_by_region
    a_left = np.diag(filled.sum(axis=1)) - per_region @ filled.T
    a_squares = a_right.T @ _centred_solution(a_left, a_right)
    within = np.sum(sums.region_moments, axis=0) - by_face.T @ (
        by_face / filled.sum(axis=1, keepdims=True)
    )
    a, b, ab = (
        _along(squares, directions)
        for squares in (a_squares, b_squares, within - b_squares)
    )
    interaction = ab / freedom
    region = (b - (num_regions - 1) * interaction) / (num_blends - num_faces)
    face = (a - (num_faces - 1) * interaction) / (num_blends - num_regions)
    parts = np.maximum(np.stack([face, region, interaction]), 0.0)
    return VarianceShares(*(parts / np.maximum(parts.sum(axis=0), _TINY)))


def _along(squares: np.ndarray, directions: np.ndarray | None) -> np.ndarray:
    """Trace of a [D, D] sum of squares, or its quadratic form in each direction [K]."""
    if directions is None:
        return np.trace(squares)
    return np.einsum("ki,ij,kj->k", directions, squares, directions)
