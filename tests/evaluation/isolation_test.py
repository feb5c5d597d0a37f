"""Spatial isolation: against plain numpy, and on changes whose place is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.evaluation.isolation import spatial_isolation

SIDE = 16


def pictures(seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(size=(2, SIDE, SIDE, 3)), jnp.float32)


def square(side=SIDE):
    """A quarter of the picture, in its middle."""
    mask = np.zeros((side, side), np.float32)
    mask[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    return jnp.asarray(mask)


def test_it_is_the_share_of_the_change_over_that_of_the_area():
    low, high = pictures()
    mask = np.random.default_rng(1).uniform(size=(SIDE, SIDE)).astype(np.float32)
    inside = whole = 0.0
    for y in range(SIDE):
        for x in range(SIDE):
            change = np.abs(np.asarray(high[y, x]) - np.asarray(low[y, x])).mean()
            inside, whole = inside + mask[y, x] * change, whole + change
    expected = inside / whole / mask.mean()
    found = spatial_isolation(low, high, jnp.asarray(mask))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    compiled = jax.jit(spatial_isolation)(low, high, jnp.asarray(mask))
    np.testing.assert_allclose(found, compiled, rtol=1e-6)


def test_an_even_change_gives_one_and_a_change_inside_one_over_the_area():
    low, _ = pictures()
    mask = square()
    even = spatial_isolation(0.5 * low, 0.5 * low + 0.3, mask)
    np.testing.assert_allclose(even, 1, rtol=1e-5)
    darker = low * (1 - 0.5 * mask[:, :, None])
    np.testing.assert_allclose(spatial_isolation(low, darker, mask), 4, rtol=1e-5)
    around = low * (0.5 + 0.5 * mask[:, :, None])
    np.testing.assert_allclose(spatial_isolation(low, around, mask), 0, atol=1e-6)


def test_neither_the_order_nor_the_size_of_the_change_counts():
    low, high = pictures()
    mask = square()
    found = spatial_isolation(low, high, mask)
    np.testing.assert_allclose(spatial_isolation(high, low, mask), found, rtol=1e-6)
    half = low + 0.5 * (high - low)
    np.testing.assert_allclose(spatial_isolation(low, half, mask), found, rtol=1e-5)


@pytest.mark.parametrize("side", [8, 48, 150])
def test_a_mask_of_another_size_is_the_same_region(side):
    low, high = pictures()
    own = spatial_isolation(low, high, square())
    found = spatial_isolation(low, high, square(side))
    np.testing.assert_allclose(found, own, rtol=0.1)  # its edge is a pixel softer


def test_what_cannot_be_measured_is_not_a_number():
    low, high = pictures()
    assert np.isnan(spatial_isolation(low, low, square()))
    assert np.isnan(spatial_isolation(low, high, 0 * square()))


def test_pictures_and_masks_that_do_not_fit_are_refused():
    low, high = pictures()
    with pytest.raises(ValueError):
        spatial_isolation(low, high[:8], square())
    with pytest.raises(ValueError):
        spatial_isolation(low[..., 0], high[..., 0], square())
    with pytest.raises(ValueError):
        spatial_isolation(low, high, square()[None])
