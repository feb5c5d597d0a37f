"""Do rendered faces behave as photos do? What a network makes of each condition.

Every function takes what is known of N pictures, and templates [N, D] with NaN where no
face was found; pictures without a template are counted as missed.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import roc
from facedirs_jax.evaluation.bootstrap import RESAMPLES
from facedirs_jax.evaluation.verification import (
    FARS,
    Metric,
    Pairs,
    verification_pairs,
    verify,
)
from facedirs_jax.progress import Progress
from facedirs_jax.rendering.factor_table import FactorTable
from facedirs_jax.tables import Cell, Row

GALLERY = "frontal"  # the condition that all others are compared with
ALL = "all with all"


def detection_rows(conditions: np.ndarray, statuses: Sequence[str]) -> list[Row]:
    """How many faces were found, by condition.

    Args:
        conditions: [N] str.
        statuses: N of `faces.Status`; whatever is not `ok` is missed.

    Returns:
        One row a condition, in the order in which they first come, then one for all.
    """
    found = np.array(statuses, str)
    named = _by_condition(conditions)
    rows: list[Row] = []
    for name, of in {**named, "all": np.ones(len(found), bool)}.items():
        counts = Counter(found[of].tolist())
        usual = ("ok", "no_face", "many_faces")
        rows.append(
            {
                "condition": name,
                "pictures": int(of.sum()),
                "found": counts["ok"],
                "rate": counts["ok"] / int(of.sum()),
                "no_face": counts["no_face"],
                "many_faces": counts["many_faces"],
                "other": sum(n for what, n in counts.items() if what not in usual),
            }
        )
    return rows


def _by_condition(conditions: np.ndarray) -> dict[str, np.ndarray]:
    """Condition -> [N] bool, in the order in which they first come."""
    return {
        name: np.asarray(conditions == name)
        for name in dict.fromkeys(conditions.tolist())
    }


class Comparisons(NamedTuple):
    """Verification by condition.

    Attributes:
        rows: the easiest condition first, by equal error rate and then by mean genuine
            distance; then those that gave no rates, then all with all.
        curves: condition -> its curve, in the order of the rows.
        pairs: of all with all; None where they gave no rates.
    """

    rows: list[Row]
    curves: dict[str, roc.RocCurve]
    pairs: Pairs | None


def compare_conditions(
    table: FactorTable,
    templates: np.ndarray,
    *,
    metric: Metric,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparisons:
    """Compares `GALLERY` with every other condition, and all pictures with all.

    Args:
        table: what is known of N pictures.
        templates: [N, D] float32; NaN where no face was found.
        metric: of the network's templates; see `template_distances`.
        resamples: draws of people for the intervals.
        seed: of the draws.

    Returns:
        Comparisons.

    Raises:
        InputError: if no picture of the gallery's condition has a template.
    """
    usable = np.asarray(np.isfinite(templates).all(axis=1))
    gallery = np.flatnonzero(usable & (table.conditions == GALLERY))
    if not len(gallery):
        raise InputError(
            f"no picture of the condition {GALLERY!r} has a template; the others are "
            "compared with those"
        )
    named = _by_condition(table.conditions)
    del named[GALLERY]
    sides = {name: (gallery, of) for name, of in named.items()}
    sides[ALL] = (np.flatnonzero(usable), np.ones(len(usable), bool))
    rows: dict[str, Row] = {}
    curves: dict[str, roc.RocCurve] = {}
    difficulty: dict[str, tuple[float, float]] = {}
    pairs = None
    with Progress("comparing", total=len(sides), unit="condition") as progress:
        for name, (side, of) in sides.items():
            pairs, note = pairs_or_why(
                *(templates, table.identities),
                gallery=side,
                probes=np.flatnonzero(of & usable),
                metric=metric,
            )
            row: dict[str, Cell] = {
                "condition": name,
                "probes": int((of & usable).sum()),
                "missed": int((of & ~usable).sum()),
            }
            if pairs is not None:
                curves[name] = roc.roc_curve(pairs.distances, pairs.same)
                apart = float(pairs.distances[pairs.same].mean())
                difficulty[name] = (roc.equal_error_rate(curves[name]), apart)
                row |= rate_cells(pairs, resamples=resamples, seed=seed)
            rows[name] = row | ({"note": note} if note else {})
            progress.advance_to(len(rows))
    order = sorted(named, key=lambda name: difficulty.get(name, (np.inf,)))
    return Comparisons(
        [rows[name] for name in (*order, ALL)],
        {name: curves[name] for name in (*order, ALL) if name in curves},
        pairs,
    )


def pairs_or_why(
    templates: np.ndarray,
    identities: np.ndarray,
    *,
    gallery: np.ndarray,
    probes: np.ndarray,
    metric: Metric,
) -> tuple[Pairs | None, str]:
    """The pairs of `verification_pairs`; or None, and why there are none.

    Args:
        templates: [N, D] float32; rows of no gallery and no probe may be NaN.
        identities: [N], whose each is.
        gallery: rows of the one side, [G] int.
        probes: rows of the other side, [Q] int.
        metric: of the network's templates.

    Returns:
        Pairs and an empty text, or None and the reason.
    """
    try:
        pairs = verification_pairs(
            templates, identities, gallery=gallery, probes=probes, metric=metric
        )
    except InputError as error:
        return None, str(error)
    return pairs, ""


def rate_cells(
    pairs: Pairs, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Cell]:
    """What `verify` finds, as cells of a table.

    Args:
        pairs: [P] each.
        resamples: draws of people for the intervals.
        seed: of the draws.

    Returns:
        Cells by name; None for a TAR at a FAR that so few pairs cannot show.
    """
    found = verify(pairs, resamples=resamples, seed=seed)
    return {
        "identities": found.identities,
        "genuine_pairs": found.genuine_pairs,
        "impostor_pairs": found.impostor_pairs,
        "genuine_mean": found.genuine_mean,
        "impostor_mean": found.impostor_mean,
        "auc": found.auc,
        "eer": found.eer,
        **{f"tar_at_far_{far:g}": found.tar.get(far) for far in FARS},
    }
