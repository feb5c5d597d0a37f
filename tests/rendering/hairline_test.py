import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.factors import HAIR_COLORS, Look, Person
from facedirs_jax.rendering.hairline import (
    beard_cover,
    distance_from_hairline,
    hair_cover,
    hair_rgb,
    recession,
)
from facedirs_jax.rendering.head_model import load_head_model

# Places on the base mesh, dm.
CROWN, OCCIPUT, FOREHEAD, NOSE, CHIN, CHEEK, NECK, TEMPLE, ABOVE_LIP, LIP = np.array(
    [
        *([0.0, 8.45, 0.4], [0.0, 7.44, -0.39], [0.0, 7.7, 1.52], [0.0, 6.9, 1.67]),
        *([0.0, 6.25, 1.45], [0.45, 7.0, 1.35], [0.0, 5.9, 0.7], [0.45, 8.17, 1.1]),
        *([0.08, 6.77, 1.56], [0.1, 6.6, 1.5]),
    ],
    np.float32,
)
BEARD, MOUSTACHE = Look(facial_hair="beard"), Look(facial_hair="moustache")
PEOPLE = [Person(detail=detail, gender=1.0) for detail in range(12)]


def test_hair_covers_the_crown_and_the_back_of_a_young_head_and_not_its_face():
    places = np.stack([CROWN, OCCIPUT, FOREHEAD, NOSE, CHIN, CHEEK, NECK])
    for detail in range(12):
        cover = hair_cover(places, Person(detail, 0.0), Look(hair_style="long"))
        np.testing.assert_array_equal(cover, [1, 1, 0, 0, 0, 0, 0])


def test_covers_are_shares_in_the_shape_of_the_positions():
    positions = load_head_model().vertices[:5000].reshape(50, 100, 3)
    for cover in (
        hair_cover(positions, PEOPLE[0], Look(hair_style="short")),
        beard_cover(positions, PEOPLE[0], BEARD),
    ):
        assert cover.shape == (50, 100)
        assert cover.dtype == np.float32
        assert cover.min() == 0
        assert 0.9 < cover.max() <= 1


def test_the_hairline_recedes_with_age_in_men_and_hardly_in_women():
    old = [dataclasses.replace(person, age=85.0) for person in PEOPLE]
    for young, aged in zip(PEOPLE, old, strict=True):
        assert recession(aged) > recession(young) + 0.3
        assert recession(dataclasses.replace(aged, gender=0.0)) < 0.2
    style = Look(hair_style="short")
    kept = np.array(
        [[hair_cover(TEMPLE, p, style) for p in ps] for ps in (PEOPLE, old)]
    )
    assert kept[0].mean() > kept[1].mean() + 0.3


def test_people_differ_in_their_hairline_and_keep_it_through_all_looks():
    band = load_head_model().vertices
    one, other = Person(1), Person(2)
    long = hair_cover(band, one, Look(hair_style="long"))
    assert np.array_equal(long, hair_cover(band, one, Look(9, hair_style="short")))
    assert np.abs(long - hair_cover(band, other, Look(hair_style="long"))).max() > 0.3


def test_the_distance_from_the_hairline_is_0_where_hair_begins():
    positions = load_head_model().vertices
    distance = distance_from_hairline(positions, Person())
    cover = hair_cover(positions, Person(), Look(hair_style="short"))
    assert not cover[distance < -0.03].any()
    assert distance[np.linalg.norm(positions - CROWN, axis=1) < 0.2].min() > 0.3


def test_a_bald_head_has_no_hair_or_a_fringe_around_it():
    bald = Look(hair_style="bald")
    vertices = load_head_model().vertices
    covers = np.array([hair_cover(vertices, person, bald) for person in PEOPLE])
    assert not covers[:, vertices[:, 1] > 8.0].any()
    fringed = covers.any(axis=1)
    assert 0 < fringed.sum() < len(PEOPLE)
    women = [dataclasses.replace(person, gender=0.0) for person in PEOPLE]
    assert not any(hair_cover(vertices, woman, bald).any() for woman in women)


def test_a_beard_covers_chin_and_jaw_and_leaves_lips_nose_and_cheekbones():
    for person in PEOPLE:
        cover = beard_cover(np.stack([CHIN, LIP, NOSE, CHEEK, CROWN]), person, BEARD)
        assert cover[0] > 0.9
        assert not cover[1:].any()


def test_a_moustache_grows_above_the_lip_alone():
    vertices = load_head_model().vertices
    for person in PEOPLE:
        grown = vertices[beard_cover(vertices, person, MOUSTACHE) > 0]
        assert beard_cover(ABOVE_LIP, person, MOUSTACHE) > 0.3
        assert grown[:, 1].min() > 6.6
        assert np.abs(grown[:, 0]).max() < 0.4
    assert not beard_cover(vertices, PEOPLE[0], Look()).any()


def test_colors_keep_their_order_and_vary_from_person_to_person():
    shades = {
        color: np.array(
            [hair_rgb(Person(detail), Look(hair_color=color)) for detail in range(20)]
        )
        for color in HAIR_COLORS
    }
    order = ["black", "dark", "brown", "light", "blond"]
    brightness = [shades[color].mean() for color in order]
    assert brightness == sorted(brightness)
    red = shades["red"].mean(axis=0)
    assert red[0] > 2 * red[1] > 4 * red[2]
    assert 0.05 < np.log(shades["brown"]).std(axis=0).max() < 0.3


@pytest.mark.parametrize("cover", [hair_cover, beard_cover])
def test_positions_need_three_coordinates(cover):
    with pytest.raises(ValueError, match=r"must be \[..., 3\]"):
        cover(np.zeros((4, 2), np.float32), Person(), Look())
