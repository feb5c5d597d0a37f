"""How steady directions are: angles between those found on two sets of donors."""

import itertools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions import pca
from facedirs_jax.errors import InputError
from facedirs_jax.grid import Grid, GridSums

LEADING = 3  # components that are compared
SPAN = 512  # dimensions that halves are analysed in, at most
MIN_DONORS = 8  # fewer region donors than that are not worth halving


class Angles(NamedTuple):
    """Angles in degrees between two sets of directions.

    Attributes:
        components: [LEADING] float32, between the i-th direction of either set, 0 to
            90; large where two components have swapped.
        subspace: [LEADING] float32, principal angles between what the leading
            directions span, the largest first; blind to swaps and rotations.
    """

    components: jax.Array
    subspace: jax.Array


def angles_between(first: jax.Array, second: jax.Array) -> Angles:
    """Compares the leading directions of two sets.

    Args:
        first: [K, D] float32, orthonormal rows, K >= 1.
        second: [K, D] float32, orthonormal rows.

    Returns:
        Angles, [K] each.

    Raises:
        ValueError: if the shapes differ.
    """
    chex.assert_equal_shape([first, second], exception_type=ValueError)
    with jax.default_matmul_precision("highest"):
        cosines = first @ second.T  # [K, K]
        singular = jnp.linalg.svd(cosines, compute_uv=False)[::-1]
    return Angles(_degrees(jnp.diagonal(cosines)), _degrees(singular))


_angles_between = jax.jit(angles_between)


def _degrees(cosines: jax.Array) -> jax.Array:
    return jnp.degrees(jnp.arccos(jnp.clip(jnp.abs(cosines), 0.0, 1.0)))


class SplitHalf(NamedTuple):
    """Angles between directions found on either half of the donors.

    Attributes:
        mean: Angles averaged over the ways to halve the blocks.
        spread: Angles, standard deviation over the same ways. They overlap, so it is
            no standard error.
        num_splits: number of ways.
        donors_in_half: number of donors in the smaller half of the first way.
    """

    mean: Angles
    spread: Angles
    num_splits: int
    donors_in_half: int


def split_half_over_regions(
    sums: GridSums, grid: Grid, *, span: np.ndarray | None = None
) -> SplitHalf | None:
    """Halves the region donors every way their blocks allow.

    Args:
        sums: of the whole grid.
        grid: the grid.
        span: [M, D], orthonormal rows in whose span the halves are analysed, such as
            the leading components of all donors; None for all of template space.

    Returns:
        SplitHalf with [LEADING] angles; None with fewer than `MIN_DONORS` region
        donors.
    """
    if len(grid.region_donors) < MIN_DONORS:
        return None
    return _split_half(sums, grid, "region_blocks", span)


def split_half_over_faces(
    sums: GridSums, grid: Grid, *, span: np.ndarray | None = None
) -> SplitHalf | None:
    """Halves the face donors every way their blocks allow.

    Args:
        sums: of the whole grid.
        grid: the grid.
        span: [M, D], orthonormal rows in whose span the halves are analysed, such as
            the leading components of all donors; None for all of template space.

    Returns:
        SplitHalf with [LEADING] angles; None with a single face donor.
    """
    if len(grid.face_donors) < 2:
        return None
    return _split_half(sums, grid, "face_blocks", span)


def _split_half(
    sums: GridSums, grid: Grid, kind: str, span: np.ndarray | None
) -> SplitHalf:
    blocks = getattr(grid, kind)
    halves = _halves(int(blocks.max()) + 1)
    found = []
    for pair in halves:
        directions = []
        for half in pair:
            matrix = pca.donor_centred_scatter(sums, grid, **{kind: half}).matrix
            if span is not None:
                matrix = span @ matrix @ span.T
            components = pca.principal_components(jnp.asarray(matrix, jnp.float32))
            directions.append(components.directions[:LEADING])
        found.append(_angles_between(*directions))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *found)
    return SplitHalf(
        mean=jax.tree.map(lambda a: a.mean(axis=0), stacked),
        spread=jax.tree.map(lambda a: a.std(axis=0), stacked),
        num_splits=len(halves),
        donors_in_half=min(int(np.isin(blocks, half).sum()) for half in halves[0]),
    )


def angles_between_people(
    templates: np.ndarray,
    *,
    region_donors: int,
    face_donors: int,
    draws: int,
    seed: int = 0,
) -> Angles:
    """Compares directions found on two disjoint sets of people, again and again.

    Args:
        templates: [F, K, D] float32 of F face donors and K region donors, all different
            people.
        region_donors: in either set, at most K / 2.
        face_donors: in either set, at most F / 2.
        draws: how often two sets are drawn.
        seed: of the draws.

    Returns:
        Angles with [draws, LEADING] each.

    Raises:
        InputError: if there are too few people for two such sets.
    """
    for what, wanted, there in (
        ("region", region_donors, templates.shape[1]),
        ("face", face_donors, templates.shape[0]),
    ):
        if 2 * wanted > there:
            raise InputError(
                f"two sets of {wanted} {what} donors need {2 * wanted} people and "
                f"{there} are there; ask for fewer or add portraits"
            )
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        faces = rng.permutation(templates.shape[0])[: 2 * face_donors]
        regions = rng.permutation(templates.shape[1])[: 2 * region_donors]
        directions = [
            pca.components_of_templates(
                jnp.asarray(templates[np.ix_(face_half, region_half)])
            ).directions[:LEADING]
            for face_half, region_half in zip(
                np.split(faces, 2), np.split(regions, 2), strict=True
            )
        ]
        found.append(_angles_between(*directions))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


def _halves(count: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every way to part 0 .. count - 1 in two equal halves, count even."""
    return [
        (half, tuple(block for block in range(count) if block not in half))
        for half in itertools.combinations(range(count), count // 2)
        if 0 in half
    ]
