"""Augmentation against plain numpy, OpenCV and Pillow's JPEG."""

import dataclasses
import io
import math

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astronaut import portrait
from PIL import Image

from facedirs_jax.errors import InputError
from facedirs_jax.training import augmentation
from facedirs_jax.training.augmentation import Augmentation, augment

NONE = Augmentation.none()


@pytest.fixture(scope="module")
def face():
    """[64, 64, 3] float32 in [0, 1]."""
    return cv2.resize(portrait(0), (64, 64), interpolation=cv2.INTER_AREA) / np.float32(
        255
    )


def test_nothing_is_changed_where_nothing_is_asked_for(face):
    found = augment(jax.random.key(0), jnp.asarray(face[None]), NONE)
    np.testing.assert_array_equal(found[0], face)


def test_the_key_alone_decides_and_each_crop_gets_its_own_change(face):
    images = jnp.asarray(np.stack([face] * 4))
    jitted = jax.jit(augment, static_argnums=2)
    first, again, other = (
        np.asarray(jitted(jax.random.key(seed), images, Augmentation()))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05
    assert len({crop.tobytes() for crop in first}) == 4
    assert first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1


def warped(face, zoom, angle, right, down, flip):
    return augmentation.warp(
        *(jnp.asarray(face), jnp.float32(zoom), jnp.float32(angle)),
        *(jnp.float32(right), jnp.float32(down), jnp.bool_(flip)),
    )


def test_a_warp_is_opencvs(face):
    zoom, angle, right, down = 1.1, math.radians(8), 0.05, -0.03
    matrix = cv2.getRotationMatrix2D((31.5, 31.5), -math.degrees(angle), zoom)
    matrix[:, 2] += (right * 64, down * 64)
    expected = cv2.warpAffine(face, matrix, (64, 64), borderMode=cv2.BORDER_REPLICATE)
    found = warped(face, zoom, angle, right, down, False)
    # OpenCV interpolates at 1/32 px; away from the edge, which it fills otherwise.
    np.testing.assert_allclose(found[4:-4, 4:-4], expected[4:-4, 4:-4], atol=0.02)


def test_a_flip_mirrors_and_a_warp_by_nothing_is_none(face):
    mirrored = warped(face, 1, 0, 0, 0, True)
    np.testing.assert_allclose(mirrored, face[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(warped(face, 1, 0, 0, 0, False), face, atol=1e-6)


def test_colours_change_as_written(face):
    found = augmentation.recolour(
        jnp.asarray(face), jnp.float32(0.1), jnp.float32(1.5), jnp.float32(0)
    )
    grey = face @ np.array([0.299, 0.587, 0.114])
    expected = grey.mean() + 1.5 * (grey - grey.mean()) + 0.1
    np.testing.assert_allclose(found, np.stack([expected] * 3, axis=2), atol=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_a_blur_is_a_separable_filter(face, strength):
    taps = np.array([strength, 4 - 2 * strength, strength]) / 4
    border = cv2.BORDER_REPLICATE
    expected = cv2.sepFilter2D(face, -1, taps, taps, borderType=border)
    found = augmentation.blurred(jnp.asarray(face), jnp.float32(strength))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_quantisation_is_that_of_a_grey_jpeg(face):
    grey = np.round(255 * face.mean(axis=2)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "jpeg", quality=50)
    expected = np.asarray(Image.open(file)) / 255
    image = np.repeat(grey[..., None] / np.float32(255), 3, axis=2)
    found = augmentation.jpeg_like(jnp.asarray(image), jnp.float32(1))[..., 0]
    assert np.abs(image[..., 0] - expected).max() > 0.02
    # Pillow rounds to whole values and takes 128 for the middle, and not 127.5; in a
    # block or two a coefficient half-way between two steps falls to the other side.
    apart = np.abs(np.clip(found, 0, 1) - expected)
    assert np.quantile(apart, 0.99) < 0.02 and apart.max() < 0.05


def test_blocks_need_not_fill_the_crop(face):
    image = jnp.asarray(face[:60, :60])
    assert augmentation.jpeg_like(image, jnp.float32(1)).shape == (60, 60, 3)


@pytest.mark.parametrize(
    ("kind", "share"),
    [("grey", 0.3), ("flip", 0.5), ("jpeg", 0.2), ("erase", 0.4), ("blur", 0.25)],
)
def test_a_probability_is_the_share_of_crops_that_change(face, kind, share):
    small = jnp.asarray(cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA))
    images = jnp.broadcast_to(small[None], (600, 16, 16, 3))
    amounts = dataclasses.replace(NONE, **{kind: share})
    found = jax.jit(augment, static_argnums=2)(jax.random.key(3), images, amounts)
    changed = np.abs(np.asarray(found - images)).max(axis=(1, 2, 3)) > 1e-4
    # Three standard deviations of 600 draws; 1 in 50 of the erased miss the crop.
    assert abs(changed.mean() - share) < 0.07


@pytest.mark.parametrize(
    "wrong", [{"flip": 1.5}, {"noise": -0.1}, {"rotation": 200}, {"erase": math.nan}]
)
def test_amounts_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
        Augmentation(**wrong)


def test_crops_must_be_square_and_rgb():
    with pytest.raises(ValueError, match="shape"):
        augment(jax.random.key(0), jnp.ones((2, 8, 9, 3)), NONE)
