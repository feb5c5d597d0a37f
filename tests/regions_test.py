"""Oracle: the distance to OpenCV's hull, through SciPy's normal distribution."""

import re

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import skimage.data

from facedirs_jax.alignment import dlib_chip
from facedirs_jax.errors import InputError
from facedirs_jax.landmarks import DlibLandmarks
from facedirs_jax.regions import (
    FEATHER,
    REGIONS,
    SUPPORT,
    Region,
    choose_regions,
    find_region,
    load_regions,
    region_mask,
    region_masks,
)

SIDE = 150
CHEEKS = Region("cheeks", ((1, 2, 3, 4, 31, 48), (12, 13, 14, 15, 35, 54)))
ANY_REGION = pytest.mark.parametrize(
    "region", [*REGIONS.values(), CHEEKS], ids=lambda region: region.name
)
# float32 rounding of coordinates up to 150 px
NEAR = 1e-4


@pytest.fixture(scope="module")
def points():
    """Landmarks of a real face in its crop of 150 px, [68, 2]."""
    image = skimage.data.astronaut()[20:260, 100:340]
    (found,) = DlibLandmarks()(image)
    return dlib_chip(image, found).landmarks


def distances(points, region, side=SIDE):
    """Signed distance in px of each pixel to the region, [side, side]."""
    hulls = [cv2.convexHull(points[list(hull)]) for hull in region.hulls]
    return np.array(
        [
            [
                min(
                    -cv2.pointPolygonTest(hull, (float(x), float(y)), True)
                    for hull in hulls
                )
                for x in range(side)
            ]
            for y in range(side)
        ]
    )


jitted = jax.jit(region_mask, static_argnames=("region", "side", "feather"))


def mask_of(points, region, side=SIDE, feather=FEATHER):
    return np.asarray(jitted(jnp.array(points), region, side=side, feather=feather))


@ANY_REGION
@pytest.mark.parametrize("feather", [FEATHER, 0.1])
def test_a_mask_is_the_grown_region_under_a_gaussian_edge(points, region, feather):
    z = np.clip(1 - distances(points, region) / (feather * SIDE), -3, 3)
    cut = scipy.stats.norm.cdf(-3)
    expected = (scipy.stats.norm.cdf(z) - cut) / (1 - 2 * cut)
    found = mask_of(points, region, feather=feather)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=NEAR)


@ANY_REGION
def test_a_mask_is_0_out_of_reach_and_1_well_inside(points, region):
    found = mask_of(points, region)
    sigmas = distances(points, region) / (FEATHER * SIDE)
    assert (found[sigmas > SUPPORT + NEAR] == 0).all()
    assert (found[sigmas < SUPPORT - 0.01] > 0).all()
    assert (found[sigmas < -2 - NEAR] == 1).all()
    assert (found[sigmas > -2 + 0.1] < 1).all()


@pytest.mark.parametrize(
    "name, on, off",
    [
        ("nose", [28, 29, 30, 33], [*range(17, 22), *range(36, 42), *range(48, 68), 8]),
        ("eyes", [*range(17, 27), *range(36, 48)], [30, 33, 8, *range(48, 68)]),
        (
            "lower_face",
            [*range(4, 13), *range(48, 68)],
            [*range(17, 30), *range(36, 48)],
        ),
    ],
)
def test_the_regions_lie_where_their_names_say(points, name, on, off):
    found = mask_of(points, REGIONS[name])
    column, row = np.rint(points).astype(int).T
    # Phi(1) = 0.84 on a hull, and 0.5 at its distance of one standard deviation
    assert found[row[on], column[on]].min() > 0.8
    assert found[row[off], column[off]].max() < 0.5


def test_jit_changes_nothing(points):
    found = region_mask(jnp.array(points), CHEEKS, side=SIDE)
    # The compiler may fuse a multiplication and an addition, which rounds once less.
    np.testing.assert_allclose(found, mask_of(points, CHEEKS), rtol=0, atol=NEAR)


def test_moving_the_landmarks_moves_the_mask(points):
    still = mask_of(points, REGIONS["nose"])
    moved = mask_of(points + np.array([-7, 20], np.float32), REGIONS["nose"])
    np.testing.assert_allclose(moved[20:, :-7], still[:-20, 7:], rtol=0, atol=NEAR)


def test_a_crop_of_twice_the_side_has_the_same_mask_finer(points):
    coarse = mask_of(points, REGIONS["eyes"])
    fine = mask_of(2 * points, REGIONS["eyes"], side=2 * SIDE)
    np.testing.assert_allclose(fine[::2, ::2], coarse, rtol=0, atol=NEAR)


def test_a_region_of_several_hulls_is_their_union(points):
    parts = [mask_of(points, Region("part", (hull,))) for hull in CHEEKS.hulls]
    np.testing.assert_array_equal(mask_of(points, CHEEKS), np.maximum(*parts))


def test_the_order_of_the_landmarks_in_a_hull_does_not_matter(points):
    hull = np.random.default_rng(0).permutation(REGIONS["eyes"].hulls[0])
    found = mask_of(points, Region("eyes", (tuple(hull.tolist()),)))
    expected = mask_of(points, REGIONS["eyes"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=NEAR)


@pytest.mark.parametrize("turn", [0, 0.5, 2])
def test_landmarks_on_a_line_or_a_point_have_their_surroundings(turn):
    along = np.array([np.cos(turn), np.sin(turn)])
    grid = np.stack(np.meshgrid(np.arange(60), np.arange(60)), axis=-1)
    for steps in ([-10, 4, 10], [0, 0, 0]):
        points = np.full((68, 2), 30) + np.outer(np.resize(steps, 68), along)
        nearest = np.clip((grid - 30) @ along, min(steps), max(steps))[..., None]
        distance = np.linalg.norm(grid - 30 - nearest * along, axis=-1)
        found = mask_of(points.astype(np.float32), Region("brow", ((0, 1, 2),)), 60)
        z = np.clip(1 - distance / (FEATHER * 60), -3, 3)
        cut = scipy.stats.norm.cdf(-3)
        expected = (scipy.stats.norm.cdf(z) - cut) / (1 - 2 * cut)
        np.testing.assert_allclose(found, expected, rtol=0, atol=NEAR)


def test_weights_stay_in_their_range_wherever_the_landmarks_are():
    rng = np.random.default_rng(0)
    landmarks = rng.normal(20, 40, (70, 68, 2)).astype(np.float32)  # more than a batch
    landmarks[0] += 1000
    found = np.asarray(region_masks(landmarks, REGIONS["lower_face"], side=40))
    assert found.min() == 0 and found.max() == 1
    assert not found[0].any()


@pytest.mark.parametrize("count", [0, 1, 65])
def test_masks_of_many_faces_are_those_of_each(points, count):
    shifts = np.random.default_rng(0).normal(size=(count, 1, 2)).astype(np.float32)
    landmarks = 0.2 * points + shifts
    found = np.asarray(region_masks(landmarks, CHEEKS, side=30, feather=0.05))
    assert found.shape == (count, 30, 30)
    for i in range(0, count, 16):
        expected = mask_of(landmarks[i], CHEEKS, side=30, feather=0.05)
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=NEAR)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_landmarks_of_other_dtypes_are_taken_as_float32(points, dtype):
    points = np.rint(points)[None]
    found = region_masks(points.astype(dtype), REGIONS["nose"], side=SIDE)
    expected = region_masks(points, REGIONS["nose"], side=SIDE)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("change, message", [
    ({"landmarks": np.ones((1, 5, 2))}, "shape"),
    ({"landmarks": np.ones((68, 2))}, r"must be \[N, 68, 2\], got \(68, 2\)"),
    ({"feather": 0.0}, "feather must be above 0, got 0.0"),
    ({"feather": -0.1}, "feather must be above 0"),
    ({"feather": float("nan")}, "feather must be above 0"),
    ({"region": Region("ear", ((66, 67, 68),))}, "0 to 67, got .*ear"),
    ({"region": Region("ear", ((0, 1, 2), (-1, 1, 2)))}, "0 to 67, got .*ear"),
    ({"region": Region("ear", ())}, "0 to 67, got .*ear"),
])  # fmt: skip
def test_what_has_no_mask_is_refused(change, message):
    arguments = {
        "landmarks": np.ones((1, 68, 2)),
        "region": REGIONS["nose"],
        "side": 9,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        region_masks(**arguments)


def test_a_region_is_found_by_name_or_given_back():
    assert find_region("eyes") is REGIONS["eyes"]
    assert find_region(CHEEKS) is CHEEKS
    with pytest.raises(InputError, match=r"'ears'; known: nose, eyes, lower_face"):
        find_region("ears")


@pytest.fixture
def toml(tmp_path):
    def write(content: str | bytes):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / "own.toml").write_bytes(content)
        return tmp_path / "own.toml"

    return write


OWN = """
[left_eye]
landmarks = [36, 37, 38, 39, 40, 41]
[cheeks]
landmarks = [[1, 2, 3, 4, 31, 48], [12, 13, 14, 15, 35, 54]]
[nose]  # the tip
landmarks = [30, 31, 35]
"""


def test_regions_come_from_a_file_in_its_order(toml):
    found = load_regions(toml(OWN))
    assert list(found) == ["left_eye", "cheeks", "nose"]
    assert found["left_eye"] == Region("left_eye", (tuple(range(36, 42)),))
    assert found["cheeks"] == CHEEKS
    assert {found["nose"]} == {Region("nose", ((30, 31, 35),))}  # hashable, for jit


def test_regions_are_chosen_from_the_file_first(toml):
    path = toml(OWN)
    assert choose_regions([], None) == REGIONS
    assert choose_regions(["eyes", "nose"], None) == {
        "eyes": REGIONS["eyes"],
        "nose": REGIONS["nose"],
    }
    assert choose_regions((), path) == load_regions(path)
    chosen = choose_regions(["nose", "eyes", "cheeks"], str(path))
    assert list(chosen) == ["nose", "eyes", "cheeks"]
    assert chosen["nose"] == Region("nose", ((30, 31, 35),))
    assert chosen["eyes"] is REGIONS["eyes"]


def test_a_region_in_neither_is_refused_with_the_names_of_both(toml):
    known = "nose, eyes, lower_face, left_eye, cheeks"
    with pytest.raises(InputError, match=f"unknown region 'ears'; known: {known}"):
        choose_regions(["nose", "ears"], toml(OWN))


@pytest.mark.parametrize("table", [
    "[ears]",
    "ears = 3",
    "ears = [1, 2, 3]",
    "[[ears]]\nlandmarks = [1, 2, 3]",
    "[ears]\nlandmark = [1, 2, 3]",
    "[ears]\nlandmarks = [1, 2, 3]\nfeather = 0.1",
    "[ears]\nlandmarks = 5",
    "[ears]\nlandmarks = '1, 2, 3'",
    "[ears]\nlandmarks = []",
    "[ears]\nlandmarks = [[]]",
    "[ears]\nlandmarks = [1, 2]",
    "[ears]\nlandmarks = [1, 2, 2]",
    "[ears]\nlandmarks = [1, 2, 68]",
    "[ears]\nlandmarks = [1, 2, -1]",
    "[ears]\nlandmarks = [1, 2, 3.0]",
    "[ears]\nlandmarks = [true, 2, 3]",
    "[ears]\nlandmarks = ['1', 2, 3]",
    "[ears]\nlandmarks = [[1, 2, 3], [4, 5]]",
    "[ears]\nlandmarks = [[1, 2, 3], 4]",
    "[ears]\nlandmarks = [1, [2, 3, 4]]",
])  # fmt: skip
def test_a_region_that_is_none_is_refused_with_its_file_and_name(toml, table):
    path = toml(f"{table}\n[nose]\nlandmarks = [30, 31, 35]")
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: region \[ears\]"):
        load_regions(path)


@pytest.mark.parametrize("name", ["left eye", "../eye", "a.b", ""])
def test_a_name_that_would_not_do_for_a_file_is_refused(toml, name):
    path = toml(f'["{name}"]\nlandmarks = [1, 2, 3]')
    with pytest.raises(InputError, match=rf"region \[{name}\] needs a plain name"):
        load_regions(path)


@pytest.mark.parametrize("content, message", [
    ("", "holds no region"),
    ("# none yet", "holds no region"),
    ("[nose", "not a readable TOML file: Expected '\\]'"),
    ("[nose]\n[nose]", "not a readable TOML file: Cannot declare"),
    (OWN.encode("utf-16"), "not a readable TOML file: .*utf-8"),
])  # fmt: skip
def test_a_file_that_is_not_of_regions_is_refused(toml, content, message):
    path = toml(content)
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: {message}"):
        load_regions(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "gone.toml", tmp_path):
        with pytest.raises(InputError, match=f"{path}: not a readable TOML file"):
            load_regions(path)
