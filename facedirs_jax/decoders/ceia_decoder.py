"""CEIA-NoLeakIV's form of the Deep Face Decoder: templates -> 224 px pictures.

Layer by layer that of github.com/CEIA-NoLeakIV/DeepFaceDecoder, for its files; the
batch normalisations are frozen. The authors of the paper (Križaj et al., EAAI
132:107941, 2024) have published neither code nor weights. `deep_face_decoder` has the
one to train.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.layers import (
    FrozenBatchNorm,
    check_config,
    hwio,
    scaled,
    torch_norm,
)
from facedirs_jax.conversion.strict import Rule
from facedirs_jax.decoders.layers import UpUnit, check_templates, up_rules
from facedirs_jax.decoders.recipe import DecoderRecipe


@dataclasses.dataclass(frozen=True)
class CeiaDecoderConfig:
    """Sizes that fix the parameter shapes; by default the published ones.

    Attributes:
        template_dim: D; the source trains one decoder for each kind of template.
        image_size: side S of the picture, px; a multiple of 32.
        width: multiplier of every layer's channels.
        dtype: "float32" or "bfloat16", of the computation; parameters and pictures are
            float32.

    Raises:
        InputError: if a field is out of its range.
    """

    template_dim: int = 512
    image_size: int = 224
    width: float = 1.0
    dtype: str = "float32"

    def __post_init__(self):
        check_config(
            width=self.width, dtype=self.dtype, image_size=self.image_size, multiple=32
        )

    @classmethod
    def tiny(cls) -> "CeiaDecoderConfig":
        """2 to 32 channels on 64 px, for quick tests."""
        return cls(template_dim=8, image_size=64, width=1 / 16)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the first map and after each of five stages."""
        return tuple(scaled(self.width, c) for c in (512, 512, 256, 128, 64, 32))


class CeiaDecoder(nnx.Module):
    """Maps [B, D] float32 unit templates to [B, S, S, 3] float32 RGB in [0, 1].

    Five transposed 4x4 convolutions of stride 2. The sigmoid's output is the picture:
    the source's own inference.py takes it for an ImageNet-normalised one, wrongly. The
    static attribute `weights` is the card of its weights.
    """

    def __init__(
        self,
        config: CeiaDecoderConfig,
        weights: WeightCard = UNTRAINED,
        *,
        rngs: nnx.Rngs,
    ):
        self.config = config
        self.weights = weights
        channels, dtype = config.channels, config.dtype
        cells = (config.image_size // 32) ** 2 * channels[0]
        self.stem = nnx.Linear(
            config.template_dim, cells, dtype=jnp.dtype(dtype), rngs=rngs
        )
        self.stem_bn = FrozenBatchNorm(cells, epsilon=1e-5, dtype=dtype)
        self.stages = nnx.List(
            UpUnit(cin, cout, 4, stride=2, padding=1, dtype=dtype, rngs=rngs)
            for cin, cout in itertools.pairwise(channels)
        )
        self.to_rgb = nnx.Conv(
            channels[-1], 3, (3, 3), padding=1, dtype=jnp.dtype(dtype), rngs=rngs
        )

    def __call__(self, templates: jax.Array) -> jax.Array:
        check_templates(templates, self.config.template_dim)
        side = self.config.image_size // 32
        x = nnx.relu(self.stem_bn(self.stem(templates)))
        x = x.reshape(-1, side, side, self.config.channels[0])
        for stage in self.stages:
            x = stage(x)
        return nnx.sigmoid(self.to_rgb(x).astype(jnp.float32))


def _ceia_rules(config: CeiaDecoderConfig) -> list[Rule]:
    """Rules for the state dict; its stem's outputs run over channels, rows, columns."""

    def rows_first(outputs: np.ndarray) -> np.ndarray:
        cells = outputs.reshape(config.channels[0], -1, *outputs.shape[1:])
        return cells.swapaxes(0, 1).reshape(outputs.shape)

    def kernel(weight: np.ndarray) -> np.ndarray:
        return rows_first(weight).transpose()

    rules = [
        Rule(r"fc\.0\.weight", "stem.kernel", kernel),
        Rule(r"fc\.0\.bias", "stem.bias", rows_first),
        *(rule._replace(layout=rows_first) for rule in torch_norm(r"fc\.1", "stem_bn")),
        Rule(r"decoder\.15\.weight", "to_rgb.kernel", hwio),
        Rule(r"decoder\.15\.bias", "to_rgb.bias"),
    ]
    for n in range(5):
        conv, norm = (rf"decoder\.{3 * n + i}" for i in (0, 1))
        rules += up_rules(conv, norm, f"stages.{n}")
    return rules


def _ceia_recipe(config: CeiaDecoderConfig) -> DecoderRecipe:
    return DecoderRecipe(
        name=f"ceia_decoder_{config.template_dim}",
        containers=("torch", "safetensors"),
        build=CeiaDecoder,
        config=config,
        rules=_ceia_rules(config),
        ignored=(),
        templates=f"{config.template_dim}-d, of unit norm, of the network trained for",
        licence="unknown",
        commercial_use=False,
        source=(
            "train_dfd.py of github.com/CEIA-NoLeakIV/DeepFaceDecoder: the entry "
            "decoder_state_dict of its checkpoint, saved by itself"
        ),
    )


RECIPES: tuple[DecoderRecipe, ...] = (
    _ceia_recipe(CeiaDecoderConfig(template_dim=512)),
    _ceia_recipe(CeiaDecoderConfig(template_dim=2048)),
    _ceia_recipe(CeiaDecoderConfig(template_dim=4096)),
)
