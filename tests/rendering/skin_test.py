"""Skin: a texture in which every factor shows where it should, and nowhere else."""

import dataclasses
import time

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering import complexion, zones
from facedirs_jax.rendering.factors import Look, Person
from facedirs_jax.rendering.skin import paint_skin, skin_gloss, skin_rgb
from facedirs_jax.rendering.texels import SCALES, cloud_fields, grain, head_texels

SCALE = 2
PERSON = Person(detail=11)
LOOK = Look(hair_style="short", hair_color="dark")
POSITIONS = head_texels(SCALE).positions
X, Y, Z = np.abs(POSITIONS[..., 0]), POSITIONS[..., 1], POSITIONS[..., 2]
INSIDE = head_texels(SCALE).inside
FACE = INSIDE & (Z > 1.0) & (Y > 6.3) & (Y < 7.9)  # dm


def painted(**factors):
    """The texture of a face that differs from the usual in some factors."""
    names = {field.name for field in dataclasses.fields(Person)}
    own = {name: value for name, value in factors.items() if name in names}
    worn = {name: value for name, value in factors.items() if name not in names}
    person, look = dataclasses.replace(PERSON, **own), dataclasses.replace(LOOK, **worn)
    return paint_skin(person, look, scale=SCALE)


def layer(which, least=0.0):
    return zones.skin_zones(SCALE).values[which] > 255 * least


def luminance(texture):
    return texture[..., :3].astype(np.float64) @ [0.2126, 0.7152, 0.0722]


def redness(texture):
    return texture[..., 0].astype(np.float64) / texture[..., 1]


def near_brows(dm):
    return (Z > 0.8) & (X > 0.02) & (X < 0.72) & (np.abs(Y - 7.52) < dm)


@pytest.mark.parametrize(("melanin", "blood"), [(0.03, 0.0), (0.3, 0.3), (1.1, 1.0)])
def test_even_skin_follows_the_law_of_absorption(melanin, blood):
    seen = (blood - 0.3) / (1 + melanin)
    depths = np.outer([1.82, 2.28, 2.76], melanin) + np.outer([0.03, 0.33, 0.24], seen)
    expected = np.array([0.830, 0.595, 0.465]) * np.exp(-depths[:, 0])
    np.testing.assert_allclose(complexion.absorb(melanin, blood), expected, rtol=1e-6)
    rgb = skin_rgb(Person(detail=3, melanin=melanin, blood=blood))
    np.testing.assert_allclose(rgb, expected, rtol=0.0251)  # the person's tint


def test_one_texel_of_bare_cheek_is_what_plain_numpy_says():
    person = dataclasses.replace(PERSON, flush=0.7, under_eye=0.0)
    colors = complexion.complexion(person, Look(), scale=SCALE)
    clear = np.ones(Y.shape, bool)
    for which in (zones.LIPS, zones.LID, zones.DARK, zones.UNDER_EYE):
        clear &= ~layer(which)
    row, column = np.argwhere(clear & layer(zones.FLUSH, 0.5) & FACE)[7]
    texture = paint_skin(person, Look(), scale=SCALE)

    share = zones.skin_zones(SCALE).values[:, row, column] / 255
    clouds = cloud_fields(SCALE)[:, row, column].astype(np.float64)
    side = grain(SCALE).shape[1]
    place = (row + colors.pores[0]) % side, (column + colors.pores[1]) % side
    pore, spot = grain(SCALE)[(slice(None), *place)] / 31
    melanin = person.melanin + clouds @ colors.melanin_clouds + 0.006 * spot
    melanin += (0.035 + 0.10 * person.melanin) * share[zones.PIGMENT]
    blood = person.blood + clouds @ colors.blood_clouds + 0.06 * (pore + spot)
    blood += 0.65 * share[zones.BLOOD] + 1.6 * 0.7 * share[zones.FLUSH]
    seen = (blood - 0.3) / (1 + melanin)
    depths = np.array([1.82, 2.28, 2.76]) * melanin
    depths += np.array([0.03, 0.33, 0.24]) * seen
    expected = np.array([0.830, 0.595, 0.465]) * np.exp(-depths) * colors.tint
    np.testing.assert_allclose(texture[row, column, :3], expected, rtol=1e-5)


def test_the_same_person_gets_the_same_bits():
    for scale in SCALES:
        first = paint_skin(PERSON, LOOK, scale=scale)
        np.testing.assert_array_equal(first, paint_skin(PERSON, LOOK, scale=scale))
        assert first.shape == (980 // scale, 427 // scale, 5)
        assert first.dtype == np.float32
        assert np.isfinite(first).all()


def test_the_texture_meets_the_neck_in_the_colour_of_even_skin():
    person = dataclasses.replace(PERSON, age=80.0, freckles=1.0)
    texture = paint_skin(person, Look(facial_hair="beard"), scale=SCALE)
    neck = ~layer(zones.EVEN)
    assert (neck & INSIDE).sum() > 200
    expected = [*skin_rgb(person), 0.0, skin_gloss(person)]
    unlike = np.abs(texture[neck] - expected)
    assert unlike.max() < 1e-6


def test_the_coarser_texture_shows_the_same_skin():
    person = dataclasses.replace(PERSON, freckles=0.5)
    fine, coarse = (paint_skin(person, LOOK, scale=scale) for scale in SCALES)
    shrunk = fine[:980, :426].reshape(490, 2, 213, 2, 5).mean(axis=(1, 3))
    # The odd last column of the finer one moves them by up to half a texel.
    difference = np.abs(shrunk - coarse)[FACE][:, :3]
    assert difference.mean() < 0.01


@pytest.mark.parametrize(
    ("factor", "values", "measure", "where"),
    [
        ("melanin", (0.03, 0.2, 0.5, 0.8, 1.1), lambda t: -luminance(t), "FACE"),
        ("blood", (0.0, 0.25, 0.5, 0.75, 1.0), redness, "FACE"),
        ("flush", (0.0, 0.25, 0.5, 0.75, 1.0), redness, zones.FLUSH),
        ("freckles", (0.0, 0.25, 0.5, 0.75, 1.0), lambda t: -luminance(t), "FACE"),
        ("under_eye", (0.0, 0.25, 0.5, 1.0), lambda t: -luminance(t), zones.UNDER_EYE),
        ("lipstick", (0.0, 0.25, 0.5, 1.0), redness, zones.LIPS),
        ("eye_shadow", (0.0, 0.25, 0.5, 1.0), lambda t: -luminance(t), zones.LID),
        ("brow_density", (0.7, 0.85, 1.0, 1.1), lambda t: -luminance(t), "brows"),
        ("brow_thickness", (0.4, 0.8, 1.2, 1.8), lambda t: -luminance(t), "brows"),
        ("age", (45.0, 55.0, 65.0, 85.0), lambda t: np.abs(t[..., 3]), "FACE"),
    ],
)
@pytest.mark.parametrize("melanin", [0.1, 0.9])
def test_a_factor_shows_the_more_the_larger_it_is(
    factor, values, measure, where, melanin
):
    places = {"FACE": FACE, "brows": near_brows(0.1)}
    chosen = places[where] if where in places else layer(where, 0.5)
    base = {"melanin": melanin, "freckles": 0.2}
    found = [measure(painted(**base | {factor: v}))[chosen].mean() for v in values]
    assert (np.diff(found) > 0).all(), found


@pytest.mark.parametrize(
    ("factor", "values", "where"),
    [
        ("flush", (0.0, 1.0), lambda: layer(zones.FLUSH)),
        ("under_eye", (0.0, 1.0), lambda: layer(zones.UNDER_EYE)),
        ("brow_thickness", (0.4, 1.8), lambda: near_brows(0.25)),
        ("brow_arch", (-1.0, 1.0), lambda: near_brows(0.25)),
        ("brow_density", (0.7, 1.1), lambda: near_brows(0.25)),
        ("lipstick", (0.0, 1.0), lambda: layer(zones.LIPS)),
        ("eye_shadow", (0.0, 1.0), lambda: layer(zones.LID)),
        ("facial_hair", ("none", "beard"), lambda: ~layer(zones.LIPS, 0.99)),
        ("hair_length", (0.8, 1.2), lambda: np.zeros_like(FACE)),
        ("gender", (0.2, 0.25), lambda: (Y > 7.3) | (Z < 1.0)),  # the hairline
        ("nose_length", (-1.0, 1.0), lambda: np.zeros_like(FACE)),
    ],
)  # fmt: skip
def test_a_factor_changes_nothing_where_it_has_no_business(factor, values, where):
    one, other = (painted(**{factor: value}) for value in values)
    changed = (one != other).any(axis=-1)
    assert not (changed & ~where()).any()


def test_freckles_leave_the_texels_between_them_alone():
    changed = (painted(freckles=0.0) != painted(freckles=0.6)).any(axis=-1)
    assert 0.01 < changed[FACE].mean() < 0.3


def test_thicker_brows_are_wider_bands():
    widths = []
    for thickness in (0.4, 0.8, 1.2, 1.8):
        texture = luminance(painted(brow_thickness=thickness))
        middle = near_brows(0.16) & (X > 0.25) & (X < 0.35)
        skin = np.median(texture[near_brows(0.25) & (np.abs(Y - 7.52) > 0.16)])
        widths.append((texture[middle] < 0.75 * skin).sum())
    assert (np.diff(widths) > 0).all()
    assert widths[-1] > 2.5 * widths[0]


def test_years_fold_the_skin_only_from_middle_age_on():
    young, older = painted(age=25.0), painted(age=45.0)
    forehead = FACE & (Y > 7.6) & (Y < 7.8) & (X < 0.3)
    np.testing.assert_array_equal(young[forehead], older[forehead])
    assert (painted(age=80.0)[forehead] != older[forehead]).mean() > 0.2


def test_stubble_darkens_the_jaw_and_not_the_lips():
    jaw = FACE & (Y < 6.45) & (X < 0.3)
    lips = layer(zones.LIPS, 0.99)
    bare = painted()
    shades = [luminance(bare)[jaw].mean()]
    for amount in (0.0, 0.5, 1.0):
        grown = painted(facial_hair="stubble", facial_hair_amount=amount)
        np.testing.assert_array_equal(grown[lips], bare[lips])
        shades.append(luminance(grown)[jaw].mean())
    assert (np.diff(shades) < 0).all()


def test_dark_skin_is_as_even_as_light_skin():
    cheek = layer(zones.EVEN, 0.99) & FACE & (Y > 6.7) & (Y < 7.0) & (X > 0.4)
    for detail in range(5):
        person = Person(detail=detail, flush=0.0)
        spreads = []
        for melanin in (0.2, 1.0):
            dark = dataclasses.replace(person, melanin=melanin)
            colors = luminance(paint_skin(dark, LOOK, scale=SCALE))[cheek]
            spreads.append(colors.std() / colors.mean())
        assert spreads[1] < 1.15 * spreads[0]
        assert spreads[1] < 0.12


def test_brows_are_darker_than_the_skin_whatever_the_hair():
    for melanin in (0.03, 1.1):
        for color in ("blond", "black", "grey"):
            person = dataclasses.replace(PERSON, melanin=melanin)
            brow = complexion.complexion(person, Look(hair_color=color)).brow
            assert (brow < 0.6 * skin_rgb(person)).all()


def test_painting_stays_within_its_budget():
    paint_skin(PERSON, LOOK)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        paint_skin(PERSON, LOOK)
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.1  # s; 0.015 of a free core


def test_refuses_an_unknown_scale():
    with pytest.raises(ValueError, match=r"scale is 3; it must be one of \(1, 2\)"):
        paint_skin(PERSON, LOOK, scale=3)
