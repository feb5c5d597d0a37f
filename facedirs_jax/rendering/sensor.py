"""The camera's sensor: from light to the bytes of a picture."""

import functools
import math

import cv2
import numpy as np

from facedirs_jax.rendering.factors import Photo

REFERENCE_SIZE = 128  # px, of the picture that `Photo.blur` is told for
CAST = 0.22  # of log red against log blue at a white balance of 1
GAIN = 1.02  # of the sensor, before the tone curve
WHITE = 1.5  # light that the tone curve turns into full white
SHOULDER = 2.0  # light at which it has lost half its slope; less is softer
TOE = 0.018  # light below which it holds blacks down
READ_SHARE, SHOT_SHARE = 0.35, 3.0  # of the noise's variance, and per unit of light
CHROMA_SHARE = 0.5  # of the noise that each channel has of its own
MIN_BLUR = 0.05  # px, below which a picture counts as sharp
_NOISE_STREAM = 501
_LEVELS = 1 << 16  # steps of light that the encoding tells apart


def expose(linear: np.ndarray, photo: Photo) -> np.ndarray:
    """Takes the picture.

    Args:
        linear: [S, S, 3] float32, linear RGB, 1 for a white surface in full light.
        photo: exposure, white balance, blur, noise and JPEG quality; its `detail`
            draws the noise.

    Returns:
        [S, S, 3] uint8, sRGB.
    """
    size = len(linear)
    light = blur(linear, photo.blur * size / REFERENCE_SIZE)
    light = light * (_gains(photo) * np.float32(GAIN))
    if photo.noise > 0:
        light = light + _noise(light, photo)
    picture = _encode(_tone_curve(light))
    if photo.jpeg_quality < 100:
        picture = _compress(picture, round(photo.jpeg_quality))
    return picture


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Convolves with a Gaussian, the edges continued.

    Args:
        picture: [H, W, C] float32.
        sigma: standard deviation, px.

    Returns:
        [H, W, C] float32.
    """
    if sigma < MIN_BLUR:
        return picture
    radius = max(1, math.ceil(3 * sigma))
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]
    total = math.fsum(taps)
    for axis in (0, 1):
        sides = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(picture, sides, mode="edge")
        length = picture.shape[axis]
        picture = np.zeros_like(picture)
        for k, tap in enumerate(taps):
            part = padded[k : k + length] if axis == 0 else padded[:, k : k + length]
            picture += part * np.float32(tap / total)
    return picture


def _gains(photo: Photo) -> np.ndarray:
    """[3] float32: what exposure and white balance do to each channel."""
    stops = photo.exposure * math.log(2)
    cast = CAST * photo.white_balance / 2
    gains = [math.exp(stops + sign * cast) for sign in (1, 0, -1)]
    return np.array(gains, np.float32)


def _tone_curve(light: np.ndarray) -> np.ndarray:
    """Light -> share of full white, both [...]: a film's curve, toe and shoulder."""
    x = np.maximum(light, np.float32(0))
    x = x * (x + np.float32(TOE / 2)) / (x + np.float32(TOE))
    scale = np.float32((WHITE + SHOULDER) / WHITE)
    return x * scale / (x + np.float32(SHOULDER))


def _noise(light: np.ndarray, photo: Photo) -> np.ndarray:
    draws = np.random.default_rng([photo.detail, _NOISE_STREAM])
    shape = light.shape[:2]
    common = draws.standard_normal((*shape, 1), dtype=np.float32)
    single = draws.standard_normal((*shape, 3), dtype=np.float32)
    own = np.float32(math.sqrt(CHROMA_SHARE))
    rest = np.float32(math.sqrt(1 - CHROMA_SHARE))
    power = np.float32(READ_SHARE) + np.float32(SHOT_SHARE) * np.maximum(light, 0)
    sigma = np.float32(photo.noise) * np.sqrt(power)
    return sigma * (common * rest + single * own)


@functools.cache
def _srgb_table() -> np.ndarray:
    """[_LEVELS] uint8: sRGB of evenly spaced amounts of light from 0 to 1."""
    table = np.empty(_LEVELS, np.uint8)
    for level in range(_LEVELS):
        x = level / (_LEVELS - 1)
        value = 12.92 * x if x <= 0.0031308 else 1.055 * math.pow(x, 1 / 2.4) - 0.055
        table[level] = int(value * 255 + 0.5)
    return table


def _encode(light: np.ndarray) -> np.ndarray:
    steps = np.minimum(light, np.float32(1)) * np.float32(_LEVELS - 1)
    return _srgb_table()[(steps + np.float32(0.5)).astype(np.int32)]


def _compress(picture: np.ndarray, quality: int) -> np.ndarray:
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, coded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), flags)
    assert done, "OpenCV is built with a JPEG encoder"
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None, "what OpenCV encoded it can decode"
    return np.ascontiguousarray(decoded[..., ::-1])
