"""Aligned images -> templates: the embedding under the network's own normalisation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Network
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import unit_range

BATCH = 32  # a fixed batch shape, so that a template never depends on its neighbours


def templates_of(
    network: Network, preprocess: Preprocess, images: jax.Array
) -> jax.Array:
    """Embeds one batch; the pure function behind `embed` and the grid.

    Args:
        network: maps [B, S, S, 3] float32 network input to [B, D] embeddings.
        preprocess: the network's own; turns images into its input.
        images: [B, S, S, 3] float32 RGB in [0, 1], cropped as `preprocess` says.

    Returns:
        [B, D] float32 templates.

    Raises:
        ValueError: if the images are not what `preprocess` asks for.
    """
    return preprocess.normalise(network(preprocess(images)))


_embed_batch = jax.jit(templates_of, static_argnums=1)


def template_dim(network: Network, preprocess: Preprocess) -> int:
    """Number of dimensions D of a network's templates [B, D]; computes nothing."""
    size = preprocess.size
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)

    def templates(network: Network, images: jax.Array) -> jax.Array:
        return templates_of(network, preprocess, images)

    return jax.eval_shape(templates, network, images).shape[1]


def embed(network: Network, preprocess: Preprocess, images: Any) -> jax.Array:
    """Embeds any number of aligned faces, jitted, in batches of one fixed shape.

    Args:
        network: as given by `load_backbone`.
        preprocess: as given by `load_backbone` beside the network.
        images: [N, S, S, 3] RGB, uint8 in 0..255 or float32 in [0, 1], S =
            preprocess.size.

    Returns:
        [N, D] float32 templates.

    Raises:
        ValueError: if the shape or dtype is another, or floats lie outside [0, 1].
    """
    images = np.asarray(images)
    side = preprocess.size
    if images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise ValueError(
            f"images must be [N, {side}, {side}, 3] RGB, got {list(images.shape)}"
        )
    if images.dtype not in (np.uint8, np.float32):
        raise ValueError(f"images must be uint8 or float32, got {images.dtype}")
    if images.dtype == np.float32 and not _in_unit_range(images):
        raise ValueError("float32 images must lie in [0, 1]; divide 0..255 by 255")
    if not len(images):
        raise ValueError("there are no images to embed")
    padding = -len(images) % BATCH
    padded = np.concatenate([images, images[:1].repeat(padding, axis=0)])
    batches = [
        _embed_batch(network, preprocess, _as_unit_range(padded[start : start + BATCH]))
        for start in range(0, len(padded), BATCH)
    ]
    return jnp.concatenate(batches)[: len(images)]


def _in_unit_range(images: np.ndarray) -> bool:
    return bool(images.size == 0 or (images.min() >= 0 and images.max() <= 1))


def _as_unit_range(images: np.ndarray) -> jax.Array:
    array = jnp.asarray(images)
    return unit_range(array) if array.dtype == jnp.uint8 else array
