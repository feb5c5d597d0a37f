"""Verification rates agree with scikit-learn and brute force; people are resampled."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.spatial import distance
from sklearn import metrics

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import roc, verification


def people(num_identities=20, pictures=4, spread=0.8, dim=16, seed=0):
    """Templates [N, dim] around one centre a person, and identities [N]."""
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(num_identities), pictures)
    centres = rng.normal(size=(num_identities, dim))[identities]
    noise = spread * rng.normal(size=centres.shape)
    return (centres + noise).astype(np.float32), identities


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances_are_those_of_scipy(metric):
    first, second = people(seed=1)[0][:30], people(seed=2)[0][:50]
    found = verification.template_distances(
        jnp.asarray(first), jnp.asarray(second), metric=metric
    )
    np.testing.assert_allclose(found, distance.cdist(first, second, metric), atol=2e-6)


def test_small_distances_survive_and_a_zero_template_is_far_from_all():
    near = jnp.full((1, 64), 1.0)
    found = verification.template_distances(near, near + 1e-5)
    np.testing.assert_allclose(found, 8e-5, rtol=0.02)  # 1 + 1e-5 is known to 6e-8
    zero = jnp.zeros((1, 64))
    assert verification.template_distances(zero, near, metric="cosine") == 1.0
    jitted = jax.jit(verification.template_distances)(near, near + 1e-5)
    np.testing.assert_allclose(jitted, found, rtol=1e-6)


def test_templates_of_other_widths_are_refused():
    with pytest.raises(ValueError, match="shape"):
        verification.template_distances(jnp.ones((2, 3)), jnp.ones((2, 4)))


def pair_list(identities, gallery, probes):
    """Pairs of rows, by a plain loop."""
    seen = {frozenset(p) for p in itertools.product(gallery, probes) if p[0] != p[1]}
    return [tuple(sorted(pair)) for pair in seen]


@pytest.mark.parametrize(
    ("gallery", "probes"),
    [
        (None, None),
        (range(0, 40, 4), range(1, 40, 4)),
        (range(0, 20), range(10, 40)),
    ],
)
def test_each_pair_is_compared_once_and_none_with_itself(gallery, probes):
    templates, identities = people(10)
    sides = [None if rows is None else np.array(rows) for rows in (gallery, probes)]
    pairs = verification.verification_pairs(
        templates, identities, gallery=sides[0], probes=sides[1]
    )
    expected = pair_list(identities, gallery or range(40), probes or range(40))
    lengths = [np.linalg.norm(templates[a] - templates[b]) for a, b in expected]
    same = [identities[a] == identities[b] for a, b in expected]
    np.testing.assert_allclose(np.sort(pairs.distances), np.sort(lengths), rtol=1e-5)
    genuine = np.sort(np.array(lengths)[same])
    np.testing.assert_allclose(np.sort(pairs.distances[pairs.same]), genuine, rtol=1e-5)


def test_names_do_as_well_as_numbers_and_unused_rows_may_be_missing():
    templates, identities = people(10)
    names = np.array([f"person {number}" for number in identities])
    rows = np.arange(30)
    first = verification.verification_pairs(templates[:30], identities[:30])
    templates[35] = np.nan
    again = verification.verification_pairs(templates, names, gallery=rows, probes=rows)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t, i: (t, np.zeros_like(i)), "show 1 identities; .* takes 2 or more"),
        (lambda t, i: (t, np.arange(len(i))), "none of the 780 pairs is genuine"),
        (lambda t, i: (np.where(i[:, None] == 3, np.nan, t), i), "NaN or infinity"),
    ],
)
def test_templates_that_give_no_rates_are_refused(change, complaint):
    with pytest.raises(InputError, match=complaint):
        verification.verification_pairs(*change(*people(10)))


def test_a_gallery_and_probes_of_other_people_each_are_refused():
    templates, identities = people(10)
    halves = np.flatnonzero(identities == 0), np.flatnonzero(identities > 0)
    with pytest.raises(InputError, match="none of the 144 pairs is genuine"):
        verification.verification_pairs(
            templates, identities, gallery=halves[0], probes=halves[1]
        )
    empty = np.array([], int)
    with pytest.raises(InputError, match=r"0 templates of the gallery"):
        verification.verification_pairs(templates, identities, gallery=empty)


def scores(ties, seed=0, genuine=60, impostor=500):
    """Distances and same, [P] each; with ties, of few values."""
    rng = np.random.default_rng(seed)
    same = np.arange(genuine + impostor) < genuine
    distances = rng.normal(np.where(same, 1.0, 2.0), 0.6)
    return (np.round(distances, 1) if ties else distances), same


@pytest.mark.parametrize("ties", [False, True])
def test_rates_are_those_of_scikit_learn(ties):
    distances, same = scores(ties)
    curve = roc.roc_curve(distances, same)
    far, tar, thresholds = metrics.roc_curve(same, -distances, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far, atol=1e-12)
    np.testing.assert_allclose(curve.tar, tar, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, -thresholds)
    assert roc.auc(curve) == pytest.approx(metrics.roc_auc_score(same, -distances))
    expected = brentq(lambda x: 1 - x - interp1d(far, tar)(x), 0, 1)
    assert roc.equal_error_rate(curve) == pytest.approx(expected, abs=1e-9)
    for most in (0.01, 0.1, 1.0):
        assert roc.tar_at_far(curve, most) == tar[far <= most].max()


def test_a_perfect_order_has_no_errors_and_a_reversed_one_nothing_else():
    distances, same = np.arange(400.0), np.arange(400) < 100
    for sign, area, error, rate in ((1, 1.0, 0.0, 1.0), (-1, 0.0, 1.0, 0.0)):
        curve = roc.roc_curve(sign * distances, same)
        assert (roc.auc(curve), roc.equal_error_rate(curve)) == (area, error)
        assert roc.tar_at_far(curve, 0.01) == rate
    equal = roc.roc_curve(np.ones(400), same)
    assert (roc.auc(equal), roc.equal_error_rate(equal)) == (0.5, 0.5)
    assert roc.tar_at_far(equal, 0.99) == 0.0


@pytest.mark.parametrize(
    ("distances", "same", "complaint"),
    [
        (np.ones(4), np.ones(4, bool), "none of the 4 pairs is impostor"),
        (np.ones(4), np.zeros(4, bool), "none of the 4 pairs is genuine"),
        ([1.0, np.nan], [True, False], "a distance is NaN"),
    ],
)
def test_pairs_of_one_kind_have_no_rates(distances, same, complaint):
    with pytest.raises(InputError, match=complaint):
        roc.roc_curve(np.asarray(distances), np.asarray(same))
    with pytest.raises(ValueError, match="both must be"):
        roc.roc_curve(np.ones(3), np.ones(4, bool))


@pytest.mark.parametrize("far", [0.001, 0.0, 1.5])
def test_a_rate_that_so_few_pairs_cannot_show_is_refused(far):
    with pytest.raises(InputError, match="cannot be seen in 500 impostor pairs"):
        roc.tar_at_far(roc.roc_curve(*scores(ties=False)), far)


def test_a_record_holds_the_rates_of_its_pairs_with_intervals_around_them():
    pairs = verification.verification_pairs(*people(40, spread=1.2))
    found = verification.verify(pairs, fars=(1e-2, 1e-3, 1e-7), resamples=200)
    curve = roc.roc_curve(pairs.distances, pairs.same)
    assert found.genuine_pairs == 40 * 6 and found.impostor_pairs == 160 * 156 / 2
    assert found.genuine_mean.value == pytest.approx(pairs.distances[pairs.same].mean())
    assert found.auc.value == pytest.approx(roc.auc(curve), abs=1e-12)
    assert found.eer.value == pytest.approx(roc.equal_error_rate(curve), abs=1e-12)
    assert set(found.tar) == {1e-2, 1e-3}  # no pairs for 1e-7
    assert found.tar[1e-3].value == roc.tar_at_far(curve, 1e-3)
    for number in (*found[3:7], *found.tar.values()):
        assert number.low < number.value < number.high
    assert found == verification.verify(pairs, fars=(1e-2, 1e-3), resamples=200)


def test_people_are_resampled_not_pairs():
    """Ten copies of every picture add pairs, and nothing that is known."""
    templates, identities = people(12, pictures=2, spread=1.2)
    spans = []
    for copies in (1, 10):
        found = verification.verify(
            verification.verification_pairs(
                templates.repeat(copies, axis=0),
                identities.repeat(copies),
                gallery=np.arange(0, len(templates) * copies),
            ),
            resamples=300,
        )
        spans.append(found.impostor_mean.high - found.impostor_mean.low)
    assert spans[1] == pytest.approx(spans[0], rel=1e-6)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = verification.verify(
        verification.verification_pairs(*people(300, spread=1.5)), resamples=2
    ).auc.value
    held = 0
    for seed in range(40):
        pairs = verification.verification_pairs(*people(25, spread=1.5, seed=seed + 1))
        found = verification.verify(pairs, resamples=100, seed=seed).auc
        held += found.low <= truth <= found.high
    assert held >= 32  # of 40 at 95 %: fewer happen once in a thousand


def test_levels_left_out_change_no_interval(monkeypatch):
    pairs = verification.verification_pairs(*people(30, spread=1.2))
    whole = verification.verify(pairs, resamples=50)
    monkeypatch.setattr(verification, "_MOST_LEVELS", 1000)
    coarse = verification.verify(pairs, resamples=50)
    for one, other in zip(
        (*whole[3:7], *whole.tar.values()),
        (*coarse[3:7], *coarse.tar.values()),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_few_people_leave_draws_without_pairs_and_still_an_interval():
    pairs = verification.verification_pairs(*people(2, spread=0.1))
    found = verification.verify(pairs, resamples=50)
    assert found.auc == (1.0, 1.0, 1.0) and found.eer == (0.0, 0.0, 0.0)


def test_lfw_accuracy_is_that_of_a_search_over_all_thresholds():
    distances, same = scores(ties=True, genuine=150, impostor=150)
    folds = np.random.default_rng(1).integers(0, 5, len(same))
    found = roc.lfw_accuracy(distances, same, folds)
    for fold in range(5):
        test = folds == fold
        candidates = np.concatenate([[-9], np.unique(distances[~test]) + 0.05])
        right = [np.mean((distances[~test] <= t) == same[~test]) for t in candidates]
        best = candidates[np.argmax(right)]
        expected = np.mean((distances[test] <= best) == same[test])
        assert found.accuracies[fold] == pytest.approx(expected)
    assert found.mean == pytest.approx(found.accuracies.mean())
    spread = np.std(found.accuracies, ddof=1) / np.sqrt(5)
    assert found.standard_error == pytest.approx(spread)


def test_the_lfw_threshold_lies_between_both_kinds_of_pairs():
    same = np.arange(40) < 20
    distances = np.where(same, 1.0, 3.0)
    found = roc.lfw_accuracy(distances, same, np.arange(40) % 10)
    assert found.mean == 1.0 and found.standard_error == 0.0
    np.testing.assert_array_equal(found.thresholds, 2.0)
    shuffled = roc.lfw_accuracy(distances, ~same, np.arange(40) % 10)
    assert shuffled.mean == 0.5  # all or none is the best there is


def test_lfw_accuracy_needs_two_folds_and_both_kinds():
    with pytest.raises(InputError, match="all pairs are of one fold"):
        roc.lfw_accuracy(np.ones(4), np.arange(4) < 2, np.zeros(4))
    with pytest.raises(InputError, match="none of the 4 pairs is genuine"):
        roc.lfw_accuracy(np.ones(4), np.zeros(4, bool), np.arange(4))
    with pytest.raises(ValueError, match="folds are"):
        roc.lfw_accuracy(np.ones(4), np.arange(4) < 2, np.arange(3))
