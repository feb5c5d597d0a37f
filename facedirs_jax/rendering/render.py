"""Renders faces: `render` one, or many of the same people with a `Studio`.

The drawing itself needs numba, which the extra `synth` installs; this module does not
load it before a face is rendered.
"""

import importlib.util
from collections.abc import Iterable

import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import Face

SMALLEST, LARGEST = 64, 256  # px, side of a picture
COARSE_SIZE = 128  # px, up to which a skin texture of half the size shows as much


def check_size(size: int) -> None:
    """Refuses sizes that cannot be rendered, and machines that cannot render.

    Raises:
        InputError: naming the range, or the extra to install.
    """
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"size is {size}; it must lie within {SMALLEST} and {LARGEST}")
    if importlib.util.find_spec("numba") is None:
        raise InputError(
            "rendering faces needs numba; install the extra: "
            "pip install 'facedirs-jax[synth]'"
        )


class Studio:
    """Renders photos of the same people cheaply: keeps what recurs.

    Skin is painted and hair grown once per person and look, the head shaped once per
    expression; only the last few of each are kept, so render a person's photos in a
    row.
    """

    def __init__(self, *, size: int = 128):
        """Sets up.

        Args:
            size: side of the pictures, px, 64 to 256.

        Raises:
            InputError: for another size, or if numba is absent.
        """
        check_size(size)
        from facedirs_jax.rendering.scene import Parts

        self._size = size
        self._parts = Parts()

    def render(self, face: Face) -> np.ndarray:
        """Renders a face.

        Returns:
            [size, size, 3] uint8, sRGB; the same face is always the same picture.
        """
        from facedirs_jax.rendering.picture import take_photo
        from facedirs_jax.rendering.scene import build_scene

        scale = 2 if self._size <= COARSE_SIZE else 1
        scene = build_scene(face, reuse=self._parts, texture_scale=scale)
        return take_photo(scene, face.photo, self._size)


def render(face: Face, *, size: int = 128) -> np.ndarray:
    """Renders one face.

    Args:
        face: all that decides the picture.
        size: side of the picture, px, 64 to 256.

    Returns:
        [size, size, 3] uint8, sRGB.

    Raises:
        InputError: for another size, or if numba is absent.
    """
    return Studio(size=size).render(face)


def render_all(faces: Iterable[Face], *, size: int = 128) -> np.ndarray:
    """Renders many faces; photos of one person should follow each other.

    Returns:
        [N, size, size, 3] uint8, sRGB.

    Raises:
        InputError: for a size out of range, or if numba is absent.
    """
    studio = Studio(size=size)
    pictures = [studio.render(face) for face in faces]
    return np.array(pictures, np.uint8).reshape(-1, size, size, 3)


def project(face: Face, points: np.ndarray, *, size: int = 128) -> np.ndarray:
    """Where points of a face land in its picture.

    Args:
        face: whose photo.
        points: [P, 3] dm, in the frame of the head model, such as rows of its
            expressed shape.
        size: side of the picture, px.

    Returns:
        [P, 2] float32: x to the right and y downwards, px; the centre of the first
        pixel is at (0.5, 0.5).

    Raises:
        InputError: for a size out of range, or if numba is absent.
    """
    check_size(size)
    from facedirs_jax.rendering.camera import camera_view, to_pixels
    from facedirs_jax.rendering.morphs import neutral_shape
    from facedirs_jax.rendering.scene import head_center

    placed = np.asarray(points, np.float32) - head_center(neutral_shape(face.person))
    return to_pixels(placed, camera_view(face.photo, size))[:, :2]
