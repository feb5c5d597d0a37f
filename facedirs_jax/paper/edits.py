"""Probes edited by labels and decoded, and what a picture reader finds in them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from facedirs_jax.directions.centroid import centroid_directions
from facedirs_jax.directions.record import Directions
from facedirs_jax.directions.regression import regression_direction
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.picture_readings import PictureReader
from facedirs_jax.paper.attributes import Attribute
from facedirs_jax.paper.subjects import Subject
from facedirs_jax.traversal import EditMode, edit_to_label, traverse


class Edits(NamedTuple):
    """P probes in T versions.

    Attributes:
        steps: T texts, what each version should be.
        templates: [P, T, D] float32.
        decodes: [P, T, S, S, 3] float32 in [0, 1].
    """

    steps: tuple[str, ...]
    templates: np.ndarray
    decodes: np.ndarray

    def read(self, reader: PictureReader) -> np.ndarray:
        """[P, T] labels that a reader finds in the decodes."""
        flat = self.decodes.reshape(-1, *self.decodes.shape[2:])
        return reader.read(flat).reshape(self.decodes.shape[:2])


def class_directions(subject: Subject, attribute: Attribute) -> Directions:
    """Differences from the neutral class, found on the people kept for directions."""
    rows = subject.rows(attribute, subject.people.directions)
    return centroid_directions(
        subject.templates[rows],
        attribute.texts(subject.pictures)[rows],
        neutral=attribute.neutral,
    )


def edit_towards(
    subject: Subject, directions: Directions, value: str, strengths: Sequence[float]
) -> Edits:
    """Moves every probe towards one class (eq. 9).

    Args:
        subject: network and probes.
        directions: of `class_directions`.
        value: the class.
        strengths: T, how many whole differences to go.

    Returns:
        Edits of T steps.
    """
    row = directions.about["labels"].index(value)
    steps = np.asarray(strengths, np.float32)
    moved = [
        traverse(
            *(probe, directions.directions[row], directions.about["lengths"][row]),
            steps,
            unit_norm=subject.unit_norm,
        )
        for probe in subject.probes
    ]
    templates = np.asarray(moved)
    texts = tuple(f"{strength:.0%}" for strength in strengths)
    return Edits(texts, templates, subject.decode(templates))


def edit_by_classes(
    subject: Subject, attribute: Attribute, directions: Directions
) -> Edits:
    """Moves every probe by the whole difference to each class (eq. 9).

    Args:
        subject: network and probes.
        attribute: whose values are edited to.
        directions: of `class_directions`.

    Returns:
        Edits to the classes in the attribute's order, the probe itself in the middle.
    """
    parts = [
        edit_towards(subject, directions, value, [1.0]) for value in attribute.values
    ]
    middle = len(parts) // 2
    still = Edits(
        *((attribute.neutral,), subject.probes[:, None]),
        subject.decode(subject.probes[:, None]),
    )
    parts.insert(middle, still)
    steps = list(attribute.values)
    steps.insert(middle, attribute.neutral)
    return Edits(
        tuple(steps),
        np.concatenate([part.templates for part in parts], axis=1),
        np.concatenate([part.decodes for part in parts], axis=1),
    )


def label_direction(
    subject: Subject, attribute: Attribute, mode: EditMode
) -> Directions:
    """Regression of the attribute, on the people that directions are found on."""
    rows = subject.rows(attribute, subject.people.directions)
    return regression_direction(
        subject.templates[rows],
        attribute.texts(subject.pictures)[rows].astype(np.float64),
        subject.pictures.identities[rows],
        mode=mode,
        name=attribute.name,
    )


def edit_by_regression(
    subject: Subject, attribute: Attribute, direction: Directions, mode: EditMode
) -> Edits:
    """Edits every probe so that the regression should read each value (eqs. 12-13).

    Where a label cannot be reached on the unit sphere the template is NaN, and the
    decode white.
    """
    values = sorted([float(v) for v in (*attribute.values, attribute.neutral)])
    probes = subject.probes
    templates = np.full((len(probes), len(values), probes.shape[1]), np.nan, np.float32)
    for place, probe in enumerate(probes):
        for step, value in enumerate(values):
            try:
                templates[place, step] = edit_to_label(
                    *(probe, direction, 0, value),
                    unit_norm=subject.unit_norm,
                    mode=mode,
                )
            except InputError:  # out of reach on the sphere
                continue
    known = np.asarray(np.isfinite(templates).all(axis=2))
    decodes = subject.decode(np.where(known[..., None], templates, probes[:, None]))
    decodes = np.where(known[..., None, None, None], decodes, np.float32(1))
    return Edits(tuple(f"{value:g}" for value in values), templates, decodes)


def rank_correlations(
    wanted: Sequence[float] | np.ndarray, read: np.ndarray
) -> np.ndarray:
    """Spearman's correlation of what was wanted and what was read, of each probe.

    Args:
        wanted: [T].
        read: [P, T]; NaN where nothing could be read.

    Returns:
        [P] float64; NaN where fewer than 3 were read, 0 where all are the same.
    """
    found = []
    for row in read:
        known = np.isfinite(row)
        if known.sum() < 3:
            found.append(np.nan)
        elif np.ptp(row[known]) == 0:
            found.append(0.0)
        else:
            ranks = (
                stats.rankdata(np.asarray(wanted)[known]),
                stats.rankdata(row[known]),
            )
            found.append(float(np.corrcoef(*ranks)[0, 1]))
    return np.array(found)


def slopes(wanted: Sequence[float] | np.ndarray, read: np.ndarray) -> np.ndarray:
    """Slope of what was read on what was wanted, [P]: 1 is all of it, 0 none."""
    steps = np.asarray(wanted, np.float64)
    found = []
    for row in read:
        known = np.isfinite(row)
        enough = known.sum() > 1
        found.append(np.polyfit(steps[known], row[known], 1)[0] if enough else np.nan)
    return np.array(found)
