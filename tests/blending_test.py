"""Oracles: the blend in float64 numpy, and scikit-image's CIELAB."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.color

import facedirs_jax
from facedirs_jax import blending
from facedirs_jax.blending import blend, lab_to_rgb, match_surroundings, rgb_to_lab

SIDE = 32
PAIRS = np.array([[0, 1], [1, 0], [2, 1], [2, 2]], np.int32)
EITHER_MODE = pytest.mark.parametrize("color_transfer", ["none", "lab"])


@pytest.fixture(scope="module")
def crops():
    """Three pictures of coarse random colours, [3, S, S, 3] uint8."""
    rng = np.random.default_rng(0)
    noise = rng.integers(-30, 30, (3, SIDE, SIDE, 3))
    coarse = rng.integers(0, 256, (3, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def masks():
    """A disc each, 1 within 6 px, falling to 0 at 12 px, [3, S, S] float32."""
    steps = np.arange(SIDE)
    away = [np.hypot(steps - 14 - i, steps[:, None] - 16) for i in range(3)]
    return np.clip((12 - np.array(away)) / 6, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def pair(crops, masks):
    """Face, donor and mask, float32 in [0, 1]."""
    face, donor = crops[:2].astype(np.float32) / np.float32(255)
    return jnp.array(face), jnp.array(donor), jnp.array(masks[0])


def seam_moments(image, mask):
    """Mean and standard deviation of each channel of LAB over the seam, [3] each."""
    lab = skimage.color.rgb2lab(np.asarray(image, np.float64))
    weights = (mask * (1 - mask)).ravel()
    mean = np.average(lab.reshape(-1, 3), axis=0, weights=weights)
    variance = np.average((lab.reshape(-1, 3) - mean) ** 2, axis=0, weights=weights)
    return mean, np.sqrt(variance)


@pytest.mark.parametrize("function", [blend, facedirs_jax.blend])
def test_a_blend_is_the_mean_weighed_by_the_mask(pair, function):
    face, donor, mask = (np.asarray(array, np.float64) for array in pair)
    expected = (1 - mask[..., None]) * face + mask[..., None] * donor
    # four roundings of numbers up to 1
    np.testing.assert_allclose(function(*pair), expected, rtol=0, atol=2.5e-7)


@EITHER_MODE
@pytest.mark.parametrize("pairs", [PAIRS[:1], PAIRS])
def test_every_pixel_out_of_reach_is_the_face_donors_to_the_bit(
    crops, masks, pairs, color_transfer
):
    blends = facedirs_jax.blend_pairs(
        crops, masks, pairs, color_transfer=color_transfer
    )
    untouched = np.asarray(blending.unit_range(jnp.array(crops)))
    for found, (m, _) in zip(np.asarray(blends), pairs, strict=True):
        outside = masks[m] == 0
        assert 0.5 < outside.mean() < 0.7
        np.testing.assert_array_equal(found[outside], untouched[m][outside])
        levels = np.round(255 * found).astype(np.uint8)
        np.testing.assert_array_equal(levels[outside], crops[m][outside])


def test_every_pixel_of_full_weight_is_the_region_donors(crops, masks):
    blends = facedirs_jax.blend_pairs(crops, masks, PAIRS)
    for found, (m, k) in zip(np.asarray(blends), PAIRS, strict=True):
        inside = masks[m] == 1
        assert inside.sum() > 50
        # face + (donor - face) is rounded twice
        np.testing.assert_allclose(
            found[inside], crops[k][inside] / np.float32(255), rtol=0, atol=1.2e-7
        )


@EITHER_MODE
def test_many_blends_are_those_of_each_pair(crops, masks, color_transfer):
    blends = facedirs_jax.blend_pairs(
        crops, masks, PAIRS, color_transfer=color_transfer
    )
    assert blends.shape == (4, SIDE, SIDE, 3) and blends.dtype == jnp.float32
    unit = crops.astype(np.float32) / np.float32(255)
    for found, (m, k) in zip(blends, PAIRS, strict=True):
        one = facedirs_jax.blend(
            unit[m], unit[k], masks[m], color_transfer=color_transfer
        )
        # float32 through powers and cube roots, in another order
        np.testing.assert_allclose(found, one, rtol=0, atol=2e-5)


def test_jit_changes_nothing(pair):
    plain = blend(*pair, color_transfer="lab")
    jitted = facedirs_jax.blend(*pair, color_transfer="lab")
    # float32 through powers and cube roots, fused otherwise
    np.testing.assert_allclose(jitted, plain, rtol=0, atol=2e-5)


def test_a_blend_is_linear_in_the_mask(pair):
    face, donor, mask = pair
    other = mask[::-1]
    mixed = blend(face, donor, 0.25 * mask + 0.75 * other)
    apart = 0.25 * blend(face, donor, mask) + 0.75 * blend(face, donor, other)
    np.testing.assert_allclose(mixed, apart, rtol=0, atol=5e-7)  # a few roundings


def test_a_face_blended_with_itself_stays_itself(pair):
    face, _, mask = pair
    np.testing.assert_array_equal(blend(face, face, mask), face)
    # float32 through LAB and back, with a slope of 12.9 in the darkest colours
    matched = blend(face, face, mask, color_transfer="lab")
    np.testing.assert_allclose(matched, face, rtol=0, atol=2e-5)


@EITHER_MODE
@pytest.mark.parametrize(
    "face, donor", [(0, 0), (0, 1), (1, 0), (1, 1), (0.2, 1), (0.7, 0)]
)
def test_blends_of_flat_pictures_stay_in_range(face, donor, color_transfer):
    colour = jnp.array([1.0, 0.9, 0.3]).reshape(1, 1, 3)
    face, donor = (x * jnp.ones((SIDE, SIDE, 3)) * colour for x in (face, donor))
    mask = jnp.linspace(0, 1, SIDE)[:, None] * jnp.ones((1, SIDE))
    found = np.asarray(blend(face, donor, mask, color_transfer=color_transfer))
    assert np.isfinite(found).all()
    assert found.min() >= 0 and found.max() <= 1
    if color_transfer == "lab":  # the donor has nothing but the face's colour
        np.testing.assert_allclose(found, face, rtol=0, atol=2e-5)


def test_the_donor_is_given_the_mean_and_spread_that_the_face_has_on_the_seam(masks):
    rng = np.random.default_rng(0)
    # Far from the gamut's edge, where nothing is clipped.
    lab = rng.normal([55, 10, 12], [4, 3, 3], (2, SIDE, SIDE, 3))
    lab[1] = (lab[1] - 55) * 1.5 + [65, 60, 50]
    face, donor = (
        jnp.array(skimage.color.lab2rgb(image), jnp.float32) for image in lab
    )
    matched = match_surroundings(donor, face, jnp.array(masks[0]))
    before, wanted = seam_moments(donor, masks[0]), seam_moments(face, masks[0])
    assert abs(before[0] - wanted[0]).max() > 5 and abs(before[1] - wanted[1]).max() > 1
    # scikit-image's matrix of sRGB differs from ours in its sixth digit
    np.testing.assert_allclose(
        seam_moments(matched, masks[0]), wanted, rtol=0, atol=0.01
    )


@pytest.mark.parametrize("sizes, ratio", [((1, 6), 1 / 2), ((6, 1), 2)])
def test_spreads_change_twofold_at_most(masks, sizes, ratio):
    lab = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 3))
    lab = lab * np.reshape(sizes, (2, 1, 1, 1)) + [60, 0, 0]
    face, donor = (
        jnp.array(skimage.color.lab2rgb(image), jnp.float32) for image in lab
    )
    matched = match_surroundings(donor, face, jnp.array(masks[0]))
    (_, before), (_, after) = (seam_moments(a, masks[0]) for a in (donor, matched))
    np.testing.assert_allclose(after / before, ratio, rtol=0.01)  # the same matrices


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_without_a_seam_the_donor_keeps_its_colours(pair, weight):
    face, donor, mask = pair
    hard = jnp.where(mask > 0.5, weight, 0.0)
    np.testing.assert_array_equal(match_surroundings(donor, face, hard), donor)


@pytest.fixture(scope="module")
def gamut():
    """Every 15th level of each channel, [18, 18, 18, 3] uint8."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1)


@pytest.mark.parametrize("function", [rgb_to_lab, jax.jit(rgb_to_lab)])
def test_lab_is_that_of_scikit_image(gamut, function):
    found = function(blending.unit_range(jnp.array(gamut)))
    assert found.dtype == jnp.float32
    # Its matrix and white point differ in the sixth digit; the eye sees about 1.
    np.testing.assert_allclose(found, skimage.color.rgb2lab(gamut), rtol=0, atol=0.01)


def test_greys_have_no_colour():
    greys = jnp.linspace(0, 1, 256)[:, None] * jnp.ones((1, 3))
    lab = np.asarray(rgb_to_lab(greys))
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-4)  # 500 roundings of 1
    np.testing.assert_allclose(lab[[0, 255], 0], [0, 100], atol=1e-4)
    assert (np.diff(lab[:, 0]) > 0).all()


@pytest.mark.parametrize("function", [lab_to_rgb, jax.jit(lab_to_rgb)])
def test_lab_leads_back_to_every_colour_of_the_gamut(gamut, function):
    unit = blending.unit_range(jnp.array(gamut))
    found = np.asarray(function(rgb_to_lab(unit)))
    # float32 rounding of L* up to 100, with a slope of 12.9 in the darkest colours
    np.testing.assert_allclose(found, unit, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(np.round(255 * found), gamut)


def test_lab_out_of_the_gamut_is_clipped():
    lab = jnp.array([[50.0, 127, -128], [120, 0, 0], [-9, 0, 0], [0, 90, 90]])
    found = np.asarray(lab_to_rgb(lab))
    assert found.min() == 0 and found.max() <= 1
    # 1.055 - 0.055, rounded
    np.testing.assert_allclose(found[1:3], [[1, 1, 1], [0, 0, 0]], rtol=0, atol=1e-7)


def test_levels_become_shares_of_255():
    found = blending.unit_range(jnp.array([0, 51, 255], jnp.uint8))
    # The compiler multiplies by the rounded 1 / 255.
    np.testing.assert_allclose(found, [0, 0.2, 1], rtol=1e-7)


ONES = np.ones((4, 4, 3), np.float32)


@pytest.mark.parametrize("function", [blend, facedirs_jax.blend])
@pytest.mark.parametrize(
    "change, message",
    [
        ({"donor": ONES[:3]}, "shape"),
        ({"face": ONES[..., :1], "donor": ONES[..., :1]}, "shape"),
        ({"face": ONES[None], "donor": ONES[None]}, "shape|rank"),
        ({"mask": ONES}, "shape|rank"),
        ({"mask": ONES[:3, :, 0]}, "shape"),
        ({"face": ONES.astype(np.uint8)}, "uint8"),
        ({"donor": ONES.astype(np.uint8)}, "uint8"),
        ({"mask": ONES[..., 0].astype(bool)}, "bool"),
        ({"color_transfer": "LAB"}, "must be none or lab, got 'LAB'"),
    ],
)
def test_what_cannot_be_blended_is_refused(function, change, message):
    arguments = {"face": ONES, "donor": ONES, "mask": ONES[..., 0], **change}
    with pytest.raises(ValueError, match=message):
        function(**arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"crops": np.ones((3, SIDE, SIDE, 3), np.float32)}, "uint8, got float32"),
        ({"crops": np.ones((2, SIDE, SIDE, 3), np.uint8)}, "shape"),
        ({"crops": np.ones((3, SIDE, SIDE, 4), np.uint8)}, "shape"),
        ({"pairs": PAIRS[0]}, "shape|rank"),
        ({"pairs": PAIRS.T}, "shape"),
        ({"color_transfer": "hsv"}, "must be none or lab, got 'hsv'"),
    ],
)
def test_what_are_no_pairs_of_crops_is_refused(crops, masks, change, message):
    arguments = {"crops": crops, "masks": masks, "pairs": PAIRS, **change}
    with pytest.raises(ValueError, match=message):
        facedirs_jax.blend_pairs(**arguments)
