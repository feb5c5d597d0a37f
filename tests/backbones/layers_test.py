"""Layers whose fast ways have a plain one to be compared with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.backbones.layers import MaxPool


@pytest.mark.parametrize("side", [(4, 6), (5, 7), (6, 9)])
@pytest.mark.parametrize("window", [2, 3])
def test_windows_that_do_not_overlap_are_pooled_as_others(window, side):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *side, 3)), jnp.float32)

    def plain(x):
        shape = (1, window, window, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, shape, shape, "VALID")

    pool = MaxPool(window, stride=window)
    np.testing.assert_array_equal(pool(x), plain(x))
    gradients = [jax.grad(lambda x, f=f: (f(x) ** 2).sum())(x) for f in (pool, plain)]
    np.testing.assert_allclose(*gradients, rtol=1e-6)
