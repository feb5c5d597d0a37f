"""Layers whose fast ways have a plain one to be compared with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.backbones.layers import MaxPool


@pytest.mark.parametrize(
    ("padding", "stride", "window", "side"),
    [
        (0, 2, 2, (4, 6)),
        (0, 2, 2, (5, 7)),
        (0, 3, 2, (6, 9)),
        ((0, 1), 2, 3, (4, 7)),
        (1, 2, 3, (5, 6)),
        (1, 1, 3, (4, 4)),
    ],
)
def test_pooling_and_its_gradient_are_the_compilers(padding, stride, window, side):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *side, 3)), jnp.float32)
    pads = (padding, padding) if isinstance(padding, int) else padding

    def plain(x):
        windows, strides = ((1, n, n, 1) for n in (window, stride))
        around = ((0, 0), pads, pads, (0, 0))
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, windows, strides, around)

    pool = MaxPool(window, stride=stride, padding=padding)
    np.testing.assert_array_equal(pool(x), plain(x))
    gradients = [jax.grad(lambda x, f=f: (f(x) ** 2).sum())(x) for f in (pool, plain)]
    np.testing.assert_allclose(*gradients, rtol=1e-6)
