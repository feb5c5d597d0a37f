import dataclasses

import numpy as np
import pytest

from facedirs_jax.rendering.factors import EXPRESSIONS as NAMES
from facedirs_jax.rendering.factors import Person, Photo
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.measures import MEASURES, measure
from facedirs_jax.rendering.morphs import (
    EXPRESSIONS,
    SHAPE_FACTORS,
    expressed_shape,
    expression_weights,
    families,
    neutral_shape,
    shape_weights,
)

# What each factor of the shape must make larger, and by how much at least from end to
# end, mm.
GROWS = {
    "nose_length": ("nose_length", 4),
    "nose_width": ("nose_width", 8),
    "nose_hump": ("nose_hump", 3),
    "nose_depth": ("nose_depth", 4),
    "eye_size": ("eye_width", 4),
    "eye_distance": ("eye_distance", 4),
    "mouth_width": ("mouth_width", 8),
    "lip_fullness": ("lip_height", 4),
    "chin_height": ("chin_height", 10),
    "jaw_width": ("jaw_width", 2),
    "cheekbones": ("cheek_width", 8),
    "face_width": ("face_width", 15),
}


def measured(**factors: float) -> dict[str, float]:
    return measure(neutral_shape(dataclasses.replace(Person(), **factors)))


@pytest.mark.parametrize("factor", SHAPE_FACTORS)
def test_a_factor_of_the_shape_moves_the_length_it_is_named_after(factor):
    name, least = GROWS[factor]
    lengths = [measured(**{factor: value})[name] for value in (-0.8, -0.3, 0.3, 0.8)]
    assert lengths == sorted(lengths)
    assert lengths[-1] - lengths[0] > least


@pytest.mark.parametrize(
    ("factor", "ends", "name"),
    [
        ("gender", (0.0, 1.0), "jaw_width"),
        ("african", (0.0, 1.0), "lip_height"),
        ("asian", (1.0, 0.0), "nose_depth"),
        ("weight", (0.0, 1.0), "jaw_width"),
    ],
)
def test_morphology_moves_what_it_is_known_for(factor, ends, name):
    rest = {"caucasian": 0.0} if factor in ("african", "asian") else {}
    low, high = (
        measured(**{factor: value}, **(rest and {"caucasian": 1.0 - value}))[name]
        for value in ends
    )
    assert high > low + 0.5


def test_every_family_named_by_a_factor_exists():
    assert {f for moved in SHAPE_FACTORS.values() for f in moved} <= families().keys()


def test_the_same_person_has_the_same_shape_and_another_detail_another():
    first, again = neutral_shape(Person(detail=5)), neutral_shape(Person(detail=5))
    np.testing.assert_array_equal(first, again)
    other = neutral_shape(Person(detail=6))
    assert np.abs(first - other).max() > 0.01


def test_detail_leaves_the_families_of_the_factors_alone():
    named = {f for moved in SHAPE_FACTORS.values() for f in moved}
    targets = {target for family in named for target in families()[family]}
    assert not targets & shape_weights(Person(detail=3)).keys()


def test_no_shape_is_torn():
    model = load_head_model()
    edges = np.linalg.norm(np.diff(model.vertices[model.quads], axis=1), axis=-1)
    for detail in range(20):
        moved = neutral_shape(Person(detail=detail))
        now = np.linalg.norm(np.diff(moved[model.quads], axis=1), axis=-1)
        assert np.isfinite(moved).all()
        assert (now < 4 * edges + 0.2).all()


def test_neutral_and_an_amount_of_nothing_are_the_shape_at_rest():
    person = Person(detail=2)
    rest = neutral_shape(person)
    for photo in (Photo(), Photo(expression="scream", expression_amount=0.0)):
        np.testing.assert_array_equal(expressed_shape(person, photo), rest)


def test_the_expressions_are_those_that_a_photo_can_have():
    assert set(EXPRESSIONS) == set(NAMES)


def test_a_scream_opens_the_mouth_as_far_as_its_amount_says():
    def opening(amount: float) -> float:
        photo = Photo(expression="scream", expression_amount=amount)
        return measure(expressed_shape(Person(), photo))["lip_height"]

    assert opening(0.0) < opening(0.5) < opening(1.0)
    half, full = opening(0.5) - opening(0.0), opening(1.0) - opening(0.0)
    assert full > 20  # mm
    assert half == pytest.approx(full / 2, rel=0.3)


def test_both_sides_take_part_in_an_expression():
    weights = expression_weights("smile", 0.5)
    assert weights["unit/mouthSmileLeft"] == weights["unit/mouthSmileRight"] == 0.5


def test_measures_are_those_of_an_adult_in_millimetres():
    found = measured()
    assert tuple(found) == MEASURES
    assert 30 < found["nose_width"] < 50  # Farkas: about 31 to 45
    assert 25 < found["eye_distance"] < 40
    assert 40 < found["mouth_width"] < 60
    assert 90 < found["face_height"] < 135


def test_measures_double_with_the_head():
    shape = neutral_shape(Person())
    once, twice = measure(shape), measure(2 * shape)
    assert twice == pytest.approx({name: 2 * mm for name, mm in once.items()}, rel=1e-5)


def test_measuring_another_mesh_is_refused():
    with pytest.raises(ValueError, match="vertices are"):
        measure(np.zeros((4, 3), np.float32))
