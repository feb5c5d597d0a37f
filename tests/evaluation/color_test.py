import numpy as np
import pytest

from facedirs_jax import grid
from facedirs_jax.evaluation import color


@pytest.fixture
def tinted():
    """Twenty crops of one picture, each under a tint of its own, and soft masks."""
    rng = np.random.default_rng(0)
    base = rng.uniform(80, 170, (1, 24, 24, 3))
    tints = rng.uniform(-40, 40, (20, 1, 1, 3))
    ramp = np.clip(np.linspace(-0.5, 1.5, 24), 0, 1)
    masks = np.broadcast_to(ramp, (20, 24, 24)).astype(np.float32)
    return (base + tints).round().astype(np.uint8), masks


def test_variance_that_is_tint_goes_away(toy, tinted):
    crops, masks = tinted
    lost = color.variance_lost_to_color(
        toy.network, toy.preprocess, crops, masks, grid.make_grid(20), count=3
    )
    assert lost.shape == (3,)
    assert lost[0] > 0.8


def test_variance_of_shape_stays(toy, tinted):
    # One histogram for all: the pixels of one picture in twenty orders.
    crops, masks = tinted
    pixels = crops[0].reshape(-1, 3)
    rng = np.random.default_rng(1)
    blocks = [rng.permutation(pixels).reshape(24, 24, 3) for _ in range(20)]
    lost = color.variance_lost_to_color(
        *(toy.network, toy.preprocess, np.stack(blocks), masks, grid.make_grid(20)),
        count=3,
    )
    assert np.abs(lost).max() < 0.3


def test_the_sample_is_even_and_no_larger_than_the_grid():
    np.testing.assert_array_equal(color._even_sample(np.arange(5), 8), np.arange(5))
    np.testing.assert_array_equal(color._even_sample(np.arange(9), 3), [0, 4, 8])
