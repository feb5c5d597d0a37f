"""Templates -> decoded pictures, and what the network makes of them again.

A decoder can invent what a template does not hold. So the decodes go back through the
network, and how near it comes to the templates that were decoded is told beside every
picture.
"""

import os
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from facedirs_jax.backbones import Backbone
from facedirs_jax.checkpoints import open_decoder
from facedirs_jax.errors import InputError
from facedirs_jax.templates import BATCH, embed, template_dim

_decode_batch = jax.jit(lambda decoder, templates: decoder(templates))
_TINY = 1e-12  # a norm below which a vector counts as zero
_ROUNDING = 1e-6  # of a template's length, a step that only rounding makes


class Cycle(NamedTuple):
    """What the network finds in the decodes of T templates along a direction.

    Attributes:
        cosine: [T] float32, of the template found to the one decoded, -1 to 1; high
            for any face where a network's templates all lie on one side.
        centred_cosine: [T] float32, the same with the mean template taken off both.
        recovered: [T] float32, share of the step along the direction that is found
            again: 1 is all of it, 0 none; NaN for the probe itself.
    """

    cosine: jax.Array
    centred_cosine: jax.Array
    recovered: jax.Array


def load_decoder_of(
    path: str | os.PathLike[str], backbone: Backbone
) -> tuple[Any, dict[str, str]]:
    """Loads a decoder, and makes sure that it is one of a network's templates.

    Args:
        path: folder of a checkpoint, or the name of one that ships.
        backbone: the network of [B, S, S, 3] input, and its preprocessing.

    Returns:
        The decoder, [B, D] float32 templates -> [B, S, S, 3] pictures, and what is
        known of it: `decoder`, `decoder_sha256`, `inverts`, `licence`.

    Raises:
        InputError: if it is no sound checkpoint of a decoder, takes templates of
            another dimension, or says that it inverts other weights.
    """
    decoder, _, manifest = open_decoder(path)
    card, dim = backbone.network.weights, template_dim(*backbone)
    inverts, about = manifest["templates"], manifest.get("about", {})
    taken = decoder.config.template_dim
    if taken != dim:
        raise InputError(
            f"{path}: it decodes {taken}-d templates ({inverts or 'unnamed'}), and "
            f"those of {card.name} are {dim}-d; give a decoder that was trained for "
            "this network"
        )
    inverted = about.get("backbone_sha256")
    if inverted is None:
        logging.warning("%s does not say which weights it inverts", path)
    elif inverted != card.sha256:
        raise InputError(
            f"{path}: it inverts {about.get('backbone')} (weights {inverted}), not "
            f"{card.name} (weights {card.sha256}); give a decoder that was trained for "
            "this network"
        )
    own = decoder.weights
    told = {"decoder": own.name, "decoder_sha256": own.sha256, "licence": own.licence}
    return decoder, told | {"inverts": inverts}


def decode(decoder: Any, templates: Any) -> np.ndarray:
    """Decodes any number of templates, jitted, in batches of one fixed shape.

    Args:
        decoder: as given by `load_decoder`.
        templates: [N, D] float32.

    Returns:
        [N, S, S, 3] float32 RGB in [0, 1].

    Raises:
        ValueError: if there are no templates, or they are not what the decoder takes.
    """
    templates = np.asarray(templates)
    if templates.ndim != 2 or not len(templates):
        raise ValueError(f"templates must be [N, D], got {list(templates.shape)}")
    padding = -len(templates) % BATCH
    padded = np.concatenate([templates, templates[:1].repeat(padding, axis=0)])
    found = [
        np.asarray(_decode_batch(decoder, jnp.asarray(padded[start : start + BATCH])))
        for start in range(0, len(padded), BATCH)
    ]
    return np.concatenate(found)[: len(templates)]


def as_uint8(pictures: np.ndarray) -> np.ndarray:
    """Pixels as bytes.

    Args:
        pictures: any shape; float32 in [0, 1] is rounded, uint8 left as it is.

    Returns:
        Pixels of [...] uint8, the same shape.
    """
    if pictures.dtype == np.uint8:
        return pictures
    return np.round(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def resized(images: jax.Array, side: int) -> jax.Array:
    """Pictures of another size, by cubic interpolation that does not alias.

    Args:
        images: [B, S, S, 3] float32 in [0, 1].
        side: to have, px.

    Returns:
        [B, side, side, 3] float32 in [0, 1]; the same array if it has that side.
    """
    if images.shape[1] == side:
        return images
    shape = (len(images), side, side, 3)
    return jnp.clip(jax.image.resize(images, shape, "cubic"), 0.0, 1.0)


def embed_again(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    """Templates of decoded pictures, which are resized to what the network takes.

    Args:
        backbone: whose templates were decoded.
        images: [N, S, S, 3] float32 RGB in [0, 1], of any side.

    Returns:
        [N, D] float32 templates.

    Raises:
        ValueError: if there are no pictures, or their values lie outside [0, 1].
    """
    network, preprocess = backbone
    found = [
        np.asarray(resized(jnp.asarray(images[start : start + BATCH]), preprocess.size))
        for start in range(0, len(images), BATCH)
    ]
    return np.asarray(embed(network, preprocess, np.concatenate(found)))


def cycle_consistency(
    templates: jax.Array,
    found: jax.Array,
    direction: jax.Array,
    centre: jax.Array,
    *,
    probe: int,
) -> Cycle:
    """Compares templates along a direction with those found in their decodes.

    With R(decode(t')) for what is found, cosines are cos(R(decode(t')), t'), and the
    recovered projection is v.(R(decode(t')) - R(decode(t))) / v.(t' - t). Off the unit
    sphere v.(t' - t) is the step itself; on it, what is left of the step once t' is
    back on the sphere.

    Args:
        templates: [T, D] float32, t', of a probe moved along the direction.
        found: [T, D] float32, templates of their decodes; see `embed_again`.
        direction: [D] float32, v, of any length.
        centre: [D] float32, mean template, for the centred cosine.
        probe: row of the probe t itself.

    Returns:
        Cycle of [T] arrays.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank(templates, 2, exception_type=ValueError)
    chex.assert_equal_shape([templates, found], exception_type=ValueError)
    dim = templates.shape[1:]
    chex.assert_shape([direction, centre], dim, exception_type=ValueError)
    asked, came = (
        _along(rows - rows[probe][None], direction) for rows in (templates, found)
    )
    whole = jnp.linalg.norm(templates[probe]) * jnp.linalg.norm(direction)
    moved = jnp.abs(asked) > _ROUNDING * whole
    return Cycle(
        _cosines(templates, found),
        _cosines(templates - centre[None], found - centre[None]),
        jnp.where(moved, came / jnp.where(moved, asked, 1.0), jnp.nan),
    )


def _along(vectors: jax.Array, direction: jax.Array) -> jax.Array:
    return jnp.matmul(vectors, direction, precision="highest")


def _cosines(first: jax.Array, second: jax.Array) -> jax.Array:
    return optax.losses.cosine_similarity(first, second, epsilon=_TINY)
