"""ArcFace's crop: five points of a face -> insightface's template.

Points are (x, y) px, the centre of the top left pixel being (0, 0). Within this module
a point is the complex number x + iy, and a similarity transform is z -> a z + b.
"""

import math

import cv2
import numpy as np

from facedirs_jax.crops import Crop, face_points

# insightface/python-package/insightface/utils/face_align.py: eyes, nose tip and corners
# of the mouth in a crop of 112 px.
_FIVE = np.array(
    [
        (38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366),
        (41.5493, 92.3655), (70.7299, 92.2041),
    ]
) @ (1, 1j)  # fmt: skip


def arcface_112(image: np.ndarray, landmarks: np.ndarray, *, size: int = 112) -> Crop:
    """Crops a face as ArcFace wants it: insightface's norm_crop.

    The similarity transform z -> a z + b that takes five points onto insightface's
    template with the least squared error (Umeyama, 1991), resampled bilinearly and
    without smoothing; pixels outside the picture count as black. The points are the
    means of each eye's six landmarks, the tip of the nose (30) and the corners of the
    mouth (48, 54). insightface takes them from a detector of its own: against MTCNN's
    five, ours lie about 1 px off in the crop (mean over 191 portraits).

    Args:
        image: [H, W, 3] uint8 RGB.
        landmarks: [68, 2] (x, y), any real dtype, px of the image, in iBUG order.
        size: side of the crop, px: a multiple of 112, for which the template is scaled;
            or of 128, where it is that of 112 px with 8 px more at either side and 16
            below.

    Returns:
        Crop of side `size`.

    Raises:
        ValueError: if the image is not [H, W, 3] uint8, the landmarks are not [68, 2]
            finite numbers or lie on top of each other, or for another size.
    """
    points = face_points(image, landmarks, size) @ (1, 1j)
    if size % 112 and size % 128:
        raise ValueError(
            f"size is {size} px; ArcFace's template is for multiples of 112 or of 128"
        )
    target = _FIVE * size / 112 if size % 112 == 0 else (_FIVE + 8) * size / 128
    eyes = points[36:42].mean(), points[42:48].mean()
    five = np.array([*eyes, *points[[30, 48, 54]]])
    centred = five - five.mean()
    spread = np.vdot(centred, centred).real
    a = np.vdot(centred, target - target.mean()) / (spread or 1)
    if not 0 < abs(a) <= size / 2:  # a crop of 2 px in the picture
        raise ValueError(
            "eyes, nose and mouth lie on top of each other; give the 68 points of one "
            "face, in px of the image"
        )
    b = target.mean() - a * five.mean()
    in_crop = a * points + b
    return Crop(
        image=_warp(image, a, b, size),
        landmarks=np.stack([in_crop.real, in_crop.imag], axis=1).astype(np.float32),
        source_side=float(size / abs(a)),
    )


def _warp(image: np.ndarray, a: complex, b: complex, size: int) -> np.ndarray:
    """Resamples an image under z -> a z + b, bilinearly; [size, size, 3] uint8."""
    height, width = image.shape[:2]
    corners = (np.array([-1, size, size * 1j, size + size * 1j]) - b) / a
    # No more than the part under the crop: OpenCV 4 takes sides below 32768 px only.
    left = max(math.floor(corners.real.min()) - 1, 0)
    top = max(math.floor(corners.imag.min()) - 1, 0)
    right = min(math.ceil(corners.real.max()) + 2, width)
    bottom = min(math.ceil(corners.imag.max()) + 2, height)
    if right <= left or bottom <= top:
        return np.zeros((size, size, 3), np.uint8)
    b += a * complex(left, top)
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return cv2.warpAffine(part, matrix, (size, size), flags=cv2.INTER_LINEAR)
