import numpy as np
import pytest

from facedirs_jax.rendering.backdrop import KINDS, SHARES, paint_backdrop
from facedirs_jax.rendering.factors import Photo

DETAILS = range(60)


def halved(picture: np.ndarray) -> np.ndarray:
    size = len(picture) // 2
    return picture.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("detail", range(12))
def test_a_backdrop_is_the_same_picture_at_every_size(detail):
    photo = Photo(detail=detail)
    small, large = paint_backdrop(photo, 64), paint_backdrop(photo, 128)
    assert small.shape == (64, 64, 3) and small.dtype == np.float32
    np.testing.assert_allclose(halved(large)[1:-1, 1:-1], small[1:-1, 1:-1], atol=0.06)


def test_nothing_but_the_photo_s_detail_decides_it():
    plain = paint_backdrop(Photo(detail=4), 64)
    posed = Photo(detail=4, yaw=30, light=-60, flash=0.2, zoom=1.2, noise=0.05)
    np.testing.assert_array_equal(paint_backdrop(posed, 64), plain)
    assert np.abs(paint_backdrop(Photo(detail=5), 64) - plain).max() > 0.02


def test_backdrops_are_light_and_dark_plain_and_busy_grey_and_coloured():
    pictures = np.array([paint_backdrop(Photo(detail=d), 64) for d in DETAILS])
    assert pictures.min() >= 0 and pictures.max() <= 1.2
    means = pictures.mean(axis=(1, 2, 3))
    assert means.min() < 0.1 and means.max() > 0.4
    spreads = pictures.std(axis=(1, 2)).mean(axis=1)
    assert spreads.min() < 0.02 and spreads.max() > 0.1
    colored = np.ptp(pictures.mean(axis=(1, 2)), axis=1) / means
    assert colored.min() < 0.05 and colored.max() > 0.4


def test_every_kind_has_its_share():
    assert len(KINDS) == len(SHARES) and sum(SHARES) == pytest.approx(1)


def test_a_seed_below_zero_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        paint_backdrop(Photo(detail=-1), 64)
