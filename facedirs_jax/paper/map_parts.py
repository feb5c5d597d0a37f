"""Figures 9, 11 and 13: maps of the centroids of pose, light and expression."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from facedirs_jax.evaluation.bend import Bend, judge_bend
from facedirs_jax.evaluation.bootstrap import Estimate, estimate, identity_weights
from facedirs_jax.manifold import Metric, align_map, classical_mds, distances
from facedirs_jax.map_charts import draw_maps
from facedirs_jax.maps import MapSet
from facedirs_jax.paper.attributes import EXPRESSION, Attribute
from facedirs_jax.paper.claims import Claim, Verdict, judged_at_least, judged_at_most
from facedirs_jax.paper.parts import Part
from facedirs_jax.paper.subjects import Subject

DRAWS = 200
_ALIKE = 0.25  # disparity of maps that share three quarters of their spread
_P = 0.05
_ROUND = 0.8  # second eigenvalue over the first; 1 for a circle, near 0 for a fold
_VERDICTS: dict[str, Verdict] = {
    "bent": "holds",
    "no more than a saturating line": "does not hold",
    "cannot be said": "cannot be said",
}
_NOTE = (
    "Classical scaling of the centroids of all people, by angles for templates on the "
    "unit sphere and else by Euclidean distance; each map is turned and scaled onto "
    "the first. Disparity is 0 for maps that then agree, 1 for those with nothing in "
    "common."
)


def map_part(subjects: Sequence[Subject], attribute: Attribute, figure: str) -> Part:
    """A map of an attribute's centroids for each network, and what is claimed of them.

    Args:
        subjects: the networks.
        attribute: whose values are mapped.
        figure: its number.

    Returns:
        Part.
    """
    values = _in_order(attribute)
    drawn = {s.name: _drawn_maps(s, attribute, values) for s in subjects}
    first = drawn[subjects[0].name][0]
    shown = {
        name: np.asarray(align_map(maps[0], first).points)
        for name, maps in drawn.items()
    }
    claims = _alike(drawn, attribute, figure)
    if attribute is not EXPRESSION:
        for subject in subjects:
            claims += _curve(subject, attribute, figure)
        claims += _loss_over_backbone(subjects, drawn, figure)
    title = f"Maps of {attribute.name}"
    names, places = tuple(values), np.arange(len(values))
    ordered = attribute is not EXPRESSION
    drawn_maps = draw_maps(
        MapSet(shown, names, names, places, ordered, joined=True), notes={}
    )
    return Part(figure, title, _NOTE, claims, {"maps": drawn_maps}, [])


def _in_order(attribute: Attribute) -> list[str]:
    values = [*attribute.values, attribute.neutral]
    return values if attribute is EXPRESSION else sorted(values, key=float)


def _metric(subject: Subject) -> Metric:
    return "angular" if subject.unit_norm else "euclidean"


def _drawn_maps(
    subject: Subject, attribute: Attribute, values: Sequence[str]
) -> np.ndarray:
    """[1 + DRAWS, C, 2], of all people and of people drawn with replacement."""
    rows = attribute.rows(subject.pictures)
    templates = subject.templates[rows].astype(np.float64)
    people, owners = np.unique(subject.pictures.identities[rows], return_inverse=True)
    places = np.array(
        [values.index(v) for v in attribute.texts(subject.pictures)[rows]]
    )
    cell = owners * len(values) + places
    shape = (len(people), len(values))
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.zeros((counts.size, templates.shape[1]))
    np.add.at(sums, cell, templates)
    drawn = identity_weights(len(people), resamples=DRAWS)
    weights = np.concatenate([np.ones((1, len(people))), drawn])
    totals = (weights @ counts)[:, :, None]
    centroids = np.tensordot(weights, sums.reshape(*shape, -1), 1) / totals
    return np.stack(
        [
            classical_mds(distances(each, metric=_metric(subject))).points
            for each in centroids.astype(np.float32)
        ]
    )


def _disparities(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[1 + DRAWS]: of the maps of the same people."""
    pairs = zip(first, second, strict=True)
    return np.array([align_map(a, onto).disparity for a, onto in pairs], np.float64)


def _alike(
    drawn: Mapping[str, np.ndarray], attribute: Attribute, figure: str
) -> list[Claim]:
    claims = []
    for one, other in itertools.combinations(drawn, 2):
        found = _disparities(drawn[other], drawn[one])
        value = estimate(found[0], found[1:])
        claims.append(
            Claim(
                *(figure, f"{one} and {other}"),
                f"both networks place {attribute.name} alike",
                *("disparity of their maps", value, *judged_at_most(value, _ALIKE)),
            )
        )
    return claims


def _curve(subject: Subject, attribute: Attribute, figure: str) -> list[Claim]:
    rows = attribute.rows(subject.pictures)
    found = judge_bend(
        subject.templates[rows],
        attribute.texts(subject.pictures)[rows].astype(np.float64),
        subject.pictures.identities[rows],
        name=attribute.label,
        metric=_metric(subject),
    )
    claims = [
        Claim(
            *(figure, subject.name, "the path is bent, as a horseshoe or an arc"),
            *("second eigenvalue over the first", found.ratio),
            *("more than a line", _VERDICTS[found.verdict], found.reason),
        )
    ]
    if figure == "11":
        claims.append(_circle(subject, figure, found))
    return claims


def _circle(subject: Subject, figure: str, found: Bend) -> Claim:
    """A path that turns back is a circle if it is as wide as long, else a fold."""
    bound, verdict = judged_at_least(found.ratio, _ROUND)
    if not np.isfinite(found.p_closed):
        verdict = "cannot be said"
    elif found.p_closed >= _P:
        verdict = "does not hold"
    return Claim(
        *(figure, subject.name, "the path closes, as a circle"),
        *("second eigenvalue over the first, of a path that turns back", found.ratio),
        *(bound, verdict),
        f"closure {found.closure.value:.2f}, p {found.p_closed:.3f}",
    )


def _loss_over_backbone(
    subjects: Sequence[Subject], drawn: Mapping[str, np.ndarray], figure: str
) -> list[Claim]:
    """Whether softmax networks are more alike than either is to one on the sphere."""
    flat = [subject.name for subject in subjects if not subject.unit_norm]
    round_ = [subject.name for subject in subjects if subject.unit_norm]
    if len(flat) < 2 or not round_:
        return []
    within = _disparities(drawn[flat[1]], drawn[flat[0]])
    across = [_disparities(drawn[r], drawn[f]) for r in round_ for f in flat]
    less = within - np.mean(across, axis=0)
    value: Estimate = estimate(less[0], less[1:])
    return [
        Claim(
            *(figure, "all", "the loss shapes the space more than the backbone does"),
            "disparity of the softmax networks, less that to the ArcFace network",
            *(value, *judged_at_most(value, 0.0)),
        )
    ]
