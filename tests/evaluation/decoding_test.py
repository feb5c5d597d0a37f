"""Likeness of decodes: against scikit-image, on cases whose answer is known."""

import numpy as np
import pytest
from skimage import metrics

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import decoding
from facedirs_jax.evaluation.decoding import Originals, Pictures


def pictures_of(count=4, side=24, *, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(size=(count, side // 4, side // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)


def noisy(images, *, size=0.1, seed=1):
    noise = np.random.default_rng(seed).normal(0, size, images.shape)
    return np.clip(images + noise, 0, 1).astype(np.float32)


def held_out(people=5, photos=3, dim=8, *, seed=0):
    """Faces whose templates lie around one of their person, far from the origin."""
    rng = np.random.default_rng(seed)
    own = 3.0 + rng.normal(size=(people, 1, dim))
    templates = own + 0.1 * rng.normal(size=(people, photos, dim))
    return Originals(
        pictures_of(people * photos, seed=seed),
        templates.reshape(-1, dim).astype(np.float32),
        np.repeat([f"person {n}" for n in range(people)], photos),
    )


CENTRE = np.full(8, 3.0, np.float32)


def test_psnr_and_ssim_are_those_of_scikit_image():
    images, decodes = pictures_of(), noisy(pictures_of())
    peaks = [
        metrics.peak_signal_noise_ratio(a, b, data_range=1.0)
        for a, b in zip(images, decodes, strict=True)
    ]
    alike = [
        metrics.structural_similarity(
            *(a.astype(np.float64), b.astype(np.float64)),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
        )
        for a, b in zip(images, decodes, strict=True)
    ]
    np.testing.assert_allclose(decoding.psnr(images, decodes), peaks, rtol=1e-5)
    # Variances are differences of float32 means.
    np.testing.assert_allclose(decoding.ssim(images, decodes), alike, atol=2e-5)


def test_a_picture_is_most_like_itself_and_likeness_is_mutual():
    images = pictures_of()
    np.testing.assert_allclose(decoding.ssim(images, images), 1.0, atol=1e-5)
    assert np.isinf(decoding.psnr(images, images)).all()
    worse, worst = noisy(images, size=0.05), noisy(images, size=0.2)
    for measure in (decoding.psnr, decoding.ssim):
        assert (np.asarray(measure(images, worse)) > measure(images, worst)).all()
        there, back = measure(images, worse), measure(worse, images)
        np.testing.assert_allclose(there, back, rtol=1e-4)


def test_the_nearest_row_is_that_of_a_plain_search():
    rng = np.random.default_rng(0)
    templates, others = rng.normal(size=(7, 5)), rng.normal(size=(30, 5))
    distances = np.linalg.norm(templates[:, None] - others[None], axis=2)
    found = decoding.nearest_rows(
        templates.astype(np.float32), others.astype(np.float32)
    )
    np.testing.assert_array_equal(found, distances.argmin(axis=1))


def test_cosines_are_those_of_numpy_and_of_nothing_zero():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 6, 4)).astype(np.float32)
    first[3] = 0.0
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    expected = (first * second).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    np.testing.assert_allclose(decoding.cosines(first, second), expected, atol=1e-6)


def test_distances_are_those_of_numpy_and_shrink_as_templates_come_nearer():
    faces = held_out()
    away = np.random.default_rng(1).normal(size=faces.templates.shape).astype("f4")
    means = []
    for share in (1.0, 0.5):
        decodes = Pictures(noisy(faces.images), faces.templates + share * away)
        report = decoding.measure_decodes(
            faces, decodes, baselines={}, centre=CENTRE, resamples=50
        )
        means.append(report.decodes.distance.value)
    assert means[0] == pytest.approx(np.linalg.norm(away, axis=1).mean(), rel=1e-5)
    assert means[1] == pytest.approx(means[0] / 2, rel=1e-5)


def test_perfect_decodes_are_found_first_and_a_mean_face_by_chance():
    faces = held_out()
    decodes = Pictures(noisy(faces.images, size=0.02), faces.templates)
    mean = np.broadcast_to(faces.images.mean(axis=0), faces.images.shape)
    away = np.broadcast_to(CENTRE + 1e-3 * np.arange(8, dtype=np.float32), (15, 8))
    report = decoding.measure_decodes(
        *(faces, decodes),
        baselines={"mean face": Pictures(mean, away)},
        centre=CENTRE,
        resamples=200,
    )
    assert (report.faces, report.identities) == (15, 5)
    assert report.decodes.rank1.value == report.decodes.rank1_other.value == 1.0
    assert report.decodes.centred_cosine.value == pytest.approx(1.0, abs=1e-6)
    assert report.baselines["mean face"].rank1.value == pytest.approx(1 / 5)
    # The common part of all templates makes any two look alike; centring takes it off.
    assert report.baselines["mean face"].cosine.value > 0.9
    assert abs(report.baselines["mean face"].centred_cosine.value) < 0.7
    gain = report.gains["mean face"]
    for field in ("psnr", "ssim", "cosine", "centred_cosine"):
        difference = getattr(gain, field)
        assert 0 < difference.low <= difference.value <= difference.high


def test_a_gain_over_oneself_is_nothing():
    faces = held_out()
    decodes = Pictures(noisy(faces.images), faces.templates[::-1].copy())
    report = decoding.measure_decodes(
        *(faces, decodes), baselines={"same": decodes}, centre=CENTRE, resamples=50
    )
    assert all(gain == (0.0, 0.0, 0.0) for gain in report.gains["same"])
    assert report.baselines["same"] == report.decodes


def test_the_mean_over_faces_is_a_plain_mean_and_one_photo_each_leaves_no_others():
    faces = held_out(photos=1)
    decodes = Pictures(noisy(faces.images), faces.templates)
    report = decoding.measure_decodes(
        *(faces, decodes), baselines={}, centre=CENTRE, resamples=50
    )
    plain = float(np.mean(decoding.ssim(faces.images, decodes.images)))
    assert report.decodes.ssim.value == pytest.approx(plain, rel=1e-6)
    assert np.isnan(report.decodes.rank1_other).all()


def test_what_cannot_be_measured_is_refused():
    faces = held_out(people=1)
    decodes = Pictures(faces.images, faces.templates)
    with pytest.raises(InputError, match="decodes of 1 people"):
        decoding.measure_decodes(faces, decodes, baselines={}, centre=CENTRE)
    faces = held_out()
    broken = Pictures(faces.images, np.full_like(faces.templates, np.nan))
    with pytest.raises(InputError, match="template is not finite"):
        decoding.measure_decodes(faces, broken, baselines={}, centre=CENTRE)
    with pytest.raises(ValueError, match="11 px or more, got 8"):
        decoding.ssim(pictures_of(side=8), pictures_of(side=8))
    with pytest.raises(ValueError, match="shape"):
        decoding.psnr(pictures_of(side=12), pictures_of(side=16))
