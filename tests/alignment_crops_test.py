"""Oracles: the sources' own few lines on OpenCV, and Pillow where they use that."""

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from facedirs_jax import faces, landmarks, regions
from facedirs_jax.alignment import (
    ALIGNMENTS,
    facenet_box,
    letterbox,
    plain_resize,
    vggface2_box,
)

RESAMPLED = sorted(ALIGNMENTS.keys() - {"dlib_chip"})


@pytest.fixture(scope="module")
def astronaut():
    """A photo around one face of about 115 px, with its landmarks."""
    image = skimage.data.astronaut()[20:260, 100:340]
    (points,) = landmarks.DlibLandmarks()(image)
    return image, points


def box_of_face(points):
    """MTCNN's box as it is estimated: left, top, right, bottom."""
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    sides = high - low
    return [*(low + [0.02, -0.37] * sides), *(high - [0.02, 0.03] * sides)]


def crop_of_facenet_pytorch(image, points, size, margin):
    height, width = image.shape[:2]
    left, top, right, bottom = box_of_face(points)
    across = margin * (right - left) / (size - margin)
    down = margin * (bottom - top) / (size - margin)
    left, top = int(max(left - across / 2, 0)), int(max(top - down / 2, 0))
    right = int(min(right + across / 2, width))
    bottom = int(min(bottom + down / 2, height))
    box = image[top:bottom, left:right]
    return cv2.resize(box, (size, size), interpolation=cv2.INTER_AREA)


def head_of_vggface2(image, points):
    """The head as VGGFace2's MATLAB code cuts it: rows and columns count from 1."""
    left, top, right, bottom = np.add(box_of_face(points), 1)
    height = (bottom - top) * 1.3
    width = (bottom - top) * max(112 / 128, (right - left) / (bottom - top)) * 1.3
    x, y = (left + right) / 2, (top + bottom) / 2
    first_row, last_row = np.floor([y - height / 2 + 0.5, y + height / 2 + 0.5])
    first, last = np.floor([x - width / 2 + 0.5, x + width / 2 + 0.5])
    rows = slice(int(max(1, first_row)) - 1, int(min(image.shape[0], last_row)))
    columns = slice(int(max(1, first)) - 1, int(min(image.shape[1], last)))
    return image[rows, columns]


def shape_of_head(head, size):
    """Of the resized head, height and width, and where the crop begins in it."""
    shorter = round(size * 256 / 224)
    shape = [int(shorter * side / min(head.shape[:2])) for side in head.shape[:2]]
    return shape, [(side - size) // 2 for side in shape]


def resized_by_deepface(image, size):
    factor = min(size / image.shape[0], size / image.shape[1])
    shape = int(image.shape[1] * factor), int(image.shape[0] * factor)
    image = cv2.resize(image, shape)
    down, across = size - image.shape[0], size - image.shape[1]
    bars = ((down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0))
    return np.pad(image, bars)


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize("scale", [0.6, 1, 2.3, 7])
def test_a_dot_in_the_picture_is_where_its_landmark_is_in_the_crop(
    astronaut, name, scale
):
    _, points = astronaut
    side = round(240 * scale)
    points = (points + 0.5) * scale - 0.5 + [0.3, -0.2]
    rows, columns = np.mgrid[:side, : side + 30]
    for number in (30, 36, 54):
        x, y = points[number]
        squared = (columns - x) ** 2 + (rows - y) ** 2
        dot = 255 * np.exp(-squared / 2 / (3 * scale) ** 2)  # 3 px wide at scale 1
        image = np.round(dot).astype(np.uint8)[:, :, None].repeat(3, axis=2)
        crop = ALIGNMENTS[name](image, points, size=224)
        light = crop.image[:, :, 0].astype(float)
        found = [(light * axis).sum() / light.sum() for axis in np.mgrid[:224, :224]]
        np.testing.assert_allclose(found[::-1], crop.landmarks[number], atol=0.06)
        assert crop.landmarks.dtype == np.float32


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize("scale", [1, 4])
def test_landmarks_found_again_in_the_crop_are_near(astronaut, name, scale):
    image, points = astronaut
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    crop = ALIGNMENTS[name](image, (points + 0.5) * scale - 0.5, size=224)
    (found,) = landmarks.DlibLandmarks()(crop.image)
    assert np.linalg.norm(found - crop.landmarks, axis=1).mean() < 3.5


@pytest.mark.parametrize("name", RESAMPLED)
def test_landmarks_found_again_in_crops_of_real_faces_are_near(congress, name):
    detector = landmarks.DlibLandmarks()
    distances = []
    for path in sorted(congress.glob("*.jpg"))[::72]:
        image = np.array(Image.open(path).convert("RGB"))
        (points,) = detector(image)
        crop = ALIGNMENTS[name](image, points, size=224)
        for found in detector(crop.image):  # none in a few that are cropped tightly
            off = np.linalg.norm(found - crop.landmarks, axis=1).mean()
            distances.append(off)
    assert len(distances) >= 4
    # dlib errs by some px where crops are tight or stretched (FaceNet's are both).
    assert np.mean(distances) < 3.5 and max(distances) < 8


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_mask_covers_the_nose_of_the_crop(name, portraits, tmp_path_factory):
    size = 224
    found = faces.load_faces(
        portraits / "sitter_0.png",
        alignment=name,
        size=size,
        cache_dir=tmp_path_factory.getbasetemp() / "landmarks",
    )
    assert found.alignment == name and found.crops.shape == (1, size, size, 3)
    (points,) = found.landmarks
    features = points[17:]  # the jaw may leave a tight crop
    assert features.min() > 0 and features.max() < size - 1
    (mask,) = np.asarray(
        regions.region_masks(found.landmarks, regions.REGIONS["nose"], side=size)
    )
    columns, rows = np.rint(points).astype(int)[17:].T
    assert (mask[rows, columns][10:19] > 0.7).all()  # 27 to 35, on the hull's edge
    x, y = np.rint(points[27:36].mean(axis=0)).astype(int)
    assert mask[y, x] > 0.9
    corners = np.rint(points[[36, 45, 8]].clip(0, size - 1)).astype(int)
    assert mask[corners[:, 1], corners[:, 0]].max() < 0.01
    assert found.status[0].source_side > 60


@pytest.mark.parametrize("away", [(0, 0), (-60, 0), (90, 0), (0, -50), (0, 110)])
@pytest.mark.parametrize("margin", [0, 14, 32.5])
def test_a_facenet_box_is_facenet_pytorchs(astronaut, away, margin):
    image, points = astronaut
    crop = facenet_box(image, points + away, margin=margin)
    expected = crop_of_facenet_pytorch(image, points + away, 160, margin)
    np.testing.assert_array_equal(crop.image, expected)


def test_a_facenet_box_fills_the_crop_but_for_its_margin(astronaut):
    image, points = astronaut
    left, top, right, bottom = box_of_face(points)
    for margin in (0, 32):
        crop = facenet_box(image, points, size=192, margin=margin)
        per_px = np.ptp(points, axis=0) / np.ptp(crop.landmarks, axis=0)
        wanted = np.array([right - left, bottom - top]) / (192 - margin)
        np.testing.assert_allclose(per_px, wanted, rtol=0.02)
        assert crop.source_side == pytest.approx(192 * np.sqrt(per_px.prod()), rel=1e-5)


@pytest.mark.parametrize("away", [(0, 0), (-60, 0), (90, 0), (0, -50), (0, 110)])
@pytest.mark.parametrize("scale, size", [(1, 224), (3, 224), (2, 112), (1, 97)])
def test_a_vggface2_box_is_the_head_of_its_authors(astronaut, scale, size, away):
    image, points = astronaut
    image = cv2.resize(image, None, fx=scale, fy=scale)
    points = (points + away + 0.5) * scale - 0.5
    crop = vggface2_box(image, points, size=size)
    head = head_of_vggface2(image, points)
    (height, width), (top, left) = shape_of_head(head, size)
    theirs = np.array(
        Image.fromarray(head).resize((width, height), Image.Resampling.BILINEAR)
    )
    theirs = theirs[top : top + size, left : left + size].astype(int)
    assert np.abs(theirs - crop.image).mean() < 2  # a triangle there, area here
    smaller = height <= head.shape[0] and width <= head.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    exact = cv2.resize(head, (width, height), interpolation=how)
    exact = exact[top : top + size, left : left + size]
    np.testing.assert_array_equal(crop.image, exact)
    per_px = np.ptp(points, axis=0) / np.ptp(crop.landmarks, axis=0)
    assert per_px[0] == pytest.approx(per_px[1], rel=0.01)
    assert crop.source_side == pytest.approx(size * per_px.mean(), rel=0.01)


def test_boxes_that_leave_the_picture_are_clipped_without_a_black_border(astronaut):
    image, points = astronaut
    x, y = points.mean(axis=0).astype(int)
    image = np.maximum(image, 1)[y - 30 :, x:]
    for crop_face in (facenet_box, vggface2_box):
        crop = crop_face(image, points - [x, y - 30], size=160)
        assert crop.image.any(axis=2).all()
        assert crop.landmarks[0, 0] < 0  # beyond the left edge, and still told


@pytest.mark.parametrize("crop_face", [facenet_box, vggface2_box])
@pytest.mark.parametrize(
    "away", [(400, 0), (-400, 0), (0, 400), (0, -400), (185, 0), (1e9, 0)]
)
def test_a_face_beyond_the_edge_has_no_box(astronaut, crop_face, away):
    image, points = astronaut
    with pytest.raises(ValueError, match=r"outside the picture of 240 x 240 px"):
        crop_face(image, points.astype(float) + away)


@pytest.mark.parametrize("shape", [(240, 240), (300, 401), (500, 37), (224, 900)])
def test_a_plain_resize_is_pillows(astronaut, shape):
    image, points = astronaut
    image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR)
    crop = plain_resize(image, points)
    theirs = np.array(
        Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR)
    )
    # A triangle there; area here, or sampled where one side is enlarged.
    assert np.abs(theirs.astype(int) - crop.image).mean() < 2
    np.testing.assert_allclose(
        crop.landmarks, (points + 0.5) * 224 / np.array(shape[::-1]) - 0.5, atol=1e-4
    )
    assert crop.source_side == pytest.approx(np.sqrt(np.prod(shape)))


@pytest.mark.parametrize(
    "shape", [(240, 240), (224, 224), (301, 400), (60, 49), (901, 37), (3000, 2001)]
)
@pytest.mark.parametrize("size", [224, 160])
def test_a_letterbox_is_deepfaces(astronaut, shape, size):
    image, points = astronaut
    image = cv2.resize(np.maximum(image, 1), shape[::-1])
    crop = letterbox(image, points, size=size)
    np.testing.assert_array_equal(crop.image, resized_by_deepface(image, size))
    # No bar where the longer side is; the face is as wide for its height as it was.
    black = ~crop.image.any(axis=2)
    expected = 1 - min(shape) / max(shape)
    assert black.mean() == pytest.approx(expected, abs=2 / size)
    per_px = np.ptp(points, axis=0) / np.ptp(crop.landmarks, axis=0)
    np.testing.assert_allclose(per_px, max(shape) / size, rtol=1.5 * size / min(shape))
    assert crop.source_side == pytest.approx(max(shape), rel=0.06)


def test_a_letterbox_of_a_line_is_a_line():
    image = np.full((2, 3000, 3), 9, np.uint8)
    points = np.random.default_rng(0).uniform(0, 3000, (68, 2))
    crop = letterbox(image, points)
    assert np.flatnonzero(crop.image.any(axis=(1, 2))).tolist() == [111]


@pytest.mark.parametrize("name", RESAMPLED)
def test_any_real_dtype_and_memory_layout_gives_the_same_crop(astronaut, name):
    image, points = astronaut
    crop_face = ALIGNMENTS[name]
    expected = crop_face(image, points, size=224)
    frozen = image.copy()
    frozen.flags.writeable = False
    mirrored = image[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    for layout in (np.asfortranarray(image), mirrored, frozen):
        for dtype in (np.int32, np.float64):
            crop = crop_face(layout, points.astype(dtype), size=224)
            np.testing.assert_array_equal(crop.image, expected.image)
            np.testing.assert_array_equal(crop.landmarks, expected.landmarks)


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.zeros((9, 9, 3))}, r"RGB image.* not \[9, 9, 3\] float64"),
        ({"image": np.zeros((9, 9), np.uint8)}, r"not \[9, 9\] uint8"),
        ({"landmarks": np.ones((5, 2))}, r"expected \[68, 2\] landmarks, not \[5, 2\]"),
        ({"landmarks": np.full((68, 2), np.inf)}, "infinity"),
        ({"landmarks": np.full((68, 2), 3)}, "lie on top of each other"),
        ({"landmarks": np.linspace(0, 1, 136).reshape(68, 2)}, r"span 1\.0 x 1\.0 px"),
        ({"size": 1}, "size is 1 px"),
    ],
)
def test_what_cannot_be_cropped_is_refused(astronaut, name, change, message):
    image, points = astronaut
    arguments = {"image": image, "landmarks": points, "size": 224, **change}
    with pytest.raises(ValueError, match=message):
        ALIGNMENTS[name](**arguments)


@pytest.mark.parametrize("margin", [-1, 160, np.nan])
def test_a_margin_that_leaves_no_face_is_refused(astronaut, margin):
    with pytest.raises(ValueError, match="margin is"):
        facenet_box(*astronaut, margin=margin)
