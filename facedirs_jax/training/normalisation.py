"""Batch normalisation that learns, in networks whose own is frozen or that have none.

The library's networks normalise by stored statistics. `trainable` exchanges those
layers for `BatchNorm`, which normalises by the batch and moves the stored statistics
along. A network without any (VGG16) gets one after every convolution and every linear
layer but loses them again: normalisation by stored statistics is a factor and an
offset for each channel, and `folded` multiplies them into the kernels, which gives the
plain network, computing the same; `unfolded` makes new ones for a plain network. Where
the batch is sharded over a mesh, jit takes means over all of it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones.layers import ConvUnit, FrozenBatchNorm

from . import weights

MOMENTUM = 0.9  # of the stored statistics, a step
_EPSILON = 1e-5  # of normalisations that are folded away


class BatchNorm(nnx.Module):
    """Batch normalisation by the batch's mean and variance, per channel.

    [..., C] -> [..., C]. Its variables are those of `FrozenBatchNorm`; a call replaces
    `mean` and `var` by MOMENTUM * old + (1 - MOMENTUM) * those of the batch. While it
    is `fitting`, a call leaves its input as it is, and makes of all four what leaves
    such a batch as it is.
    """

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = _EPSILON,
        use_scale: bool = True,
        dtype: str = "float32",
    ):
        self.epsilon = epsilon
        self.dtype = dtype
        self.fitting = False
        self.scale = nnx.Param(jnp.ones(channels)) if use_scale else None
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))

    def __call__(self, x: jax.Array) -> jax.Array:
        axes = tuple(range(x.ndim - 1))
        wide = x.astype(jnp.float32)
        mean = wide.mean(axis=axes)
        var = jnp.maximum((wide**2).mean(axis=axes) - mean**2, 0.0)
        if self.fitting and self.scale is not None:
            self.mean[...], self.var[...], self.bias[...] = mean, var, mean
            self.scale[...] = jnp.sqrt(var + self.epsilon)
            return x
        self.mean[...] = MOMENTUM * self.mean[...] + (1 - MOMENTUM) * mean
        self.var[...] = MOMENTUM * self.var[...] + (1 - MOMENTUM) * var
        factor = jax.lax.rsqrt(var + self.epsilon)
        if self.scale is not None:
            factor = factor * self.scale[...]
        offset = self.bias[...] - mean * factor
        factor, offset = (
            a.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
            for a in (factor, offset)
        )
        return x.astype(self.dtype) * factor + offset


class NormedLinear(nnx.Module):
    """A linear layer, and batch normalisation after it: [B, I] -> [B, O]."""

    def __init__(self, linear: nnx.Linear, *, dtype: str = "float32"):
        self.linear = linear
        self.bn = BatchNorm(linear.out_features, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.bn(self.linear(x))


def trainable(network: Any) -> Any:
    """Exchanges normalisations for those that learn, in place; see the module.

    Args:
        network: one of the library's, new; its arrays are kept, its frozen layers not.

    Returns:
        The same object.
    """
    modules = [module for _, module in nnx.iter_modules(network)]
    has_norms = any(isinstance(module, FrozenBatchNorm) for module in modules)
    dtype = getattr(network.config, "dtype", "float32")
    for module in modules:
        for name, part in list(vars(module).items()):
            if isinstance(part, FrozenBatchNorm):
                setattr(module, name, _learning(part))
            elif isinstance(part, nnx.Linear) and not has_norms:
                setattr(module, name, NormedLinear(part, dtype=dtype))
        if isinstance(module, ConvUnit) and not has_norms:
            _add_norm(module, dtype)
    return network


def _add_norm(unit: Any, dtype: str) -> None:
    unit.bn = nnx.data(BatchNorm(unit.conv.out_features, dtype=dtype))


def _learning(frozen: FrozenBatchNorm) -> BatchNorm:
    learning = BatchNorm(
        len(frozen.bias[...]),
        epsilon=frozen.epsilon,
        use_scale=frozen.scale is not None,
        dtype=frozen.dtype,
    )
    for name in ("scale", "bias", "mean", "var"):
        setattr(learning, name, getattr(frozen, name))
    return learning


def folded(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multiplies the normalisations that `trainable` added into their layers.

    Args:
        arrays: of any shape, all of a trained network by dotted path, such as
            `conv1_1.conv.kernel`, `conv1_1.bn.mean`, `fc6.linear.bias`.

    Returns:
        The same without those normalisations, by the paths of the library's network,
        any shape. A normalisation after a layer without a bias is the network's own,
        and is kept.
    """
    found = dict(arrays)
    for name in arrays:
        layer, leaf = name.rpartition(".")[::2]
        owner, inner = layer.rpartition(".")[::2]
        norm = f"{owner}.bn"
        if (
            leaf != "bias"
            or inner not in ("conv", "linear")
            or f"{norm}.var" not in found
        ):
            continue
        kernel, bias = found.pop(f"{layer}.kernel"), found.pop(name)
        scale, offset, mean, var = (
            found.pop(f"{norm}.{part}") for part in ("scale", "bias", "mean", "var")
        )
        factor = scale / np.sqrt(var + _EPSILON)
        target = owner if inner == "linear" else layer
        found[f"{target}.kernel"] = kernel * factor.reshape(
            (1,) * (kernel.ndim - 1) + (-1,)
        )
        found[f"{target}.bias"] = (bias - mean) * factor + offset
    return found


def unfolded(
    network: Any, arrays: Mapping[str, np.ndarray], inputs: jax.Array
) -> dict[str, np.ndarray]:
    """Gives a plain network its normalisations back, so that it can learn on.

    What they were cannot be known. These are the ones that change nothing of a batch:
    factor and offset are its own standard deviation and mean, channel by channel.

    Args:
        network: abstract, after `trainable`, which added normalisations to it.
        arrays: of any shape, of the plain network, as `folded` gives.
        inputs: [B, S, S, 3] float32, what the network is fed; B in the hundreds.

    Returns:
        All arrays of the learning network, any shape.
    """
    wanted = weights.shapes_of(network)
    found = {
        name: np.zeros(shape, np.float32)
        if ".bn." in name
        else arrays[name.replace(".linear.", ".")]
        for name, shape in wanted.items()
    }
    fitted = weights.filled(network, found)
    norms = [m for _, m in nnx.iter_modules(fitted) if isinstance(m, BatchNorm)]
    for norm in norms:
        norm.fitting = True
    fitted(inputs)
    return {name: np.asarray(a) for name, a in weights.arrays_of(fitted).items()}
