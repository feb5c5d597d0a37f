"""Grids with explicit templates, and their sums by plain numpy: the tests' oracle."""

import numpy as np

from facedirs_jax import grid

GRIDS = {
    "all x all": grid.make_grid(17),
    "rectangular": grid.make_grid(40, num_face_donors=6, num_region_donors=20),
    "overlapping": grid.make_grid(20, num_face_donors=9, num_region_donors=15),
}


def sums_of(shape, templates, own):
    """GridSums of explicit templates [F, K, D], by plain numpy."""
    x = np.where(shape.filled[:, :, None], templates - own[:, None], 0.0)
    return grid.GridSums(
        by_face=np.stack([x[:, b].sum(axis=1) for b in _members(shape.region_blocks)]),
        by_region=x.sum(axis=0),
        face_moments=np.stack(
            [np.einsum("mki,mkj->ij", x[b], x[b]) for b in _members(shape.face_blocks)]
        ),
        region_moments=np.stack(
            [
                np.einsum("mki,mkj->ij", x[:, b], x[:, b])
                for b in _members(shape.region_blocks)
            ]
        ),
    )


def _members(blocks):
    return [blocks == block for block in range(blocks.max() + 1)]


def planted(shape, seed=0, dim=10):
    """Templates [F, K, D] of a face, a region and an interaction part."""
    rng = np.random.default_rng(seed)
    faces, regions = shape.filled.shape
    spread = np.linspace(2.0, 0.2, dim)
    own = rng.normal(size=(faces, dim))
    effect = rng.normal(size=(regions, dim)) * spread
    noise = rng.normal(size=(faces, regions, dim)) * 0.1
    return own, own[:, None] + effect[None] + noise
