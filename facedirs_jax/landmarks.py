"""Facial landmarks: image -> 68 points for every face in it.

Images are [H, W, 3] uint8 RGB. Landmarks are [68, 2] float32 (x, y) px in iBUG order,
the centre of the top left pixel being (0, 0).
"""

import dataclasses
import functools
from typing import Any, Protocol

import cv2
import dlib as _dlib
import numpy as np

from facedirs_jax import files
from facedirs_jax.dlib_models import dlib_model_path
from facedirs_jax.errors import InputError

dlib: Any = _dlib  # a compiled module, of which type checkers see nothing

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
_ENLARGEMENTS = 1  # doublings before detection: the detector's window is 80 px


class LandmarkDetector(Protocol):
    """Anything that finds faces and their 68 points.

    It is pickled to reach worker processes: hold settings in it, and load models in the
    first call of each process.
    """

    @property
    def fingerprint(self) -> str:
        """Names detector, version and settings: a part of the key of cached results."""
        ...

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Landmarks of every face in an image.

        Args:
            image: [H, W, 3] uint8 RGB.

        Returns:
            One [68, 2] float32 array a face; none where no face is found.
        """
        ...


@dataclasses.dataclass(frozen=True)
class DlibLandmarks:
    """dlib's frontal face detector (HOG) and its 68-point predictor.

    The predictor is **not for commercial use**: it was trained on iBUG 300-W, whose
    licence excludes that. Faces from about 40 px a side are found, the surest first.

    Attributes:
        detect_side: an image whose longest side is larger is reduced to this, px, for
            the detection alone; the points are still predicted on the full image.
    """

    detect_side: int = 1024

    def __post_init__(self) -> None:
        if self.detect_side < 80:
            raise InputError(
                f"detect_side is {self.detect_side} px; the detector needs 80 or more"
            )

    @property
    def fingerprint(self) -> str:
        """Names detector, versions, settings and the content of the predictor file."""
        return (
            f"dlib {dlib.__version__} frontal HOG, {_ENLARGEMENTS} enlargement, "
            f"detect_side {self.detect_side}, 68 points of {_predictor_hash()}"
        )

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Landmarks of every face in an image.

        Args:
            image: [H, W, 3] uint8 RGB.

        Returns:
            One [68, 2] float32 array a face, of whole px; points may lie outside the
            image. Empty where no face is found.

        Raises:
            ValueError: if the image is not [H, W, 3] uint8.
            InputError: if the predictor file is not installed.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                "expected an RGB image, [H, W, 3] uint8, "
                f"not {list(image.shape)} {image.dtype}"
            )
        image = np.ascontiguousarray(image)  # dlib refuses other strides
        predict = _predictor()
        shapes = [predict(image, box) for box in self._find_boxes(image)]
        return [
            np.array([(point.x, point.y) for point in shape.parts()], np.float32)
            for shape in shapes
        ]

    def _find_boxes(self, image: np.ndarray) -> list[Any]:
        """Rectangles (dlib's) around the faces, in px of the full image."""
        height, width = image.shape[:2]
        longest = max(height, width)
        if longest <= self.detect_side:
            return list(_detector()(image, _ENLARGEMENTS))
        ratio = longest / self.detect_side
        reduced = (max(round(width / ratio), 1), max(round(height / ratio), 1))
        small = cv2.resize(image, reduced, interpolation=cv2.INTER_AREA)
        return [
            dlib.rectangle(
                # px i of the reduced image covers px [i, i + 1) * ratio of the full one
                left=round(box.left() * ratio),
                top=round(box.top() * ratio),
                right=round((box.right() + 1) * ratio) - 1,
                bottom=round((box.bottom() + 1) * ratio) - 1,
            )
            for box in _detector()(small, _ENLARGEMENTS)
        ]


@functools.cache
def _detector() -> Any:
    return dlib.get_frontal_face_detector()


@functools.cache
def _predictor() -> Any:
    return dlib.shape_predictor(str(dlib_model_path(PREDICTOR)))


@functools.cache
def _predictor_hash() -> str:
    return files.sha256_file(dlib_model_path(PREDICTOR))
