"""Is a curve in a map real? Horseshoes and circles, against what a line would give.

Centroids of a label in its order, such as angles of pose, often lie on a bent curve in
a 2-D map. A straight line seen through distances that saturate is bent in just that way
(see `saturation`). So three things are asked, each against centroids simulated with the
sampling noise that these have, which is found by drawing people again:

- *Is there more of a bend than such a line has?* With l_1 >= l_2 >= ... the eigenvalues
  of classical scaling, bend = (l_2 - sum_(k>2) max(l_k, 0)) / l_1: what lies along the
  second axis, less what lies beyond the map. A saturating line turns into ever new
  dimensions, and so has little of it; a horseshoe that lies flat has l_k = 0 beyond.
  The p-value is the largest over lines through each function of `SATURATIONS`, at the
  places that explain the distances best: one that explains them is enough.
- *Is the curve flat?* The share of simulated flat curves, the 2-D map taken for the
  truth, that have no more bend. Small: there is more beyond the map than noise.
- *Does it turn back?* closure = 1 - D_1K / max D. The ends of a line are its farthest
  points through any function that never falls, and so are those of an arc of up to half
  a circle; those of a circle are neighbours. Simulated from `monotone` distances.

Limits. An arc of up to half a circle *is* a line seen through f(u) = 2 R sin(u / 2 R),
so that no test of distances can tell them apart for every f; this one tells it from the
three functions it knows, which takes nearly half a circle or a curve that is not round,
and else says so. A curve that turns back is either a circle (ratio near 1) or folded
(ratio near 0). Few people make few things certain. p_bend of lines is not uniform, but
leans to 1: the line is fitted to the very bend that it is compared with.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from facedirs_jax.directions.labelled import as_labels, as_templates
from facedirs_jax.evaluation.bootstrap import Estimate, estimate
from facedirs_jax.evaluation.drawn_centroids import (
    DRAWS,
    DrawnCentroids,
    draw_centroids,
    people_counts,
)
from facedirs_jax.evaluation.saturation import SATURATIONS, fit_line, monotone
from facedirs_jax.manifold import Metric, classical_mds

Verdict = Literal["bent", "no more than a saturating line", "cannot be said"]
ALPHA = 0.05  # of the verdict; each of the two tests that can say "bent" has half
MIN_VALUES = 5  # of a label; the distances of 4 points are explained by most lines
MIN_PEOPLE = 5  # with each value, to know the noise
STRAIGHT = 0.02  # l_2 / l_1 of an arc of 63 degrees


class Bend(NamedTuple):
    """What is known of the curve that centroids lie on.

    Attributes:
        verdict: see `Verdict`.
        reason: for it, in words.
        values: number of centroids.
        people: number of people.
        ratio: second eigenvalue over the first, without sampling noise.
        bend: see above, as the map shows it.
        bend_of_line: what a saturating line gives, its middle and 95 %; of the function
            that comes nearest.
        saturation: that function.
        p_bend: small where no saturating line is so bent.
        p_flat: small where more lies beyond the map than noise.
        closure: 0 where the ends are farthest apart, near 1 where they meet, without
            sampling noise.
        p_closed: small where the ends are nearer than those of any line.
    """

    verdict: Verdict
    reason: str
    values: int
    people: int
    ratio: Estimate
    bend: float
    bend_of_line: Estimate
    saturation: str
    p_bend: float
    p_flat: float
    closure: Estimate
    p_closed: float


def judge_bend(
    templates: Any,
    labels: Any,
    identities: Any,
    *,
    name: str = "the label",
    metric: Metric = "euclidean",
    draws: int = DRAWS,
    seed: int = 0,
) -> Bend:
    """Says whether the centroids of a label lie on a curve, and how sure that is.

    Args:
        templates: [N, D] float32.
        labels: [N], the number of each, of K values.
        identities: [N], whose each is; numbers or names.
        name: of the label, for errors.
        metric: of the map, see `manifold.distances`.
        draws: of people, R.
        seed: of the draws.

    Returns:
        Bend; of unknown numbers where the values or the people are too few.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if a template or a label is not finite, or labels do not vary.
    """
    on_device = as_templates(templates)
    values = as_labels(labels, len(on_device), name)
    owners = np.asarray(identities)
    if owners.shape != values.shape:
        raise ValueError(f"{owners.shape} identities for {len(values)} templates")
    known, places = np.unique(values, return_inverse=True)
    counts = people_counts(places, owners)
    unknown = _unknown(len(known), len(np.unique(owners)))
    if len(known) < MIN_VALUES:
        return unknown._replace(
            reason=f"{len(known)} values; {MIN_VALUES} or more are needed"
        )
    if counts.min() < MIN_PEOPLE:
        return unknown._replace(
            reason=f"{known[counts.argmin()]:g} has {counts.min()} people; each value "
            f"needs {MIN_PEOPLE} or more"
        )
    found = draw_centroids(
        *(on_device, places, owners), metric=metric, draws=draws, seed=seed
    )
    return _judged(found, unknown)


def _unknown(values: int, people: int) -> Bend:
    nothing = Estimate(np.nan, np.nan, np.nan)
    return Bend(
        *("cannot be said", "", values, people),
        *(nothing, np.nan, nothing, "", np.nan, np.nan, nothing, np.nan),
    )


def _judged(found: DrawnCentroids, unknown: Bend) -> Bend:
    seen, true = found.seen, found.true
    noise = _eigenvalues(found.noise_alone)[:, 0]
    if _share(noise >= _eigenvalues(seen)[0]) >= ALPHA:
        return unknown._replace(reason="the centroids lie no farther apart than noise")
    bend = float(_bend(_eigenvalues(seen)))
    lines = {}
    for name, saturation in SATURATIONS.items():
        line = fit_line(true, saturation)
        drawn = _bend(_eigenvalues(found.drawn(line.distances)))
        lines[name] = (_share(drawn >= bend), -line.error, drawn)
    nearest = max(lines, key=lambda name: lines[name][:2])
    p_bend, _, drawn = lines[nearest]
    flat = _bend(_eigenvalues(found.drawn(_flattened(true))))
    closed = _closure(found.drawn(monotone(true)))
    again = found.drawn(true, excess=False)
    known = unknown._replace(
        ratio=estimate(float(_ratio(_eigenvalues(true))), _ratio(_eigenvalues(again))),
        bend=bend,
        bend_of_line=estimate(float(np.median(drawn)), drawn),
        saturation=nearest,
        p_bend=p_bend,
        p_flat=_share(flat <= bend),
        closure=estimate(float(_closure(true)), _closure(again)),
        p_closed=_share(closed >= _closure(seen)),
    )
    verdict, reason = _verdict(known)
    return known._replace(verdict=verdict, reason=reason)


def _verdict(known: Bend) -> tuple[Verdict, str]:
    if known.p_closed < ALPHA / 2:
        return "bent", "it turns back: its ends are nearer than those of any line"
    if known.p_bend < ALPHA / 2:
        return "bent", "no line through a saturation that is known bends so in a plane"
    if known.ratio.high < STRAIGHT:
        return "no more than a saturating line", "it is straight"
    if known.p_flat < ALPHA:
        return (
            "no more than a saturating line",
            "such a line is as bent, and more lies beyond the map than noise",
        )
    return (
        "cannot be said",
        "a saturating line and a flat curve would both look like this",
    )


def _share(events: np.ndarray) -> float:
    """Of a Monte Carlo test, never 0: what is seen counts as one of the draws."""
    return float((1 + events.sum()) / (1 + len(events)))


def _eigenvalues(distances: np.ndarray) -> np.ndarray:
    """Of classical scaling, [..., K], the largest first."""
    squared = distances**2
    rows = squared.mean(axis=-1, keepdims=True)
    columns = squared.mean(axis=-2, keepdims=True)
    whole = squared.mean(axis=(-2, -1), keepdims=True)
    return np.linalg.eigvalsh(-0.5 * (squared - rows - columns + whole))[..., ::-1]


def _bend(eigenvalues: np.ndarray) -> np.ndarray:
    beyond = np.maximum(eigenvalues[..., 2:], 0.0).sum(axis=-1)
    return (eigenvalues[..., 1] - beyond) / eigenvalues[..., 0]


def _ratio(eigenvalues: np.ndarray) -> np.ndarray:
    return np.maximum(eigenvalues[..., 1], 0.0) / eigenvalues[..., 0]


def _closure(distances: np.ndarray) -> np.ndarray:
    return 1 - distances[..., 0, -1] / distances.max(axis=(-2, -1))


def _flattened(distances: np.ndarray) -> np.ndarray:
    """[K, K] distances of the map of two dimensions."""
    points = np.asarray(classical_mds(distances, dims=2).points, np.float64)
    return np.linalg.norm(points[:, None] - points[None], axis=2)
