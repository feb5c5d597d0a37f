"""Convolutions, by the fewest multiplications where that is the fastest way.

On a CPU, kernels of 3 x 3 between many channels are applied by Winograd's minimal
filtering, F(2 x 2, 3 x 3) of Lavin and Gray, "Fast algorithms for convolutional neural
networks" (1509.09308), section 4.1: 16 products instead of 36 for a tile of 2 x 2
outputs, and matrix products instead of XLA's convolution. Exact but for rounding, which
is of the size of the convolution's own. On other devices the compiler chooses.
Everywhere, kernels of 1 x 1 are matrix products.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

Pads = tuple[tuple[int, int], tuple[int, int]]

CHANNELS = 128  # fewer are not worth the transforms, which cost by channel
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def convolve(
    x: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], padding: Pads
) -> jax.Array:
    """Convolution as networks understand it: a correlation.

    Args:
        x: [B, H, W, I] float32 or bfloat16.
        kernel: [h, w, I, O] of the same type.
        strides: along rows and columns.
        padding: zeros before and after, along rows and columns.

    Returns:
        [B, H', W', O] of the same type.
    """

    def direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
        names = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=names
        )

    if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
        return x[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    if not _minimal(kernel, strides):
        return direct(x, kernel)
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: minimal_filtering(x, kernel, padding),
        default=direct,
    )


def _minimal(kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether minimal filtering applies, and pays."""
    return (
        kernel.shape[:2] == (3, 3)
        and strides == (1, 1)
        and min(kernel.shape[2:]) >= CHANNELS
        and kernel.dtype == jnp.float32
    )


def minimal_filtering(x: jax.Array, kernel: jax.Array, padding: Pads) -> jax.Array:
    """A convolution of stride 1 by F(2 x 2, 3 x 3).

    Args:
        x: [B, H, W, I] float32.
        kernel: [3, 3, I, O] float32.
        padding: zeros before and after, along rows and columns.

    Returns:
        [B, H', W', O] float32.
    """
    kernels = jnp.einsum(
        *("ai,bj,ijco->abco", _KERNEL.astype(np.float32)),
        *(_KERNEL.astype(np.float32), kernel),
        precision=jax.lax.Precision.HIGHEST,
    )
    (top, bottom), (left, right) = padding
    rows, columns = x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2
    down, across = -(-rows // 2), -(-columns // 2)  # tiles
    bottom, right = bottom + 2 * down - rows, right + 2 * across - columns
    x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    inputs = [
        [x[:, i : i + 2 * down - 1 : 2, j : j + 2 * across - 1 : 2] for j in range(4)]
        for i in range(4)
    ]
    products = [
        [tiles @ kernels[a, b] for b, tiles in enumerate(row)]
        for a, row in enumerate(_along_both(_of_inputs, inputs))
    ]
    outputs = [jnp.stack(row, 3) for row in _along_both(_of_outputs, products)]
    whole = jnp.stack(outputs, 2).reshape(len(x), 2 * down, 2 * across, -1)
    return whole[:, :rows, :columns]


Tiles = Sequence[Sequence[jax.Array]]


def _along_both(
    transform: Callable[[Sequence[jax.Array]], Sequence[jax.Array]], tiles: Tiles
) -> Tiles:
    """A transform of every column of a square of arrays, then of every row."""
    columns = [transform(column) for column in zip(*tiles, strict=True)]
    return [transform(row) for row in zip(*columns, strict=True)]


def _of_inputs(x: Sequence[jax.Array]) -> Sequence[jax.Array]:
    return x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]


def _of_outputs(x: Sequence[jax.Array]) -> Sequence[jax.Array]:
    return x[0] + x[1] + x[2], x[1] - x[2] - x[3]
