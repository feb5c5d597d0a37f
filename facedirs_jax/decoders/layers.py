"""What several decoders are built of: PyTorch's transposed convolution and its units.

NHWC. Decoders take [B, D] float32 templates and give [B, S, S, 3] float32 RGB in
[0, 1].
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones.layers import FrozenBatchNorm, PReLU, torch_norm
from facedirs_jax.conversion.strict import Rule


class ConvTranspose(nnx.Module):
    """PyTorch's ConvTranspose2d, as a convolution of the input spread by its stride.

    [B, H, W, C] -> [B, H', W', width], H' = (H - 1) stride + side - 2 padding +
    output_padding. The kernel is held flipped, as `spread_kernel` lays it out, and
    slides over the input with stride - 1 zeros between its pixels and side - 1 -
    padding around them; where that is negative, as many rows and columns are left out.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        side: int,
        *,
        stride: int,
        padding: int,
        output_padding: int = 0,
        use_bias: bool = True,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.kernel_size, self.stride, self.dtype = (side, side), stride, dtype
        before = side - 1 - padding
        self.pads = ((before, before + output_padding),) * 2
        init = nnx.initializers.he_normal()
        shape = (side, side, channels, width)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(width)) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            self.kernel[...].astype(self.dtype),
            window_strides=(1, 1),
            padding=self.pads,
            lhs_dilation=(self.stride, self.stride),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        if self.bias is None:
            return x
        return x + self.bias[...].astype(self.dtype).reshape(1, 1, 1, -1)


class UpUnit(nnx.Module):
    """Transposed convolution, batch normalisation, then ReLU or PReLU of one slope."""

    def __init__(
        self,
        channels: int,
        width: int,
        side: int,
        *,
        stride: int,
        padding: int,
        output_padding: int = 0,
        use_bias: bool = True,
        prelu: bool = False,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.conv = ConvTranspose(
            channels,
            width,
            side,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            use_bias=use_bias,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn = FrozenBatchNorm(width, epsilon=1e-5, dtype=dtype)
        self.prelu = PReLU(1, dtype=dtype) if prelu else None

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.bn(self.conv(x))
        return nnx.relu(x) if self.prelu is None else self.prelu(x)


def spread_kernel(weight: np.ndarray) -> np.ndarray:
    """Filters of ConvTranspose2d for `ConvTranspose`: [I, O, H, W] -> [H, W, I, O]."""
    return weight.transpose(2, 3, 0, 1)[::-1, ::-1]


def up_rules(conv: str, norm: str, target: str) -> list[Rule]:
    """Rules for the transposed convolution and the batch normalisation of an `UpUnit`.

    Args:
        conv: regular expression of the convolution's name in a state dict.
        norm: that of the batch normalisation.
        target: dotted path of the unit.

    Returns:
        Six rules of the strict converter; they change the layout of the kernel only.
    """
    return [
        Rule(rf"{conv}\.weight", f"{target}.conv.kernel", spread_kernel),
        Rule(rf"{conv}\.bias", f"{target}.conv.bias"),
        *torch_norm(norm, f"{target}.bn"),
    ]


def check_templates(templates: jax.Array, dim: int) -> None:
    """Refuses anything but [B, D] float32 templates, when traced.

    Args:
        templates: [B, D] float32.
        dim: D.

    Raises:
        ValueError: if the shape or the dtype is another.
    """
    chex.assert_shape(templates, (None, dim), exception_type=ValueError)
    chex.assert_type(templates, jnp.float32, exception_type=ValueError)
