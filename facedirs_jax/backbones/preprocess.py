"""What a network was trained to be fed, and how its embeddings are compared."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Literal

import chex
import jax
import jax.numpy as jnp

from facedirs_jax import files
from facedirs_jax.errors import InputError

Triple = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """Everything between an aligned RGB crop and a network's input, and its templates.

    It travels with the weights; crops, means or orders of two networks never mix.
    Hashable, and so a static argument under jit; `Preprocess(**fields)` takes the
    fields back from JSON.

    Attributes:
        alignment: name of the crop's function in `alignment`, such as "dlib_chip".
        size: side of the crop, px.
        mean: RGB in 0..255, subtracted from the crop.
        scale: what the centred 0..255 values are divided by, RGB; one number is taken
            for all three.
        colour_order: of the network's input.
        unit_norm: whether templates are scaled to the unit sphere.

    Raises:
        InputError: if a field is out of its range.
    """

    alignment: str
    size: int
    mean: Triple
    scale: float | Triple
    colour_order: Literal["RGB", "BGR"]
    unit_norm: bool

    def __post_init__(self):
        mean, scale = _triple("mean", self.mean), _triple("scale", self.scale)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "scale", scale)
        if self.size <= 0 or min(scale) <= 0:
            raise InputError(f"size and scale must be positive, got {self}")
        if self.colour_order not in ("RGB", "BGR"):
            raise InputError(f"colour_order is RGB or BGR, not {self.colour_order!r}")

    def __call__(self, images: jax.Array) -> jax.Array:
        """Network input of aligned crops: (255 x - mean) / scale, in colour_order.

        Args:
            images: [B, S, S, 3] float32 RGB in [0, 1], S = size.

        Returns:
            [B, S, S, 3] float32.

        Raises:
            ValueError: if the shape or the dtype is another (when traced).
        """
        shape = (None, self.size, self.size, 3)
        chex.assert_shape(images, shape, exception_type=ValueError)
        return self.inputs(images)

    def inputs(self, images: jax.Array) -> jax.Array:
        """The same of crops or of any part of them, [..., 3] float32 RGB in [0, 1]."""
        chex.assert_type(images, jnp.float32, exception_type=ValueError)
        shape = (1,) * (images.ndim - 1) + (3,)
        mean = jnp.array(self.mean, jnp.float32).reshape(shape)
        scale = jnp.array(self.scale, jnp.float32).reshape(shape)
        inputs = (images * 255.0 - mean) / scale
        return inputs if self.colour_order == "RGB" else inputs[..., ::-1]

    def normalise(self, embeddings: jax.Array) -> jax.Array:
        """Templates: the embeddings, on the unit sphere if unit_norm.

        Args:
            embeddings: [..., D] float32.

        Returns:
            [..., D] float32; a zero embedding stays zero.
        """
        if not self.unit_norm:
            return embeddings
        norms = jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
        return embeddings / jnp.where(norms > 0, norms, 1.0)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the fields, for a direction to name what it was found with."""
        return files.sha256_text(json.dumps(dataclasses.asdict(self), sort_keys=True))


def _triple(name: str, value: float | Sequence[float]) -> Triple:
    numbers = value if isinstance(value, Sequence) else [value] * 3
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise InputError(f"{name} must be three finite numbers, got {value}")
    red, green, blue = map(float, numbers)
    return red, green, blue
