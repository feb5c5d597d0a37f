"""Idiap's decoder: 512-d ArcFace templates -> 112 px pictures.

Otroshi Shahreza, Krivokuca Hahn and Marcel, "Face Reconstruction from Deep Facial
Embeddings Using a Convolutional Neural Network" (ICIP 2022); layers after the code of
the paper, bob.paper.icip2022_face_reconstruction on gitlab.idiap.ch.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.layers import (
    ConvUnit,
    check_config,
    hwio,
    scaled,
    torch_norm,
)
from facedirs_jax.conversion.strict import Rule
from facedirs_jax.decoders.layers import UpUnit, check_templates, up_rules
from facedirs_jax.decoders.recipe import DecoderRecipe

# Channels, stride and padding of each stage: 1 -> 4 -> 8 -> 16 -> 30 -> 58 -> 112 px.
STAGES = ((512, 1, 0), (256, 2, 1), (128, 2, 1), (64, 2, 2), (32, 2, 2), (16, 2, 3))


@dataclasses.dataclass(frozen=True)
class IdiapDecoderConfig:
    """Sizes that fix the parameter shapes; by default the published ones.

    Attributes:
        template_dim: D.
        width: multiplier of every layer's channels.
        dtype: "float32" or "bfloat16", of the computation; parameters and pictures are
            float32.

    Raises:
        InputError: if a field is out of its range.
    """

    template_dim: int = 512
    width: float = 1.0
    dtype: str = "float32"

    def __post_init__(self):
        check_config(width=self.width, dtype=self.dtype, image_size=112, multiple=1)

    @classmethod
    def tiny(cls) -> "IdiapDecoderConfig":
        """2 to 32 channels, for quick tests."""
        return cls(template_dim=8, width=1 / 16)


class IdiapStage(nnx.Module):
    """Transposed 4x4 convolution, plus three 3x3 convolutions of its output."""

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        stride: int,
        padding: int,
        dtype: str,
        rngs: nnx.Rngs,
    ):
        self.up = UpUnit(
            channels,
            width,
            4,
            stride=stride,
            padding=padding,
            use_bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        self.convs = nnx.List(
            ConvUnit(width, width, 3, padding=1, epsilon=1e-5, dtype=dtype, rngs=rngs)
            for _ in range(3)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        x = inner = self.up(x)
        for conv in self.convs:
            inner = conv(inner)
        return x + inner


class IdiapDecoder(nnx.Module):
    """Maps [B, D] float32 templates to [B, 112, 112, 3] float32 RGB in [0, 1].

    The static attribute `weights` is the card of its weights.
    """

    def __init__(
        self,
        config: IdiapDecoderConfig,
        weights: WeightCard = UNTRAINED,
        *,
        rngs: nnx.Rngs,
    ):
        self.config = config
        self.weights = weights
        channels, stages = config.template_dim, []
        for published, stride, padding in STAGES:
            width = scaled(config.width, published)
            stages.append(
                IdiapStage(
                    channels,
                    width,
                    stride=stride,
                    padding=padding,
                    dtype=config.dtype,
                    rngs=rngs,
                )
            )
            channels = width
        self.stages = nnx.List(stages)
        dtype = jnp.dtype(config.dtype)
        self.to_rgb = nnx.Conv(channels, 3, (3, 3), padding=1, dtype=dtype, rngs=rngs)

    def __call__(self, templates: jax.Array) -> jax.Array:
        check_templates(templates, self.config.template_dim)
        x = templates.reshape(-1, 1, 1, self.config.template_dim)
        for stage in self.stages:
            x = stage(x)
        return nnx.sigmoid(self.to_rgb(x).astype(jnp.float32))


def _rules() -> list[Rule]:
    """Rules for the state dict."""
    rules = [
        Rule(r"final\.0\.weight", "to_rgb.kernel", hwio),
        Rule(r"final\.0\.bias", "to_rgb.bias"),
    ]
    for n in range(len(STAGES)):
        block, stage = rf"decode{n + 1}", f"stages.{n}"
        up = up_rules(rf"{block}\.dconv\.0", rf"{block}\.dconv\.1", f"{stage}.up")
        rules += [rule for rule in up if not rule.target.endswith("conv.bias")]
        for i in range(3):
            conv, norm = (rf"{block}\.skip\.{3 * i + j}" for j in (0, 1))
            unit = f"{stage}.convs.{i}"
            rules.append(Rule(rf"{conv}\.weight", f"{unit}.conv.kernel", hwio))
            rules += torch_norm(norm, f"{unit}.bn")
    return rules


RECIPES: tuple[DecoderRecipe, ...] = (
    DecoderRecipe(
        name="idiap_arcface",
        containers=("torch", "safetensors"),
        build=IdiapDecoder,
        config=IdiapDecoderConfig(),
        rules=_rules(),
        ignored=(),
        templates="512-d, of ArcFace or ElasticFace iResNet-100 as it was trained for",
        licence="unknown",
        commercial_use=False,
        source="gitlab.idiap.ch/bob/bob.paper.icip2022_face_reconstruction",
    ),
)
