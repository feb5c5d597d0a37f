"""FaceNet's InceptionResnetV1: 160 px crops -> 512-d embeddings on the unit sphere.

Schroff et al. (CVPR 2015) name the task, Szegedy et al. (AAAI 2017) the blocks; layers
after D. Sandberg's facenet as facenet-pytorch publishes it, which also scales the
embedding to unit norm inside the network. deepface publishes Keras conversions, with
128 or 512 dimensions, without gammas and without that last scaling. NHWC.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones import layers
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.layers import ConvUnit, MaxPool, Pair

EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class FaceNetConfig:
    """Sizes that fix the parameter shapes, and what the two conversions do differently.

    Attributes:
        width: multiplier of every layer's channels, but of the embedding's.
        image_size: side of the input, px; at least 75, for the last stage to have one.
        blocks: of 35, 17 and 8 px (named for the sides of 299 px input).
        embedding_dim: D.
        use_scale: whether batch normalisations have a gamma.
        unit_output: whether the embedding is scaled to unit norm in the network.
        dtype: "float32" or "bfloat16", of the computation; parameters and embeddings
            are float32.

    Raises:
        InputError: if a field is out of its range.
    """

    width: float = 1.0
    image_size: int = 160
    blocks: tuple[int, int, int] = (5, 10, 5)
    embedding_dim: int = 512
    use_scale: bool = True
    unit_output: bool = True
    dtype: str = "float32"

    def __post_init__(self):
        layers.check_config(
            width=self.width, dtype=self.dtype, image_size=self.image_size, least=75
        )

    @classmethod
    def keras(cls, *, embedding_dim: int = 512) -> "FaceNetConfig":
        """As deepface's Facenet (128) and Facenet512 have it."""
        return cls(embedding_dim=embedding_dim, use_scale=False, unit_output=False)

    @classmethod
    def tiny(cls) -> "FaceNetConfig":
        """4 to 224 channels on 107 px, one block a stage, for quick tests."""
        return cls(width=1 / 8, image_size=107, blocks=(1, 1, 1), embedding_dim=16)


class Conv(NamedTuple):
    """A convolution of the network at its full size.

    Attributes:
        width: channels put out.
        kernel: rows and columns.
        stride: 1 or 2, the latter without padding.
        same: whether stride 1 is padded to keep the sides.
    """

    width: int
    kernel: Pair
    stride: int = 1
    same: bool = True

    @property
    def name(self) -> str:
        """Its kernel, as Keras names it."""
        return f"{self.kernel[0]}x{self.kernel[1]}"


Branches = tuple[tuple[Conv, ...], ...]

STEM = {  # between conv2d_2b and conv2d_3b lies maxpool_3a
    "conv2d_1a": Conv(32, (3, 3), 2),
    "conv2d_2a": Conv(32, (3, 3), same=False),
    "conv2d_2b": Conv(64, (3, 3)),
    "conv2d_3b": Conv(80, (1, 1)),
    "conv2d_4a": Conv(192, (3, 3), same=False),
    "conv2d_4b": Conv(256, (3, 3), 2),
}
BLOCK35: Branches = (
    (Conv(32, (1, 1)),),
    (Conv(32, (1, 1)), Conv(32, (3, 3))),
    (Conv(32, (1, 1)), Conv(32, (3, 3)), Conv(32, (3, 3))),
)
MIXED_6A: Branches = (
    (Conv(384, (3, 3), 2),),
    (Conv(192, (1, 1)), Conv(192, (3, 3)), Conv(256, (3, 3), 2)),
)
BLOCK17: Branches = (
    (Conv(128, (1, 1)),),
    (Conv(128, (1, 1)), Conv(128, (1, 7)), Conv(128, (7, 1))),
)
MIXED_7A: Branches = (
    (Conv(256, (1, 1)), Conv(384, (3, 3), 2)),
    (Conv(256, (1, 1)), Conv(256, (3, 3), 2)),
    (Conv(256, (1, 1)), Conv(256, (3, 3)), Conv(256, (3, 3), 2)),
)
BLOCK8: Branches = (
    (Conv(192, (1, 1)),),
    (Conv(192, (1, 1)), Conv(192, (1, 3)), Conv(192, (3, 1))),
)


class Inception(nnx.Module):
    """Parallel branches of convolutions, side by side in their channels.

    [B, H, W, C] -> [B, H', W', sum of the branches]. With a `scale` they are brought
    back to C channels by the 1x1 `conv2d`, scaled, and added to the input; without one
    the last branch is a 3x3 maximum with stride 2.
    """

    def __init__(
        self,
        channels: int,
        branches: Branches,
        config: FaceNetConfig,
        *,
        scale: float | None = None,
        relu: bool = True,
        rngs: nnx.Rngs,
    ):
        self.scale = scale
        self.relu = relu
        self.branches = nnx.List(
            nnx.List(_units(channels, branch, config, rngs)) for branch in branches
        )
        joined = sum(
            layers.scaled(config.width, branch[-1].width) for branch in branches
        )
        if scale is None:
            self.pool = MaxPool(3, stride=2)
            self.channels = joined + channels
        else:
            dtype = jnp.dtype(config.dtype)
            self.conv2d = nnx.Conv(joined, channels, (1, 1), dtype=dtype, rngs=rngs)
            self.channels = channels

    def __call__(self, x: jax.Array) -> jax.Array:
        outputs = []
        for branch in self.branches:
            y = x
            for unit in branch:
                y = unit(y)
            outputs.append(y)
        if self.scale is None:
            return jnp.concatenate([*outputs, self.pool(x)], axis=-1)
        x = x + self.scale * self.conv2d(jnp.concatenate(outputs, axis=-1))
        return nnx.relu(x) if self.relu else x

    @property
    def reach(self) -> layers.Reaches:
        """Which inputs an output depends on."""
        chains = [layers.chained(list(branch)) for branch in self.branches]
        if self.scale is None:
            chains.append(self.pool.reach)
        rows, columns = zip(*chains, strict=True)
        return (
            functools.reduce(layers.Reach.beside, rows),
            functools.reduce(layers.Reach.beside, columns),
        )


class FaceNet(nnx.Module):
    """Maps [B, S, S, 3] float32 input, as by a recipe's preprocess, to [B, D] float32.

    Layers are attributes by facenet-pytorch's names, and so are the paths that
    nnx.capture gives: `conv2d_1a` to `conv2d_4b`, `repeat_1.0` to `repeat_3.4`,
    `mixed_6a`, `mixed_7a`, `block8`, `last_linear`, `last_bn`. The static attribute
    `weights` is the card of its weights.
    """

    def __init__(
        self, config: FaceNetConfig, weights: WeightCard = UNTRAINED, *, rngs: nnx.Rngs
    ):
        self.config = config
        self.weights = weights
        channels = 3
        for name, conv in STEM.items():
            (unit,) = _units(channels, (conv,), config, rngs)
            setattr(self, name, unit)
            channels = layers.scaled(config.width, conv.width)
        self.maxpool_3a = MaxPool(3, stride=2)

        def block(branches: Branches, scale: float | None, *, relu: bool = True):
            return Inception(
                channels, branches, config, scale=scale, relu=relu, rngs=rngs
            )

        first, second, third = config.blocks
        self.repeat_1 = nnx.List(block(BLOCK35, 0.17) for _ in range(first))
        self.mixed_6a = block(MIXED_6A, None)
        channels = self.mixed_6a.channels
        self.repeat_2 = nnx.List(block(BLOCK17, 0.10) for _ in range(second))
        self.mixed_7a = block(MIXED_7A, None)
        channels = self.mixed_7a.channels
        self.repeat_3 = nnx.List(block(BLOCK8, 0.20) for _ in range(third))
        self.block8 = block(BLOCK8, 1.0, relu=False)
        self.last_linear = nnx.Linear(
            channels,
            config.embedding_dim,
            use_bias=False,
            dtype=jnp.dtype(config.dtype),
            rngs=rngs,
        )
        self.last_bn = layers.FrozenBatchNorm(
            config.embedding_dim, epsilon=EPSILON, use_scale=config.use_scale
        )

    @property
    def trunk(self) -> list[ConvUnit | MaxPool | Inception]:
        """The stages in order, [B, 160, 160, 3] -> [B, 3, 3, 1792 width]."""
        stem: list = [getattr(self, name) for name in STEM]
        stem.insert(3, self.maxpool_3a)
        middle = [*self.repeat_1, self.mixed_6a, *self.repeat_2, self.mixed_7a]
        return [*stem, *middle, *self.repeat_3, self.block8]

    def __call__(self, images: jax.Array) -> jax.Array:
        side = self.config.image_size
        chex.assert_shape(images, (None, side, side, 3), exception_type=ValueError)
        chex.assert_type(images, jnp.float32, exception_type=ValueError)
        x = images
        for stage in self.trunk:
            x = stage(x)
        return self.head(x)

    def head(self, x: jax.Array) -> jax.Array:
        """Embeddings [B, D] float32 of the trunk's output."""
        x = self.last_bn(self.last_linear(layers.global_mean(x)))
        if not self.config.unit_output:
            return x
        norms = jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x / jnp.maximum(norms, 1e-12)  # as torch.nn.functional.normalize


def _units(
    channels: int, convs: Sequence[Conv], config: FaceNetConfig, rngs: nnx.Rngs
) -> list[ConvUnit]:
    """Convolutions one after another."""
    units = []
    for conv in convs:
        padded = conv.same and conv.stride == 1
        rows, columns = (side // 2 if padded else 0 for side in conv.kernel)
        width = layers.scaled(config.width, conv.width)
        unit = ConvUnit(
            channels,
            width,
            conv.kernel,
            stride=conv.stride,
            padding=((rows, rows), (columns, columns)),
            epsilon=EPSILON,
            use_scale=config.use_scale,
            dtype=config.dtype,
            rngs=rngs,
        )
        units.append(unit)
        channels = width
    return units
