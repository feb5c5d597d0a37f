"""SSI discovery: from faces to the directions of a region, and how sure they are."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Network
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.directions import pca
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import stability, variance
from facedirs_jax.faces import Faces
from facedirs_jax.grid import Grid, GridSums, make_grid, max_blocks_for
from facedirs_jax.grid_run import CHUNK, run_grid
from facedirs_jax.regions import FEATHER, Region, find_region, region_masks
from facedirs_jax.templates import embed, template_dim

MIN_KEPT = 10  # components kept in a direction file, where there are as many


class Discovery(NamedTuple):
    """What the grid of one region says.

    Attributes:
        directions: the components that are kept, ready for a direction file.
        eigenvalues: [D] float32, of all components.
        null: [M] float32, what noise would give; see `pca.null_eigenvalues`.
        effects: [K, LEADING] float64, each region donor's place along the leading
            directions, in template units, averaged over face donors.
        shares: of the whole template's variance; None where the grid is too small.
        component_shares: along each kept direction; None likewise.
        over_regions: split-half angles over region donors; None with too few.
        over_faces: split-half angles over face donors; None with one.
    """

    directions: Directions
    eigenvalues: np.ndarray
    null: np.ndarray
    effects: np.ndarray
    shares: variance.VarianceShares | None
    component_shares: variance.VarianceShares | None
    over_regions: stability.SplitHalf | None
    over_faces: stability.SplitHalf | None


def discover(
    network: Network,
    preprocess: Preprocess,
    faces: Faces,
    region: str | Region,
    *,
    num_face_donors: int | None = None,
    num_region_donors: int | None = None,
    color_transfer: ColorTransfer = "none",
    feather: float = FEATHER,
    mode: pca.Mode = "corrected",
    seed: int = 0,
    chunk: int = CHUNK,
) -> Discovery:
    """Finds the directions of one region: blends, embeds, centres, analyses.

    Args:
        network: as given by `load_backbone`.
        preprocess: as given by `load_backbone` beside the network.
        faces: aligned as `preprocess` asks.
        region: a key of `regions.REGIONS`, or a region of one's own.
        num_face_donors: F, drawn with `seed`; None for all.
        num_region_donors: K, drawn with `seed`; None for all.
        color_transfer: "none", or "lab" to match the colours around the region.
        feather: softness of the mask's edge, as a share of the crop's side.
        mode: divisor of the covariance; see `pca.Scatter.covariance`.
        seed: of the draws of donors, of their halves, and of the noise.
        chunk: blends made and embedded at once.

    Returns:
        Discovery with [K', D] directions.

    Raises:
        InputError: if the faces are aligned otherwise, too few, or the region is
            unknown.
    """
    check_alignment(faces, preprocess)
    region = find_region(region)
    masks = region_masks(faces.landmarks, region, side=preprocess.size, feather=feather)
    grid = make_grid(
        len(faces.crops),
        max_blocks=max_blocks_for(template_dim(network, preprocess)),
        face_rows=np.unique(faces.distinct),
        num_face_donors=num_face_donors,
        num_region_donors=num_region_donors,
        seed=seed,
    )
    own = np.asarray(embed(network, preprocess, faces.crops[grid.face_donors]))
    segments = run_grid(
        *(network, preprocess, faces.crops, masks, grid, own),
        chunk=chunk,
        color_transfer=color_transfer,
    )
    *_, last = segments
    return analyse(last.state.sums, grid, own, region, mode=mode, seed=seed)


def check_alignment(faces: Faces, preprocess: Preprocess) -> None:
    """Refuses faces that were cropped for another network.

    Args:
        faces: [N, S, S, 3] crops and how they were made.
        preprocess: of the network they are meant for.

    Raises:
        InputError: if alignment or size differ.
    """
    found = (faces.alignment, *faces.crops.shape[1:3])
    wanted = (preprocess.alignment, preprocess.size, preprocess.size)
    if found != wanted:
        raise InputError(
            f"the faces are cropped as {found} and the network wants {wanted}; load "
            "them with load_faces(..., alignment=preprocess.alignment, "
            "size=preprocess.size)"
        )


def analyse(
    sums: GridSums,
    grid: Grid,
    own: np.ndarray,
    region: Region,
    *,
    mode: pca.Mode = "corrected",
    seed: int = 0,
    lost_to_color: np.ndarray | None = None,
) -> Discovery:
    """Turns the sums of a whole grid into directions, with their certificate.

    Args:
        sums: of the whole grid.
        grid: the grid.
        own: [F, D], templates of the face donors themselves.
        region: the region that was blended.
        mode: divisor of the covariance; see `pca.Scatter.covariance`.
        seed: of the noise of the parallel analysis.
        lost_to_color: [LEADING], from `color.variance_lost_to_color`; None where
            colours were not matched.

    Returns:
        Discovery with [K', D] directions.
    """
    covariance = pca.donor_centred_scatter(sums, grid).covariance(mode)
    components = pca.principal_components(jnp.asarray(covariance, jnp.float32))
    eigenvalues = np.asarray(components.eigenvalues)
    null = np.asarray(
        pca.null_eigenvalues(
            jax.random.key(seed),
            jnp.asarray(np.diag(covariance), jnp.float32),
            num_donors=len(grid.region_donors),
        )
    )
    span = None
    if len(eigenvalues) > stability.SPAN:
        span = np.asarray(components.directions[: stability.SPAN], np.float64)
    by_share = pca.count_by_share(eigenvalues)
    by_parallel = pca.count_by_parallel_analysis(eigenvalues, null)
    rank = int((eigenvalues > 1e-6 * eigenvalues[0]).sum())
    kept = max(1, min(max(by_share, by_parallel, MIN_KEPT), rank))
    directions = np.asarray(components.directions)[:kept]
    effects = variance.region_effects(sums, grid)
    discovery = Discovery(
        directions=Directions(
            directions,
            eigenvalues[:kept],
            _mean_template(sums, grid, own).astype(np.float32),
            {},
        ),
        eigenvalues=eigenvalues,
        null=null,
        effects=effects @ directions[: stability.LEADING].T.astype(np.float64),
        shares=variance.variance_shares(sums, grid, own),
        component_shares=variance.variance_shares(
            sums, grid, own, directions=directions
        ),
        over_regions=stability.split_half_over_regions(sums, grid, span=span),
        over_faces=stability.split_half_over_faces(sums, grid, span=span),
    )
    about = {
        "kind": "region_pca",
        "region": region.name,
        "landmarks": [list(hull) for hull in region.hulls],
        "mode": mode,
        "sign_rule": "entry of largest absolute value is positive",
        "units": "template units; alpha counts square roots of eigenvalues",
        "components_for_90_percent": by_share,
        "components_above_noise": by_parallel,
        "total_variance": float(eigenvalues.sum()),
        "variance_lost_to_color": None
        if lost_to_color is None
        else _rounded(lost_to_color),
        **_summary(discovery),
    }
    named = discovery.directions._replace(about=about)
    return discovery._replace(directions=named)


def _mean_template(sums: GridSums, grid: Grid, own: np.ndarray) -> np.ndarray:
    """Mean of all blends' templates, [D] float64."""
    counts = grid.filled.sum(axis=1).astype(np.float64)  # [F]
    total = np.sum(sums.by_region, axis=0) + counts @ own.astype(np.float64)
    return total / counts.sum()


def _summary(discovery: Discovery) -> dict[str, Any]:
    """The certificate in plain JSON values."""
    kept = len(discovery.directions.eigenvalues)
    share = discovery.eigenvalues[:kept] / discovery.eigenvalues.sum()
    shares, along = discovery.shares, discovery.component_shares
    return {
        "explained_variance": _rounded(share),
        "variance_shares": shares
        and {key: _rounded(value) for key, value in shares._asdict().items()},
        "consistency": along and _rounded(along.consistency),
        "split_half_over_region_donors": _summarise_split(discovery.over_regions),
        "split_half_over_face_donors": _summarise_split(discovery.over_faces),
    }


def _summarise_split(split: stability.SplitHalf | None) -> dict[str, Any] | None:
    return split and {
        "donors_in_half": split.donors_in_half,
        "splits": split.num_splits,
        "component_degrees": _rounded(split.mean.components, 1),
        "component_degrees_sd": _rounded(split.spread.components, 1),
        "subspace_degrees": _rounded(split.mean.subspace, 1),
        "subspace_degrees_sd": _rounded(split.spread.subspace, 1),
    }


def _rounded(values: Any, digits: int = 4) -> Any:
    return np.round(np.asarray(values, np.float64), digits).tolist()
