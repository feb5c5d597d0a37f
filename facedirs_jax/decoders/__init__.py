"""The networks from templates back to pictures, by name, and the files of others'.

Each takes [B, D] float32 templates and gives [B, S, S, 3] float32 RGB in [0, 1]. A
template can be inverted: what is decoded shows a person.
"""

from collections.abc import Callable
from typing import Any

from flax import nnx

from facedirs_jax.decoders import ceia_decoder, deep_face_decoder, idiap, rbh24
from facedirs_jax.decoders.recipe import DecoderRecipe

# Class and config: `build(config, rngs=...)`. The first is trained here, the others are
# filled from the files in RECIPES.
DECODERS: dict[str, tuple[Callable[..., nnx.Module], Any]] = {
    "deep_face_decoder": (
        deep_face_decoder.DeepFaceDecoder,
        deep_face_decoder.DeepFaceDecoderConfig(),
    ),
    "ceia_decoder": (
        ceia_decoder.CeiaDecoder,
        ceia_decoder.CeiaDecoderConfig(),
    ),
    "rbh24_large": (rbh24.Rbh24Decoder, rbh24.Rbh24Config.large()),
    "rbh24_small": (rbh24.Rbh24Decoder, rbh24.Rbh24Config.small()),
    "rbh24_v2": (rbh24.Rbh24Decoder, rbh24.Rbh24Config.v2()),
    "idiap_arcface": (idiap.IdiapDecoder, idiap.IdiapDecoderConfig()),
}
RECIPES: tuple[DecoderRecipe, ...] = (
    *ceia_decoder.RECIPES,
    *rbh24.RECIPES,
    *idiap.RECIPES,
)
