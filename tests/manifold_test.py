"""Maps of distances: against scikit-learn and SciPy, on points whose map is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
from scipy.spatial import distance
from sklearn import manifold as sklearn_manifold

from facedirs_jax.errors import InputError
from facedirs_jax.manifold import (
    align_map,
    checked_distances,
    classical_mds,
    distances,
)


def cloud(count=30, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def square():
    """Distances of the corners of a square, in turn."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    return np.array(distances(corners))


def test_distances_are_those_of_scipy():
    points = cloud()
    expected = distance.cdist(points, points)
    np.testing.assert_allclose(distances(points), expected, atol=1e-6)
    with jax.disable_jit():
        plain = distances(points[:5])
    np.testing.assert_allclose(plain, expected[:5, :5], atol=1e-6)


def test_angles_are_those_of_scipy_and_blind_to_length():
    points = cloud()
    cosines = 1 - distance.cdist(points, points, "cosine")
    found = distances(points, metric="angular")
    off = ~np.eye(len(points), dtype=bool)
    np.testing.assert_allclose(
        np.asarray(found)[off], np.arccos(np.clip(cosines, -1, 1))[off], atol=1e-6
    )
    longer = distances(points * np.geomspace(0.1, 10, 30)[:, None], metric="angular")
    np.testing.assert_allclose(longer, found, atol=1e-6)


def test_small_and_large_angles_keep_their_digits():
    angles = np.array([0, 1e-4, np.pi - 1e-4])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = distances(points, metric="angular")
    # 2e-7: a float32 holds a coordinate near 1 to 6e-8.
    np.testing.assert_allclose(found[0], angles, atol=2e-7)


@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_distances_are_symmetric_to_the_bit_and_near_points_are_near(metric):
    points = 100 + cloud() * 1e-3  # products of such points would leave nothing
    found = np.asarray(distances(points, metric=metric))
    np.testing.assert_array_equal(found, found.T)
    assert not found.diagonal().any()
    if metric == "euclidean":
        expected = distance.cdist(points, points)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("points", "metric", "error", "told"),
    [
        (np.zeros(3), "euclidean", ValueError, "rank"),
        (np.eye(3), "cosine", ValueError, "not 'cosine'"),
        (np.eye(3) * [[1], [0], [1]], "angular", InputError, "point 1 of 3 is 0"),
        (np.array([[1, np.nan]]), "euclidean", InputError, "NaN"),
    ],
)
def test_points_without_distances_are_refused(points, metric, error, told):
    with pytest.raises(error, match=told):
        distances(points, metric=metric)


def test_classical_scaling_is_that_of_scikit_learn_up_to_its_signs():
    found = distances(cloud())
    oracle = sklearn_manifold.ClassicalMDS(3, metric="precomputed")
    expected = oracle.fit_transform(np.asarray(found, np.float64))
    points = classical_mds(found, dims=3).points
    signs = np.sign(np.sum(np.asarray(points) * expected, axis=0, keepdims=True))
    np.testing.assert_allclose(points, expected * signs, atol=1e-4)


def test_points_of_a_plane_come_back_with_all_their_distances():
    flat = cloud(dim=2)
    turned = flat @ np.linalg.qr(cloud(20, 20))[0][:2]
    found = distances(turned)
    placed = classical_mds(found)
    np.testing.assert_allclose(distances(placed.points), found, atol=1e-5)
    np.testing.assert_allclose(placed.shares.sum(), 1, atol=1e-5)
    # Of 1e-7 of the largest each, what rounding makes of 28 eigenvalues that are 0.
    assert placed.negative_share < 1e-5
    variances = np.var(placed.points, axis=0) * len(flat)
    np.testing.assert_allclose(variances, placed.eigenvalues[:2], rtol=1e-4)


def test_distances_that_no_flat_space_has_are_told():
    around = np.abs(np.arange(6)[:, None] - np.arange(6))
    hop = np.minimum(around, 6 - around).astype(float)  # round a ring
    placed = classical_mds(hop)
    assert placed.eigenvalues[-1] < -0.5 and placed.negative_share > 0.05
    assert placed.shares.sum() < 1


def test_signs_are_fixed_and_no_scale_or_order_of_the_points_matters():
    found = np.asarray(distances(cloud()))
    points = np.asarray(classical_mds(found).points)
    largest = np.abs(points).argmax(axis=0)
    assert (points[largest, [0, 1]] > 0).all()
    np.testing.assert_allclose(classical_mds(3 * found).points, 3 * points, rtol=1e-4)
    order = np.random.default_rng(1).permutation(len(found))
    shuffled = classical_mds(found[np.ix_(order, order)]).points
    np.testing.assert_allclose(shuffled, points[order], atol=1e-4)


def test_a_dimension_that_is_not_there_is_0():
    line = np.arange(5, dtype=np.float32)[:, None]
    points = classical_mds(distances(line)).points
    np.testing.assert_allclose(np.ptp(points, axis=0), [4, 0], atol=2e-3)


def changed(place, value):
    found = square()
    found[place] = value
    return found


@pytest.mark.parametrize(
    ("wrong", "dims", "error", "told"),
    [
        (np.zeros((3, 4)), 1, ValueError, r"\[3, 4\]"),
        (np.zeros(4), 1, ValueError, r"\[4\]"),
        (square()[:2, :2], 1, InputError, "a map of 2 points says nothing"),
        (changed((0, 1), np.nan), 2, InputError, "1 distances are negative, NaN"),
        (changed((0, 1), np.inf), 2, InputError, "1 distances are negative, NaN"),
        (-square(), 2, InputError, "12 distances are negative"),
        (changed((0, 1), 3.0), 2, InputError, "not symmetric"),
        (changed((0, 0), 1.0), 2, InputError, "from itself"),
        (np.zeros((4, 4)), 2, InputError, "all 4 points are the same"),
        (square(), 4, InputError, "maps of 1 to 3 dimensions, not of 4"),
        (square(), 0, InputError, "not of 0"),
    ],
)
def test_what_are_no_distances_is_refused(wrong, dims, error, told):
    with pytest.raises(error, match=told):
        classical_mds(wrong, dims=dims)


def test_rounding_is_no_asymmetry():
    found = square()
    found[0, 1] += 1e-6
    checked = checked_distances(found, dims=2)
    np.testing.assert_array_equal(checked, checked.T)


def test_alignment_is_that_of_scipy_and_finds_a_turned_map_again():
    onto, other = cloud(dim=2), cloud(dim=2, seed=1)
    found = align_map(other, onto)
    expected = scipy.spatial.procrustes(onto, other)
    np.testing.assert_allclose(found.disparity, expected[2], rtol=1e-4)
    scale = np.linalg.norm(onto - onto.mean(axis=0))
    np.testing.assert_allclose(
        found.points, expected[1] * scale + onto.mean(axis=0), atol=1e-5
    )
    mirrored = 5 * onto @ np.array([[0, 1], [1, 0]], np.float32) + 2
    again = align_map(mirrored, onto)
    np.testing.assert_allclose(again.points, onto, atol=1e-5)
    assert again.disparity < 1e-6


@pytest.mark.parametrize(
    ("points", "onto", "error", "told"),
    [
        (np.eye(3), np.eye(4), ValueError, "shape"),
        (np.ones((3, 2)), np.eye(3)[:, :2], InputError, "all points .* the same"),
        (np.eye(3)[:, :2], np.ones((3, 2)), InputError, "all points .* the same"),
        (np.full((3, 2), np.inf), np.eye(3)[:, :2], InputError, "infinity"),
    ],
)
def test_maps_that_cannot_be_aligned_are_refused(points, onto, error, told):
    with pytest.raises(error, match=told):
        align_map(jnp.asarray(points, jnp.float32), jnp.asarray(onto, jnp.float32))
