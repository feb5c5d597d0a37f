"""Upright crops that OpenCV resizes: of a face's box, or of the whole picture.

Points are (x, y) px, the centre of the top left pixel being (0, 0); a box of whole px
takes rows `top` to `bottom - 1` and columns `left` to `right - 1`. Resizing n px to m
takes x to (x + 1/2) m / n - 1/2.

The boxes stand in for those of the detector that the networks were trained with, MTCNN,
which this library does not have. On 191 portraits of the US congress the estimate made
from the landmarks overlaps MTCNN's box (as facenet-pytorch has it) by 0.91 of their
union on average, and by 0.71 at worst.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

# From the landmarks' bounding rectangle to MTCNN's box, in sides of the rectangle: up
# to the hairline, and hardly anything elsewhere. Means over the portraits named above,
# where the spread (standard deviation) is 0.05 at the top and 0.04 or less elsewhere.
_TO_HAIRLINE, _FROM_SIDES, _FROM_CHIN = 0.37, 0.02, 0.03
_THINNEST = 8  # times as long as wide; what is left of a clipped box is no face then


class Crop(NamedTuple):
    """A face, cropped to a square.

    Attributes:
        image: [S, S, 3] uint8 RGB; black where the square leaves the picture.
        landmarks: [68, 2] float32 (x, y), px of the crop; they may lie outside it.
        source_side: side of the square in the picture, px; where that is a rectangle,
            of the square of the same area.
    """

    image: np.ndarray
    landmarks: np.ndarray
    source_side: float


class _Box(NamedTuple):
    """Part of an image, whole px or not; right and bottom lie beyond the last px."""

    left: float
    top: float
    right: float
    bottom: float


def check_face(image: np.ndarray, landmarks: np.ndarray, size: int) -> None:
    """Raises ValueError where an argument of a crop is not what it must be.

    Args:
        image: should be [H, W, 3] uint8 RGB.
        landmarks: should be [68, 2] and finite.
        size: side of the crop, should be 2 px or more.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            "expected an RGB image, [H, W, 3] uint8, "
            f"not {list(image.shape)} {image.dtype}"
        )
    if landmarks.shape != (68, 2):
        raise ValueError(f"expected [68, 2] landmarks, not {list(landmarks.shape)}")
    if not np.isfinite(landmarks).all():
        raise ValueError("the landmarks hold a NaN or an infinity")
    if size < 2:
        raise ValueError(f"size is {size} px; it must be at least 2")


def face_points(image: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """Checks a face and gives its landmarks.

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px.
        size: side of the crop, px.

    Returns:
        [68, 2] float64, px.

    Raises:
        ValueError: as by `check_face`, or if the landmarks span less than 2 px.
    """
    check_face(image, landmarks, size)
    points = landmarks.astype(np.float64)
    width, height = np.ptp(points, axis=0)
    if min(width, height) < 2:
        raise ValueError(
            f"the landmarks span {width:.1f} x {height:.1f} px: they lie on top of "
            "each other; give the 68 points of one face, in px of the image"
        )
    return points


def vggface2_box(image: np.ndarray, landmarks: np.ndarray, *, size: int = 224) -> Crop:
    """Crops the whole head, upright, as VGGFace2's networks want it.

    The face's box, made at least 112/128 as wide as it is high, then 1.3 times as large
    about its centre and clipped to the picture (ox-vgg/vgg_face2, demo_proj.m); resized
    until its shorter side is 8/7 of the crop's (256 for 224), of which the centre is
    the crop. Reduced by area, enlarged bilinearly.

    The box is an estimate of MTCNN's, from the landmarks' bounding rectangle: see the
    module.

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px of the image, in iBUG order.
        size: side of the crop, px.

    Returns:
        Crop of side `size`.

    Raises:
        ValueError: if the image is not [H, W, 3] uint8, the landmarks are not [68, 2]
            finite numbers, lie on top of each other or outside the picture, or size is
            below 2.
    """
    box = _face_box(face_points(image, landmarks, size))
    height = 1.3 * (box.bottom - box.top)
    width = max(1.3 * (box.right - box.left), 112 / 128 * height)
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    head = _Box(  # both ends included, as there
        math.floor(x - width / 2 + 0.5),
        math.floor(y - height / 2 + 0.5),
        math.floor(x + width / 2 + 0.5) + 1,
        math.floor(y + height / 2 + 0.5) + 1,
    )
    head = _clip(head, image)
    sides = head.right - head.left, head.bottom - head.top
    shorter = round(size * 8 / 7)
    resized = [int(shorter * side / min(sides)) for side in sides]
    reduced = shorter <= min(sides)
    filter_ = cv2.INTER_AREA if reduced else cv2.INTER_LINEAR
    return _resize(image, landmarks, head, (resized[0], resized[1]), size, filter_)


def facenet_box(
    image: np.ndarray, landmarks: np.ndarray, *, size: int = 160, margin: float = 0
) -> Crop:
    """Crops a face's box, upright, as facenet-pytorch does.

    The box with a margin, clipped to the picture, cut down to whole px and resized to a
    square by area, whatever its shape. The box is an estimate of MTCNN's, from the
    landmarks' bounding rectangle: see the module.

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px of the image, in iBUG order.
        size: side of the crop, px.
        margin: of both sides together, px of the crop; 0 is facenet-pytorch's own.

    Returns:
        Crop of side `size`.

    Raises:
        ValueError: if the image is not [H, W, 3] uint8, the landmarks are not [68, 2]
            finite numbers, lie on top of each other or outside the picture, size is
            below 2, or the margin is negative or not below size.
    """
    box = _face_box(face_points(image, landmarks, size))
    if not 0 <= margin < size:
        raise ValueError(f"margin is {margin} px; it must be from 0 to below {size}")
    across = margin * (box.right - box.left) / (size - margin) / 2
    down = margin * (box.bottom - box.top) / (size - margin) / 2
    face = _Box(
        math.floor(box.left - across),
        math.floor(box.top - down),
        math.floor(box.right + across),
        math.floor(box.bottom + down),
    )
    face = _clip(face, image)
    return _resize(image, landmarks, face, (size, size), size, cv2.INTER_AREA)


def plain_resize(image: np.ndarray, landmarks: np.ndarray, *, size: int = 224) -> Crop:
    """Resizes the whole picture to a square, whatever its shape: no crop at all.

    For pictures that are crops of a face already. Reduced by area; bilinear where a
    side is enlarged.

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px of the image, in iBUG order.
        size: side of the crop, px.

    Returns:
        Crop of side `size`.

    Raises:
        ValueError: if the image is not [H, W, 3] uint8, the landmarks are not [68, 2]
            finite numbers or lie on top of each other, or size is below 2.
    """
    face_points(image, landmarks, size)
    height, width = image.shape[:2]
    filter_ = cv2.INTER_AREA if size <= min(height, width) else cv2.INTER_LINEAR
    whole = _Box(0, 0, width, height)
    return _resize(image, landmarks, whole, (size, size), size, filter_)


def letterbox(image: np.ndarray, landmarks: np.ndarray, *, size: int = 224) -> Crop:
    """Resizes the whole picture into a square, with black bars: deepface's resize.

    For pictures that are crops of a face already; deepface has a detector make them.
    Bilinear and without smoothing, as there: a picture much larger than the crop is
    sampled, not averaged. The sides are cut down to whole px; where the bars differ by
    a px, the right or lower one is wider.

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px of the image, in iBUG order.
        size: side of the crop, px.

    Returns:
        Crop of side `size`.

    Raises:
        ValueError: if the image is not [H, W, 3] uint8, the landmarks are not [68, 2]
            finite numbers or lie on top of each other, or size is below 2.
    """
    face_points(image, landmarks, size)
    height, width = image.shape[:2]
    factor = min(size / height, size / width)
    shape = max(int(width * factor), 1), max(int(height * factor), 1)
    whole = _Box(0, 0, width, height)
    return _resize(image, landmarks, whole, shape, size, cv2.INTER_LINEAR)


def _face_box(points: np.ndarray) -> _Box:
    """About what MTCNN finds around a face with these landmarks, [68, 2]."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    width, height = right - left, bottom - top
    return _Box(
        left + _FROM_SIDES * width,
        top - _TO_HAIRLINE * height,
        right - _FROM_SIDES * width,
        bottom - _FROM_CHIN * height,
    )


def _clip(box: _Box, image: np.ndarray) -> _Box:
    """The part of a box that lies in the picture; raises ValueError if it is none."""
    height, width = image.shape[:2]
    left, top = max(box.left, 0), max(box.top, 0)
    right, bottom = min(box.right, width), min(box.bottom, height)
    shorter, longer = sorted((right - left, bottom - top))
    if shorter < 2 or longer > _THINNEST * shorter:
        raise ValueError(
            f"the face lies outside the picture of {width} x {height} px: its box "
            f"reaches from ({box.left:.0f}, {box.top:.0f}) to ({box.right:.0f}, "
            f"{box.bottom:.0f})"
        )
    return _Box(left, top, right, bottom)


def _resize(
    image: np.ndarray,
    landmarks: np.ndarray,
    box: _Box,
    shape: tuple[int, int],
    size: int,
    interpolation: int,
) -> Crop:
    """Resizes a box of an image and centres it on a square: cut off, or with bars.

    Args:
        image: [H, W, 3] uint8.
        landmarks: [68, 2], px of the image.
        box: whole px, inside the image.
        shape: (width, height) that the box is resized to, px.
        size: side of the square, px.
        interpolation: OpenCV's.
    """
    left, top, right, bottom = map(int, box)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    part = cv2.resize(part, shape, interpolation=interpolation)
    scale = np.array(shape) / (right - left, bottom - top)
    shift = [int((size - side) / 2) for side in shape]  # towards 0
    (into_x, from_x), (into_y, from_y) = [(max(s, 0), max(-s, 0)) for s in shift]
    part = part[from_y : from_y + size, from_x : from_x + size]
    square = np.zeros((size, size, 3), np.uint8)
    square[into_y : into_y + len(part), into_x : into_x + part.shape[1]] = part
    points = (landmarks.astype(np.float64) - (left, top) + 0.5) * scale - 0.5 + shift
    return Crop(
        image=square,
        landmarks=points.astype(np.float32),
        source_side=float(size / math.sqrt(scale.prod())),
    )
