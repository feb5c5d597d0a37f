"""Do templates tell whether two faces are of one person? Rates, with intervals."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import roc
from facedirs_jax.evaluation.bootstrap import (
    RESAMPLES,
    Estimate,
    estimate,
    identity_weights,
)

Metric = Literal["euclidean", "cosine"]
FARS = (1e-2, 1e-3)
_MOST_LEVELS = 20_000  # of the thresholds that intervals are found with


def template_distances(
    first: jax.Array, second: jax.Array, *, metric: Metric = "euclidean"
) -> jax.Array:
    """Distances between every template of one set and every one of another.

    Args:
        first: [N, D] float32.
        second: [M, D] float32.
        metric: `euclidean`, |a - b|, or `cosine`, 1 - cos(a, b), from 0 to 2; a zero
            template is at cosine distance 1 from all.

    Returns:
        [N, M] float32.

    Raises:
        ValueError: if the shapes do not agree.
    """
    chex.assert_rank([first, second], 2, exception_type=ValueError)
    chex.assert_equal_shape_suffix([first, second], 1, exception_type=ValueError)
    if metric == "cosine":
        products = jnp.matmul(_unit(first), _unit(second).T, precision="highest")
        return 1.0 - products
    # By differences: |a|^2 + |b|^2 - 2ab loses the small distances to rounding.
    return jax.lax.map(lambda row: jnp.linalg.norm(second - row[None], axis=1), first)


_template_distances = jax.jit(template_distances, static_argnames="metric")


def _unit(templates: jax.Array) -> jax.Array:
    norms = jnp.linalg.norm(templates, axis=1, keepdims=True)
    return templates / jnp.where(norms > 0, norms, 1.0)


class Pairs(NamedTuple):
    """Compared pairs of templates.

    Attributes:
        distances: [P] float32.
        first: [P] int32, whose the one template is: 0 to K - 1.
        second: [P] int32, whose the other one is.
        num_identities: K.
    """

    distances: np.ndarray
    first: np.ndarray
    second: np.ndarray
    num_identities: int

    @property
    def same(self) -> np.ndarray:
        """[P] bool, which pairs are genuine."""
        return self.first == self.second


def compared_pairs(
    templates: np.ndarray,
    identities: np.ndarray,
    *,
    gallery: np.ndarray | None = None,
    probes: np.ndarray | None = None,
    metric: Metric = "euclidean",
) -> Pairs:
    """Compares a gallery with probes, or all with all: each pair once.

    No template is compared with itself. The pairs may all be genuine, or none.

    Args:
        templates: [N, D] float32; rows of no gallery and no probe may be NaN.
        identities: [N], whose each is; numbers or names.
        gallery: rows of the one side, [G] int; None for all.
        probes: rows of the other side, [Q] int, which may share rows with the gallery;
            None for all.
        metric: that of the network's templates; see `template_distances`.

    Returns:
        Pairs, [P] each, P <= G * Q.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if there are fewer than 2 identities, or a template that is not
            finite.
    """
    templates, identities = np.asarray(templates, np.float32), np.asarray(identities)
    if templates.ndim != 2 or identities.shape != templates.shape[:1]:
        raise ValueError(
            f"templates are {list(templates.shape)} and identities "
            f"{list(identities.shape)}; they must be [N, D] and [N]"
        )
    every = np.arange(len(templates))
    sides = [every if rows is None else np.unique(rows) for rows in (gallery, probes)]
    used = np.union1d(*sides).astype(int)
    if not np.isfinite(templates[used]).all():
        raise InputError(
            "a template holds NaN or infinity; leave out the faces without one"
        )
    names, numbers = np.unique(identities[used], return_inverse=True)
    if len(names) < 2 or not all(len(side) for side in sides):
        raise InputError(
            f"{len(sides[0])} templates of the gallery and {len(sides[1])} probes show "
            f"{len(names)} identities; telling people apart takes 2 or more"
        )
    number_of = np.zeros(len(templates), np.int32)
    number_of[used] = numbers
    distances = _template_distances(
        *(jnp.asarray(templates[side]) for side in sides), metric=metric
    )
    kept = _once(*sides)
    return Pairs(
        distances=np.asarray(distances)[kept],
        first=np.broadcast_to(number_of[sides[0], None], kept.shape)[kept],
        second=np.broadcast_to(number_of[None, sides[1]], kept.shape)[kept],
        num_identities=len(names),
    )


def verification_pairs(
    templates: np.ndarray,
    identities: np.ndarray,
    *,
    gallery: np.ndarray | None = None,
    probes: np.ndarray | None = None,
    metric: Metric = "euclidean",
) -> Pairs:
    """The pairs of `compared_pairs` where there are some of either kind.

    Args:
        templates: [N, D] float32; rows of no gallery and no probe may be NaN.
        identities: [N], whose each is; numbers or names.
        gallery: rows of the one side, [G] int; None for all.
        probes: rows of the other side, [Q] int; None for all.
        metric: that of the network's templates; see `template_distances`.

    Returns:
        Pairs, [P] each, P <= G * Q.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: as `compared_pairs`, or if no pair is genuine or none an impostor's.
    """
    pairs = compared_pairs(
        templates, identities, gallery=gallery, probes=probes, metric=metric
    )
    roc.check_pairs(pairs.distances, pairs.same)
    return pairs


def _once(gallery: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """[G, Q] bool: no row with itself, and no pair again the other way round."""
    left, right = gallery[:, None], probes[None, :]
    again = np.isin(left, probes) & np.isin(right, gallery) & (left > right)
    return (left != right) & ~again


class Verification(NamedTuple):
    """How well templates tell whether two faces are of one person.

    Attributes:
        identities: number of people.
        genuine_pairs: number of pairs of one person.
        impostor_pairs: number of pairs of two.
        genuine_mean: mean distance of the genuine pairs.
        impostor_mean: mean distance of the impostor pairs.
        auc: area under the ROC curve.
        eer: equal error rate.
        tar: FAR -> TAR there, for the rates that so many pairs can show.
    """

    identities: int
    genuine_pairs: int
    impostor_pairs: int
    genuine_mean: Estimate
    impostor_mean: Estimate
    auc: Estimate
    eer: Estimate
    tar: dict[float, Estimate]


def verify(
    pairs: Pairs,
    *,
    fars: Sequence[float] = FARS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Verification:
    """Rates of a set of pairs, with intervals from resampled people.

    A person drawn w times counts w times in genuine pairs, and two people drawn v and
    w times count v w times in theirs.

    Args:
        pairs: from `verification_pairs`, [P] each.
        fars: rates to give the TAR at; those below 1 / impostor pairs are left out.
        resamples: draws of people.
        seed: of the draws.

    Returns:
        Verification.
    """
    same, distances = pairs.same, pairs.distances.astype(np.float64)
    sides = pairs.first.astype(np.intp), pairs.second.astype(np.intp)
    sets = [_Set(distances[of], *(side[of] for side in sides)) for of in (same, ~same)]
    fars = [far for far in fars if len(sets[1].distances) * far >= 1]
    everybody = np.ones(pairs.num_identities)
    values = _measures(sets, np.unique(distances), [everybody], fars)[0]
    draws = identity_weights(pairs.num_identities, resamples=resamples, seed=seed)
    levels = _levels(*(pairs.distances for pairs in sets))
    replicates = _measures(sets, levels, draws, fars).T
    found = [estimate(*both) for both in zip(values, replicates, strict=True)]
    return Verification(
        identities=pairs.num_identities,
        genuine_pairs=len(sets[0].distances),
        impostor_pairs=len(sets[1].distances),
        genuine_mean=found[0],
        impostor_mean=found[1],
        auc=found[2],
        eer=found[3],
        tar=dict(zip(fars, found[4:], strict=True)),
    )


class _Set(NamedTuple):
    """The genuine pairs, or the impostor pairs; [P] each, as in `Pairs`."""

    distances: np.ndarray
    first: np.ndarray
    second: np.ndarray


def _levels(genuine: np.ndarray, impostor: np.ndarray) -> np.ndarray:
    """All distances; of very many, those of genuine pairs and the ones just below.

    The curve is a staircase, and runs straight on between two of them.
    """
    levels = np.unique(np.append(genuine, impostor))
    if len(levels) > _MOST_LEVELS:
        levels = np.unique(genuine)
        step = -(-len(levels) // _MOST_LEVELS)
        levels = levels[::-step]
        levels = np.unique([*np.nextafter(levels, -np.inf), *levels, np.inf])
    return levels


def _measures(
    sets: Sequence[_Set],
    levels: np.ndarray,
    draws: Iterable[np.ndarray],
    fars: Sequence[float],
) -> np.ndarray:
    """[R, 4 + F]: both means, AUC, EER and TARs; NaN where a draw leaves no pair."""
    places = [np.searchsorted(levels, pairs.distances) for pairs in sets]
    rows = []
    for drawn in draws:
        genuine = drawn[sets[0].first]
        impostor = drawn[sets[1].first] * drawn[sets[1].second]
        if not genuine.any() or not impostor.any():
            rows.append([np.nan] * (4 + len(fars)))
            continue
        weights = (genuine, impostor)
        curve = roc.weighted_roc_curve(
            levels, *map(_histogram, places, weights, [len(levels)] * 2)
        )
        curve = curve._replace(impostor_pairs=len(impostor))  # those there, not drawn
        means = [
            np.dot(weight, pairs.distances) / weight.sum()
            for weight, pairs in zip(weights, sets, strict=True)
        ]
        tars = [roc.tar_at_far(curve, far) for far in fars]
        rows.append([*means, roc.auc(curve), roc.equal_error_rate(curve), *tars])
    return np.array(rows)


def _histogram(places: np.ndarray, weights: np.ndarray, length: int) -> np.ndarray:
    return np.bincount(places, weights, length)
