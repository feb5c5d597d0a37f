"""Networks that compute in bfloat16, and what that does to their templates."""

import dataclasses

import jax
import numpy as np
from flax import nnx

from facedirs_jax.backbones import Backbone
from facedirs_jax.errors import InputError
from facedirs_jax.templates import embed

_FACES = 256  # at most, whose templates are compared


def in_bfloat16(backbone: Backbone) -> Backbone:
    """The same network, computing in bfloat16; parameters and templates stay float32.

    Args:
        backbone: network of [B, S, S, 3] input, whose config has a `dtype`.

    Returns:
        Backbone of the same arrays.

    Raises:
        InputError: if the network computes in float32 alone.
    """
    network, preprocess = backbone
    config = getattr(network, "config", None)
    if not hasattr(config, "dtype"):
        raise InputError(
            f"{type(network).__name__} computes in float32 alone; give another "
            "--precision than bfloat16, or another network"
        )
    config = dataclasses.replace(config, dtype="bfloat16")  # pyright: ignore
    build, card = type(network), network.weights
    graphdef, _ = nnx.split(
        nnx.eval_shape(lambda: build(config, card, rngs=nnx.Rngs(0)))  # pyright: ignore
    )
    return Backbone(nnx.merge(graphdef, nnx.state(network)), preprocess)


def template_error(
    exact: Backbone, reduced: Backbone, crops: np.ndarray
) -> dict[str, float]:
    """How far templates of a network are from those that they stand for.

    Args:
        exact: the network in float32.
        reduced: the same in another precision.
        crops: [N, S, S, 3] uint8, one face of each of N people; of many, an even sample
            of 256.

    Returns:
        `faces`, their number; `median` and `largest`, the distance between the two
        templates of a face over the length of the exact one; `of_people`, its median
        over the median distance between two people's exact templates.

    Raises:
        ValueError: if the crops are not what the preprocessing asks for.
    """
    rows = np.linspace(0, len(crops) - 1, min(len(crops), _FACES)).round().astype(int)
    with jax.default_matmul_precision("highest"):
        expected = np.asarray(embed(*exact, crops[rows]), np.float64)
    found = np.asarray(embed(*reduced, crops[rows]), np.float64)
    apart = np.linalg.norm(found - expected, axis=1)
    relative = apart / np.linalg.norm(expected, axis=1)
    first, second = np.triu_indices(len(rows), k=1)
    between = np.linalg.norm(expected[first] - expected[second], axis=1)
    return {
        "faces": len(rows),
        "median": float(np.median(relative)),
        "largest": float(relative.max()),
        "of_people": float(np.median(apart) / np.median(between)),
    }
