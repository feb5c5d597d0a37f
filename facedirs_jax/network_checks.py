"""Networks side by side, each comparison as a section of a report with its figures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax import charts
from facedirs_jax.checks import Check, Draws
from facedirs_jax.compared_pictures import PictureSet
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import network_comparison, roc
from facedirs_jax.evaluation.bootstrap import Estimate
from facedirs_jax.evaluation.carried_thresholds import far_thresholds, impostor_cells
from facedirs_jax.evaluation.network_comparison import frontal_and_others
from facedirs_jax.evaluation.rendered_faces import ALL, GALLERY
from facedirs_jax.evaluation.verification import FARS, Pairs
from facedirs_jax.report import Section
from facedirs_jax.tables import Row, estimates_by

_SAME_PAIRS = (
    "The pairs are the same for every network, and intervals come from the same draws "
    "of people. A network's row is under its own distance; where that is not the "
    "cosine, the row with (cosine) is under the cosine. Means are of distances, and "
    "distances of two networks have nothing in common."
)


class Reference(NamedTuple):
    """Thresholds that were chosen on one set, to be tried on others.

    Attributes:
        name: of the set.
        mean: distance of its impostor pairs, by network.
        thresholds: [1 + R, F] by network; see `far_thresholds`.
    """

    name: str
    mean: dict[str, float]
    thresholds: dict[str, np.ndarray]


def frontal_pairs(pictures: PictureSet) -> dict[str, Pairs]:
    """Frontal pictures with those of all other conditions, [P] pairs by network.

    Raises:
        InputError: naming the set, if no pair is genuine or none an impostor's.
    """
    gallery, probes = frontal_and_others(pictures.folder.conditions, pictures.usable)
    return _pairs(pictures, gallery, probes, both_kinds=True)


def all_pairs(pictures: PictureSet) -> dict[str, Pairs]:
    """All pictures with all, [P] pairs by network; perhaps none of them genuine."""
    rows = np.flatnonzero(pictures.usable)
    return _pairs(pictures, rows, rows, both_kinds=False)


def _pairs(
    pictures: PictureSet, gallery: np.ndarray, probes: np.ndarray, *, both_kinds: bool
) -> dict[str, Pairs]:
    try:
        pairs = network_comparison.pairs_by_contender(
            *(pictures.contenders, pictures.folder.identities),
            gallery=gallery,
            probes=probes,
        )
        for found in pairs.values() if both_kinds else ():
            roc.check_pairs(found.distances, found.same)
    except InputError as error:
        raise InputError(f"{pictures.folder.name}: {error}") from error
    return pairs


def check_frontal(
    pictures: PictureSet, pairs: Mapping[str, Pairs], draws: Draws
) -> Check:
    """Verification of frontal against all other conditions, a row a network.

    Args:
        pictures: of people under conditions.
        pairs: of `frontal_pairs`, [P] each.
        draws: for the intervals.

    Returns:
        Check; its last column is the AUC of all pictures with all.
    """
    every = network_comparison.comparison_rows(all_pairs(pictures), **draws._asdict())
    rows = network_comparison.comparison_rows(pairs, **draws._asdict())
    widened = [
        {**row, "auc_all_with_all": of_all["auc"]}
        for row, of_all in zip(rows, every, strict=True)
    ]
    note = (
        f"Gallery: {GALLERY}; probes: all other conditions pooled; the last column is "
        f"of {ALL}. {pictures.left_out} {_SAME_PAIRS}"
    )
    title = f"{pictures.folder.name}: {GALLERY} against all conditions"
    section = Section(title, note, widened)
    return Check(
        f"{pictures.folder.name}_verification", section, _drawn(pairs, widened)
    )


def check_conditions(pictures: PictureSet, draws: Draws) -> Check:
    """Equal error rate by condition, a column a network.

    Args:
        pictures: of people under conditions.
        draws: for the intervals.

    Returns:
        Check with a row a condition.
    """
    rows = network_comparison.condition_rows(
        *(pictures.contenders, pictures.folder.identities),
        *(pictures.folder.conditions, pictures.usable),
        **draws._asdict(),
    )
    note = (
        f"Equal error rate of {GALLERY} against each condition; an interval without "
        "width says that no error was seen among these people, not that there are none."
    )
    title = f"{pictures.folder.name}: equal error rate by condition"
    return Check(f"{pictures.folder.name}_conditions", Section(title, note, rows), {})


def has_genuine(pairs: Mapping[str, Pairs]) -> bool:
    """Whether any of [P] pairs shows one person twice."""
    return any(found.same.any() for found in pairs.values())


def check_photos(
    pictures: PictureSet, pairs: Mapping[str, Pairs], draws: Draws
) -> Check:
    """Verification of all pictures with all, a row a network.

    Args:
        pictures: several of some people.
        pairs: of `all_pairs`, [P] each.
        draws: for the intervals.

    Returns:
        Check.
    """
    rows = network_comparison.comparison_rows(pairs, **draws._asdict())
    section = Section(
        f"{pictures.folder.name}: {ALL}", f"{pictures.left_out} {_SAME_PAIRS}", rows
    )
    return Check(f"{pictures.folder.name}_verification", section, _drawn(pairs, rows))


def _drawn(pairs: Mapping[str, Pairs], rows: Sequence[Row]) -> dict[str, charts.Figure]:
    curves = {
        name: roc.roc_curve(found.distances, found.same)
        for name, found in pairs.items()
    }
    easiest = sorted(curves, key=lambda name: roc.equal_error_rate(curves[name]))
    rates = estimates_by(rows, "network", "eer")
    return {
        "roc": charts.draw_roc({name: curves[name] for name in easiest}),
        "equal_error_rate": charts.draw_estimates(rates, "equal error rate"),
        "distances": charts.draw_distances_by_network(pairs, {}),
    }


def reference(name: str, pairs: Mapping[str, Pairs], draws: Draws) -> Reference:
    """Chooses each network's thresholds for `FARS`, to be tried on other pictures.

    Args:
        name: of the set that the pairs are of.
        pairs: [P] each, by network.
        draws: for the intervals.

    Returns:
        Reference.
    """
    return Reference(
        name,
        {
            network: float(found.distances[~found.same].mean())
            for network, found in pairs.items()
        },
        {
            network: far_thresholds(found, **draws._asdict())
            for network, found in pairs.items()
        },
    )


def check_impostors(
    pictures: PictureSet,
    pairs: Mapping[str, Pairs],
    chosen: Reference | None,
    draws: Draws,
) -> Check:
    """How far apart two people are, and whether thresholds carry over to them.

    Args:
        pictures: photos of several people.
        pairs: of `all_pairs`, [P] each.
        chosen: thresholds of another set; None for none.
        draws: for the intervals.

    Returns:
        Check with a row a network.
    """
    fars = FARS if chosen else ()
    rows: list[Row] = []
    lines: dict[str, dict[str, float]] = {}
    for name, found in pairs.items():
        levels = chosen.thresholds[name] if chosen else np.zeros((1 + draws[0], 0))
        # Other draws: these are other people than those of the thresholds.
        cells = impostor_cells(found, levels, fars=fars, seed=draws.seed + 1)
        about = {f"mean_in_{chosen.name}": chosen.mean[name]} if chosen else {}
        rows.append({"network": name, **cells, **about})
        lines[name] = {
            f"FAR {far:g} in {chosen.name}": float(level)
            for far, level in zip(fars, levels[0], strict=True)
            if chosen and np.isfinite(level)
        }
    note = f"Impostor pairs alone. {pictures.left_out} {_SAME_PAIRS}"
    if chosen:
        note += (
            f" Accepted: share of these pairs under the threshold that keeps to the "
            f"FAR where {GALLERY} pictures of {chosen.name} meet all others; times: "
            "that share over the FAR, 1 where the threshold carries over. Their "
            "intervals come from people of both sets, drawn anew; one from 0 to 0 says "
            "that none was accepted, not that none could be."
        )
    section = Section(f"{pictures.folder.name}: impostors", note, rows)
    drawn = {"distances": charts.draw_distances_by_network(pairs, lines)}
    if chosen:
        shown: dict[str, Estimate] = estimates_by(
            rows, "network", f"times_far_{FARS[0]:g}"
        )
        if shown:
            what = f"accepted impostors over the FAR of {FARS[0]:g}"
            drawn["times_far"] = charts.draw_estimates(shown, what)
    return Check(f"{pictures.folder.name}_impostors", section, drawn)
