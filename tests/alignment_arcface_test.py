"""Oracle: scikit-image's similarity transform and OpenCV's warp, as in insightface."""

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image
from skimage import transform

from facedirs_jax import landmarks
from facedirs_jax.alignment import arcface_112

TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def five_points(points):
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return np.stack([*eyes, points[30], points[48], points[54]])


def crop_of_insightface(image, points, size):
    target = TEMPLATE * size / 112
    if size % 112:
        target = TEMPLATE * size / 128 + [8 * size / 128, 0]
    source = five_points(points.astype(float))
    matrix = transform.estimate_transform("similarity", source, target).params
    crop = cv2.warpAffine(image, matrix[:2], (size, size), flags=cv2.INTER_LINEAR)
    return crop, points @ matrix[:2, :2].T + matrix[:2, 2], np.hypot(*matrix[:2, 0])


def tilt(points):
    """Of the line through the eyes' centres, degrees."""
    right, left = five_points(points)[:2]
    return np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0]))


@pytest.fixture(scope="module")
def astronaut():
    """A photo around one face of about 115 px, with its landmarks."""
    image = skimage.data.astronaut()[20:260, 100:340]
    (points,) = landmarks.DlibLandmarks()(image)
    return image, points


@pytest.mark.parametrize("size", [112, 128, 224, 256, 896])
def test_a_crop_is_insightfaces_wherever_the_face_lies(astronaut, size):
    _, face = astronaut
    rng = np.random.default_rng(size)
    for _ in range(12):
        height, width = rng.integers(30, 900, 2)
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        turn, scale = rng.uniform(-np.pi, np.pi), np.exp(rng.uniform(-1, 2))
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        points = (face - 120) @ [[cos, sin], [-sin, cos]] * rng.choice([1, -1], 2)
        points += rng.uniform(0, 1, 2) * [width, height]
        crop = arcface_112(noise, points, size=size)
        expected, expected_points, factor = crop_of_insightface(noise, points, size)
        off = np.abs(crop.image.astype(int) - expected)
        # OpenCV reckons px in float32, from another origin here than there.
        assert off.max() <= 3 and off.mean() < 0.01
        np.testing.assert_allclose(crop.landmarks, expected_points, atol=1e-3)
        assert crop.source_side == pytest.approx(size / factor, rel=1e-6)


def test_crops_of_real_faces_are_insightfaces_and_upright(congress):
    detector = landmarks.DlibLandmarks()
    tilts = []
    for path in sorted(congress.glob("*.jpg"))[::24]:
        image = np.array(Image.open(path).convert("RGB"))
        (points,) = detector(image)
        crop = arcface_112(image, points)
        expected, _, _ = crop_of_insightface(image, points, 112)
        assert np.abs(crop.image.astype(int) - expected).max() <= 1, path
        tilts.append(tilt(crop.landmarks))
    # Nose and mouth have a say too, so that a head turned aside keeps some tilt; the
    # template itself has -0.3 degrees.
    assert np.mean(tilts) == pytest.approx(tilt_of_template(), abs=0.5)
    assert np.median(np.abs(tilts)) < 1
    assert np.abs(tilts).max() < 6


def tilt_of_template():
    return np.degrees(np.arctan2(*(TEMPLATE[1] - TEMPLATE[0])[::-1]))


@pytest.mark.parametrize("degrees", [0, 25, -70, 180])
@pytest.mark.parametrize("scale", [0.8, 1, 2, 3.7])
def test_turning_and_enlarging_the_photo_changes_the_crop_little(
    astronaut, scale, degrees
):
    image, points = astronaut
    expected = arcface_112(image, points)
    side = round(240 * scale)
    matrix = cv2.getRotationMatrix2D((120, 120), degrees, scale)
    matrix[:, 2] += (side - 240) / 2
    image = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    crop = arcface_112(image, points)
    np.testing.assert_allclose(crop.landmarks, expected.landmarks, atol=1e-3)
    assert abs(tilt(crop.landmarks)) < 1
    assert crop.source_side == pytest.approx(scale * expected.source_side)
    middle = np.s_[20:100, 16:96]  # where no corner of the turned photo shows
    off = np.abs(crop.image[middle].astype(int) - expected.image[middle])
    assert off.mean() < 3


def test_a_face_made_of_the_template_lands_on_it(astronaut):
    image, points = astronaut
    points = points.copy()
    places = (range(36, 42), range(42, 48), [30], [48], [54])
    for place, point in zip(places, 2 * TEMPLATE + 7, strict=True):
        points[list(place)] = point
    crop = arcface_112(image, points)
    np.testing.assert_allclose(five_points(crop.landmarks), TEMPLATE, atol=1e-4)
    assert crop.source_side == pytest.approx(224)
    assert tilt(crop.landmarks) == pytest.approx(tilt_of_template(), abs=1e-3)


def test_128_px_hold_the_crop_of_112_with_8_px_at_its_sides(astronaut):
    small = arcface_112(*astronaut)
    large = arcface_112(*astronaut, size=128)
    off = np.abs(large.image[:112, 8:120].astype(int) - small.image)
    assert off.max() <= 1
    np.testing.assert_allclose(large.landmarks - [8, 0], small.landmarks, atol=1e-4)


def test_what_leaves_the_picture_is_black(astronaut):
    image, points = astronaut
    image = np.maximum(image, 1)
    whole = arcface_112(image, points)
    assert whole.image.any(axis=2).all()
    x = int(points[:, 0].mean())
    cut = arcface_112(image[:, x:], points - np.array([x, 0]))
    kept = cut.image.any(axis=2)
    assert 0.4 < kept.mean() < 0.6
    np.testing.assert_allclose(cut.landmarks, whole.landmarks, atol=1e-3)
    for away in ([1000, 0], [-1000, 0], [0, 1e9], [0, -1000]):
        assert not arcface_112(image, points + away).image.any()


def test_a_picture_wider_than_opencv_4_takes_can_be_cropped(astronaut):
    image, points = astronaut
    wide = np.zeros((240, 40_000, 3), np.uint8)
    wide[:, 39_000:39_240] = image
    crop = arcface_112(wide, points + np.array([39_000, 0]))
    off = np.abs(crop.image.astype(int) - arcface_112(image, points).image)
    assert off.max() <= 1


@pytest.mark.parametrize("size", [0, 100, 150])
def test_a_size_without_a_template_is_refused(astronaut, size):
    with pytest.raises(ValueError, match=f"size is {size} px"):
        arcface_112(*astronaut, size=size)


def test_eyes_nose_and_mouth_in_one_point_are_refused(astronaut):
    image, points = astronaut
    points = points.copy()
    points[27:] = 100
    with pytest.raises(ValueError, match="eyes, nose and mouth lie on top of each"):
        arcface_112(image, points)
