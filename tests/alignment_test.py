"""Oracle: dlib's own face chips, which ours must equal to the pixel."""

from typing import Any

import cv2
import dlib as _dlib
import numpy as np
import pytest
import skimage.data
from PIL import Image

from facedirs_jax import alignment, landmarks
from facedirs_jax.alignment import dlib_chip

dlib: Any = _dlib


def shape_of(points):
    """Landmarks as the object that dlib takes; whole px, as dlib's are."""
    parts = [dlib.point(int(x), int(y)) for x, y in np.rint(points)]
    return dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), parts)


def chip_of_dlib(image, points, *, size=150, padding=0.25):
    image = np.ascontiguousarray(image)
    return dlib.get_face_chip(image, shape_of(points), size=size, padding=padding)


def levels_off(image, points, **settings):
    """Grey levels between our chip and dlib's, [size, size, 3], and our crop."""
    crop = dlib_chip(image, np.rint(points), **settings)
    theirs = chip_of_dlib(image, points, **settings)
    return np.abs(crop.image.astype(int) - theirs), crop


def moved(face, matrix, width, height):
    """Image and points of a face under an affine matrix, [2, 3]."""
    image, points = face
    image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return image, points @ matrix[:, :2].T + matrix[:, 2]


def scattered_faces(rng, count):
    """Face-like landmarks of any size, turn and place, in images of any shape."""
    face = np.stack([alignment._MEAN_FACE.real, alignment._MEAN_FACE.imag], axis=1)
    for _ in range(count):
        height, width = rng.integers(20, 900, 2)
        scale = np.exp(rng.uniform(np.log(10), np.log(900)))
        turn = rng.uniform(-np.pi, np.pi) * (rng.random() < 0.8)
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        points = np.zeros((68, 2))
        points[alignment._ALIGNED] = (face - 0.5) @ [[cos, sin], [-sin, cos]]
        points += rng.normal(size=(68, 2)) * scale * rng.choice([0, 0.03])
        points *= rng.choice([1, -1], size=2, p=[0.8, 0.2])  # some of them mirrored
        points += rng.uniform(-0.2, 1.2, 2) * [width, height]
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        yield noise, np.rint(points)


@pytest.fixture(scope="module")
def astronaut():
    """A photo around one face of about 115 px, with its landmarks."""
    image = skimage.data.astronaut()[20:260, 100:340]
    (points,) = landmarks.DlibLandmarks()(image)
    return image, points


@pytest.mark.parametrize("degrees", [0, 25, -100, 180])
@pytest.mark.parametrize("scale", [0.5, 1, 2, 3, 5, 8, 12])
def test_a_chip_is_dlibs_at_any_scale_and_turn(astronaut, scale, degrees):
    side = round(240 * scale)
    matrix = cv2.getRotationMatrix2D((120, 120), degrees, scale)
    matrix[:, 2] += (side - 240) / 2
    image, points = moved(astronaut, matrix, side, side)
    off, crop = levels_off(image, points)
    assert off.max() == 0
    assert crop.source_side == pytest.approx(114 * scale, rel=0.02)


@pytest.mark.parametrize("scale", [1, 4, 9])
def test_a_chip_of_a_mirrored_photo_is_dlibs(astronaut, scale):
    side = 240 * scale
    matrix = np.array([[-scale, 0, side - scale], [0, scale, 0]], float)
    off, _ = levels_off(*moved(astronaut, matrix, side, side))
    assert off.max() == 0


@pytest.mark.parametrize("scale", [1, 4, 9])
@pytest.mark.parametrize(
    "left, top", [(90, 0), (0, 90), (-110, 0), (0, -110), (60, 60)]
)
def test_a_chip_that_leaves_the_picture_is_dlibs(astronaut, scale, left, top):
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], float)
    off, crop = levels_off(*moved(astronaut, matrix, 180 * scale, 180 * scale))
    assert off.max() == 0
    assert (crop.image == 0).all(axis=2).mean() > 0.05


@pytest.mark.parametrize("enlarged", [1, 3, 6, 12])
def test_chips_of_real_faces_are_dlibs(congress, enlarged):
    detector = landmarks.DlibLandmarks()
    paths = sorted(congress.glob("*.jpg"))[:: 48 if enlarged > 6 else 14]
    sides = []
    for path in paths:
        image = np.array(Image.open(path).convert("RGB"))
        (points,) = detector(image)
        image = cv2.resize(image, None, fx=enlarged, fy=enlarged)
        off, crop = levels_off(image, points * enlarged)
        assert off.max() == 0, path
        sides.append(crop.source_side)
    assert 90 * enlarged < min(sides) and max(sides) < 200 * enlarged


@pytest.mark.parametrize(
    "size, padding", [(150, 0.25), (64, 0.0), (112, 0.2), (200, 0.6), (2, 0.25)]
)
def test_chips_of_scattered_faces_are_dlibs(size, padding):
    rng = np.random.default_rng(size)
    sides = []
    for image, points in scattered_faces(rng, 80):
        off, crop = levels_off(image, points, size=size, padding=padding)
        assert off.max() == 0
        sides.append(crop.source_side)
    assert min(sides) < 20 and max(sides) > 700


def test_the_square_is_dlibs():
    rng = np.random.default_rng(0)
    for image, points in scattered_faces(rng, 50):
        crop = dlib_chip(image, points)
        details = dlib.get_face_chip_details(shape_of(points), 150, 0.25)
        assert crop.source_side == pytest.approx(details.rect.width(), rel=1e-9)
        # Its px are 149 steps apart from first to last, about its turned centre.
        cos, sin = np.cos(details.angle), np.sin(details.angle)
        rect = details.rect
        steps = (crop.landmarks / 149 - 0.5) * (rect.width() - 1)
        centre = (rect.left() + rect.right()) / 2, (rect.top() + rect.bottom()) / 2
        back = steps @ [[cos, sin], [-sin, cos]] + centre
        np.testing.assert_allclose(back, points, atol=1e-5 * crop.source_side)


def test_even_areas_at_the_pictures_edge_are_at_most_one_level_off():
    # Where x < 1/2, 1 - x is rounded, and x itself is known to some 1e-13 px only, by
    # dlib too: (1 - x) c + x c may fall just short of c.
    worst, worst_inside = 0, 0
    for image, points in scattered_faces(np.random.default_rng(4), 300):
        height, width = image.shape[:2]
        blocks = image[: height // 8 + 1, : width // 8 + 1]
        image = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
        worst = max(worst, levels_off(image, points)[0].max())
        image[:, :2] = image[:2] = 0  # black cannot fall short
        worst_inside = max(worst_inside, levels_off(image, points)[0].max())
    assert worst_inside == 0
    assert worst <= 1


@pytest.mark.parametrize("scale", [0.7, 1, 2, 3, 6, 12])
def test_landmarks_of_the_crop_lie_on_the_face_in_it(astronaut, scale):
    image, points = astronaut
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    crop = dlib_chip(image, (points + 0.5) * scale - 0.5)
    (found,) = landmarks.DlibLandmarks()(crop.image)
    distances = np.linalg.norm(found - crop.landmarks, axis=1)
    assert distances.mean() < 2
    assert crop.landmarks.dtype == np.float32


def test_a_face_outside_the_picture_gives_a_black_crop(astronaut):
    image, points = astronaut
    for away in ([1000, 0], [-1000, 0], [0, 1000], [0, -1000]):
        assert not dlib_chip(image, points + away).image.any()
        assert not dlib_chip(
            image, (points - 120) * 9 + 20 * np.array(away)
        ).image.any()


def test_any_real_dtype_and_memory_layout_gives_the_same_crop(astronaut):
    image, points = astronaut
    expected = dlib_chip(image, points)
    for dtype in (np.int32, np.float64):
        crop = dlib_chip(np.asfortranarray(image), points.astype(dtype))
        np.testing.assert_array_equal(crop.image, expected.image)
        np.testing.assert_array_equal(crop.landmarks, expected.landmarks)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.zeros((9, 9, 3))}, r"RGB image.* not \[9, 9, 3\] float64"),
        ({"image": np.zeros((9, 9), np.uint8)}, r"not \[9, 9\] uint8"),
        ({"image": np.zeros((9, 9, 4), np.uint8)}, r"not \[9, 9, 4\] uint8"),
        ({"landmarks": np.ones((5, 2))}, r"expected \[68, 2\] landmarks, not \[5, 2\]"),
        ({"landmarks": np.full((68, 2), np.nan)}, "NaN"),
        ({"landmarks": np.full((68, 2), 3.0)}, "lie on top of each other"),
        ({"size": 1}, "size is 1 px"),
        ({"padding": -0.1}, "padding -0.1"),
    ],
)
def test_what_cannot_be_cropped_is_refused(astronaut, change, message):
    image, points = astronaut
    arguments = {"image": image, "landmarks": points, **change}
    with pytest.raises(ValueError, match=message):
        dlib_chip(**arguments)
