"""How much of a region's directions is colour that leaked in with the paste."""

from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Network
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.directions import pca
from facedirs_jax.grid import Grid
from facedirs_jax.grid_run import CHUNK, Segment, run_grid
from facedirs_jax.templates import embed

_FACE_DONORS, _REGION_DONORS = 8, 64  # at most: a part of the grid says enough


def variance_lost_to_color(
    network: Network,
    preprocess: Preprocess,
    crops: np.ndarray,
    masks: np.ndarray,
    grid: Grid,
    *,
    count: int,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Share of each plain component's variance that goes away with colour transfer.

    1 - (v^T C_lab v) / (v^T C_none v) for each component v of C_none, the covariance
    without colour transfer; on an even sample of at most 8 face donors and 64 region
    donors of the grid. Negative where the variance grows.

    Args:
        network: as given by `load_backbone`.
        preprocess: as given by `load_backbone` beside the network.
        crops: [N, S, S, 3] uint8 aligned faces.
        masks: [N, S, S] float32 in [0, 1], the region of each face.
        grid: donors, rows of crops.
        count: number of components, at most D.
        chunk: blends made and embedded at once.

    Returns:
        [count] float64, at most 1.
    """
    faces = _even_sample(grid.face_donors, _FACE_DONORS)
    regions = _even_sample(grid.region_donors, _REGION_DONORS)
    sample = Grid(faces, regions, np.zeros_like(faces), np.zeros_like(regions))
    own = np.asarray(embed(network, preprocess, crops[faces]))
    plain, matched = (
        _covariance(
            run_grid(
                *(network, preprocess, crops, masks, sample, own),
                chunk=chunk,
                color_transfer=transfer,
            ),
            sample,
        )
        for transfer in ("none", "lab")
    )
    components = pca.principal_components(jnp.asarray(plain, jnp.float32))
    along = np.asarray(components.directions, np.float64)[:count]
    before, after = (
        np.einsum("ki,ij,kj->k", along, covariance, along)
        for covariance in (plain, matched)
    )
    return 1.0 - after / np.maximum(before, np.finfo(float).tiny)


def _even_sample(rows: np.ndarray, most: int) -> np.ndarray:
    places = np.linspace(0, len(rows) - 1, min(most, len(rows)))
    return rows[places.round().astype(int)]


def _covariance(segments: Iterable[Segment], sample: Grid) -> np.ndarray:
    *_, last = segments
    return pca.donor_centred_scatter(last.state.sums, sample).covariance("corrected")
