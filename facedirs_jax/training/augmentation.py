"""Random changes of training crops: what a photo may do to a face, and alignment noise.

Crops are [B, S, S, 3] float32 RGB in [0, 1], in and out. Everything runs on the device,
within the jitted step, and depends on the key alone. Each function works on one crop.
"""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.errors import InputError

_BLOCK = 8  # px, of JPEG
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
# Quantisation of luminance at quality 50: ITU-T T.81, table K.1, of 0..255 values.
_QUANTA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far crops are changed; 0 leaves a kind out, and its cost.

    Attributes:
        flip: probability of mirroring left and right.
        shift: largest translation along either axis, in sides of the crop.
        zoom: largest enlargement or reduction; 0.1 is 1 / 1.1 to 1.1 times.
        rotation: largest angle, degrees.
        brightness: largest amount added to all values.
        contrast: largest change of the distance to the mean grey, as a factor less 1.
        saturation: the same of the distance to each pixel's grey.
        grey: probability of a grey picture.
        blur: probability of a 3x3 binomial blur, of random strength.
        noise: largest standard deviation of white noise.
        jpeg: probability of JPEG's quantisation.
        erase: probability that a rectangle is filled with one colour (Zhong et al.,
            1708.04896), 2 to 15 % of the area.

    Raises:
        InputError: if a probability or an amount lies outside [0, 1], or the angle
            outside 0 to 180 degrees.
    """

    flip: float = 0.5
    shift: float = 0.04
    zoom: float = 0.08
    rotation: float = 6.0
    brightness: float = 0.15
    contrast: float = 0.25
    saturation: float = 0.3
    grey: float = 0.1
    blur: float = 0.2
    noise: float = 0.02
    jpeg: float = 0.15
    erase: float = 0.25

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            most = 180.0 if name == "rotation" else 1.0
            if not 0 <= value <= most:
                raise InputError(f"{name} is {value}; it must lie within 0 and {most}")

    @classmethod
    def none(cls) -> "Augmentation":
        """Leaves every crop as it is."""
        return cls(**{field.name: 0.0 for field in dataclasses.fields(cls)})


def augment(key: jax.Array, images: jax.Array, amounts: Augmentation) -> jax.Array:
    """Changes every crop of a batch in its own way.

    Args:
        key: of the randomness, consumed.
        images: [B, S, S, 3] float32 RGB in [0, 1].
        amounts: how far; static under jit.

    Returns:
        [B, S, S, 3] float32 in [0, 1].

    Raises:
        ValueError: if the images are no square crops (when traced).
    """
    side = images.shape[1]
    shape = (None, side, side, 3)
    chex.assert_shape(images, shape, exception_type=ValueError)
    keys = jax.random.split(key, len(images))
    return jax.vmap(lambda key, image: _augment_one(key, image, amounts))(keys, images)


def _augment_one(key: jax.Array, image: jax.Array, amounts: Augmentation) -> jax.Array:
    keys = dict(zip(_STAGES, jax.random.split(key, len(_STAGES)), strict=True))
    if amounts.shift or amounts.zoom or amounts.rotation or amounts.flip:
        image = warp(image, *_random_warp(keys["warp"], amounts))
    if amounts.brightness or amounts.contrast or amounts.saturation or amounts.grey:
        image = recolour(image, *_random_colour(keys["colour"], amounts))
    if amounts.blur:
        strength = jax.random.uniform(keys["blur"], maxval=1 / amounts.blur)
        image = blurred(image, jnp.where(strength < 1, strength, 0.0))
    if amounts.noise:
        size_key, noise_key = jax.random.split(keys["noise"])
        size = jax.random.uniform(size_key, maxval=amounts.noise)
        image = image + size * jax.random.normal(noise_key, image.shape)
    if amounts.jpeg:
        chance_key, quality_key = jax.random.split(keys["jpeg"])
        coarseness = jax.random.uniform(quality_key, minval=0.5, maxval=2.5)
        coded = jpeg_like(image, coarseness)
        image = jnp.where(_chance(chance_key, amounts.jpeg), coded, image)
    if amounts.erase:
        image = _erased(keys["erase"], image, amounts.erase)
    return jnp.clip(image, 0.0, 1.0)


_STAGES = ("warp", "colour", "blur", "noise", "jpeg", "erase")


def _chance(key: jax.Array, probability: float) -> jax.Array:
    return jax.random.uniform(key) < probability


def _random_warp(key: jax.Array, amounts: Augmentation) -> tuple[jax.Array, ...]:
    zoom, angle, right, down = jax.random.uniform(key, (4,), minval=-1.0)
    flip = _chance(jax.random.fold_in(key, 1), amounts.flip)
    return (
        jnp.exp(zoom * math.log1p(amounts.zoom)),
        angle * math.radians(amounts.rotation),
        right * amounts.shift,
        down * amounts.shift,
        flip,
    )


def warp(
    image: jax.Array,
    zoom: jax.Array,
    angle: jax.Array,
    right: jax.Array,
    down: jax.Array,
    flip: jax.Array,
) -> jax.Array:
    """Enlarges, turns and shifts a crop about its centre, bilinearly; edges repeat.

    Args:
        image: [S, S, 3] float32.
        zoom: [] float32, above 1 enlarges.
        angle: [] float32, radians, clockwise as seen.
        right: [] float32, shift in sides of the crop.
        down: [] float32, the same.
        flip: [] bool, mirrors left and right, after the rest.

    Returns:
        [S, S, 3] float32.
    """
    side = image.shape[0]
    middle = (side - 1) / 2
    steps = jnp.arange(side, dtype=jnp.float32) - middle
    across = jnp.where(flip, -steps, steps)[None, :] - right * side
    along = steps[:, None] - down * side
    cosine, sine = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    x = jnp.clip(middle + cosine * across + sine * along, 0, side - 1)  # [S, S]
    y = jnp.clip(middle - sine * across + cosine * along, 0, side - 1)
    left = jnp.minimum(jnp.floor(x), side - 2)
    top = jnp.minimum(jnp.floor(y), side - 2)
    x, y = (x - left)[..., None], (y - top)[..., None]
    corner = (top * side + left).astype(jnp.int32)
    pixels = image.reshape(-1, 3)
    upper = (1 - x) * pixels[corner] + x * pixels[corner + 1]
    lower = (1 - x) * pixels[corner + side] + x * pixels[corner + side + 1]
    return (1 - y) * upper + y * lower


def _random_colour(key: jax.Array, amounts: Augmentation) -> tuple[jax.Array, ...]:
    brightness, contrast, saturation = jax.random.uniform(key, (3,), minval=-1.0)
    grey = _chance(jax.random.fold_in(key, 1), amounts.grey)
    return (
        brightness * amounts.brightness,
        1.0 + contrast * amounts.contrast,
        jnp.where(grey, 0.0, 1.0 + saturation * amounts.saturation),
    )


def recolour(
    image: jax.Array, brightness: jax.Array, contrast: jax.Array, saturation: jax.Array
) -> jax.Array:
    """Changes saturation, then contrast, then brightness.

    Args:
        image: [S, S, 3] float32 RGB in [0, 1].
        brightness: [] float32, added.
        contrast: [] float32, factor on the distance to the picture's mean grey.
        saturation: [] float32, factor on the distance to each pixel's grey; 0 is grey.

    Returns:
        [S, S, 3] float32; may leave [0, 1].
    """
    grey = (image @ _LUMA)[..., None]
    image = grey + saturation * (image - grey)
    mean = grey.mean()
    return mean + contrast * (image - mean) + brightness


def blurred(image: jax.Array, strength: jax.Array) -> jax.Array:
    """Blurs by the filter (s, 4 - 2 s, s) / 4 along both axes; edges repeat.

    Args:
        image: [S, S, 3] float32.
        strength: [] float32, s from 0 (none) to 1 (binomial).

    Returns:
        [S, S, 3] float32.
    """
    side, middle = strength / 4, 1 - strength / 2
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = side * (padded[:-2] + padded[2:]) + middle * padded[1:-1]
    return side * (rows[:, :-2] + rows[:, 2:]) + middle * rows[:, 1:-1]


def jpeg_like(image: jax.Array, coarseness: jax.Array) -> jax.Array:
    """Quantises the cosine transform of 8x8 blocks as JPEG does, each channel alike.

    Args:
        image: [S, S, 3] float32 in [0, 1].
        coarseness: [] float32, factor on the quanta of quality 50; 2.5 is quality 20.

    Returns:
        [S, S, 3] float32; may leave [0, 1] a little.
    """
    side = image.shape[0]
    padding = -side % _BLOCK
    padded = jnp.pad(image, ((0, padding), (0, padding), (0, 0)), mode="edge")
    cells = padded.shape[0] // _BLOCK
    blocks = padded.reshape(cells, _BLOCK, cells, _BLOCK, 3) - 0.5
    quanta = (_QUANTA / 255.0).reshape(1, _BLOCK, 1, _BLOCK, 1) * coarseness
    waves = jnp.einsum("ai,xiyjc,bj->xaybc", _COSINES, blocks, _COSINES)
    waves = jnp.round(waves / quanta) * quanta
    blocks = jnp.einsum("ai,xaybc,bj->xiyjc", _COSINES, waves, _COSINES) + 0.5
    return blocks.reshape(padded.shape)[:side, :side]


def _cosine_transform(size: int) -> np.ndarray:
    """The orthonormal DCT-II, [size, size] float32, a wave a row."""
    numbers = np.arange(size)
    waves = np.cos(np.pi * (2 * numbers[None] + 1) * numbers[:, None] / (2 * size))
    waves[0] /= np.sqrt(2)
    return (waves * np.sqrt(2 / size)).astype(np.float32)


_COSINES = _cosine_transform(_BLOCK)


def _erased(key: jax.Array, image: jax.Array, probability: float) -> jax.Array:
    """Fills a rectangle of 2 to 15 % of the area, 1:2 to 2:1, with one colour."""
    keys = jax.random.split(key, 5)
    side = image.shape[0]
    area = jax.random.uniform(keys[0], minval=0.02, maxval=0.15)
    shape = jnp.exp2(jax.random.uniform(keys[1], minval=-0.5, maxval=0.5))
    centre = jax.random.uniform(keys[2], (2,), maxval=float(side))
    half = side * jnp.sqrt(area) / 2 * jnp.stack([shape, 1 / shape])
    steps = jnp.arange(side, dtype=jnp.float32)
    rows = jnp.abs(steps - centre[0]) < half[0]
    columns = jnp.abs(steps - centre[1]) < half[1]
    inside = rows[:, None] & columns[None] & _chance(keys[3], probability)
    colour = jax.random.uniform(keys[4], (1, 1, 3))
    return jnp.where(inside[..., None], colour, image)
