"""How like two pictures are to the eye: signal-to-noise ratio, structural similarity.

Pictures are [N, S, S, 3] float32 RGB in [0, 1].
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

_WINDOW, _SIGMA = 11, 1.5  # px
_STABILISERS = (0.01**2, 0.03**2)  # C1 and C2, of pictures in [0, 1]


@jax.jit
def psnr(images: jax.Array, decodes: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio of each picture, 10 log10(1 / mean square error).

    Args:
        images: [N, S, S, 3] float32 in [0, 1].
        decodes: [N, S, S, 3] float32 in [0, 1].

    Returns:
        [N] float32, dB; infinite where nothing differs.

    Raises:
        ValueError: if the shapes differ (when traced).
    """
    _check_pictures(images, decodes)
    return -10.0 * jnp.log10(((images - decodes) ** 2).mean(axis=(1, 2, 3)))


@jax.jit
def ssim(images: jax.Array, decodes: jax.Array) -> jax.Array:
    """Structural similarity of each picture, mean over channels and places.

    Wang et al., "Image quality assessment" (IEEE TIP 13(4), 2004), eqs. 13 to 17: a
    Gaussian window of 11 px and sigma 1.5, K1 = 0.01, K2 = 0.03; only where the window
    lies within the picture.

    Args:
        images: [N, S, S, 3] float32 in [0, 1], S >= 11.
        decodes: [N, S, S, 3] float32 in [0, 1].

    Returns:
        [N] float32, 1 at most.

    Raises:
        ValueError: if the shapes differ or S is less than 11 (when traced).
    """
    _check_pictures(images, decodes)
    side = images.shape[1]
    if side < _WINDOW:
        raise ValueError(f"ssim needs pictures of {_WINDOW} px or more, got {side}")
    window = jnp.asarray(_windows(side))

    def local_mean(x: jax.Array) -> jax.Array:
        rows = jnp.einsum("ij,njkc->nikc", window, x, precision="highest")
        return jnp.einsum("lk,nikc->nilc", window, rows, precision="highest")

    mean_x, mean_y = local_mean(images), local_mean(decodes)
    var_x = local_mean(images**2) - mean_x**2
    var_y = local_mean(decodes**2) - mean_y**2
    covariance = local_mean(images * decodes) - mean_x * mean_y
    c1, c2 = _STABILISERS
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return (above / below).mean(axis=(1, 2, 3))


def _windows(side: int) -> np.ndarray:
    """A row for each place of the Gaussian window: [S - 10, S] float32."""
    steps = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-0.5 * (steps / _SIGMA) ** 2)
    rows = np.zeros((side - _WINDOW + 1, side))
    for start, row in enumerate(rows):
        row[start : start + _WINDOW] = weights / weights.sum()
    return rows.astype(np.float32)


def _check_pictures(images: jax.Array, decodes: jax.Array) -> None:
    chex.assert_shape(images, (None, None, None, 3), exception_type=ValueError)
    chex.assert_equal_shape([images, decodes], exception_type=ValueError)
