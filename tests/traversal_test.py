"""Templates moved along a direction: against plain numpy, and cases that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import facedirs_jax
from facedirs_jax import traversal
from facedirs_jax.traversal import steps_of, traverse

DIM = 16


def drawn(seed=0, *, unit=False):
    rng = np.random.default_rng(seed)
    template, direction = rng.normal(size=(2, DIM)).astype(np.float32)
    if unit:
        template /= np.linalg.norm(template)
    return template, 5 * direction


def by_numpy(template, direction, scale, alphas, *, unit_norm):
    moved = []
    for alpha in alphas:
        step = alpha * scale * direction / np.sqrt((direction**2).sum())
        found = template.astype(np.float64) + step
        moved.append(found / np.sqrt((found**2).sum()) if unit_norm else found)
    return np.stack(moved)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_moved_templates_are_those_of_numpy(unit_norm):
    template, direction = drawn(unit=unit_norm)
    alphas = steps_of(-3.0, 3.0, 7)
    found = traverse(template, direction, 0.3, alphas, unit_norm=unit_norm)
    expected = by_numpy(template, direction, 0.3, alphas, unit_norm=unit_norm)
    assert (found.shape, found.dtype) == ((7, DIM), jnp.float32)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32
    one, other, steps = map(jnp.asarray, (template, direction, alphas))
    with jax.disable_jit():
        plain = traversal.moved(one, other, jnp.float32(0.3), steps, unit_norm)
    np.testing.assert_allclose(found, plain, atol=1e-6)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_no_step_gives_the_probe(unit_norm):
    template, direction = drawn(unit=unit_norm)
    found = traverse(template, direction, 0.3, [-1.0, 0.0, 1.0], unit_norm=unit_norm)
    np.testing.assert_allclose(found[1], template, atol=1e-7 if unit_norm else 0)


def test_on_the_sphere_every_template_has_length_one():
    template, direction = drawn(unit=True)
    found = traverse(template, direction, 2.0, steps_of(-3, 3, 9), unit_norm=True)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    unit = direction / np.linalg.norm(direction)
    assert (np.diff(found @ unit) > 0).all()  # ever nearer to the direction


def test_off_the_sphere_alpha_counts_standard_deviations():
    template, direction = drawn()
    alphas = steps_of(-2.0, 2.0, 5)
    found = np.asarray(traverse(template, direction, 0.3, alphas, unit_norm=False))
    unit = direction / np.linalg.norm(direction)
    np.testing.assert_allclose((found - template) @ unit, 0.3 * alphas, atol=1e-5)
    np.testing.assert_allclose(np.diff(found, 2, axis=0), 0, atol=1e-5)  # a line
    twice = traverse(template, 2 * direction, 0.3, alphas, unit_norm=False)
    np.testing.assert_allclose(found, twice, atol=1e-6)


def test_steps_are_even_and_have_an_exact_zero():
    for end in (0.1, 2.5, 3.0, 7.3):
        for count in (3, 7, 11, 101):
            steps = steps_of(-end, end, count)
            assert steps.dtype == np.float32 and steps[count // 2] == 0
            np.testing.assert_array_equal(steps, -steps[::-1])
            np.testing.assert_allclose(steps, np.linspace(-end, end, count), atol=1e-6)
    np.testing.assert_allclose(steps_of(0.0, 6.0, 4), [0, 2, 4, 6])


def test_what_leads_nowhere_is_refused():
    template, direction = drawn()
    with pytest.raises(ValueError, match="the direction is zero"):
        traverse(template, 0 * direction, 1.0, [1.0], unit_norm=False)
    with pytest.raises(ValueError, match="scale holds numbers that are not finite"):
        traverse(template, direction, np.nan, [1.0], unit_norm=False)
    for wrong in (direction[:3], direction[None]):
        with pytest.raises(ValueError):
            traverse(template, wrong, 1.0, [1.0], unit_norm=False)
    with pytest.raises(ValueError):
        traverse(template[None], direction[None], 1.0, [1.0], unit_norm=False)
    with pytest.raises(ValueError):
        traverse(template, direction, [1.0], [1.0], unit_norm=False)
    with pytest.raises(ValueError, match="cannot make 1 steps"):
        steps_of(-3.0, 3.0, 1)
    with pytest.raises(ValueError, match="from -inf to 3"):
        steps_of(-np.inf, 3.0, 7)


def test_a_notebook_finds_it():
    assert facedirs_jax.traverse is traverse
