"""dlib's face-recognition ResNet: 150 px crops -> 128-d embeddings.

King, "High Quality Face Recognition with Deep Metric Learning" (blog.dlib.net, 2017);
layers after dlib's examples/dnn_face_recognition_ex.cpp. Two embeddings closer than 0.6
in L2 are taken for one person; they are not of unit norm. NHWC throughout. Equal to
dlib within 2e-6; on a GPU only under `jax.default_matmul_precision("highest")`.
"""

import dataclasses
import os
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax import files
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.convolution import Conv
from facedirs_jax.backbones.layers import MaxPool, Reach, Reaches
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.recipe import Recipe
from facedirs_jax.conversion import dlib_dat, strict
from facedirs_jax.dlib_models import dlib_model_path
from facedirs_jax.errors import InputError

FILE = "dlib_face_recognition_resnet_model_v1.dat"
PUBLISHED = WeightCard(
    name="dlib_face_recognition_resnet_model_v1",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    licence="CC0-1.0",
    commercial_use=True,
    source="github.com/davisking/dlib-models, by pip package face_recognition_models",
)
PREPROCESS = Preprocess(
    alignment="dlib_chip",
    size=150,
    mean=(122.782, 117.001, 104.298),
    scale=256.0,
    colour_order="RGB",
    unit_norm=False,
)


@dataclasses.dataclass(frozen=True)
class DlibResNetConfig:
    """Sizes that fix the parameter shapes; by default those of the published network.

    Attributes:
        widths: channels of each stage.
        blocks: residual blocks of each stage; the first of each but the first stage
            halves the sides.
        embedding_dim: D.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 256)
    blocks: tuple[int, ...] = (3, 4, 3, 3, 1)
    embedding_dim: int = 128

    @classmethod
    def tiny(cls) -> "DlibResNetConfig":
        """One narrow block a stage, for quick tests."""
        return cls(widths=(2, 4, 8, 16, 16), blocks=(1,) * 5, embedding_dim=8)


class Affine(nnx.Module):
    """gamma x + beta for each channel: a batch normalisation, frozen."""

    def __init__(self, channels: int):
        self.gamma = nnx.Param(jnp.ones(channels))
        self.beta = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: jax.Array) -> jax.Array:
        gamma, beta = (p.reshape(1, 1, 1, -1) for p in (self.gamma, self.beta))
        return gamma * x + beta


class Stem(nnx.Module):
    """7x7 convolution with stride 2 and no padding: [B, 150, 150, 3] -> [B, 72, 72, C].

    Computed as a 4x4 convolution with stride 1 over cells of 2x2 pixels, the kernel
    having a row and a column of zeros at its end: a third of the time on CPU. Padded
    by one cell and cropped again, since XLA's CPU code for this convolution without
    padding takes 6 times as long. Any even number of rows and columns
    will do.
    """

    reach = (Reach(8, 2, 0), Reach(8, 2, 0))  # a kernel of 4 cells of 2 pixels

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(12, width, (4, 4), padding=((0, 1), (0, 1)), rngs=rngs)
        self.affine = Affine(width)

    def __call__(self, x: jax.Array) -> jax.Array:
        rows, columns = (side // 2 for side in x.shape[1:3])
        cells = x.reshape(-1, rows, 2, columns, 2, 3).transpose(0, 1, 3, 2, 4, 5)
        x = self.conv(cells.reshape(-1, rows, columns, 12))
        return nnx.relu(self.affine(x[:, : rows - 3, : columns - 3]))


class ResidualBlock(nnx.Module):
    """Two 3x3 convolutions, added to their input.

    [B, H, W, C] -> [B, H, W, width]. With `halve` the first convolution has stride 2
    and no padding, and is added to the input's 2x2 means: [B, H // 2, W // 2, width].
    """

    def __init__(self, channels: int, width: int, *, halve: bool, rngs: nnx.Rngs):
        self.halve = halve
        stride, padding = (2, 0) if halve else (1, 1)
        self.conv1 = Conv(
            channels, width, (3, 3), strides=stride, padding=padding, rngs=rngs
        )
        self.affine1 = Affine(width)
        self.conv2 = Conv(width, width, (3, 3), padding=1, rngs=rngs)
        self.affine2 = Affine(width)

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = _halved(x) if self.halve else x
        x = nnx.relu(self.affine1(self.conv1(x)))
        return nnx.relu(_add_padded(self.affine2(self.conv2(x)), shortcut))

    @property
    def reach(self) -> Reaches:
        """Which inputs an output depends on."""
        first = Reach(3, 2, 0) if self.halve else Reach(3, 1, 1)
        both = first.then(Reach(3, 1, 1))
        return both, both


class DlibResNet(nnx.Module):
    """Maps [B, 150, 150, 3] float32 input, as by PREPROCESS, to [B, D] embeddings.

    The static attribute `weights` is the card of the weights that it holds.
    """

    def __init__(
        self,
        config: DlibResNetConfig,
        weights: WeightCard = UNTRAINED,
        *,
        rngs: nnx.Rngs,
    ):
        self.config = config
        self.weights = weights
        self.stem = Stem(config.widths[0], rngs=rngs)
        self.pool = MaxPool(3, stride=2)
        channels, blocks = config.widths[0], []
        for stage, (width, count) in enumerate(
            zip(config.widths, config.blocks, strict=True)
        ):
            for block in range(count):
                halve = stage > 0 and block == 0
                blocks.append(ResidualBlock(channels, width, halve=halve, rngs=rngs))
                channels = width
        self.blocks = nnx.List(blocks)
        self.fc = nnx.Linear(channels, config.embedding_dim, use_bias=False, rngs=rngs)

    @property
    def trunk(self) -> list[Stem | MaxPool | ResidualBlock]:
        """The stages in order, [B, 150, 150, 3] -> [B, 2, 2, C]."""
        return [self.stem, self.pool, *self.blocks]

    def __call__(self, images: jax.Array) -> jax.Array:
        chex.assert_shape(images, (None, 150, 150, 3), exception_type=ValueError)
        chex.assert_type(images, jnp.float32, exception_type=ValueError)
        x = images
        for stage in self.trunk:
            x = stage(x)
        return self.head(x)

    def head(self, x: jax.Array) -> jax.Array:
        """Embeddings [B, D] float32 of the trunk's output."""
        return self.fc(x.mean(axis=(1, 2)))


def _halved(x: jax.Array) -> jax.Array:
    """Means of 2x2 cells: [B, H, W, C] -> [B, H // 2, W // 2, C]."""
    batch, rows, columns, channels = x.shape
    rows, columns = rows // 2, columns // 2
    x = x[:, : 2 * rows, : 2 * columns]
    return x.reshape(batch, rows, 2, columns, 2, channels).mean(axis=(2, 4))


def _add_padded(x: jax.Array, y: jax.Array) -> jax.Array:
    """Sum, the smaller with zeros after its last row, column and channel (add_prev).

    A halving block meets sides of 3 and 4, or 1 and 2, and channels of C and 2 C.
    """
    shape = np.maximum(x.shape, y.shape)
    x, y = (jnp.pad(a, [(0, n) for n in shape - a.shape]) for a in (x, y))
    return x + y


def _hwio(filters: np.ndarray) -> np.ndarray:
    return filters.transpose(2, 3, 1, 0)


def _stem_kernel(filters: np.ndarray) -> np.ndarray:
    """[O, 3, 7, 7] filters -> [4, 4, 12, O], over 2x2 cells; see `Stem`."""
    padded = np.pad(filters, ((0, 0), (0, 0), (0, 1), (0, 1)))
    cells = padded.reshape(-1, 3, 4, 2, 4, 2)  # O, channel, row, in it, column, in it
    return cells.transpose(2, 4, 3, 5, 1, 0).reshape(4, 4, 12, -1)


def _rules(config: DlibResNetConfig) -> list[strict.Rule]:
    layers = [("stem.conv", "stem.affine", _stem_kernel)]
    layers += [
        (f"blocks.{block}.conv{i}", f"blocks.{block}.affine{i}", _hwio)
        for block in range(sum(config.blocks))
        for i in (1, 2)
    ]
    rules = [strict.Rule(r"fc_00\.weights", "fc.kernel")]
    for n, (conv, affine, layout) in enumerate(layers):
        rules += [
            strict.Rule(rf"con_{n:02d}\.filters", f"{conv}.kernel", layout),
            strict.Rule(rf"con_{n:02d}\.biases", f"{conv}.bias"),
            strict.Rule(rf"affine_{n:02d}\.(gamma|beta)", rf"{affine}.\1"),
        ]
    return rules


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="dlib_resnet_dat",
        containers=("dlib",),
        build=DlibResNet,
        config=DlibResNetConfig(),
        rules=_rules(DlibResNetConfig()),
        ignored=(),
        preprocess=PREPROCESS,
        embedding="fc, 128-d",
        licence="CC0-1.0 for the published file; ask about any other",
        commercial_use=False,
        source=PUBLISHED.source,
    ),
)


def load_dlib_resnet(*, path: str | os.PathLike[str] | None = None) -> DlibResNet:
    """Loads dlib's network from its .dat file.

    Args:
        path: a network of the same layers that dlib's C++ `serialize` wrote; by
            default the published one, out of pip package face_recognition_models.

    Returns:
        The network, its card in `weights`; a file other than the published one is
        taken to be under an unknown licence.

    Raises:
        InputError: if the file is not such a network, or not the published one.
        OSError: if it cannot be read.
    """
    source = dlib_model_path(FILE) if path is None else pathlib.Path(path)
    sha256 = files.sha256_file(source)
    if path is None and sha256 != PUBLISHED.sha256:
        raise InputError(
            f"{source} is not the published file: its SHA-256 is {sha256}, expected "
            f"{PUBLISHED.sha256}; reinstall face_recognition_models"
        )
    header, arrays = dlib_dat.read_dlib_network(source)
    expected = np.array(PREPROCESS.mean, np.float32).tolist()
    if list(header.input_mean) != expected or set(header.input_size) != {150}:
        raise InputError(
            f"{source}: expected an input of 150 x 150 px with mean {expected}, got "
            f"{header.input_size} with {header.input_mean}"
        )
    card = PUBLISHED
    if sha256 != PUBLISHED.sha256:
        card = WeightCard(source.stem, sha256, "unknown", False, "a file of the user's")
    config = DlibResNetConfig()
    abstract = nnx.eval_shape(lambda: DlibResNet(config, card, rngs=nnx.Rngs(0)))
    return strict.fill(abstract, arrays, _rules(config))
