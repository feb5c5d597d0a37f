import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.factors import Person
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.morphs import neutral_shape
from facedirs_jax.rendering.skull import (
    MIDDLE,
    base_place,
    measure_skull,
    radius_towards,
)
from facedirs_jax.rendering.strands import head_skin

MODEL = load_head_model()
SKIN = head_skin(MODEL)
CELL = 0.1  # dm, about what a cell of the map of radii spans


def test_the_base_head_is_placed_where_it_is():
    skull = measure_skull(MODEL, SKIN, MODEL.vertices)
    np.testing.assert_allclose(skull.center, MIDDLE, atol=0.02)
    for place in MODEL.vertices[SKIN.used[::50]].astype(np.float64):
        np.testing.assert_allclose(base_place(skull.to_base, *place), place, atol=0.03)


def test_landmarks_of_other_heads_are_placed_near_those_of_the_base_head():
    eyes = np.concatenate([MODEL.points["joint-l-eye"], MODEL.points["joint-r-eye"]])
    crown = SKIN.used[MODEL.vertices[SKIN.used, 1].argmax()]
    for detail in range(6):
        person = Person(detail, gender=detail / 5, asian=1.0, caucasian=0.0)
        shape = neutral_shape(person).astype(np.float64)
        skull = measure_skull(MODEL, SKIN, neutral_shape(person))
        eye = base_place(skull.to_base, *shape[eyes].mean(axis=0))
        top = base_place(skull.to_base, *shape[crown])
        assert eye[1] == pytest.approx(7.284, abs=0.01)
        assert top[1] == pytest.approx(8.48, abs=0.05)


def test_radii_reach_the_skin_and_little_farther():
    shape = neutral_shape(Person(2))
    skull = measure_skull(MODEL, SKIN, shape)
    scalp = SKIN.used[MODEL.vertices[SKIN.used, 1] > 7.9]  # smooth, away from the ears
    for place in shape[scalp].astype(np.float64) - skull.center:
        radius = np.linalg.norm(place)
        assert radius_towards(skull.radii, *place) == pytest.approx(radius, abs=0.03)


def test_radii_follow_a_head_that_is_made_larger():
    one = measure_skull(MODEL, SKIN, MODEL.vertices)
    twice = measure_skull(MODEL, SKIN, MODEL.vertices * np.float32(2))
    np.testing.assert_allclose(twice.radii, 2 * one.radii, rtol=1e-3)
    np.testing.assert_allclose(twice.center, 2 * one.center, atol=1e-4)
