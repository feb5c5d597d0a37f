"""Templates -> pictures by a VGG16 upside down, after the Deep Face Decoder.

Križaj et al., "Deep Face Decoder" (EAAI 132:107941, 2024): a decoder in VGG's image,
trained by regression; its layer table is not public. This one is made for training
here: VGG16's thirteen convolutions in reverse, each maximum undone by doubling pixels,
normalised in groups or not at all, so that a call changes no state and a train step
stays pure. `ceia_decoder` has a public reimplementation with files of its own.
"""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.convolution import Conv
from facedirs_jax.backbones.layers import check_config, scaled
from facedirs_jax.decoders.layers import check_templates
from facedirs_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class DeepFaceDecoderConfig:
    """Sizes that fix the parameter shapes; by default VGG16's.

    Attributes:
        template_dim: D.
        image_size: side S of the picture, px; any, since a larger one is cropped.
        widths: channels of the map that each stage doubles.
        convs: 3x3 convolutions of each stage; its last one gives the next stage's
            channels, and that of the last stage the picture's.
        width: multiplier of the widths.
        groups: of each group normalisation, or of as many as divide the channels; 0 for
            no normalisation.
        dtype: "float32" or "bfloat16", of the computation; parameters and pictures are
            float32.

    Raises:
        InputError: if a field is out of its range.
    """

    template_dim: int = 512
    image_size: int = 224
    widths: tuple[int, ...] = (512, 512, 256, 128, 64)
    convs: tuple[int, ...] = (3, 3, 3, 2, 2)
    width: float = 1.0
    groups: int = 32
    dtype: str = "float32"

    def __post_init__(self):
        check_config(
            width=self.width, dtype=self.dtype, image_size=self.image_size, multiple=1
        )
        if len(self.widths) != len(self.convs) or min(self.convs, default=0) < 1:
            raise InputError(f"each width needs one convolution or more, got {self}")
        if self.template_dim < 1 or self.groups < 0:
            raise InputError(f"template_dim and groups are out of range in {self}")

    @classmethod
    def tiny(cls, *, template_dim: int = 8) -> "DeepFaceDecoderConfig":
        """Three stages of 8 channels and fewer on 24 px, for quick tests."""
        return cls(template_dim, 24, (8, 8, 4), (2, 1, 1), groups=2)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the map that each stage doubles, under the multiplier."""
        return tuple(scaled(self.width, width) for width in self.widths)

    @property
    def base(self) -> int:
        """Side of the first map, px: as small as the picture's side allows."""
        return math.ceil(self.image_size / 2 ** len(self.widths))


class NormedConv(nnx.Module):
    """3x3 convolution, group normalisation if there are groups, ReLU."""

    def __init__(
        self, channels: int, width: int, config: DeepFaceDecoderConfig, rngs: nnx.Rngs
    ):
        dtype = jnp.dtype(config.dtype)
        self.conv = Conv(channels, width, (3, 3), padding=1, dtype=dtype, rngs=rngs)
        self.norm = _group_norm(width, config, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return _activated(self.norm, self.conv(x))


class DeepFaceDecoder(nnx.Module):
    """Maps [B, D] float32 templates to [B, S, S, 3] float32 RGB in [0, 1].

    Pure: no state changes in a call. The static attribute `weights` is the card of its
    weights; `stages` are lists of `NormedConv`, pixels being doubled before each list.
    """

    def __init__(
        self,
        config: DeepFaceDecoderConfig,
        weights: WeightCard = UNTRAINED,
        *,
        rngs: nnx.Rngs,
    ):
        self.config = config
        self.weights = weights
        first, dtype = config.channels[0], jnp.dtype(config.dtype)
        self.stem = nnx.Linear(
            config.template_dim, config.base**2 * first, dtype=dtype, rngs=rngs
        )
        self.stem_norm = _group_norm(first, config, rngs)
        stages, last = [], len(config.convs) - 1
        for n, (channels, count) in enumerate(
            zip(config.channels, config.convs, strict=True)
        ):
            after = [] if n == last else [config.channels[n + 1]]
            ends = [channels] * count + after
            stages.append(
                nnx.List(
                    NormedConv(cin, cout, config, rngs)
                    for cin, cout in itertools.pairwise(ends)
                )
            )
        self.stages = nnx.List(stages)
        self.to_rgb = nnx.Conv(
            config.channels[-1], 3, (3, 3), padding=1, dtype=dtype, rngs=rngs
        )

    def __call__(self, templates: jax.Array) -> jax.Array:
        check_templates(templates, self.config.template_dim)
        side = self.config.base
        x = self.stem(templates).reshape(-1, side, side, self.config.channels[0])
        x = _activated(self.stem_norm, x)
        for stage in self.stages:
            x = x.repeat(2, axis=1).repeat(2, axis=2)
            for conv in stage:
                x = conv(x)
        start = (x.shape[1] - self.config.image_size) // 2
        rows = slice(start, start + self.config.image_size)
        return nnx.sigmoid(self.to_rgb(x).astype(jnp.float32))[:, rows, rows]


def _group_norm(
    channels: int, config: DeepFaceDecoderConfig, rngs: nnx.Rngs
) -> nnx.GroupNorm | None:
    if not config.groups:
        return None
    groups = math.gcd(config.groups, channels)
    return nnx.GroupNorm(channels, groups, epsilon=1e-5, rngs=rngs)


def _activated(norm: nnx.GroupNorm | None, x: jax.Array) -> jax.Array:
    """ReLU of the map, normalised in float32 if there is a normalisation."""
    if norm is not None:
        x = norm(x.astype(jnp.float32)).astype(x.dtype)
    return nnx.relu(x)
