"""t-SNE: maps that keep neighbours near one another, and nothing else."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl

from facedirs_jax.errors import InputError
from facedirs_jax.manifold import checked_distances, classical_mds

Start = Literal["mds", "random"]
PERPLEXITY = 30.0
_SMALL = 1e-4  # standard deviation of a start, which t-SNE wants small


class TsneMap(NamedTuple):
    """A map by t-SNE.

    Attributes:
        points: [N, d] float32; neither distances nor directions in it mean anything,
            only who is near whom.
        divergence: Kullback-Leibler divergence of neighbourhoods that is left.
    """

    points: jax.Array
    divergence: float


def tsne(
    distances: Any,
    *,
    dims: int = 2,
    perplexity: float = PERPLEXITY,
    start: Start = "mds",
    seed: int = 0,
) -> TsneMap:
    """Finds a map that keeps neighbours near (van der Maaten and Hinton, JMLR 2008).

    By scikit-learn, on one thread, so that it gives the same bits again. It starts from
    classical scaling, which keeps more of the whole than a random start (Kobak and
    Linderman, Initialization is critical for preserving global data structure in both
    t-SNE and UMAP, Nature Biotechnology 2021).

    Args:
        distances: [N, N].
        dims: 2 or 3.
        perplexity: about how many neighbours a point has, less than (N - 1) / 3.
        start: "mds", or "random".
        seed: of the random start; of no effect on the other.

    Returns:
        TsneMap of [N, d] points.

    Raises:
        ValueError: if distances are not [N, N].
        InputError: if they are no distances (see `checked_distances`), dims is neither
            2 nor 3, or the perplexity is out of range.
    """
    from sklearn.manifold import TSNE  # here, since it is slow to import

    found = checked_distances(distances, dims=dims)
    if dims not in (2, 3):
        raise InputError(f"t-SNE makes maps of 2 or 3 dimensions, not of {dims}")
    most = (len(found) - 1) / 3
    if not 1 <= perplexity < most:
        raise InputError(
            f"a perplexity of {perplexity:g} is out of range: {len(found)} points "
            f"allow 1 to less than {most:g}; choose another, or another method"
        )
    first: Any = "random" if start == "random" else _small_start(found, dims)
    fitted = TSNE(
        dims,
        perplexity=perplexity,
        metric="precomputed",
        init=first,
        random_state=seed,
    )
    with threadpoolctl.threadpool_limits(1):
        points = fitted.fit_transform(found)
    return TsneMap(jnp.asarray(points, jnp.float32), float(fitted.kl_divergence_))


def _small_start(distances: np.ndarray, dims: int) -> np.ndarray:
    points = np.asarray(classical_mds(distances, dims=dims).points)
    return points / points[:, 0].std() * np.float32(_SMALL)
