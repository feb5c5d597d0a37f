"""The face-recognition networks, each with its own preprocessing.

`BACKBONES` are there once the library is installed; those of `RECIPES` need a weight
file of the user's, converted once by `experiments.convert_checkpoint`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax

from facedirs_jax.backbones import (
    dlib_resnet,
    facenet_recipes,
    iresnet_recipes,
    resnet50,
    vgg16,
)
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.recipe import Recipe


class Network(Protocol):
    """A pytree of weights: [B, S, S, 3] float32 input -> [B, D] float32 embeddings."""

    weights: WeightCard

    def __call__(self, images: jax.Array, /) -> jax.Array: ...


class Backbone(NamedTuple):
    """A network and the only preprocessing that it may be used with.

    Attributes:
        network: maps [B, S, S, 3] float32 input to [B, D] float32 embeddings; pass it
            to jitted functions as an argument.
        preprocess: turns aligned crops into its input; a static argument under jit.
    """

    network: Network
    preprocess: Preprocess


BACKBONES: dict[str, tuple[Callable[[], Network], Preprocess]] = {
    "dlib_resnet": (dlib_resnet.load_dlib_resnet, dlib_resnet.PREPROCESS),
}
RECIPES: tuple[Recipe, ...] = (
    *dlib_resnet.RECIPES,
    *vgg16.RECIPES,
    *resnet50.RECIPES,
    *iresnet_recipes.RECIPES,
    *facenet_recipes.RECIPES,
)
