"""Aligned crops: image and landmarks -> the upright square a network was trained on.

Points are (x, y) px, the centre of the top left pixel being (0, 0). Within this module
a point is the complex number x + iy: a similarity transform is then z -> a z + b, and
rotating and scaling is one multiplication.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facedirs_jax.arcface_crop import arcface_112
from facedirs_jax.crops import (
    Crop,
    check_face,
    facenet_box,
    letterbox,
    plain_resize,
    vggface2_box,
)

# dlib's mean face and the points that it aligns by: dlib/image_transforms/
# interpolation.h, get_face_chip_details. Jaw, brows and lower lip are left out there,
# since they move with the expression.
_ALIGNED = [*range(27, 55), *range(60, 65)]
_MEAN_FACE = np.array(  # (x, y) of those points, in sides of the unpadded square
    [
        (0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805),
        (0.490127, 0.515625), (0.36688, 0.587326), (0.426036, 0.609345),
        (0.490127, 0.628106), (0.554217, 0.609345), (0.613373, 0.587326),
        (0.121737, 0.216423), (0.187122, 0.178758), (0.265825, 0.179852),
        (0.334606, 0.231733), (0.260918, 0.245099), (0.182743, 0.244077),
        (0.645647, 0.231733), (0.714428, 0.179852), (0.793132, 0.178758),
        (0.858516, 0.216423), (0.79751, 0.244077), (0.719335, 0.245099),
        (0.254149, 0.780233), (0.340985, 0.745405), (0.428858, 0.727388),
        (0.490127, 0.742578), (0.551395, 0.727388), (0.639268, 0.745405),
        (0.726104, 0.780233), (0.290379, 0.784792), (0.428096, 0.778746),
        (0.490127, 0.785343), (0.552157, 0.778746), (0.689874, 0.784792),
    ]
) @ (1, 1j)  # fmt: skip


class _Square(NamedTuple):
    """A turned square in an image.

    Attributes:
        centre: px.
        span: side - 1, px: from the centre of its first pixel to that of its last.
        turn: direction of its upper edge, of modulus 1; 1 where it is upright.
    """

    centre: complex
    span: float
    turn: complex

    @property
    def corner(self) -> complex:
        """Centre of its first pixel, px of the image."""
        return self.centre - self.turn * self.span * (0.5 + 0.5j)


def dlib_chip(
    image: np.ndarray,
    landmarks: np.ndarray,
    *,
    size: int = 150,
    padding: float = 0.25,
) -> Crop:
    """Crops a face as dlib's recognition network wants it.

    The same pixels as `dlib.get_face_chip(image, shape, size, padding)`: the square of
    the similarity transform that takes dlib's mean face onto the landmarks with the
    least squared error (Umeyama, 1991), resampled bilinearly. A square of more than
    about twice the crop's side is first halved, once or more often.

    One exception: within half a px of the picture's first row or column, where a
    channel is even, rounding decides whether a pixel becomes 1 darker, in dlib as here;
    there the two may differ by 1.

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px of the image, in iBUG order.
        size: side of the crop, px.
        padding: margin around the mean face, in sides of its bounding square.

    Returns:
        Crop of side `size`. Its landmarks are the exact images of the given ones; the
        content of a halved square lies up to half a px off, as it does in dlib.

    Raises:
        ValueError: if the image is not [H, W, 3] uint8, the landmarks are not [68, 2]
            finite numbers or lie on top of each other, or size or padding is too small.
    """
    check_face(image, landmarks, size)
    if not padding >= 0:
        raise ValueError(f"padding {padding} is negative; it must be at least 0")
    points = landmarks.astype(np.float64) @ (1, 1j)
    square = _face_square(points[_ALIGNED], size, padding)
    if not square.span >= 1:
        raise ValueError(
            f"the landmarks lie on top of each other: a crop of {square.span + 1:.1f} "
            "px; give the 68 points of one face, in px of the image"
        )
    in_crop = (points - square.corner) / (square.turn * square.span) * (size - 1)
    return Crop(
        image=_extract(image, square, size),
        landmarks=np.stack([in_crop.real, in_crop.imag], axis=1).astype(np.float32),
        source_side=square.span + 1,
    )


#: Every crop there is, by the name that files and command lines know it by.
ALIGNMENTS: dict[str, Callable[..., Crop]] = {
    "dlib_chip": dlib_chip,
    "arcface_112": arcface_112,
    "vggface2_box": vggface2_box,
    "facenet_box": facenet_box,
    "plain_resize": plain_resize,
    "letterbox": letterbox,
}


def _face_square(
    points: NDArray[np.complexfloating], size: int, padding: float
) -> _Square:
    """Square of an image that dlib crops: get_face_chip_details and chip_details.

    Args:
        points: [33] complex, px, the landmarks that are aligned by.
        size: side of the crop, px.
        padding: margin around the mean face, in sides of its bounding square.
    """
    padding = float(np.float32(padding))  # as dlib's Python binding takes it
    target = (padding * (1 + 1j) + _MEAN_FACE) / (2 * padding + 1) * size
    centred = target - target.mean()
    # Least squares over z -> a z + b; the complex a is scale and rotation in one.
    a = np.vdot(centred, points - points.mean()) / np.vdot(centred, centred).real
    centre = points.mean() + a * (size / 2 * (1 + 1j) - target.mean())
    scale = float(abs(a))
    return _Square(complex(centre), size * scale - 1, complex(a / (scale or 1)))


def _extract(image: np.ndarray, square: _Square, size: int) -> np.ndarray:
    """Resamples a square of an image: extract_image_chips in dlib's interpolation.h.

    Returns:
        [size, size, 3] uint8, black outside the image.
    """
    # dlib also copies an upright square of exactly the crop's side. That case is left
    # out: landmarks in whole px, all that dlib has, come no nearer to that scale than
    # 3e-14 (in exact arithmetic, crops of 32 to 512 px), which is more than rounding.
    halvings, margin = 0, 2
    while square.span / 2 ** (halvings + 1) + 1 > size:
        halvings += 1
        margin = 2 * margin + 2
    # Halving starts at the corner of this box: it decides which pixels are kept.
    height, width = image.shape[:2]
    around = np.array([1, 1j, -1, -1j])  # a corner, turned about the centre
    corners = square.centre + (square.corner - square.centre) * around
    left = math.floor(max(corners.real.min() - margin, 0) + 0.5)
    top = math.floor(max(corners.imag.min() - margin, 0) + 0.5)
    right = math.floor(min(corners.real.max() + margin, width - 1) + 0.5)
    bottom = math.floor(min(corners.imag.max() + margin, height - 1) + 0.5)
    level = image[top : max(bottom + 1, 0), left : max(right + 1, 0)]
    square = square._replace(centre=square.centre - complex(left, top))
    for _ in range(halvings):
        level = _halve(level)
        # dlib/image_transforms/image_pyramid.h, pyramid_down_2_1::point_down
        centre = square.centre / 2 - (1.25 + 0.75j)
        square = square._replace(centre=centre, span=square.span / 2)
    steps = np.arange(size)
    grid = steps + 1j * steps[:, None]  # [size, size]
    step = square.turn * square.span / (size - 1)
    return _bilinear(level, square.corner + step * grid)


def _halve(image: np.ndarray) -> np.ndarray:
    """Halves an image with the filter 1-4-6-4-1: dlib's image_pyramid.h, RGB to RGB.

    Only whole filters count, so that pixel i of the result lies on pixel 2 i + 2.

    Returns:
        [(H - 3) // 2, (W - 3) // 2, 3] uint8; empty where a side is 8 px or less.
    """
    if min(image.shape[:2]) <= 8:
        return image[:0, :0]
    image = image.astype(np.uint16)  # the sums reach 255 * 16**2
    for axis in (0, 1):
        lines = image.swapaxes(0, axis)
        count = (len(lines) - 3) // 2
        a, b, c, d, e = (lines[first : first + 2 * count : 2] for first in range(5))
        image = (a + 4 * b + 6 * c + 4 * d + e).swapaxes(0, axis)
    return (image // 256).astype(np.uint8)


def _bilinear(image: np.ndarray, points: NDArray[np.complexfloating]) -> np.ndarray:
    """Interpolates an image at [...] complex points: interpolate_bilinear in dlib.

    Returns:
        [..., 3] uint8, cut down (not rounded) to whole numbers; black where one of the
        four neighbours is outside the image.
    """
    height, width = image.shape[:2]
    x, y = points.real, points.imag
    left, top = np.floor(x), np.floor(y)
    inside = (left >= 0) & (top >= 0) & (left + 1 < width) & (top + 1 < height)
    column, row = left[inside].astype(int), top[inside].astype(int)
    across, down = (x[inside] - column)[:, None], (y[inside] - row)[:, None]
    upper = (1 - across) * image[row, column] + across * image[row, column + 1]
    lower = (1 - across) * image[row + 1, column] + across * image[row + 1, column + 1]
    found = np.zeros((*inside.shape, 3), np.uint8)
    found[inside] = (1 - down) * upper + down * lower
    return found
