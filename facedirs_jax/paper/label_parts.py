"""Figures 8, 10, 12 and 14: probes edited by pose, light and expression."""

import itertools
from collections.abc import Sequence

import numpy as np

from facedirs_jax.directions.record import Directions
from facedirs_jax.evaluation.picture_readings import PictureReader
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE, Attribute
from facedirs_jax.paper.claims import (
    Claim,
    judged_at_least,
    judged_at_most,
    median_of_people,
)
from facedirs_jax.paper.edits import (
    Edits,
    class_directions,
    edit_by_classes,
    edit_by_regression,
    edit_towards,
    label_direction,
    rank_correlations,
    slopes,
)
from facedirs_jax.paper.parts import Part, draw_edits, sliders_of
from facedirs_jax.paper.subjects import Subject, reader_of

STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
_WHOLE = STRENGTHS.index(1.0)
_FOLLOWS = 0.9  # Spearman's correlation above which a picture follows its edit
_SOME_EFFECT = 0.25  # slope of what is read on what was wanted; below: "no effect"
_NOTE = (
    "Labels are read from the decodes by a ridge regression on pixels and edges, "
    "learnt from pictures of people whom neither the directions nor the probes are of; "
    "medians are over probes, intervals from probes drawn again."
)


def class_part(subjects: Sequence[Subject], attribute: Attribute, figure: str) -> Part:
    """Figure 8 (pose) or 10 (light): probes moved by differences of centroids.

    Args:
        subjects: the networks.
        attribute: `POSE` or `LIGHT`.
        figure: its number.

    Returns:
        Part.
    """
    edits, ranks, gains, quality = {}, {}, {}, {}
    for subject in subjects:
        reader = reader_of(subject, attribute)
        edited = edit_by_classes(
            subject, attribute, class_directions(subject, attribute)
        )
        wanted = np.array(edited.steps, np.float64)
        read = edited.read(reader)
        edits[subject.name], quality[subject.name] = edited, reader.correlation
        ranks[subject.name] = rank_correlations(wanted, read)
        gains[subject.name] = slopes(wanted, read)
    claims = _follow(subjects, attribute, figure, ranks, quality)
    claims += _muted(subjects, attribute, figure, gains)
    return Part(
        figure,
        f"{attribute.name.capitalize()} by differences of centroids",
        _NOTE,
        claims,
        {"edits": draw_edits(edits)},
        sliders_of(edits, attribute.name),
    )


def _follow(
    subjects: Sequence[Subject],
    attribute: Attribute,
    figure: str,
    ranks: dict[str, np.ndarray],
    quality: dict[str, float],
) -> list[Claim]:
    """Whether what is read of the decodes rises with what was wanted."""
    return [
        _claim(
            (figure, subject.name),
            f"{attribute.name} can be set, from one end to the other",
            f"Spearman of wanted and read {attribute.label}",
            ranks[subject.name],
            at_least=_FOLLOWS,
            note=f"the reader itself: r {quality[subject.name]:.2f} on held-out people",
        )
        for subject in subjects
    ]


def _muted(
    subjects: Sequence[Subject],
    attribute: Attribute,
    figure: str,
    gains: dict[str, np.ndarray],
) -> list[Claim]:
    """Whether networks with templates on the sphere change less than the others."""
    flat = [gains[subject.name] for subject in subjects if not subject.unit_norm]
    if not flat:
        return []
    return [
        _claim(
            (figure, subject.name),
            "changes are muted, compared with the softmax networks",
            f"slope of read on wanted {attribute.label}, less theirs",
            gains[subject.name] - np.mean(flat, axis=0),
            at_most=0.0,
            note=f"own slope {np.nanmedian(gains[subject.name]):.2f}",
        )
        for subject in subjects
        if subject.unit_norm
    ]


def expression_part(subjects: Sequence[Subject]) -> Part:
    """Figure 12: expressions at strengths up to twice the whole difference."""
    edits, read, claims = {}, {}, []
    for subject in subjects:
        directions = class_directions(subject, EXPRESSION)
        own = []
        for value in EXPRESSION.values:
            edited = edit_towards(subject, directions, value, STRENGTHS)
            edits[f"{subject.name}, {value}"] = edited
            own.append(edited.read(reader_of(subject, EXPRESSION, of=value)))
        read[subject.name] = np.stack(own, axis=1)  # [P, V, T]
        ranks = np.mean([rank_correlations(STRENGTHS, each) for each in own], axis=0)
        past = np.mean([each[:, -1] - each[:, _WHOLE] for each in own], axis=0)
        key = ("12", subject.name)
        claims += [
            _claim(
                *(key, "the expression grows with the strength of the edit"),
                *("Spearman of strength and read expression, mean of five", ranks),
                at_least=_FOLLOWS,
            ),
            _claim(
                *(key, "and goes on growing past 100 %"),
                *("read at 200 % less read at 100 %, mean of five", past),
                at_least=0.0,
            ),
        ]
    claims += _fidelity(subjects, read)
    return Part(
        *("12", "Expressions, up to twice as strong", _NOTE, claims),
        {"edits": draw_edits(edits, shown=1)},
        sliders_of(edits, "expression"),
    )


def _fidelity(subjects: Sequence[Subject], read: dict[str, np.ndarray]) -> list[Claim]:
    """Whether the first network shows expressions better than the next, and so on."""
    gains = {
        name: (values[:, :, _WHOLE] - values[:, :, 0]).mean(axis=1)
        for name, values in read.items()
    }
    names = [subject.name for subject in subjects]
    return [
        _claim(
            ("12", f"{better} and {worse}"),
            "the first shows expressions more faithfully",
            "change read at 100 %, mean of five, less that of the second",
            gains[better] - gains[worse],
            at_least=0.0,
        )
        for better, worse in itertools.pairwise(names)
    ]


def regression_part(subjects: Sequence[Subject]) -> Part:
    """Figure 14: probes edited by regressions of light and pose."""
    claims, drawn, sliders = [], {}, []
    for attribute in (LIGHT, POSE):
        edits = {}
        for subject in subjects:
            reader = reader_of(subject, attribute)
            for mode in ("paper", "corrected"):
                direction = label_direction(subject, attribute, mode)
                edited = edit_by_regression(subject, attribute, direction, mode)
                wanted = np.array(edited.steps, np.float64)
                key = ("14", f"{subject.name}, {mode}")
                claims.append(_reached(key, attribute, direction, edited, wanted))
                claims += _effects(key, attribute, edited, reader, wanted)
                edits[f"{subject.name}, {mode}"] = edited
        drawn[attribute.name] = draw_edits(edits, shown=1)
        right = {name: e for name, e in edits.items() if name.endswith("corrected")}
        sliders += sliders_of(right, attribute.name)
    note = (
        f"{_NOTE} 'paper' is least squares and the step as printed (eqs. 10-13), "
        "'corrected' ridge regression and the step that reaches the label."
    )
    return Part("14", "Light and pose by regression", note, claims, drawn, sliders)


def _reached(
    key: tuple[str, str],
    attribute: Attribute,
    direction: Directions,
    edited: Edits,
    wanted: np.ndarray,
) -> Claim:
    """Whether the edited template reads the label it should."""
    weights, intercept = direction.reading(0)
    read = edited.templates.astype(np.float64) @ weights + intercept
    missed = np.abs(read - wanted[None]) / np.abs(wanted).max()
    return _claim(
        *(key, f"the edited template reads the wanted {attribute.label}"),
        *("largest miss, as a share of the largest label", np.nanmax(missed, axis=1)),
        at_most=1e-4,
        note=f"{np.isnan(missed).mean():.0%} of the labels are out of reach",
    )


def _effects(
    key: tuple[str, str],
    attribute: Attribute,
    edited: Edits,
    reader: PictureReader,
    wanted: np.ndarray,
) -> list[Claim]:
    known = np.isfinite(edited.templates).all(axis=2)
    read = np.where(known, edited.read(reader), np.nan)
    label = attribute.label
    return [
        _claim(
            *(key, f"{attribute.name} follows in the picture"),
            *(f"Spearman of wanted and read {label}", rank_correlations(wanted, read)),
            at_least=_FOLLOWS,
        ),
        _claim(
            *(key, f"there is an effect on {attribute.name}"),
            *(f"slope of read on wanted {label}", slopes(wanted, read)),
            at_least=_SOME_EFFECT,
        ),
    ]


def _claim(
    key: tuple[str, str],
    claim: str,
    measured: str,
    values: np.ndarray,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
) -> Claim:
    value = median_of_people(values)
    if at_least is not None:
        judged = judged_at_least(value, at_least)
    else:
        judged = judged_at_most(value, 0.0 if at_most is None else at_most)
    return Claim(*key, claim, f"{measured}; median", value, *judged, note)
