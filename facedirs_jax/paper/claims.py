"""Claims of the paper's figures: what was measured, and whether it bears them out."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from facedirs_jax.evaluation.bootstrap import RESAMPLES, Estimate, estimate

MIN_PEOPLE = 5  # fewer tell nothing of others
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


def claim_of(stored: Mapping[str, Any]) -> Claim:
    """A claim of what `Claim._asdict` and JSON made of it."""
    value = Estimate(*(np.nan if n is None else n for n in stored["value"]))
    return Claim(**{**stored, "value": value})


def judged_at_least(value: Estimate, bound: float) -> tuple[str, Verdict]:
    """Whether a value reaches a bound, by its interval; text of the bound, verdict.

    It holds if all of the interval does, it does not if none does.
    """
    text = f"at least {bound:g}"
    if not np.isfinite([value.low, value.high]).all():
        return text, "cannot be said"
    if value.low >= bound:
        return text, "holds"
    return text, "does not hold" if value.high < bound else "cannot be said"


def judged_at_most(value: Estimate, bound: float) -> tuple[str, Verdict]:
    """Whether a value is a bound at most, by its interval; see `judged_at_least`."""
    mirrored = Estimate(*(-number for number in (value.value, value.high, value.low)))
    return f"at most {bound:g}", judged_at_least(mirrored, -bound)[1]


def median_of_people(
    values: Sequence[float] | np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Median over people, with the interval of people drawn again.

    Args:
        values: [P], one number a person; NaN where it is unknown.
        resamples: draws of people.
        seed: of the draws.

    Returns:
        Estimate; NaN if no value is known, and bounds of NaN if fewer than
        `MIN_PEOPLE` are.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Estimate(np.nan, np.nan, np.nan)
    middle = float(np.median(known))
    if len(known) < MIN_PEOPLE:
        return Estimate(middle, np.nan, np.nan)
    drawn = np.random.default_rng(seed).choice(known, (resamples, len(known)))
    return estimate(middle, np.median(drawn, axis=1))
