"""How far decoded faces are from their originals: the terms of a decoder's loss.

After Križaj et al., "Deep Face Decoder" (EAAI 132:107941, 2024): pixels, gradients and
features of a frozen network, on the whole face and on its middle. Here with absolute
differences, which blur less, features at several depths relative to their own size, and
a term for what the network makes of the decode. Pictures are [B, S, S, 3] float32 RGB
in [0, 1].
"""

import dataclasses
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from facedirs_jax.errors import InputError

_TINY = 1e-6  # below any feature map's mean size


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """What the terms of the loss weigh; 0 leaves one out, and its cost.

    Attributes:
        pixel: of the absolute difference of pixels.
        gradient: of that of differences between neighbours.
        feature: of that of feature maps, relative to their mean size.
        crop: of all three on the middle of the face, as a factor.
        crop_share: of the side that the middle has.
        identity: of 1 less the centred cosine of the decode's template to the given.
        depths: of the feature maps, see `perception.feature_paths`.

    Raises:
        InputError: if a field is out of its range.
    """

    pixel: float = 1.0
    gradient: float = 1.0
    feature: float = 0.1
    crop: float = 0.5
    crop_share: float = 0.6
    identity: float = 0.1
    depths: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self):
        terms = (self.pixel, self.gradient, self.feature, self.identity)
        if min(*terms, self.crop) < 0 or not sum(terms) > 0:
            raise InputError(f"no term may be negative, and one must count: {self}")
        if not 0 < self.crop_share <= 1:
            raise InputError(f"crop_share is {self.crop_share}; it is a share, 0 to 1")
        if self.feature and not self.depths:
            raise InputError("the feature term needs depths; give some, or weigh it 0")


def pixel_loss(images: jax.Array, decodes: jax.Array) -> jax.Array:
    """Mean absolute difference of pixels.

    Args:
        images: [B, S, S, 3] float32.
        decodes: [B, S, S, 3] float32.

    Returns:
        [] float32.

    Raises:
        ValueError: if the shapes differ (when traced).
    """
    chex.assert_equal_shape([images, decodes], exception_type=ValueError)
    return jnp.abs(images - decodes).mean()


def gradient_loss(images: jax.Array, decodes: jax.Array) -> jax.Array:
    """Mean absolute difference of the steps to the neighbours below and to the right.

    Args:
        images: [B, S, S, 3] float32.
        decodes: [B, S, S, 3] float32.

    Returns:
        [] float32, the sum of both means.

    Raises:
        ValueError: if the shapes differ (when traced).
    """
    chex.assert_equal_shape([images, decodes], exception_type=ValueError)
    error = images - decodes
    return sum(jnp.abs(jnp.diff(error, axis=axis)).mean() for axis in (1, 2))  # pyright: ignore[reportReturnType]


def feature_loss(
    features: Sequence[jax.Array], decoded: Sequence[jax.Array]
) -> jax.Array:
    """Mean absolute difference of feature maps over their mean size, mean over maps.

    Args:
        features: of the originals, [B, H, W, C] float32 each.
        decoded: of the decodes, [B, H, W, C] float32 each.

    Returns:
        [] float32; 1 for decodes without any feature.

    Raises:
        ValueError: if the shapes differ (when traced).
    """
    chex.assert_trees_all_equal_shapes(list(features), list(decoded))
    shares = [
        jnp.abs(one - other).mean() / (jnp.abs(one).mean() + _TINY)
        for one, other in zip(features, decoded, strict=True)
    ]
    return jnp.stack(shares).mean()


def identity_loss(
    templates: jax.Array, decoded: jax.Array, centre: jax.Array
) -> jax.Array:
    """One less the cosine of templates, after a common part is taken off.

    Args:
        templates: [B, D] float32, given.
        decoded: [B, D] float32, of the decodes.
        centre: [D] float32, the common part: the mean template of training.

    Returns:
        [] float32, 0 to 2, mean over the batch.

    Raises:
        ValueError: if the shapes differ (when traced).
    """
    chex.assert_equal_shape([templates, decoded], exception_type=ValueError)
    one, other = templates - centre[None], decoded - centre[None]
    lengths = jnp.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1) + _TINY**2)
    return 1 - ((one * other).sum(axis=1) / lengths).mean()
