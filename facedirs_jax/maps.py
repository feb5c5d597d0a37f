"""Maps by label: points of several networks, laid on one another, and their classes."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.labelled import as_templates, sums_by_code
from facedirs_jax.errors import InputError
from facedirs_jax.manifold import Metric, align_map, classical_mds, distances
from facedirs_jax.neighbour_maps import PERPLEXITY, tsne
from facedirs_jax.stress_maps import smacof, stress

Method = Literal["mds", "smacof", "tsne"]
MOST_VALUES = 24  # of a number; more are told apart by ranges
RANGES = 10


class Classes(NamedTuple):
    """K classes of N templates, in the order of their values.

    Attributes:
        names: of the classes.
        codes: [N] int, 0 to K - 1, the class of each template.
        ordered: whether they are numbers, from low to high.
        middles: [K] float64, the number that each stands for; NaN for words.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    ordered: bool
    middles: np.ndarray


class TemplateMap(NamedTuple):
    """A map, and what its method tells of it.

    Attributes:
        points: [M, d] float32.
        numbers: by name; see `make_map`.
    """

    points: np.ndarray
    numbers: dict[str, float]


class MapSet(NamedTuple):
    """Maps of the same M points by several networks.

    Attributes:
        maps: [M, d] each, by network.
        captions: of the M points.
        classes: K names.
        codes: [M] int, 0 to K - 1.
        ordered: whether the classes are numbers, from low to high.
        joined: whether each point is a class, to be joined in their order.
    """

    maps: dict[str, np.ndarray]
    captions: tuple[str, ...]
    classes: tuple[str, ...]
    codes: np.ndarray
    ordered: bool
    joined: bool


def classes_of(values: np.ndarray) -> Classes:
    """Classes that values of a label make.

    Args:
        values: [N] str, or [N] numbers; of these, more than `MOST_VALUES` make `RANGES`
            ranges of about equally many.

    Returns:
        Classes of [N] templates.
    """
    known, codes = np.unique(values, return_inverse=True)
    if known.dtype.kind == "U":
        middles = np.full(len(known), np.nan)
        return Classes(tuple(known.tolist()), codes, False, middles)
    if len(known) <= MOST_VALUES:
        return Classes(tuple(f"{v:g}" for v in known), codes, True, known.astype(float))
    edges = np.quantile(values, np.linspace(0, 1, RANGES + 1)[1:-1])
    _, codes = np.unique(np.searchsorted(edges, values, "right"), return_inverse=True)
    parts = [values[codes == code] for code in range(codes.max() + 1)]
    names = tuple(f"{part.min():.3g} to {part.max():.3g}" for part in parts)
    return Classes(names, codes, True, np.array([np.median(part) for part in parts]))


def centroids_of(templates: Any, classes: Classes) -> np.ndarray:
    """Mean template of each class.

    Args:
        templates: [N, D] float32.
        classes: [N] codes of K classes.

    Returns:
        [K, D] float32.

    Raises:
        ValueError: if there is not one code a template.
        InputError: if a template is not finite.
    """
    on_device = as_templates(templates)
    count = len(classes.names)
    sums = sums_by_code(on_device, jnp.asarray(classes.codes, jnp.int32), count)
    counts = np.bincount(classes.codes, minlength=count).astype(np.float32)
    return np.asarray(sums) / counts[:, None]


def make_map(
    points: Any,
    *,
    method: Method = "mds",
    metric: Metric = "euclidean",
    dims: int = 2,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
) -> TemplateMap:
    """Makes a map of templates, or of centroids.

    Args:
        points: [M, D] float32.
        method: "mds", classical scaling; "smacof", least squares on distances; "tsne".
        metric: of the distances.
        dims: d, of the map.
        perplexity: of t-SNE.
        seed: of t-SNE.

    Returns:
        TemplateMap of [M, d] points. Its numbers: `stress` (stress-1) of the first two
        methods; `share_1` to `share_d` and `negative_share` of the first; `steps` of
        the second; `divergence` of t-SNE.

    Raises:
        ValueError: if points are not [M, D], or the method is unknown.
        InputError: if the method cannot map them; see there.
    """
    found = distances(points, metric=metric)
    if method == "tsne":
        near = tsne(found, dims=dims, perplexity=perplexity, seed=seed)
        return TemplateMap(np.asarray(near.points), {"divergence": near.divergence})
    if method == "smacof":
        least = smacof(found, dims=dims)
        numbers = {"stress": least.stress, "steps": float(least.steps)}
        return TemplateMap(np.asarray(least.points), numbers)
    if method != "mds":
        raise ValueError(f"method is mds, smacof or tsne, not {method!r}")
    classical = classical_mds(found, dims=dims)
    shares = classical.shares.tolist()
    numbers = {
        "stress": stress(classical.points, found),
        **{f"share_{place}": share for place, share in enumerate(shares, 1)},
        "negative_share": classical.negative_share,
    }
    return TemplateMap(np.asarray(classical.points), numbers)


def align_maps(found: Mapping[str, TemplateMap]) -> dict[str, TemplateMap]:
    """Lays the maps of all networks on that of the first.

    Args:
        found: [M, d] points each, by network.

    Returns:
        The same, with the number `disparity` of all but the first, see `align_map`.

    Raises:
        ValueError: if the shapes differ.
        InputError: if all points of a map are the same.
    """
    names = list(found)
    if not names:
        raise InputError("there is no map to align; give at least one network")
    aligned = {names[0]: found[names[0]]}
    for name in names[1:]:
        laid = align_map(found[name].points, found[names[0]].points)
        numbers = found[name].numbers | {"disparity": laid.disparity}
        aligned[name] = TemplateMap(np.asarray(laid.points), numbers)
    return aligned
