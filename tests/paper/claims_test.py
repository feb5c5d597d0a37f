"""Verdicts: by the interval, not by the value."""

import json

import numpy as np
import pytest

from facedirs_jax.evaluation.bootstrap import Estimate
from facedirs_jax.paper.claims import (
    Claim,
    claim_of,
    judged_at_least,
    judged_at_most,
    median_of_people,
)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.95, 0.9, 1.0), "holds"),
        ((0.95, 0.89, 1.0), "cannot be said"),
        ((0.85, 0.8, 0.89), "does not hold"),
        ((0.95, np.nan, np.nan), "cannot be said"),
    ],
)
def test_a_verdict_follows_the_interval(interval, verdict):
    value = Estimate(*interval)
    assert judged_at_least(value, 0.9) == ("at least 0.9", verdict)
    mirrored = Estimate(-value.value, -value.high, -value.low)
    assert judged_at_most(mirrored, -0.9) == ("at most -0.9", verdict)


def test_the_median_has_an_interval_of_people():
    values = np.random.default_rng(0).normal(3.0, 1.0, 50)
    found = median_of_people(np.append(values, np.nan))
    assert found.value == np.median(values)
    assert found.low < found.value < found.high and 0.2 < found.high - found.low < 1.2


@pytest.mark.parametrize("values", [[], [np.nan] * 9, [1.0] * 4])
def test_too_few_people_give_no_interval(values):
    found = median_of_people(values)
    assert np.isnan([found.low, found.high]).all()


def test_a_claim_survives_json():
    claim = Claim(
        *("8", "net", "a", "b", Estimate(1.0, np.nan, 2.0), "at least 0"),
        *("cannot be said", "note"),
    )
    found = claim_of(json.loads(json.dumps(claim._asdict())))
    assert found._replace(value=None) == claim._replace(value=None)
    np.testing.assert_array_equal(found.value, claim.value)
    assert found.row["verdict"] == "cannot be said"
