"""Oracle: numpy's own product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.directions.gram import gram


@pytest.mark.parametrize("dim", [1, 63, 129, 700])  # one block, some, and all of them
def test_it_is_the_product_of_numpy(dim):
    rows = np.random.default_rng(dim).normal(size=(37, dim)).astype(np.float32)
    found = np.asarray(gram(jnp.asarray(rows)))
    np.testing.assert_allclose(found, rows.T @ rows, atol=1e-4)  # 37 sums of float32
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, jax.jit(gram)(jnp.asarray(rows)), atol=1e-4)


def test_rows_must_be_a_matrix():
    with pytest.raises(ValueError, match="rank"):
        gram(jnp.zeros(3))
