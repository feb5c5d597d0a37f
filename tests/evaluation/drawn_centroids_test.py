"""Centroids and the noise of their distances: against plain numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.evaluation.bootstrap import identity_weights
from facedirs_jax.evaluation.drawn_centroids import draw_centroids, people_counts

K, PEOPLE, DIM = 4, 12, 6
PLACES = np.tile(np.arange(K), PEOPLE)
OWNERS = np.repeat(np.arange(PEOPLE), K)


def sample(seed=0, *, own=3.0, noise=0.5):
    """[N, D] templates: of a class, of a person, and noise."""
    rng = np.random.default_rng(seed)
    classes = rng.normal(size=(K, DIM))[PLACES]
    people = own * rng.normal(size=(PEOPLE, DIM))[OWNERS]
    return classes + people + noise * rng.normal(size=(len(PLACES), DIM))


def squared(rows):
    return ((rows[:, None] - rows[None]) ** 2).sum(axis=2)


def drawn(templates, **changes):
    given = jnp.asarray(templates, jnp.float32)
    return draw_centroids(given, PLACES, OWNERS, **{"draws": 60, **changes})


def test_parts_are_those_of_plain_numpy():
    templates = sample()
    table = templates.reshape(PEOPLE, K, DIM)
    whole = table.mean(axis=0)
    found = drawn(templates)
    np.testing.assert_allclose(found.squared, squared(whole), rtol=1e-4, atol=1e-4)
    weights = identity_weights(PEOPLE, resamples=60)
    for draw in (0, 7):
        again = np.tensordot(weights[draw] / PEOPLE, table, 1)
        error = np.sqrt(PEOPLE / (PEOPLE - 1)) * (again - whole)
        np.testing.assert_allclose(found.noise[draw], squared(error), atol=1e-4)
        apart = whole[:, None] - whole[None]
        length = np.linalg.norm(apart, axis=2)
        along = np.sum(apart * (error[:, None] - error[None]), axis=2)
        expected = along / np.where(length > 0, length, 1)
        np.testing.assert_allclose(found.along[draw], expected, atol=1e-4)
        np.testing.assert_allclose(
            found.drawn(found.seen)[draw] ** 2, squared(whole + error), atol=1e-4
        )


def test_what_a_person_adds_to_every_class_is_no_noise():
    steady = drawn(sample(own=0)).noise
    np.testing.assert_allclose(drawn(sample(own=50)).noise, steady, atol=1e-2)


def test_noise_taken_out_leaves_the_true_distances():
    rng = np.random.default_rng(0)
    left = []
    for _ in range(60):
        same = 2 * rng.normal(size=(len(PLACES), DIM))
        found = drawn(same, draws=40)
        left.append(found.squared - found.noise.mean(axis=0))
    off = np.mean(left, axis=0)[~np.eye(K, dtype=bool)]
    # A pair's noise is 2 * 2^2 * DIM / PEOPLE = 4; its mean of 60, give or take 0.3.
    np.testing.assert_allclose(off, 0, atol=0.9)


def test_signs_are_as_large_as_draws():
    found = drawn(sample(), draws=600)
    np.testing.assert_allclose(
        found.signed.mean(axis=0), found.noise.mean(axis=0), rtol=0.1
    )


def test_on_the_sphere_distances_are_angles():
    templates = sample(own=0.2, noise=0.1)
    found = drawn(templates, metric="angular")
    whole = templates.reshape(PEOPLE, K, DIM).mean(axis=0)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    angles = np.arccos(np.clip(whole @ whole.T, -1, 1))
    np.testing.assert_allclose(found.seen, angles, atol=2e-3)
    assert np.abs(found.drawn(found.true).mean(axis=0) - found.seen).max() < 0.05
    longer = templates * np.repeat([1, 5, 0.1, 2], 12)[:, None]
    assert drawn(longer, metric="angular").seen.shape == (K, K)


def test_draws_that_leave_a_class_empty_are_left_out():
    places = np.array([0, 0, 1, 1, 1])
    owners = np.array(["a", "b", "c", "d", "e"])
    np.testing.assert_array_equal(people_counts(places, owners), [2, 3])
    given = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    found = draw_centroids(given, places, owners, draws=100)
    assert 20 < len(found.noise) < 100 and np.isfinite(found.noise).all()


@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_several_pictures_of_a_person_count_as_one(metric):
    places, owners = np.repeat(PLACES, 2), np.repeat(OWNERS, 2)
    twice = jnp.asarray(np.repeat(sample(), 2, axis=0), jnp.float32)
    found = draw_centroids(twice, places, owners, metric=metric, draws=20)
    once = drawn(sample(), metric=metric, draws=20)
    np.testing.assert_allclose(found.noise, once.noise, atol=1e-4)
    np.testing.assert_array_equal(people_counts(places, owners), [PEOPLE] * K)
