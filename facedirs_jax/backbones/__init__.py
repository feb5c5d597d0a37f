"""The face-recognition networks, by name, each with its own preprocessing."""

import difflib
from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax

from facedirs_jax.backbones import dlib_resnet
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.errors import InputError


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


def load_backbone(name: str) -> Backbone:
    """Loads a network with its weights.

    Args:
        name: a key of `BACKBONES`.

    Returns:
        `network, preprocess`.

    Raises:
        InputError: if there is no such backbone, or its weights are not as published.
    """
    if name not in BACKBONES:
        close = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        known = ", ".join(sorted(BACKBONES))
        raise InputError(f"no backbone {name!r}; known are: {known}{hint}")
    load, preprocess = BACKBONES[name]
    return Backbone(load(), preprocess)
