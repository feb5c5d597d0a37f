"""Layers that several networks share: frozen batch normalisation, PReLU, conv units.

NHWC. Parameters are float32; each layer computes in its `dtype`, and batch
normalisation folds its statistics in float32 first.

Every stage of a trunk carries a `reach`: which rows and columns of its input an output
depends on, so that code that runs a trunk on a window only can read it off.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones.convolution import Conv
from facedirs_jax.conversion.strict import Rule
from facedirs_jax.errors import InputError

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


class Reach(NamedTuple):
    """Along one axis: output j depends on inputs j * stride - before and on.

    Attributes:
        kernel: number of those inputs, at least the stride.
        stride: inputs from one output to the next.
        before: how many of those of output 0 lie before the first input.
    """

    kernel: int
    stride: int
    before: int

    def then(self, later: "Reach") -> "Reach":
        """Of a stage whose output goes into another."""
        return Reach(
            self.kernel + (later.kernel - 1) * self.stride,
            self.stride * later.stride,
            self.before + later.before * self.stride,
        )

    def beside(self, other: "Reach") -> "Reach":
        """Of two stages on one input, of one stride, whose outputs are joined."""
        before = max(self.before, other.before)
        after = max(self.kernel - self.before, other.kernel - other.before)
        return Reach(before + after, self.stride, before)


Reaches = tuple[Reach, Reach]  # along rows and along columns
POINT: Reaches = (Reach(1, 1, 0), Reach(1, 1, 0))


def chained(stages: Sequence["ConvUnit | MaxPool"]) -> Reaches:
    """Reach of stages one after another."""
    rows, columns = POINT
    for stage in stages:
        rows, columns = rows.then(stage.reach[0]), columns.then(stage.reach[1])
    return rows, columns


def _reach(kernel_size: Pair, strides: Pair, padding: Padding) -> Reaches:
    rows, columns = (
        Reach(kernel, stride, before)
        for kernel, stride, (before, _) in zip(
            kernel_size, strides, padding, strict=True
        )
    )
    return rows, columns


class FrozenBatchNorm(nnx.Module):
    """Batch normalisation by stored statistics, per channel, which are never updated.

    [..., C] -> [..., C]: scale * (x - mean) / sqrt(var + epsilon) + bias. Scale and
    bias are nnx.Param, mean and var nnx.BatchStat, so an optimiser of nnx.Param leaves
    the statistics alone. Without `use_scale` the scale is 1 and no parameter.
    """

    reach = POINT

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float,
        use_scale: bool = True,
        dtype: str = "float32",
    ):
        self.epsilon = epsilon
        self.dtype = dtype
        self.scale = nnx.Param(jnp.ones(channels)) if use_scale else None
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))

    def __call__(self, x: jax.Array) -> jax.Array:
        factor = jax.lax.rsqrt(self.var[...] + self.epsilon)
        if self.scale is not None:
            factor = factor * self.scale[...]
        offset = self.bias[...] - self.mean[...] * factor
        factor, offset = (
            a.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
            for a in (factor, offset)
        )
        return x.astype(self.dtype) * factor + offset


class PReLU(nnx.Module):
    """x where it is positive, elsewhere slope * x with a slope for each channel.

    [..., C] -> [..., C]; the slopes start at 0.25, as PyTorch's. nnx.PReLU has one for
    all channels.
    """

    reach = POINT

    def __init__(self, channels: int, *, dtype: str = "float32"):
        self.dtype = dtype
        self.slope = nnx.Param(jnp.full(channels, 0.25))

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.astype(self.dtype)
        slope = self.slope[...].astype(self.dtype)
        return jnp.where(x > 0, x, slope.reshape((1,) * (x.ndim - 1) + (-1,)) * x)


class ConvUnit(nnx.Module):
    """Convolution, then batch normalisation and ReLU where they are asked for.

    [B, H, W, C] -> [B, H', W', width]. Without an epsilon there is no normalisation and
    the convolution has a bias; with one it has none.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        kernel_size: int | Pair,
        *,
        stride: int = 1,
        padding: int | Pair | Padding = 0,
        epsilon: float | None = None,
        use_scale: bool = True,
        relu: bool = True,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.kernel_size = _pair(kernel_size)
        self.strides = (stride, stride)
        self.padding = _padding(padding)
        self.relu = relu
        self.conv = Conv(
            channels,
            width,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            use_bias=epsilon is None,
            dtype=jnp.dtype(dtype),
            rngs=rngs,
        )
        self.bn = (
            FrozenBatchNorm(width, epsilon=epsilon, use_scale=use_scale, dtype=dtype)
            if epsilon is not None
            else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return nnx.relu(x) if self.relu else x

    @property
    def reach(self) -> Reaches:
        """Which inputs an output depends on."""
        return _reach(self.kernel_size, self.strides, self.padding)


class MaxPool(nnx.Module):
    """Largest value in each window; the padding never wins.

    [B, H, W, C] -> [B, H', W', C]. PyTorch's and Caffe's `ceil_mode` with a window of
    3, a stride of 2 and no padding is `padding=(0, 1)` here, for even and odd sides.
    """

    def __init__(self, side: int, *, stride: int, padding: int | Pair = 0):
        self.kernel_size = (side, side)
        self.strides = (stride, stride)
        self.padding = _padding(padding)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.platform_dependent(x, cpu=self._on_cpu, default=self._compiled)

    def _on_cpu(self, x: jax.Array) -> jax.Array:
        """Along rows, then along columns; its gradient needs no scatter."""
        x = jnp.pad(x, ((0, 0), *self.padding, (0, 0)), constant_values=-jnp.inf)
        for axis, (side, stride) in enumerate(
            zip(self.kernel_size, self.strides, strict=True), 1
        ):
            last = (x.shape[axis] - side) // stride * stride + 1
            places = [
                jax.lax.slice_in_dim(x, n, n + last, stride, axis) for n in range(side)
            ]
            x = functools.reduce(jnp.maximum, places)
        return x

    def _compiled(self, x: jax.Array) -> jax.Array:
        return jax.lax.reduce_window(
            x,
            -jnp.inf,
            jax.lax.max,
            (1, *self.kernel_size, 1),
            (1, *self.strides, 1),
            ((0, 0), *self.padding, (0, 0)),
        )

    @property
    def reach(self) -> Reaches:
        """Which inputs an output depends on."""
        return _reach(self.kernel_size, self.strides, self.padding)


def scaled(width: float, channels: int) -> int:
    """Channels of a layer under a width multiplier: at least one."""
    return max(1, round(width * channels))


def global_mean(x: jax.Array) -> jax.Array:
    """Means over rows and columns, [B, H, W, C] -> [B, C], in float32."""
    return x.astype(jnp.float32).mean(axis=(1, 2))


def hwio(filters: np.ndarray) -> np.ndarray:
    """PyTorch's filters in the layout of nnx.Conv: [O, I, H, W] -> [H, W, I, O]."""
    return filters.transpose(2, 3, 1, 0)


def transposed(weight: np.ndarray) -> np.ndarray:
    """PyTorch's linear weight in the layout of nnx.Linear: [O, I] -> [I, O]."""
    return weight.transpose()


def torch_norm(source: str, target: str) -> list[Rule]:
    """Rules for a batch normalisation of PyTorch's; no array of any shape changes.

    Args:
        source: regular expression of the layer's name in the file.
        target: dotted path of the `FrozenBatchNorm`, with its groups.

    Returns:
        Four rules of the strict converter.
    """
    names = {"weight": "scale", "running_mean": "mean", "running_var": "var"}
    return _norm_rules(source + r"\.", target, names | {"bias": "bias"})


def keras_norm(source: str, target: str, *, use_scale: bool = True) -> list[Rule]:
    """Rules for a batch normalisation of Keras's; no array of any shape changes.

    Args:
        source: regular expression of the layer's name in the file.
        target: dotted path of the `FrozenBatchNorm`, with its groups.
        use_scale: whether the layer has a gamma.

    Returns:
        Four rules of the strict converter, or three.
    """
    names = {"beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
    return _norm_rules(
        source + "/", target, names | ({"gamma": "scale"} if use_scale else {})
    )


def _norm_rules(prefix: str, target: str, names: dict[str, str]) -> list[Rule]:
    return [Rule(prefix + theirs, f"{target}.{ours}") for theirs, ours in names.items()]


def check_config(
    *, width: float, dtype: str, image_size: int, least: int = 1, multiple: int = 1
) -> None:
    """Refuses settings that no network can be built with.

    Args:
        width: multiplier of channels.
        dtype: what the network computes in.
        image_size: side of its input, px.
        least: smallest side.
        multiple: of which the side must be one.

    Raises:
        InputError: naming the setting.
    """
    if not 0 < width < math.inf:
        raise InputError(f"width must be a positive number, got {width}")
    if dtype not in ("float32", "bfloat16"):
        raise InputError(f"dtype is float32 or bfloat16, not {dtype!r}")
    if image_size < least or image_size % multiple:
        raise InputError(
            f"image_size must be a multiple of {multiple} and at least {least}, got "
            f"{image_size}"
        )


def _pair(size: int | Pair) -> Pair:
    return (size, size) if isinstance(size, int) else size


def _padding(padding: int | Pair | Padding) -> Padding:
    """Explicit pads: an integer is for all sides, (before, after) for both axes."""
    first, second = _pair(padding) if isinstance(padding, int) else padding
    if isinstance(first, int) and isinstance(second, int):
        return (first, second), (first, second)
    if isinstance(first, tuple) and isinstance(second, tuple):
        return first, second
    raise InputError(f"padding is n, (before, after) or a pair of those, not {padding}")
