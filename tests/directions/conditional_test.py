"""Oracle: numpy's QR and least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.directions.centroid import centroid_directions
from facedirs_jax.directions.conditional import conditional_directions, project_out
from facedirs_jax.directions.record import Directions
from facedirs_jax.directions.regression import regression_direction
from facedirs_jax.errors import InputError
from facedirs_jax.traversal import edit_to_label

DIM = 20  # and 300 templates, a shape that other tests compile too


@pytest.fixture
def templates():
    rng = np.random.default_rng(0)
    return (1 + rng.normal(size=(300, DIM)) * np.linspace(2, 0.5, DIM)).astype(
        np.float32
    )


@pytest.fixture
def regression(templates):
    labels = templates @ np.linspace(-1, 1, DIM)
    return regression_direction(templates, labels, np.arange(300) // 4, name="smile")


def others_of(count, seed=1):
    rng = np.random.default_rng(seed)
    return (3 * rng.normal(size=(count, DIM))).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_left_is_what_numpys_qr_leaves(count):
    rows, others = others_of(4, seed=2), others_of(count)
    basis, _ = np.linalg.qr(others.T.astype(np.float64))
    expected = rows - rows @ basis @ basis.T
    found = project_out(jnp.asarray(rows), jnp.asarray(others))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with jax.disable_jit():
        plain = project_out(jnp.asarray(rows), jnp.asarray(others))
    np.testing.assert_allclose(found, plain, atol=1e-5)


def test_others_that_depend_on_each_other_count_once():
    rows, others = others_of(2, seed=2), others_of(2)
    twice = np.concatenate([others, others[:1] + 0.5 * others[1:], -others])
    np.testing.assert_allclose(
        project_out(jnp.asarray(rows), jnp.asarray(twice)),
        project_out(jnp.asarray(rows), jnp.asarray(others)),
        atol=1e-5,
    )


def test_no_step_along_it_is_a_step_along_the_others(regression, templates):
    others = others_of(3)
    found = conditional_directions(
        regression, others, templates, names=("pose", "light", "age")
    )
    np.testing.assert_allclose(found.directions @ others.T, 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1, atol=1e-6)
    along = templates.astype(np.float64) @ found.directions.T
    np.testing.assert_allclose(found.scales, along.std(axis=0, ddof=1), rtol=1e-4)
    assert found.about["without"] == ["pose", "light", "age"]
    (left,) = found.about["left"]
    cosine = (found.directions @ regression.directions.T).item()
    assert left == pytest.approx(cosine, abs=1e-4) and 0 < left < 1
    again = conditional_directions(found, others, templates)
    np.testing.assert_allclose(again.directions, found.directions, atol=1e-6)


def test_the_label_is_still_reached_along_what_is_left(regression, templates):
    found = conditional_directions(regression, others_of(3), templates)
    np.testing.assert_array_equal(found.weights, regression.weights)
    moved = np.asarray(edit_to_label(templates[0], found, 0, 7.5, unit_norm=False))
    weights, intercept = found.reading(0)
    assert moved.astype(np.float64) @ weights + intercept == pytest.approx(
        7.5, rel=1e-5
    )
    np.testing.assert_allclose(others_of(3) @ (moved - templates[0]), 0, atol=1e-4)


def test_lengths_shrink_by_what_is_left(templates):
    classes = np.arange(300) % 3
    whole = centroid_directions(templates, classes, neutral=0)
    found = conditional_directions(whole, others_of(2), templates)
    expected = np.array(whole.about["lengths"]) * found.about["left"]
    np.testing.assert_allclose(found.about["lengths"], expected, rtol=1e-3)  # rounded
    assert found.about["labels"] == [1, 2] and len(found.directions) == 2


def test_next_to_nothing_left_is_refused(regression, templates):
    same = regression.directions + 1e-4 * others_of(1)
    with pytest.raises(InputError, match=r"direction 1: 0\.\d+% is left without smile"):
        conditional_directions(regression, same, templates, names=["smile"])
    everything = np.eye(DIM, dtype=np.float32)
    with pytest.raises(InputError, match=r"is left without 20 other directions"):
        conditional_directions(regression, everything, templates)


def test_callers_mistakes_are_refused(regression, templates):
    for others in (np.zeros((1, DIM)), np.ones(DIM)):
        with pytest.raises(ValueError, match="none of them zero"):
            conditional_directions(regression, others, templates)
    with pytest.raises(ValueError):
        conditional_directions(regression, np.ones((1, DIM - 1)), templates)
    with pytest.raises(ValueError, match="2 names for 1 directions"):
        conditional_directions(regression, others_of(1), templates, names=["a", "b"])
    with pytest.raises(InputError, match="templates hold NaN"):
        conditional_directions(regression, others_of(1), templates * np.nan)


def test_directions_of_any_kind_will_do(templates):
    rows = np.linalg.qr(others_of(DIM, seed=3).T)[0][:2]
    plain = Directions(rows, np.ones(2, np.float32), rows[0], {"kind": "region_pca"})
    found = conditional_directions(plain, others_of(1), templates)
    assert found.weights is None and found.about["kind"] == "region_pca"
