"""Least squares on distances: against scikit-learn, and never worse than its start."""

from typing import Any

import numpy as np
import pytest
from sklearn import manifold as sklearn_manifold

from facedirs_jax.errors import InputError
from facedirs_jax.manifold import classical_mds, distances
from facedirs_jax.stress_maps import smacof, stress


@pytest.fixture(scope="module")
def wanted():
    points = np.random.default_rng(0).normal(size=(15, 5)).astype(np.float32)
    return np.asarray(distances(points), np.float64)


def test_the_map_is_that_of_scikit_learn_from_the_same_start(wanted):
    start = np.asarray(classical_mds(wanted).points, np.float64)
    oracle: Any = sklearn_manifold.MDS(
        n_init=1,
        init="random",
        metric="precomputed",
        max_iter=20,
        eps=0,
        normalized_stress=True,  # pyright: ignore[reportArgumentType]
    )
    expected = oracle.fit_transform(wanted, init=start)
    found = smacof(wanted, max_steps=20, tolerance=0)
    assert (found.steps, found.converged) == (20, False)
    np.testing.assert_allclose(found.points, expected, atol=1e-5)
    np.testing.assert_allclose(found.stress, oracle.stress_, rtol=1e-6)


def test_no_step_makes_it_worse_and_it_stops_by_itself(wanted):
    first = classical_mds(wanted).points
    levels = [stress(first, wanted)]
    levels += [smacof(wanted, max_steps=n, tolerance=0).stress for n in (1, 5, 20)]
    end = smacof(wanted)
    assert end.converged and end.steps < 1000
    assert (np.diff([*levels, end.stress]) < 0).all()
    near = smacof(wanted, start=np.asarray(end.points), tolerance=1e-9)
    assert end.stress - near.stress < 1e-3
    again = smacof(wanted)
    np.testing.assert_array_equal(end.points, again.points)


def test_a_flat_figure_is_found_without_stress():
    flat = np.random.default_rng(1).normal(size=(15, 2)).astype(np.float32)
    found = smacof(distances(flat))
    assert found.stress < 1e-6
    np.testing.assert_allclose(distances(found.points), distances(flat), atol=1e-5)


def test_stress_is_that_of_kruskal(wanted):
    points = np.random.default_rng(2).normal(size=(15, 3))
    upper = np.triu_indices(15, 1)
    own = np.linalg.norm(points[:, None] - points[None], axis=2)[upper]
    expected = np.sqrt(np.sum((own - wanted[upper]) ** 2) / np.sum(own**2))
    np.testing.assert_allclose(stress(points, wanted), expected, rtol=1e-9)
    assert stress(np.ones((15, 3)), wanted) == np.inf


def test_points_that_share_a_place_do_not_break_it(wanted):
    start = np.random.default_rng(3).normal(size=(15, 2))
    start[1] = start[0]
    assert np.isfinite(smacof(wanted, start=start).stress)


def test_what_does_not_fit_is_refused(wanted):
    with pytest.raises(ValueError, match="shape"):
        smacof(wanted, start=np.zeros((15, 3)))
    with pytest.raises(ValueError, match="shape"):
        stress(np.zeros((14, 2)), wanted)
    with pytest.raises(InputError, match="not of 15"):
        smacof(wanted, dims=15)
    with pytest.raises(InputError, match="negative"):
        smacof(-wanted)
