"""VGGFace2's ResNet-50: 224 px crops -> 2048-d embeddings, not negative, of any norm.

Cao et al., "VGGFace2: A dataset for recognising faces across pose and age" (FG 2018);
layers after He et al. (CVPR 2016) as Caffe has them: the stride of a stage lies on the
first 1x1 convolution of its first block (torchvision: on the 3x3), and the maximum
after the stem rounds its size up, 112 -> 56 (torchvision: padded by 1). NHWC.

keras-vggface holds the same arrays and computes something else: the stem is padded by
(2, 3) rather than (3, 3), a shift by a pixel; its maximum rounds down, 112 -> 55; and
epsilon is 1e-3. `ResNet50Config.keras()` gives its numbers, `caffe()` the published.
"""

import dataclasses
import functools
import re
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones import layers
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.layers import ConvUnit, MaxPool
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.recipe import Container, Recipe
from facedirs_jax.conversion.strict import Rule

PLANES = (64, 128, 256, 512)  # of each stage; its blocks put out four times as many


@dataclasses.dataclass(frozen=True)
class ResNet50Config:
    """Sizes that fix the parameter shapes, and what Caffe and Keras do differently.

    Attributes:
        width: multiplier of every layer's channels.
        image_size: side of the input, px; a multiple of 16.
        blocks: bottlenecks of each of the four stages.
        stem_padding: of the 7x7 convolution, before and after, on both axes.
        ceil_pool: whether the 3x3 maximum rounds its size up.
        epsilon: of every batch normalisation.
        dtype: "float32" or "bfloat16", of the computation; parameters and embeddings
            are float32.

    Raises:
        InputError: if a field is out of its range.
    """

    width: float = 1.0
    image_size: int = 224
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    stem_padding: tuple[int, int] = (3, 3)
    ceil_pool: bool = True
    epsilon: float = 1e-5
    dtype: str = "float32"

    def __post_init__(self):
        layers.check_config(
            width=self.width, dtype=self.dtype, image_size=self.image_size, multiple=16
        )

    @classmethod
    def caffe(cls) -> "ResNet50Config":
        """The published network, as Caffe and the PyTorch conversions compute it."""
        return cls()

    @classmethod
    def keras(cls) -> "ResNet50Config":
        """The same arrays, as keras-vggface computes with them."""
        return cls(stem_padding=(2, 3), ceil_pool=False, epsilon=1e-3)

    @classmethod
    def tiny(cls) -> "ResNet50Config":
        """4 to 128 channels on 64 px, five blocks, for quick tests."""
        return cls(width=1 / 16, image_size=64, blocks=(2, 1, 1, 1))

    @property
    def embedding_dim(self) -> int:
        """D: 2048 by default."""
        return 4 * layers.scaled(self.width, PLANES[-1])


class Bottleneck(nnx.Module):
    """1x1, 3x3 and 1x1 convolutions, added to their input or its 1x1 projection.

    [B, H, W, C] -> [B, H / stride, W / stride, 4 planes], rounded up; the stride lies
    on the first 1x1 convolution and on the projection.
    """

    def __init__(
        self,
        channels: int,
        planes: int,
        config: ResNet50Config,
        *,
        stride: int,
        project: bool,
        rngs: nnx.Rngs,
    ):
        unit = functools.partial(
            ConvUnit, epsilon=config.epsilon, dtype=config.dtype, rngs=rngs
        )
        self.reduce = unit(channels, planes, 1, stride=stride)
        self.conv = unit(planes, planes, 3, padding=1)
        self.increase = unit(planes, 4 * planes, 1, relu=False)
        self.project = (
            unit(channels, 4 * planes, 1, stride=stride, relu=False)
            if project
            else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = x if self.project is None else self.project(x)
        return nnx.relu(self.increase(self.conv(self.reduce(x))) + shortcut)

    @property
    def reach(self) -> layers.Reaches:
        """Which inputs an output depends on."""
        return layers.chained([self.reduce, self.conv, self.increase])


class ResNet50(nnx.Module):
    """Maps [B, S, S, 3] float32 input, as by a recipe's preprocess, to [B, D] float32.

    Layers are attributes, and so are the paths that nnx.capture gives: `conv1`,
    `pool1`, and `layer1.0` to `layer4.2`. The static attribute `weights` is the card
    of its weights.
    """

    def __init__(
        self, config: ResNet50Config, weights: WeightCard = UNTRAINED, *, rngs: nnx.Rngs
    ):
        self.config = config
        self.weights = weights
        channels = layers.scaled(config.width, 64)
        self.conv1 = ConvUnit(
            3,
            channels,
            7,
            stride=2,
            padding=config.stem_padding,
            epsilon=config.epsilon,
            dtype=config.dtype,
            rngs=rngs,
        )
        self.pool1 = MaxPool(3, stride=2, padding=(0, int(config.ceil_pool)))
        stages = []
        for stage, count in enumerate(config.blocks):
            planes, blocks = layers.scaled(config.width, PLANES[stage]), []
            for block in range(count):
                blocks.append(
                    Bottleneck(
                        channels,
                        planes,
                        config,
                        stride=2 if stage > 0 and block == 0 else 1,
                        project=block == 0,
                        rngs=rngs,
                    )
                )
                channels = 4 * planes
            stages.append(nnx.List(blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    @property
    def trunk(self) -> list[ConvUnit | MaxPool | Bottleneck]:
        """The stages in order, [B, S, S, 3] -> [B, S / 32, S / 32, D]."""
        first = [self.conv1, self.pool1, *self.layer1, *self.layer2]
        return [*first, *self.layer3, *self.layer4]

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
        return layers.global_mean(x)


Names = Literal["torchvision", "dag", "keras"]


# Of a bottleneck's convolutions: torchvision's names of it and of its batch
# normalisation, and Caffe's suffix.
_PARTS = {
    "reduce": ("conv1", "bn1", "1x1_reduce"),
    "conv": ("conv2", "bn2", "3x3"),
    "increase": ("conv3", "bn3", "1x1_increase"),
    "project": ("downsample.0", "downsample.1", "1x1_proj"),
}


def rules(names: Names, config: ResNet50Config) -> list[Rule]:
    """Where the arrays of a file go.

    Args:
        names: whose names they bear: torchvision's `layer1.0.conv1.weight`, the dag's
            `conv2_1_1x1_reduce.weight` or Keras's `conv2_1_1x1_reduce/kernel`.
        config: of the network.

    Returns:
        Rules of the strict converter.
    """
    stem = {
        "torchvision": ("conv1", "bn1"),
        "dag": ("conv1_7x7_s2", "conv1_7x7_s2_bn"),
        "keras": ("conv1/7x7_s2", "conv1/7x7_s2/bn"),
    }[names]
    units = [("conv1", *stem)]
    for stage, count in enumerate(config.blocks, 1):
        for block in range(count):
            ours = f"layer{stage}.{block}"
            for path, (conv, norm, suffix) in _PARTS.items():
                if path == "project" and block > 0:
                    continue
                conv, norm = f"{ours}.{conv}", f"{ours}.{norm}"
                if names != "torchvision":
                    conv = f"conv{stage + 1}_{block + 1}_{suffix}"
                    norm = conv + {"dag": "_bn", "keras": "/bn"}[names]
                units.append((f"{ours}.{path}", conv, norm))
    found = []
    for target, conv, norm in units:
        conv, norm = re.escape(conv), re.escape(norm)
        if names == "keras":
            found.append(Rule(f"{conv}/kernel", f"{target}.conv.kernel"))
            found += layers.keras_norm(norm, f"{target}.bn")
        else:
            kernel = Rule(rf"{conv}\.weight", f"{target}.conv.kernel", layers.hwio)
            found += [kernel, *layers.torch_norm(norm, f"{target}.bn")]
    return found


RGB = Preprocess(
    alignment="vggface2_box",
    size=224,
    mean=(131.0912, 103.8827, 91.4953),
    scale=1.0,
    colour_order="RGB",
    unit_norm=False,
)
BGR = dataclasses.replace(RGB, colour_order="BGR")


def _recipe(
    file: str,
    containers: tuple[Container, ...],
    names: Names,
    config: ResNet50Config,
    preprocess: Preprocess,
    source: str,
) -> Recipe:
    return Recipe(
        name=f"resnet50_{file}",
        containers=containers,
        build=ResNet50,
        config=config,
        rules=rules(names, config),
        ignored=(r"(fc|classifier)[./](weight|kernel|bias)",),
        preprocess=preprocess,
        embedding="mean of the last stage after ReLU, 2048-d",
        licence="unknown",
        commercial_use=False,
        source=source,
    )


_CAFFE, _KERAS = ResNet50Config.caffe(), ResNet50Config.keras()
RECIPES: tuple[Recipe, ...] = (
    _recipe(
        "cydonia",
        ("pickle",),
        "torchvision",
        _CAFFE,
        BGR,
        "github.com/cydonia999/VGGFace2-pytorch: resnet50_ft_weight.pkl",
    ),
    _recipe(
        "dag",
        ("torch", "safetensors"),
        "dag",
        _CAFFE,
        RGB,
        "robots.ox.ac.uk/~albanie/pytorch-models: resnet50_ft_dag.pth",
    ),
    _recipe(
        "oxford",
        ("torch", "safetensors"),
        "dag",
        _CAFFE,
        RGB,
        "github.com/ox-vgg/vgg_face2: resnet50_ft_pytorch.tar.gz",
    ),
    _recipe(
        "keras",
        ("keras",),
        "keras",
        _KERAS,
        BGR,
        "github.com/rcmalli/keras-vggface v2.0: rcmalli_vggface_tf_resnet50.h5",
    ),
)
