"""VGG-Face's VGG16: 224 px crops -> 4096-d embeddings (fc7), or those of another layer.

Parkhi, Vedaldi and Zisserman, "Deep Face Recognition" (BMVC 2015), table 3,
configuration A-16: 13 convolutions in five groups, each ended by a 2x2 maximum, then
fully connected fc6 and fc7; the classifier fc8 is left out. NHWC throughout. The three
published files hold the same network in different layouts, fed differently:

- vgg_face_dag: RGB minus mean; fc6 reads its input channel by channel (CHW).
- keras-vggface: BGR minus mean; fc6 reads it pixel by pixel (HWC), as this module does.
- deepface: BGR in [0, 1] without a mean; fc6 and fc7 are 7x7 and 1x1 convolutions.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones import layers
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.recipe import Container, Recipe
from facedirs_jax.conversion.strict import Layout, Rule, unchanged
from facedirs_jax.errors import InputError

Embedding = Literal["pool5", "pool5_mean", "fc6", "fc6_relu", "fc7", "fc7_relu"]
File = Literal["dag", "keras", "deepface"]

GROUPS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
CONVS = tuple(
    f"conv{group}_{i}"
    for group, (_, count) in enumerate(GROUPS, 1)
    for i in range(1, count + 1)
)
DENSE = ("fc6", "fc7", "fc8")


@dataclasses.dataclass(frozen=True)
class VGG16Config:
    """Sizes that fix the parameter shapes, and the layer that is the embedding.

    Attributes:
        width: multiplier of every layer's channels.
        image_size: side of the input, px; a multiple of 32.
        embedding: layer whose output is returned; "fc6" and "fc7" are taken before
            ReLU, "pool5" is flattened (rows, columns, channels) and "pool5_mean" is
            averaged over rows and columns. Later layers are not built.
        dtype: "float32" or "bfloat16", of the computation; parameters and embeddings
            are float32.

    Raises:
        InputError: if a field is out of its range.
    """

    width: float = 1.0
    image_size: int = 224
    embedding: Embedding = "fc7"
    dtype: str = "float32"

    def __post_init__(self):
        layers.check_config(
            width=self.width, dtype=self.dtype, image_size=self.image_size, multiple=32
        )
        if self.embedding not in get_args(Embedding):
            known = ", ".join(get_args(Embedding))
            raise InputError(f"embedding is one of {known}, not {self.embedding!r}")

    @classmethod
    def deepface(cls) -> "VGG16Config":
        """The layer that deepface takes: fc7 after ReLU."""
        return cls(embedding="fc7_relu")

    @classmethod
    def tiny(cls, *, embedding: Embedding = "fc7") -> "VGG16Config":
        """4 to 32 channels on 64 px, for quick tests."""
        return cls(width=1 / 16, image_size=64, embedding=embedding)

    @property
    def dense(self) -> tuple[str, ...]:
        """Names of the fully connected layers that the embedding needs."""
        return {"fc6": DENSE[:1], "fc7": DENSE[:2]}.get(self.embedding[:3], ())

    @property
    def embedding_dim(self) -> int:
        """D: 4096 for fc6 and fc7, 25088 for pool5, 512 for its mean, by default."""
        if self.dense:
            return layers.scaled(self.width, 4096)
        cells = 1 if self.embedding == "pool5_mean" else (self.image_size // 32) ** 2
        return cells * layers.scaled(self.width, GROUPS[-1][0])


class VGG16(nnx.Module):
    """Maps [B, S, S, 3] float32 input, as by a recipe's preprocess, to [B, D] float32.

    Layers are attributes by their published names (`conv1_1` to `conv5_3` with their
    ReLU, `pool1` to `pool5`, `fc6`, `fc7` without), and so are the paths that
    nnx.capture gives. The static attribute `weights` is the card of its weights.
    """

    def __init__(
        self, config: VGG16Config, weights: WeightCard = UNTRAINED, *, rngs: nnx.Rngs
    ):
        self.config = config
        self.weights = weights
        channels = 3
        for group, (published, count) in enumerate(GROUPS, 1):
            width = layers.scaled(config.width, published)
            for i in range(1, count + 1):
                conv = layers.ConvUnit(
                    channels, width, 3, padding=1, dtype=config.dtype, rngs=rngs
                )
                setattr(self, f"conv{group}_{i}", conv)
                channels = width
            setattr(self, f"pool{group}", layers.MaxPool(2, stride=2))
        inputs = channels * (config.image_size // 32) ** 2
        width = layers.scaled(config.width, 4096)
        for name in config.dense:
            dtype = jnp.dtype(config.dtype)
            setattr(self, name, nnx.Linear(inputs, width, dtype=dtype, rngs=rngs))
            inputs = width

    @property
    def trunk(self) -> list[layers.ConvUnit | layers.MaxPool]:
        """The stages in order, [B, S, S, 3] -> [B, S // 32, S // 32, 512 width]."""
        stages = []
        for group, (_, count) in enumerate(GROUPS, 1):
            stages += [getattr(self, f"conv{group}_{i + 1}") for i in range(count)]
            stages.append(getattr(self, f"pool{group}"))
        return stages

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
        if self.config.embedding == "pool5_mean":
            return layers.global_mean(x)
        x = x.reshape(len(x), -1)  # [B, 25088], rows, columns, channels
        for i, name in enumerate(self.config.dense):
            x = getattr(self, name)(nnx.relu(x) if i else x)
        relu = self.config.embedding.endswith("_relu")
        return (nnx.relu(x) if relu else x).astype(jnp.float32)


class _Layout(NamedTuple):
    """How a published file names its arrays and lays them out.

    Attributes:
        containers: in which the file comes.
        names: of the layers in the file, where they are not our own.
        suffixes: of a layer's weight and bias, as regular expressions.
        conv: layout of a convolution's weight.
        fc6: of that of fc6, given the side of pool5.
        fc7: of that of fc7.
        preprocess: what is fed.
        source: where people get the file.
    """

    containers: tuple[Container, ...]
    names: Mapping[str, str]
    suffixes: tuple[str, str]
    conv: Layout
    fc6: Callable[[int], Layout]
    fc7: Layout
    preprocess: Preprocess
    source: str


def _from_chw(side: int) -> Layout:
    """Weight over (channels, rows, columns) -> over (rows, columns, channels)."""

    def layout(weight: np.ndarray) -> np.ndarray:
        filters = weight.reshape(len(weight), -1, side, side)  # [O, C, H, W]
        return layers.hwio(filters).reshape(-1, len(weight))  # [H W C, O]

    return layout


def _flat(filters: np.ndarray) -> np.ndarray:
    return filters.reshape(-1, filters.shape[-1])  # [H, W, C, O] -> [H W C, O]


_DAG = Preprocess(
    alignment="plain_resize",
    size=224,
    mean=(129.186279, 104.762384, 93.593964),
    scale=1.0,
    colour_order="RGB",
    unit_norm=False,
)
_FILES: dict[File, _Layout] = {
    "dag": _Layout(
        containers=("torch", "safetensors"),
        names={},
        suffixes=(r"\.weight", r"\.bias"),
        conv=layers.hwio,
        fc6=_from_chw,
        fc7=layers.transposed,
        preprocess=_DAG,
        source="robots.ox.ac.uk/~albanie/models/pytorch-mcn: vgg_face_dag.pth",
    ),
    "keras": _Layout(
        containers=("keras",),
        names={},
        suffixes=("/kernel", "/bias"),
        conv=unchanged,
        fc6=lambda side: unchanged,
        fc7=unchanged,
        preprocess=dataclasses.replace(
            _DAG, mean=(129.1863, 104.7624, 93.594), colour_order="BGR"
        ),
        source="github.com/rcmalli/keras-vggface v2.0: rcmalli_vggface_tf_vgg16.h5",
    ),
    "deepface": _Layout(
        containers=("keras_by_order",),
        names={name: f"layer_{n:02d}" for n, name in enumerate((*CONVS, *DENSE))},
        suffixes=("/kernel", "/bias"),
        conv=unchanged,
        fc6=lambda side: _flat,
        fc7=_flat,
        preprocess=Preprocess(
            alignment="letterbox",
            size=224,
            mean=(0.0, 0.0, 0.0),
            scale=255.0,
            colour_order="BGR",
            unit_norm=True,
        ),
        source="github.com/serengil/deepface_models v1.0: vgg_face_weights.h5",
    ),
}


def recipe(file: File, config: VGG16Config) -> Recipe:
    """The recipe of one published file for one choice of embedding.

    Args:
        file: "dag" (vgg_face_dag.pth), "keras" (rcmalli_vggface_tf_vgg16.h5, or its
            notop form if the embedding is pool5 or its mean) or "deepface"
            (vgg_face_weights.h5).
        config: of the network to build.

    Returns:
        The recipe, named as in "vgg16_dag_fc7".
    """
    layout = _FILES[file]
    weight, bias = layout.suffixes
    layouts = {"fc6": layout.fc6(config.image_size // 32), "fc7": layout.fc7}
    names = {name: layout.names.get(name, name) for name in (*CONVS, *DENSE)}
    rules = []
    for name in (*CONVS, *config.dense):
        target = f"{name}.conv" if name in CONVS else name
        array = layouts.get(name, layout.conv)
        rules.append(Rule(names[name] + weight, f"{target}.kernel", array))
        rules.append(Rule(names[name] + bias, f"{target}.bias"))
    left_out = [names[name] for name in DENSE if name not in config.dense]
    return Recipe(
        name=f"vgg16_{file}_{config.embedding}",
        containers=layout.containers,
        build=VGG16,
        config=config,
        rules=rules,
        ignored=tuple(f"{name}({weight}|{bias})" for name in left_out),
        preprocess=dataclasses.replace(layout.preprocess, size=config.image_size),
        embedding=f"{config.embedding}, {config.embedding_dim}-d",
        licence="unknown",
        commercial_use=False,
        source=layout.source,
    )


RECIPES: tuple[Recipe, ...] = tuple(
    recipe(file, VGG16Config(embedding=embedding))
    for file in get_args(File)
    for embedding in get_args(Embedding)
)
