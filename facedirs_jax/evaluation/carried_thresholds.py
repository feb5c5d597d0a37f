"""Does a threshold carry over? One chosen on some pairs, used on those of others.

The interval of a share that is accepted comes from people of both sets, drawn anew each
by itself: the threshold is no surer than the people it was chosen on.
"""

from collections.abc import Sequence

import numpy as np

from facedirs_jax.evaluation import roc
from facedirs_jax.evaluation.bootstrap import (
    RESAMPLES,
    Estimate,
    estimate,
    identity_weights,
)
from facedirs_jax.evaluation.verification import FARS, Pairs
from facedirs_jax.tables import Cell


def far_thresholds(
    pairs: Pairs,
    *,
    fars: Sequence[float] = FARS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """The most lenient thresholds that keep to some FARs, and again for drawn people.

    Args:
        pairs: [P] each, some genuine and some not.
        fars: false accept rates, F of them.
        resamples: R draws of people.
        seed: of the draws.

    Returns:
        [1 + R, F] float64, distances: the first row from everybody. NaN for a FAR below
        1 / impostor pairs, and in draws that leave no genuine or no impostor pair.
    """
    order = np.argsort(pairs.distances, kind="stable")
    ascending, same = pairs.distances[order].astype(np.float64), pairs.same[order]
    impostors = int((~same).sum())
    found = np.full((1 + resamples, len(fars)), np.nan)
    shown = [place for place, far in enumerate(fars) if impostors * far >= 1]
    for row, drawn in enumerate(_draws(pairs, resamples, seed)):
        weights = pair_weights(pairs, drawn)[order]
        if weights[same].any() and weights[~same].any():
            curve = roc.weighted_roc_curve(ascending, weights * same, weights * ~same)
            curve = curve._replace(impostor_pairs=impostors)  # those there, not drawn
            for place in shown:
                found[row, place] = roc.threshold_at_far(curve, fars[place])
    return found


def pair_weights(pairs: Pairs, drawn: np.ndarray) -> np.ndarray:
    """How often each pair counts when people are drawn again.

    Args:
        pairs: [P] each, of K people.
        drawn: [K] float64, how often each person was drawn; see `identity_weights`.

    Returns:
        [P] float64: w for genuine pairs of a person drawn w times, v w for pairs of two
        drawn v and w times.
    """
    second = drawn[pairs.second]
    return np.where(pairs.same, second, drawn[pairs.first] * second)


def impostor_cells(
    pairs: Pairs,
    thresholds: np.ndarray,
    *,
    fars: Sequence[float] = FARS,
    seed: int = 0,
) -> dict[str, Cell]:
    """How far apart two people are, and how often a threshold takes them for one.

    Args:
        pairs: [P] each; those that are genuine are left out.
        thresholds: [1 + R, F] from `far_thresholds` of other people; [1 + R, 0] where
            there are none.
        fars: what the thresholds were chosen for, F of them.
        seed: of R draws of the people of these pairs; another than the thresholds'.

    Returns:
        Cells by name: counts, `mean` and `std` of the distance and, for each FAR, the
        threshold, the share that it accepts, and that share over the FAR.
    """
    impostor = ~pairs.same
    kept = pairs._replace(
        distances=pairs.distances[impostor].astype(np.float64),
        first=pairs.first[impostor],
        second=pairs.second[impostor],
    )
    draws = _draws(kept, len(thresholds) - 1, seed)
    measured = np.array(
        [
            _impostor_measures(kept.distances, pair_weights(kept, drawn), levels)
            for drawn, levels in zip(draws, thresholds, strict=True)
        ]
    )
    mean, std, *shares = (estimate(each[0], each[1:]) for each in measured.T)
    cells: dict[str, Cell] = {
        "identities": kept.num_identities,
        "impostor_pairs": len(kept.distances),
        "mean": mean,
        "std": std,
    }
    for far, level, share in zip(fars, thresholds[0], shares, strict=False):
        known = not np.isnan(level)
        times = Estimate(*(part / far for part in share))
        cells[f"threshold_at_far_{far:g}"] = float(level) if known else None
        cells[f"accepted_at_far_{far:g}"] = share if known else None
        cells[f"times_far_{far:g}"] = times if known else None
    return cells


def _draws(pairs: Pairs, resamples: int, seed: int) -> np.ndarray:
    """[1 + R, K] float64, how often each person counts: first everybody once."""
    drawn = identity_weights(pairs.num_identities, resamples=resamples, seed=seed)
    return np.concatenate([np.ones((1, pairs.num_identities)), drawn])


def _impostor_measures(
    distances: np.ndarray, weights: np.ndarray, thresholds: np.ndarray
) -> list[float]:
    """Mean, standard deviation and accepted shares, 2 + F; NaN where unknown."""
    total = weights.sum()
    if not total:
        return [np.nan] * (2 + len(thresholds))
    mean = np.dot(weights, distances) / total
    variance = np.dot(weights, (distances - mean) ** 2) / total
    shares = [
        np.nan if np.isnan(at) else weights[distances <= at].sum() / total
        for at in thresholds
    ]
    return [mean, np.sqrt(variance), *shares]
