import numpy as np
import pytest
from scipy import ndimage

from facedirs_jax.rendering.factors import Photo
from facedirs_jax.rendering.sensor import blur, expose

SIZE = 128


def scene() -> np.ndarray:
    """Grey patches and a coloured slope, linear."""
    rng = np.random.default_rng(0)
    picture = rng.uniform(0.02, 0.8, (16, 16, 3)).repeat(8, 0).repeat(8, 1)
    return (0.7 * picture + 0.3 * picture.mean(-1, keepdims=True)).astype(np.float32)


def grey(level: float) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), level, np.float32)


def energy(picture: np.ndarray) -> float:
    """Of what changes from pixel to pixel."""
    return float(np.square(np.diff(picture.astype(np.float64), axis=1)).mean())


def test_more_light_is_a_lighter_byte_from_black_to_white():
    ramp = np.linspace(0, 2, SIZE, dtype=np.float32)
    picture = expose(np.broadcast_to(ramp[:, None, None], (SIZE, SIZE, 3)), Photo())
    column = picture[:, 0, 0].astype(int)
    assert column[0] == 0 and column[-1] == 255
    assert (np.diff(column) >= 0).all()
    assert 100 < expose(grey(0.18), Photo())[0, 0, 0] < 140


def test_a_stop_more_exposure_is_twice_the_light():
    np.testing.assert_array_equal(
        expose(grey(0.1), Photo(exposure=1.0)), expose(grey(0.2), Photo())
    )
    assert expose(grey(0.1), Photo(exposure=-1.0)).max() < 100


def test_white_balance_goes_from_blue_to_yellow():
    blue, none, yellow = (
        expose(grey(0.2), Photo(white_balance=w))[0, 0].astype(int)
        for w in (-1.0, 0.0, 1.0)
    )
    assert none[0] == none[1] == none[2] == blue[1] == yellow[1]
    assert blue[2] > blue[1] > blue[0]
    assert yellow[0] > yellow[1] > yellow[2]


@pytest.mark.parametrize("sigma", (0.4, 1.0, 2.7))
def test_blur_is_a_gaussian(sigma):
    expected = ndimage.gaussian_filter(
        scene().astype(np.float64), (sigma, sigma, 0), mode="nearest", truncate=3
    )
    np.testing.assert_allclose(blur(scene(), sigma), expected, atol=3e-3)


def test_blur_lowers_and_noise_raises_what_changes_from_pixel_to_pixel():
    sharp = energy(expose(scene(), Photo()))
    assert energy(expose(scene(), Photo(blur=1.5))) < 0.5 * sharp
    assert energy(expose(scene(), Photo(noise=0.05))) > 1.1 * sharp
    flat = energy(expose(grey(0.2), Photo()))
    levels = [energy(expose(grey(0.2), Photo(noise=n))) for n in (0.02, 0.05, 0.1)]
    assert flat == 0 and 0 < levels[0] < levels[1] < levels[2]


def test_blur_is_told_for_128_pixels():
    blurred = expose(scene(), Photo(blur=1.5))
    half = scene().reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    smaller = expose(half, Photo(blur=1.5)).astype(int)
    expected = blurred.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(smaller - expected).mean() < 3


def test_noise_has_the_strength_told_and_is_drawn_by_the_photo():
    noisy = expose(grey(0.2), Photo(detail=3, noise=0.04)).astype(float)
    assert noisy[..., 1].std() / 255 == pytest.approx(0.04, rel=0.25)
    again = expose(grey(0.2), Photo(detail=3, noise=0.04))
    other = expose(grey(0.2), Photo(detail=4, noise=0.04))
    assert (noisy == again).all() and (noisy != other).any()
    dark = expose(grey(0.02), Photo(noise=0.04, exposure=0.0)).astype(float)
    assert dark.mean() < noisy.mean()


def test_jpeg_loses_more_the_lower_its_quality_and_nothing_at_100():
    clean = expose(scene(), Photo()).astype(int)
    losses = [
        np.abs(expose(scene(), Photo(jpeg_quality=q)) - clean).mean()
        for q in (20, 60, 95, 100)
    ]
    assert losses[0] > losses[1] > losses[2] > losses[3] == 0
    assert losses[0] < 20


def test_a_grey_picture_is_refused():
    with pytest.raises(ValueError, match=r"shape|broadcast|axis|unpack"):
        expose(np.zeros((SIZE, SIZE), np.float32), Photo(noise=0.01))
