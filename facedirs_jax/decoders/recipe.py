"""How one published kind of decoder file becomes one network."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flax import nnx

from facedirs_jax.backbones.recipe import Container
from facedirs_jax.conversion.strict import Rule


class DecoderRecipe(NamedTuple):
    """A backbone's `Recipe`, with what the decoder inverts for what a backbone is fed.

    Attributes:
        name: what command lines call it, such as "rbh24_large_torch".
        containers: kinds of file that it may come in.
        build: (config, rngs=...) -> module; the module's class.
        config: frozen dataclass of sizes and variant, as published.
        rules: of the strict converter; every array must match one, or be ignored.
        ignored: regular expressions of arrays that are left out on purpose.
        templates: what it decodes, for people: network, dimension, norm.
        licence: of the published weights, or "unknown".
        commercial_use: whether that allows it.
        source: where people get the file.
    """

    name: str
    containers: tuple[Container, ...]
    build: Callable[..., nnx.Module]
    config: Any
    rules: Sequence[Rule]
    ignored: Sequence[str]
    templates: str
    licence: str
    commercial_use: bool
    source: str
