"""Products of templates with themselves, which are half of the work of most fits."""

import itertools

import chex
import jax
import jax.numpy as jnp

_BLOCKS = 8  # 9/16 of the work; more blocks save little more
_MIN_WIDTH = 64  # of a block; narrower ones are slow


def gram(rows: jax.Array) -> jax.Array:
    """X^T X, of which only blocks on and above the diagonal are computed.

    Args:
        rows: [N, D] float.

    Returns:
        [D, D] of the same dtype, symmetric to the last bit.

    Raises:
        ValueError: if rows are not [N, D] (when traced).
    """
    chex.assert_rank(rows, 2, exception_type=ValueError)
    dim = rows.shape[1]
    blocks = max(1, min(_BLOCKS, dim // _MIN_WIDTH))
    edges = [dim * block // blocks for block in range(blocks + 1)]
    with jax.default_matmul_precision("highest"):
        bands = [
            jnp.pad(rows[:, start:end].T @ rows[:, start:], ((0, 0), (start, 0)))
            for start, end in itertools.pairwise(edges)
        ]
    upper = jnp.concatenate(bands)
    return jnp.triu(upper) + jnp.triu(upper, 1).T
