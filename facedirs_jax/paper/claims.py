"""Claims of the paper's figures: what was measured, and whether it bears them out."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from facedirs_jax.evaluation.bootstrap import RESAMPLES, Estimate, estimate

Verdict = Literal["holds", "does not hold", "cannot be said"]


class Claim(NamedTuple):
    """One claim of one figure, for one network or all.

    Attributes:
        figure: number in the paper.
        network: its name, or "all".
        claim: what the paper says.
        measured: name of what was measured here.
        value: of it, with its interval of 95 %.
        bound: what the value is held against.
        verdict: by the interval.
        note: what else is to know.
    """

    figure: str
    network: str
    claim: str
    measured: str
    value: Estimate
    bound: str
    verdict: Verdict
    note: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The claim as a row of a table."""
        return self._asdict()


def judged_above(value: Estimate, bound: float) -> tuple[str, Verdict]:
    """Whether a value lies above a bound, by its interval; text of the bound, verdict.

    It holds if all of the interval does, it does not if none does.
    """
    text = f"above {bound:g}"
    if not np.isfinite([value.low, value.high]).all():
        return text, "cannot be said"
    if value.low > bound:
        return text, "holds"
    return text, "does not hold" if value.high < bound else "cannot be said"


def judged_below(value: Estimate, bound: float) -> tuple[str, Verdict]:
    """Whether a value lies below a bound, by its interval; see `judged_above`."""
    mirrored = Estimate(*(-number for number in (value.value, value.high, value.low)))
    return f"below {bound:g}", judged_above(mirrored, -bound)[1]


def median_of_people(
    values: Sequence[float] | np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Median over people, with the interval of people drawn again.

    Args:
        values: [P], one number a person; NaN where it is unknown.
        resamples: draws of people.
        seed: of the draws.

    Returns:
        Estimate; NaN if no value is known.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Estimate(np.nan, np.nan, np.nan)
    drawn = np.random.default_rng(seed).choice(known, (resamples, len(known)))
    return estimate(float(np.median(known)), np.median(drawn, axis=1))
