"""ArcFace's iResNets: 112 px crops -> 512-d embeddings.

Deng et al., "ArcFace" (arXiv 1801.07698); layers after arcface_torch of
github.com/deepinsight/insightface, and after deepface's Keras ResNet-34, which differs
in epsilon only. NHWC; the last map is flattened row by row, not channel by channel. In
ONNX exports most batch normalisations lie within convolutions: `folded`, the same
function. Templates lie on the unit sphere, where the network does not put them. The
files that it can be filled from are in `iresnet_recipes`.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones import layers
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard


@dataclasses.dataclass(frozen=True)
class IResNetConfig:
    """Sizes that fix the parameter shapes, and the variant.

    Attributes:
        blocks: residual blocks of each stage; the first of each halves the sides.
        widths: channels of each stage; the stem has those of the first.
        width: multiplier of every layer's channels.
        embedding_dim: D.
        image_size: side of the input, px; a multiple of 16.
        epsilon: of every batch normalisation.
        folded: whether the batch normalisation after each convolution is within it.
        dtype: "float32" or "bfloat16", of the computation; parameters and embeddings
            are float32.

    Raises:
        InputError: if a field is out of its range.
    """

    blocks: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    width: float = 1.0
    embedding_dim: int = 512
    image_size: int = 112
    epsilon: float = 1e-5
    folded: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        layers.check_config(
            width=self.width,
            dtype=self.dtype,
            image_size=self.image_size,
            multiple=2 ** len(self.blocks),
        )

    @classmethod
    def iresnet18(cls) -> "IResNetConfig":
        """r18 of arcface_torch, 24.0 M parameters."""
        return cls(blocks=(2, 2, 2, 2))

    @classmethod
    def iresnet34(cls) -> "IResNetConfig":
        """r34 of arcface_torch, 34.1 M parameters."""
        return cls(blocks=(3, 4, 6, 3))

    @classmethod
    def iresnet50(cls) -> "IResNetConfig":
        """r50 of arcface_torch, 43.6 M parameters."""
        return cls(blocks=(3, 4, 14, 3))

    @classmethod
    def iresnet100(cls) -> "IResNetConfig":
        """r100 of arcface_torch, 65.2 M parameters."""
        return cls(blocks=(3, 13, 30, 3))

    @classmethod
    def iresnet200(cls) -> "IResNetConfig":
        """r200 of arcface_torch, 118.8 M parameters."""
        return cls(blocks=(6, 26, 60, 6))

    @classmethod
    def deepface(cls) -> "IResNetConfig":
        """The ArcFace of deepface, a ResNet-34 with an epsilon of 2e-5."""
        return cls(blocks=(3, 4, 6, 3), epsilon=2e-5)

    @classmethod
    def tiny(cls) -> "IResNetConfig":
        """Two blocks or one of 4 to 32 channels on 32 px, for quick tests."""
        return cls(blocks=(2, 1, 1, 2), width=1 / 16, embedding_dim=8, image_size=32)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage under the multiplier."""
        return tuple(layers.scaled(self.width, channels) for channels in self.widths)


class IResNetBlock(nnx.Module):
    """Two 3x3 convolutions of the normalised input, plus that input; no ReLU after.

    [B, H, W, C] -> [B, H / stride, W / stride, width]. What is added is the input from
    before the normalisation, with a stride through a 1x1 convolution, `shortcut`.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        stride: int,
        config: IResNetConfig,
        rngs: nnx.Rngs,
    ):
        self.bn1 = _norm(channels, config)
        self.conv1 = _conv(channels, width, 3, 1, config, rngs)
        self.prelu = layers.PReLU(width, dtype=config.dtype)
        self.conv2 = _conv(width, width, 3, stride, config, rngs)
        self.shortcut = (
            _conv(channels, width, 1, stride, config, rngs) if stride > 1 else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        inner = self.conv2(self.prelu(self.conv1(self.bn1(x))))
        return inner + (x if self.shortcut is None else self.shortcut(x))

    @property
    def reach(self) -> layers.Reaches:
        """Which inputs an output depends on."""
        return layers.chained([self.conv1, self.conv2])


Stage = layers.ConvUnit | layers.PReLU | layers.FrozenBatchNorm | IResNetBlock


class IResNet(nnx.Module):
    """Maps [B, S, S, 3] float32 input, as by its recipe's preprocess, to [B, D].

    S is config.image_size. The static attribute `weights` is the card of its weights.
    """

    def __init__(
        self, config: IResNetConfig, weights: WeightCard = UNTRAINED, *, rngs: nnx.Rngs
    ):
        self.config = config
        self.weights = weights
        channels, stages = config.channels[0], []
        self.conv1 = _conv(3, channels, 3, 1, config, rngs)
        self.prelu = layers.PReLU(channels, dtype=config.dtype)
        for width, count in zip(config.channels, config.blocks, strict=True):
            blocks = []
            for stride in [2] + [1] * (count - 1):
                blocks.append(
                    IResNetBlock(
                        channels, width, stride=stride, config=config, rngs=rngs
                    )
                )
                channels = width
            stages.append(nnx.List(blocks))
        self.stages = nnx.List(stages)
        self.bn2 = _norm(channels, config)
        side = config.image_size // 2 ** len(config.blocks)
        self.fc = nnx.Linear(
            side * side * channels,
            config.embedding_dim,
            dtype=jnp.dtype(config.dtype),
            rngs=rngs,
        )
        self.features = layers.FrozenBatchNorm(
            config.embedding_dim, epsilon=config.epsilon
        )

    @property
    def trunk(self) -> list[Stage]:
        """The stages in order: [B, S, S, 3] -> [B, S // 16, S // 16, channels]."""
        blocks = [block for stage in self.stages for block in stage]
        return [self.conv1, self.prelu, *blocks, self.bn2]

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
        return self.features(self.fc(x.reshape(len(x), -1)))  # rows, columns, channels


def _norm(channels: int, config: IResNetConfig) -> layers.FrozenBatchNorm:
    return layers.FrozenBatchNorm(channels, epsilon=config.epsilon, dtype=config.dtype)


def _conv(
    channels: int,
    width: int,
    side: int,
    stride: int,
    config: IResNetConfig,
    rngs: nnx.Rngs,
) -> layers.ConvUnit:
    """Convolution with padding side // 2, and its batch normalisation."""
    return layers.ConvUnit(
        channels,
        width,
        side,
        stride=stride,
        padding=side // 2,
        epsilon=None if config.folded else config.epsilon,
        relu=False,
        dtype=config.dtype,
        rngs=rngs,
    )
