"""How sure a number is: intervals by resampling people, not their pictures or pairs.

Two pictures of one person are not two pieces of evidence, and the pairs of 100 people
are not 4950: what was drawn at random is the person (Bolle, Ratha, Pankanti, Error
analysis of pattern recognition systems: the subsets bootstrap, CVIU 2004).
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
_TAILS = (2.5, 97.5)  # percentiles: an interval of 95 %


class Estimate(NamedTuple):
    """A number and its interval of 95 %; NaN bounds where none could be found."""

    value: float
    low: float
    high: float


def identity_weights(
    num_identities: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Draws people with replacement, as many as there are, again and again.

    Args:
        num_identities: K.
        resamples: R.
        seed: of the draws.

    Returns:
        [R, K] float64, how often each person was drawn; rows sum to K.
    """
    rng = np.random.default_rng(seed)
    shares = np.full(num_identities, 1 / num_identities)
    return rng.multinomial(num_identities, shares, size=resamples).astype(np.float64)


def sums_by_identity(identities: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums what belongs to one person.

    Args:
        identities: [N] int, 0 to K - 1, each at least once.
        values: [N, M], M numbers a picture.

    Returns:
        [K, M] float64.
    """
    sums = np.zeros((identities.max() + 1, values.shape[1]))
    np.add.at(sums, identities, values.astype(np.float64))
    return sums


def estimate(value: float, replicates: np.ndarray) -> Estimate:
    """Gives a number the percentile interval of its replicates.

    Args:
        value: from everybody.
        replicates: [R], the same from each draw of people; NaN where a draw had none
            of what it takes.

    Returns:
        Estimate.
    """
    finite = np.asarray(replicates)[np.isfinite(replicates)]
    if not len(finite):
        return Estimate(float(value), np.nan, np.nan)
    low, high = np.percentile(finite, _TAILS)
    return Estimate(float(value), float(low), float(high))
