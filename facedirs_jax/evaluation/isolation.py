"""Whether a decoded change stays within the region that its direction is of."""

import chex
import jax
import jax.numpy as jnp


def spatial_isolation(low: jax.Array, high: jax.Array, mask: jax.Array) -> jax.Array:
    """How many times more of a change lies in a region than chance would put there.

    With D the absolute difference of both pictures, averaged over the colours, and M
    the mask: (sum_x M D / sum_x D) / mean_x M. A change that is spread evenly over the
    picture gives 1, one that leaves the region alone 0, and one within it 1 over the
    region's share of the area.

    Args:
        low: [S, S, 3] float32 in [0, 1], decode at one end of a direction.
        high: [S, S, 3] float32 in [0, 1], decode at the other end.
        mask: [M, M] float32 in [0, 1], the region, soft or hard, on a crop of the same
            frame; it is resized to S.

    Returns:
        [] float32, 0 or more; NaN where nothing changes or the mask is empty.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_shape(low, (None, None, 3), exception_type=ValueError)
    chex.assert_equal_shape([low, high], exception_type=ValueError)
    chex.assert_rank(mask, 2, exception_type=ValueError)
    change = jnp.abs(high - low).mean(axis=2)  # [S, S]
    region = jax.image.resize(mask, change.shape, "linear")
    whole, area = change.sum(), region.mean()
    known = (whole > 0) & (area > 0)
    chance = jnp.where(known, whole * area, 1.0)
    return jnp.where(known, (region * change).sum() / chance, jnp.nan)
