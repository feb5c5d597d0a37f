"""The camera: where a point of the head lands in the picture.

Positions are in the head's own frame, relative to the head's centre: dm, its left at
+x, up +y, its face towards +z. The camera stands still and the head turns.
"""

import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.factors import Photo

DISTANCE = 14.0  # dm, from the camera to the head's centre
EXTENT = 3.0  # dm, side of what the picture shows at that distance and zoom 1
DROP = 0.02  # dm, of the camera below the head's centre
CENTER_Z = 0.45  # dm, where the head's axis of turning stands
CENTER_RISE = 0.10  # dm, of the head's centre above the eyes


class View(NamedTuple):
    """A head in front of the camera.

    Attributes:
        rotation: [3, 3] float64, head frame -> camera frame.
        size: side of the picture, px.
        focal: px.
    """

    rotation: np.ndarray
    size: int
    focal: float

    @property
    def position(self) -> np.ndarray:
        """[3] float64, dm: the camera in the head's frame."""
        up, towards = self.rotation[1], self.rotation[2]
        return towards * DISTANCE - up * DROP


def camera_view(photo: Photo, size: int) -> View:
    """The view of a photo in a picture of some size.

    The head nods about its left-right axis first, then turns about the vertical, then
    tilts in the picture's plane; a positive roll tips its crown to the right.
    """
    return View(
        rotation=head_rotation(photo.yaw, photo.pitch, photo.roll),
        size=size,
        focal=DISTANCE / EXTENT * size * photo.zoom,
    )


def head_rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """[3, 3] float64 from angles in degrees, head frame -> camera frame."""
    (cy, sy), (cp, sp), (cr, sr) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
        for angle in (yaw, pitch, roll)
    )
    # Written out: turn(roll) * turn(yaw) * turn(pitch).
    across = (cy, sy * sp, sy * cp)
    up = (0.0, cp, -sp)
    return np.array(
        [
            [cr * a + sr * u for a, u in zip(across, up, strict=True)],
            [cr * u - sr * a for a, u in zip(across, up, strict=True)],
            [-sy, cy * sp, cy * cp],
        ]
    )


def to_pixels(points: np.ndarray, view: View) -> np.ndarray:
    """Where the camera sees points.

    Args:
        points: [..., 3] float32, dm, in the head's frame.
        view: the camera.

    Returns:
        [..., 3] float32: x to the right and y downwards in px, and the inverse of the
        distance along the camera's axis, 1 / dm.
    """
    flat = np.ascontiguousarray(points, np.float32).reshape(-1, 3)
    seen = _perspective(flat, view.rotation, view.focal, view.size / 2)
    return seen.reshape(points.shape)


@njit(nogil=True, error_model="numpy")
def _perspective(points, rotation, focal, middle):
    seen = np.empty(points.shape, np.float32)
    for p in range(len(points)):
        x, y, z = rotated(rotation, points[p, 0], points[p, 1], points[p, 2])
        closeness = 1.0 / (DISTANCE - z)
        seen[p, 0] = middle + x * focal * closeness
        seen[p, 1] = middle - (y + DROP) * focal * closeness
        seen[p, 2] = closeness
    return seen


@njit(nogil=True)
def rotated(rotation, x, y, z):
    """The three coordinates of a point after a rotation [3, 3]."""
    return (
        rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z,
        rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z,
        rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z,
    )
