"""The test of bends: rarely wrong on lines, right on arcs and circles, else silent."""

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bend import ALPHA, MIN_PEOPLE, judge_bend
from facedirs_jax.evaluation.saturation import SATURATIONS
from facedirs_jax.manifold import classical_mds

K, PEOPLE, DIM = 7, 15, 24


def line(saturation, length):
    """[K, M] points that lie on a line, seen through a saturation."""
    u = np.linspace(0, length, K)
    apart = np.abs(u[:, None] - u)
    seen = np.zeros_like(apart)
    off = ~np.eye(K, dtype=bool)
    seen[off] = saturation(apart[off])
    return np.asarray(classical_mds(seen, dims=K - 1).points, np.float64)


def arc(degrees):
    angles = np.radians(np.linspace(0, degrees, K))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def sample(curve, seed, *, noise=0.5, people=PEOPLE):
    """Templates, labels and identities: a curve in some directions, people, noise.

    The noise of a picture is as long as `noise` times the curve is wide.
    """
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    centred = curve - curve.mean(axis=0)
    centred = centred / np.sqrt(np.mean(np.sum(centred**2, axis=1)))
    own = rng.normal(size=(people, 1, DIM))
    each = noise * rng.normal(size=(people, K, DIM)) / np.sqrt(DIM)
    templates = centred @ turned[: centred.shape[1]] + own + each
    labels = np.tile(np.linspace(-30, 30, K), people)
    return templates.reshape(-1, DIM), labels, np.repeat(np.arange(people), K)


def judged(curve, seed=0, *, noise=0.5, people=PEOPLE, **options):
    rows = sample(curve, seed, noise=noise, people=people)
    return judge_bend(*rows, **{"draws": 199, **options})


LINES = {
    **{name: line(each.value, 2.0) for name, each in SATURATIONS.items()},
    "u / (1 + u)": line(lambda u: u / (1 + u), 4.0),  # a function it does not know
    "straight": np.arange(K)[:, None] * 1.0,
}


@pytest.mark.parametrize("name", LINES)
def test_lines_are_rarely_called_bent(name):
    found = [judged(LINES[name], seed) for seed in range(12)]
    # 3 of 12 or more would be seen once in 50 times at the level of the test, 5 %.
    assert sum(each.verdict == "bent" for each in found) <= 2
    assert np.median([each.p_bend for each in found]) > 0.2
    assert np.median([each.p_closed for each in found]) > 0.2
    assert all(each.p_bend >= 1 / 200 for each in found)


@pytest.mark.parametrize("name", ["1 - exp(-u)", "sqrt(1 - exp(-u))", "u / (1 + u)"])
def test_a_line_that_turns_into_many_dimensions_is_told_to_be_one(name):
    found = judged(LINES[name])
    assert found.verdict == "no more than a saturating line"
    assert "beyond the map" in found.reason and found.p_flat < ALPHA


def test_a_straight_line_is_told_to_be_straight():
    found = judged(LINES["straight"], noise=0.2)
    assert found.verdict == "no more than a saturating line"
    assert found.reason == "it is straight"
    assert found.ratio.high < 0.02 and found.closure.value < 0.01


@pytest.mark.parametrize("degrees", [180, 250, 330])
def test_arcs_are_called_bent(degrees):
    found = [judged(arc(degrees), seed) for seed in range(5)]
    assert all(each.verdict == "bent" for each in found)
    assert all(each.p_bend < ALPHA / 2 for each in found)
    assert all(each.p_flat > ALPHA for each in found)
    turns_back = degrees > 180
    assert all((each.p_closed < ALPHA / 2) == turns_back for each in found)
    assert all("turns back" in each.reason for each in found) == turns_back


def test_a_circle_is_closed_and_round_and_a_fold_is_only_closed():
    ring = judged(arc(330))
    assert ring.closure.low < 1 - np.sin(np.radians(15)) < ring.closure.high
    assert ring.ratio.value > 0.6
    fold = np.abs(np.linspace(-1, 1, K))[:, None] * [1.0, 0] + 0.01 * arc(90)
    found = judged(fold, noise=0.3)
    assert found.verdict == "bent" and found.p_closed < ALPHA / 2
    assert found.closure.value > 0.8 and found.ratio.value < 0.1


def test_a_short_arc_cannot_be_told_from_a_line():
    found = judged(arc(90), noise=0.2)
    assert found.verdict == "cannot be said"
    assert found.reason.startswith("a saturating line and a flat curve")
    second, first = np.linalg.eigvalsh(np.cov(arc(90).T))
    assert found.ratio.low < second / first < found.ratio.high


def test_noise_alone_is_told():
    found = judged(np.arange(K)[:, None] * 1.0, noise=1e3)
    assert found.verdict == "cannot be said"
    assert found.reason == "the centroids lie no farther apart than noise"
    assert np.isnan(found.p_bend) and np.isnan(found.ratio.value)


def test_a_great_circle_is_straight_by_angles_and_bent_by_distances():
    _, labels, people = sample(arc(170), 0)
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.normal(size=(DIM, 2)))[0].T
    noise = 0.02 * rng.normal(size=(PEOPLE, K, DIM))
    rows = (arc(170) @ plane + noise).reshape(-1, DIM)
    by_angle = judge_bend(rows, labels, people, metric="angular", draws=199)
    assert by_angle.reason == "it is straight"
    assert judge_bend(rows, labels, people, draws=199).verdict == "bent"


def test_neither_order_nor_scale_nor_a_seed_for_draws_decides():
    templates, labels, people = sample(arc(200), 3)
    found = judge_bend(templates, labels, people, draws=199)
    order = np.random.default_rng(0).permutation(len(labels))
    for changed in (
        judge_bend(templates[order], labels[order], people[order], draws=199),
        judge_bend(100 * templates, labels / 30, people.astype(str), draws=199),
        judge_bend(templates, labels, people, draws=199, seed=7),
    ):
        assert changed.verdict == found.verdict
        np.testing.assert_allclose(changed.ratio.value, found.ratio.value, rtol=0.05)
    again = judge_bend(templates, labels, people, draws=199)
    assert again == found


def test_too_few_values_or_people_are_told():
    templates, labels, people = sample(arc(180), 0)
    few = labels < -5
    found = judge_bend(templates[few], labels[few], people[few])
    assert (found.verdict, found.values) == ("cannot be said", 3)
    assert found.reason == "3 values; 5 or more are needed"
    alone = people < MIN_PEOPLE - 1
    found = judge_bend(templates[alone], labels[alone], people[alone])
    assert (found.verdict, found.people) == ("cannot be said", 4)
    assert found.reason.startswith("-30 has 4 people")


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"templates": np.zeros(9)}, ValueError, "rank"),
        ({"labels": np.zeros(3)}, ValueError, "labels"),
        ({"identities": np.zeros(3)}, ValueError, "identities"),
        ({"labels": np.full(K * PEOPLE, np.nan)}, InputError, "yaw: .* NaN"),
        ({"labels": np.ones(K * PEOPLE)}, InputError, "yaw: is the same"),
        ({"templates": np.full((K * PEOPLE, 3), np.nan)}, InputError, "NaN"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, error, told):
    templates, labels, people = sample(arc(90), 0)
    given = {"templates": templates, "labels": labels, "identities": people} | change
    with pytest.raises(error, match=told):
        judge_bend(**given, name="yaw")
