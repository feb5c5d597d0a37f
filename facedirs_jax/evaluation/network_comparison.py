"""Several networks on the very same pairs of pictures.

Every function takes N pictures, and rows among them that all networks have a template
of; so a difference between two networks is none between the pairs.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax.evaluation.bootstrap import RESAMPLES
from facedirs_jax.evaluation.rendered_faces import GALLERY, pairs_or_why, rate_cells
from facedirs_jax.evaluation.verification import (
    Metric,
    Pairs,
    compared_pairs,
    verify,
)
from facedirs_jax.progress import Progress
from facedirs_jax.tables import Cell, Row


class Contender(NamedTuple):
    """A network under one distance: a row of the tables.

    Attributes:
        name: of the row; no two alike.
        metric: see `template_distances`.
        templates: [N, D] float32; NaN for a picture without a face.
    """

    name: str
    metric: Metric
    templates: np.ndarray


def contenders_of(
    name: str, templates: np.ndarray, *, unit_norm: bool = False
) -> list[Contender]:
    """A network under its own distance and, where that is another, under the cosine.

    Args:
        name: of the network.
        templates: [N, D] float32; NaN for a picture without a face.
        unit_norm: whether its templates lie on the unit sphere, which makes the cosine
            its own.

    Returns:
        One or two; the network's own first.
    """
    if unit_norm:
        return [Contender(name, "cosine", templates)]
    cosine = Contender(f"{name} (cosine)", "cosine", templates)
    return [Contender(name, "euclidean", templates), cosine]


def shared_rows(contenders: Sequence[Contender]) -> np.ndarray:
    """[N] bool, which pictures all networks have a template of."""
    found = [np.isfinite(each.templates).all(axis=1) for each in contenders]
    return np.logical_and.reduce(found)


def frontal_and_others(
    conditions: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the gallery, which is frontal, and of the probes: all other conditions.

    Args:
        conditions: [N] str.
        usable: [N] bool, the pictures to take.

    Returns:
        [G] and [Q] int, rows in order.
    """
    frontal = conditions == GALLERY
    return np.flatnonzero(usable & frontal), np.flatnonzero(usable & ~frontal)


def pairs_by_contender(
    contenders: Sequence[Contender],
    identities: np.ndarray,
    *,
    gallery: np.ndarray,
    probes: np.ndarray,
) -> dict[str, Pairs]:
    """The same pairs for each, in the same order; see `compared_pairs`.

    Args:
        contenders: with [N, D] templates.
        identities: [N], whose each picture is.
        gallery: rows of the one side, [G] int.
        probes: rows of the other side, [Q] int, which may share rows with the gallery.

    Returns:
        Pairs, [P] each, by name; they differ in their distances alone.

    Raises:
        InputError: if there are fewer than 2 identities, or a template is not finite.
    """
    return {
        each.name: compared_pairs(
            *(each.templates, identities),
            gallery=gallery,
            probes=probes,
            metric=each.metric,
        )
        for each in contenders
    }


def comparison_rows(
    pairs: Mapping[str, Pairs],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Row]:
    """Verification rates, a row for each network.

    Args:
        pairs: [P] each, by name.
        resamples: draws of people for the intervals, the same people for all.
        seed: of the draws.

    Returns:
        Rows with `network`, then the cells of `rate_cells`.
    """
    rows: list[Row] = []
    with Progress("comparing", total=len(pairs), unit="network") as progress:
        for name, found in pairs.items():
            cells = rate_cells(found, resamples=resamples, seed=seed)
            rows.append({"network": name, **cells})
            progress.advance_to(len(rows))
    return rows


def condition_rows(
    contenders: Sequence[Contender],
    identities: np.ndarray,
    conditions: np.ndarray,
    usable: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Row]:
    """Equal error rate of frontal against each condition, a column for each network.

    Args:
        contenders: with [N, D] templates.
        identities: [N], whose each picture is.
        conditions: [N] str.
        usable: [N] bool, the pictures that all have a template of.
        resamples: draws of people for the intervals, the same people for all.
        seed: of the draws.

    Returns:
        A row a condition, in the order in which they first come; a note where no rate
        can be told.
    """
    gallery, _ = frontal_and_others(conditions, usable)
    names = [name for name in dict.fromkeys(conditions.tolist()) if name != GALLERY]
    rows: list[Row] = []
    with Progress("comparing", total=len(names), unit="condition") as progress:
        for name in names:
            of = conditions == name
            row: dict[str, Cell] = {
                "condition": name,
                "probes": int((of & usable).sum()),
                "left_out": int((of & ~usable).sum()),
            }
            for each in contenders:
                pairs, why = pairs_or_why(
                    *(each.templates, identities),
                    gallery=gallery,
                    probes=np.flatnonzero(of & usable),
                    metric=each.metric,
                )
                if pairs is None:
                    row["note"] = why
                else:
                    found = verify(pairs, resamples=resamples, seed=seed)
                    row[each.name] = found.eer
            rows.append(row)
            progress.advance_to(len(rows))
    return rows
