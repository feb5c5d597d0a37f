"""The decoders of github.com/pi-null-mezon/rbh24: buffalo_l templates -> 112 or 128 px.

Transposed 3x3 convolutions from one pixel to 64, a last one of another size, and a 3x3
convolution without padding. The files give pictures normalised by a mean and a standard
deviation, RGB in [0, 1], which the config states and the network undoes.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.layers import check_config, hwio, scaled
from facedirs_jax.backbones.preprocess import Triple
from facedirs_jax.conversion.strict import Rule
from facedirs_jax.decoders.layers import (
    UpUnit,
    check_templates,
    up_rules,
)
from facedirs_jax.decoders.recipe import DecoderRecipe

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Rbh24Config:
    """Sizes that fix the parameter shapes, and what the source normalised pictures by.

    Attributes:
        widths: channels after each doubling but the last, which keeps them.
        last: side, padding and output padding of the last transposed convolution.
        mean: of the normalised picture, RGB in [0, 1].
        std: of the normalised picture, RGB.
        template_dim: D.
        width: multiplier of every layer's channels.
        dtype: "float32" or "bfloat16", of the computation; parameters and pictures are
            float32.

    Raises:
        InputError: if a field is out of its range.
    """

    widths: tuple[int, ...]
    last: tuple[int, int, int] = (5, 1, 1)
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    template_dim: int = 512
    width: float = 1.0
    dtype: str = "float32"

    def __post_init__(self):
        check_config(
            width=self.width, dtype=self.dtype, image_size=self.image_size, multiple=1
        )

    @classmethod
    def large(cls) -> "Rbh24Config":
        """The large naive decoder: 24.7 M parameters, 128 px."""
        return cls(widths=(1024, 1024, 512, 512, 256, 256))

    @classmethod
    def small(cls) -> "Rbh24Config":
        """The small naive decoder: 7.1 M parameters, 128 px."""
        return cls(widths=(512, 384, 320, 256, 192, 128))

    @classmethod
    def v2(cls) -> "Rbh24Config":
        """The decoder trained on face-recognition losses: 6.9 M parameters, 112 px."""
        return cls(
            widths=(512, 384, 320, 256, 192, 128), last=(4, 8, 0), std=(0.5, 0.5, 0.5)
        )

    @property
    def image_size(self) -> int:
        """Side S of the picture, px."""
        side, padding, output_padding = self.last
        before = 2 ** len(self.widths)
        return (before - 1) * 2 + side - 2 * padding + output_padding - 2


class Rbh24Decoder(nnx.Module):
    """Maps [B, D] float32 unit templates to [B, S, S, 3] float32 RGB in [0, 1].

    S is config.image_size; values that the source leaves outside [0, 1] are clipped.
    The static attribute `weights` is the card of its weights.
    """

    def __init__(
        self, config: Rbh24Config, weights: WeightCard = UNTRAINED, *, rngs: nnx.Rngs
    ):
        self.config = config
        self.weights = weights
        channels, stages = config.template_dim, []
        sizes = [(width, (3, 1, 1)) for width in config.widths]
        for published, size in [*sizes, (config.widths[-1], config.last)]:
            width, (side, padding, output_padding) = (
                scaled(config.width, published),
                size,
            )
            stages.append(
                UpUnit(
                    channels,
                    width,
                    side,
                    stride=2,
                    padding=padding,
                    output_padding=output_padding,
                    prelu=True,
                    dtype=config.dtype,
                    rngs=rngs,
                )
            )
            channels = width
        self.stages = nnx.List(stages)
        dtype = jnp.dtype(config.dtype)
        self.to_rgb = nnx.Conv(channels, 3, (3, 3), padding=0, dtype=dtype, rngs=rngs)

    def __call__(self, templates: jax.Array) -> jax.Array:
        check_templates(templates, self.config.template_dim)
        x = templates.reshape(-1, 1, 1, self.config.template_dim)
        for stage in self.stages:
            x = stage(x)
        mean, std = (
            jnp.array(triple, jnp.float32).reshape(1, 1, 1, 3)
            for triple in (self.config.mean, self.config.std)
        )
        return jnp.clip(self.to_rgb(x).astype(jnp.float32) * std + mean, 0.0, 1.0)


def _torch_rules(config: Rbh24Config) -> list[Rule]:
    """Rules for a state dict."""
    last = len(config.widths)
    return [
        *up_rules(
            r"decoder\.(\d+)\.block\.0", r"decoder\.(\d+)\.block\.1", r"stages.\1"
        ),
        Rule(r"decoder\.(\d+)\.block\.2\.weight", r"stages.\1.prelu.slope"),
        *up_rules(r"final_layer\.0", r"final_layer\.1", f"stages.{last}"),
        Rule(r"final_layer\.2\.weight", f"stages.{last}.prelu.slope"),
        Rule(r"final_layer\.3\.weight", "to_rgb.kernel", hwio),
        Rule(r"final_layer\.3\.bias", "to_rgb.bias"),
    ]


def _onnx_rules(config: Rbh24Config) -> list[Rule]:
    """Rules for an export's arrays, numbered within each kind as the graph runs."""
    rules = [
        Rule(r"conv_00\.weight", "to_rgb.kernel", hwio),
        Rule(r"conv_00\.bias", "to_rgb.bias"),
    ]
    for n in range(len(config.widths) + 1):
        rules += up_rules(f"conv_transpose_{n:02d}", f"bn_{n:02d}", f"stages.{n}")
        rules.append(Rule(rf"prelu_{n:02d}\.weight", f"stages.{n}.prelu.slope"))
    return rules


def _recipe(name: str, config: Rbh24Config, source: str) -> DecoderRecipe:
    return DecoderRecipe(
        name=f"rbh24_{name}_torch",
        containers=("torch", "safetensors"),
        build=Rbh24Decoder,
        config=config,
        rules=_torch_rules(config),
        ignored=(),
        templates="512-d, of unit norm, of insightface's buffalo_l (iresnet50)",
        licence="unknown",
        commercial_use=False,
        source=f"github.com/pi-null-mezon/rbh24: {source}",
    )


def _onnx_recipe(name: str, config: Rbh24Config, source: str) -> DecoderRecipe:
    recipe = _recipe(name, config, source)
    return recipe._replace(
        name=f"rbh24_{name}_onnx", containers=("onnx",), rules=_onnx_rules(config)
    )


STATE = "the state dict of the module that its .pth file pickles"
RECIPES: tuple[DecoderRecipe, ...] = (
    _recipe("large", Rbh24Config.large(), STATE),
    _recipe("small", Rbh24Config.small(), STATE),
    _recipe("v2", Rbh24Config.v2(), STATE),
    _onnx_recipe(
        "large", Rbh24Config.large(), "buffalo_l_decoder_large_on_vgg11_v1.onnx"
    ),
    _onnx_recipe("small", Rbh24Config.small(), "cvt2onnx.py of train_naive_decoder"),
    _onnx_recipe(
        "v2",
        Rbh24Config.v2(),
        "buffalo_decoder_on_fr_wo_discr_wo_pixel_loss_last.onnx",
    ),
)
