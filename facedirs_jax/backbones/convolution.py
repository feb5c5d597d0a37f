"""Convolutions, by the ways that are fastest on a CPU; elsewhere the compiler's own.

Two things hold XLA's convolutions back on a CPU, and both are mended for kernels of
stride 1. Between many channels, kernels of 3 x 3 are applied by Winograd's minimal
filtering, F(2 x 2, 3 x 3) of Lavin and Gray, "Fast algorithms for convolutional neural
networks" (1509.09308), section 4.1: 16 products instead of 36 for a tile of 2 x 2
outputs. And gradients by kernels are matrix products, one for each of its places. All
of it is exact but for rounding, which is of the size of XLA's own. Kernels of 1 x 1 are
matrix products on every device.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

Pads = tuple[tuple[int, int], tuple[int, int]]

CHANNELS = 96  # fewer are not worth the transforms, which cost by channel,
FEW_CHANNELS = 64  # but on maps that stay in the cache
SMALL_MAP = 64 * 64  # rows * columns
LEAST = 1536  # pixels of all maps, below which the kernel's own transform weighs more
NARROW = 16  # channels; for fewer a matrix product is too narrow
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

    def compiled(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _compiled(x, kernel, strides, padding)

    if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
        return x[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    narrow = min(kernel.shape[2:]) < NARROW
    if narrow or strides != (1, 1) or kernel.dtype != jnp.float32:
        return compiled(x, kernel)
    return jax.lax.platform_dependent(
        *(x, kernel), cpu=lambda *given: _on_cpu(*given, padding), default=compiled
    )


class Conv(nnx.Conv):
    """A layer [B, H, W, I] -> [B, H', W', O] of its dtype, by `convolve`.

    Padding is in numbers or of the form ((before, after), (before, after)).
    """

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        if out_sharding is not None:
            return super().__call__(inputs, out_sharding)
        dtype = self.dtype
        x = convolve(
            inputs.astype(dtype),
            self.kernel[...].astype(dtype),
            strides=_both(self.strides),
            padding=_both(_both(side) for side in _both(self.padding)),
        )
        if self.bias is None:
            return x
        return x + self.bias[...].astype(dtype)[None, None, None]


def _both(value: Any) -> Any:
    """(value, value), or the two that are there."""
    return (value, value) if isinstance(value, int) else tuple(value)


def _compiled(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Pads
) -> jax.Array:
    names = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=names
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _on_cpu(x: jax.Array, kernel: jax.Array, padding: Pads) -> jax.Array:
    """Of stride 1."""
    many = min(kernel.shape[2:]) >= _enough(x) and math.prod(x.shape[:3]) >= LEAST
    if kernel.shape[:2] == (3, 3) and many:
        return minimal_filtering(x, kernel, padding)
    return _compiled(x, kernel, (1, 1), padding)


def _enough(x: jax.Array) -> int:
    """Channels from which on minimal filtering of [B, H, W, I] is the faster way."""
    small = x.shape[1] * x.shape[2] <= SMALL_MAP
    return FEW_CHANNELS if small else CHANNELS


def _forward(
    x: jax.Array, kernel: jax.Array, padding: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _on_cpu(x, kernel, padding), (x, kernel)


def _backward(
    padding: Pads, given: tuple[jax.Array, jax.Array], change: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = given
    rest = [
        (size - 1 - before, size - 1 - after)
        for size, (before, after) in zip(kernel.shape[:2], padding, strict=True)
    ]
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return _on_cpu(change, turned, (rest[0], rest[1])), _by_kernel(x, change, padding)


def _by_kernel(x: jax.Array, change: jax.Array, padding: Pads) -> jax.Array:
    """Gradient [h, w, I, O] by the kernel, of that by the output [B, H', W', O]."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = change.shape[1:3]
    places = [
        [
            jnp.einsum("bhwi,bhwo->io", x[:, i : i + rows, j : j + columns], change)
            for j in range(x.shape[2] - columns + 1)
        ]
        for i in range(x.shape[1] - rows + 1)
    ]
    return jnp.stack([jnp.stack(row) for row in places])


_on_cpu.defvjp(_forward, _backward)


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
