"""Error rates of accepting every pair that is at most a threshold apart.

Genuine pairs show one person, impostor pairs two. FAR: share of impostor pairs
accepted; TAR: share of genuine pairs accepted. All in float64 numpy, since float32
cannot count beyond 2^24 pairs.
"""

from typing import NamedTuple

import numpy as np

from facedirs_jax.errors import InputError


class RocCurve(NamedTuple):
    """Rates at every threshold that changes one of them, the strictest first.

    Attributes:
        far: [T] float64, 0 to 1, false accept rate.
        tar: [T] float64, 0 to 1, true accept rate.
        thresholds: [T] float64, pairs at most so far apart are accepted; the first is
            -infinity, where none is.
        impostor_pairs: number of them; no FAR but 0 is below its inverse.
    """

    far: np.ndarray
    tar: np.ndarray
    thresholds: np.ndarray
    impostor_pairs: int


def roc_curve(distances: np.ndarray, same: np.ndarray) -> RocCurve:
    """The receiver operating characteristic; equal distances are accepted together.

    Args:
        distances: [P], finite.
        same: [P] bool, which pairs are genuine.

    Returns:
        RocCurve with [T] rates, T - 1 the number of different distances.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if no pair is genuine or none an impostor's, or a distance is NaN.
    """
    distances, same = np.asarray(distances), np.asarray(same, bool)
    check_pairs(distances, same)
    order = np.argsort(distances, kind="stable")
    genuine = same[order].astype(np.float64)
    return weighted_roc_curve(distances[order], genuine, 1 - genuine)


def check_pairs(distances: np.ndarray, same: np.ndarray) -> None:
    """Refuses pairs that no rate can be told of.

    Args:
        distances: [P].
        same: [P] bool.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if no pair is genuine or none an impostor's, or a distance is NaN.
    """
    if distances.ndim != 1 or distances.shape != same.shape:
        raise ValueError(
            f"distances are {list(distances.shape)} and same {list(same.shape)}; both "
            "must be [P]"
        )
    if same.all() or not same.any():
        kind = "impostor" if same.any() else "genuine"
        raise InputError(
            f"none of the {len(same)} pairs is {kind}; rates need pairs of one person "
            "and pairs of two"
        )
    if not np.isfinite(distances).all():
        raise InputError("a distance is NaN or infinite; leave such pairs out")


def weighted_roc_curve(
    ascending: np.ndarray, genuine: np.ndarray, impostor: np.ndarray
) -> RocCurve:
    """The curve of pairs that count more than once, or not at all.

    Args:
        ascending: [P], distances in order.
        genuine: [P] float64, genuine pairs at each distance, not 0 everywhere.
        impostor: [P] float64, impostor pairs at each, not 0 everywhere.

    Returns:
        RocCurve with [T] rates; `impostor_pairs` is the sum of their weights.
    """
    ends = _ends(ascending)
    far, tar = (_shares(weights)[ends] for weights in (impostor, genuine))
    far, tar = np.append(0.0, far), np.append(0.0, tar)
    thresholds = np.append(-np.inf, ascending[ends])
    return RocCurve(far, tar, thresholds, round(float(impostor.sum())))


def _shares(weights: np.ndarray) -> np.ndarray:
    sums = np.cumsum(weights)
    return sums / sums[-1]


def _ends(ascending: np.ndarray) -> np.ndarray:
    """Places of the last of each run of equal values."""
    changes = np.flatnonzero(ascending[1:] != ascending[:-1])
    return np.append(changes, len(ascending) - 1)


def auc(curve: RocCurve) -> float:
    """Area under the curve: how often a genuine pair is closer than an impostor one."""
    return float(np.dot(np.diff(curve.far), (curve.tar[1:] + curve.tar[:-1]) / 2))


def equal_error_rate(curve: RocCurve) -> float:
    """Rate at which as many impostors are accepted as genuine pairs are refused.

    Where the curve jumps over it, on the straight line between both ends.
    """
    over = curve.far + curve.tar - 1  # from -1 up to 1
    at = int(np.searchsorted(over, 0.0))
    part = over[at - 1] / (over[at - 1] - over[at])
    return float(curve.far[at - 1] + part * (curve.far[at] - curve.far[at - 1]))


def tar_at_far(curve: RocCurve, far: float) -> float:
    """True accept rate at the most lenient threshold that keeps to a FAR.

    Args:
        curve: from `roc_curve`, [T] rates.
        far: at most so large a share of the impostor pairs is accepted, 0 to 1.

    Returns:
        0 to 1.

    Raises:
        InputError: if so low a rate cannot be seen in so few impostor pairs.
    """
    return float(curve.tar[_place(curve, far)])


def threshold_at_far(curve: RocCurve, far: float) -> float:
    """The most lenient threshold that keeps to a FAR, as in `tar_at_far`.

    Args:
        curve: from `roc_curve`, [T] rates.
        far: at most so large a share of the impostor pairs is accepted, 0 to 1.

    Returns:
        A distance of a pair, or -infinity where not even the closest can be accepted.

    Raises:
        InputError: if so low a rate cannot be seen in so few impostor pairs.
    """
    return float(curve.thresholds[_place(curve, far)])


def _place(curve: RocCurve, far: float) -> int:
    """Which of the curve's thresholds is the most lenient that keeps to a FAR."""
    if not 0 < far <= 1 or curve.impostor_pairs * far < 1:
        raise InputError(
            f"a FAR of {far:g} cannot be seen in {curve.impostor_pairs} impostor "
            "pairs; it must lie between one over their number and 1"
        )
    return int(np.searchsorted(curve.far, far, side="right")) - 1


class FoldAccuracy(NamedTuple):
    """Accuracy by the protocol of Labeled Faces in the Wild.

    Attributes:
        mean: share of pairs told rightly, mean over folds.
        standard_error: of that mean.
        accuracies: [F] float64, of each fold.
        thresholds: [F] float64, chosen on all the other folds.
    """

    mean: float
    standard_error: float
    accuracies: np.ndarray
    thresholds: np.ndarray


def lfw_accuracy(
    distances: np.ndarray, same: np.ndarray, folds: np.ndarray
) -> FoldAccuracy:
    """Tests each fold at the threshold that is best on all others.

    Huang et al., Labeled Faces in the Wild, UMass TR 07-49, section 4. The threshold
    lies halfway between two distances; of several that are as good, the lowest.

    Args:
        distances: [P], finite.
        same: [P] bool, which pairs are genuine.
        folds: [P] int, which fold each pair is of.

    Returns:
        FoldAccuracy with [F] accuracies.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: with fewer than 2 folds, or what `roc_curve` refuses.
    """
    distances, same = np.asarray(distances, np.float64), np.asarray(same, bool)
    folds = np.asarray(folds)
    check_pairs(distances, same)
    if folds.shape != same.shape:
        raise ValueError(f"folds are {list(folds.shape)}; they must be {[len(same)]}")
    names = np.unique(folds)
    if len(names) < 2:
        raise InputError(
            "all pairs are of one fold; a threshold needs others to be chosen on"
        )
    tested = [folds == name for name in names]
    thresholds = [_best_threshold(distances[~test], same[~test]) for test in tested]
    accuracies = np.array(
        [
            np.mean((distances[test] <= threshold) == same[test])
            for test, threshold in zip(tested, thresholds, strict=True)
        ]
    )
    error = accuracies.std(ddof=1) / np.sqrt(len(names))
    return FoldAccuracy(
        float(accuracies.mean()), float(error), accuracies, np.array(thresholds)
    )


def _best_threshold(distances: np.ndarray, same: np.ndarray) -> float:
    order = np.argsort(distances, kind="stable")
    ascending = distances[order]
    ends = _ends(ascending)
    gained = np.cumsum(np.where(same[order], 1, -1))[ends]  # over refusing all
    best = int(np.argmax(np.append(0, gained)))
    if best == 0:
        return float(np.nextafter(ascending[0], -np.inf))
    below = ascending[ends[best - 1]]
    above = below if best == len(ends) else ascending[ends[best]]
    return float((below + above) / 2)
