import dataclasses

import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import (
    FACTORS,
    Face,
    Person,
    face_from_json,
    face_to_json,
    factor_values,
    vary,
)

FACE = Face(Person())


def test_every_default_lies_within_its_range():
    vary(FACE, **factor_values(FACE))


@pytest.mark.parametrize("name", FACTORS)
def test_each_factor_can_be_set_and_read_back(name):
    factor = FACTORS[name]
    value = factor.choices[-1] if factor.choices else factor.high
    changed = factor_values(vary(FACE, **{name: value}))
    assert changed[name] == value
    shares = {"african", "asian", "caucasian"}
    others = changed.keys() - ({name} | (shares if name in shares else set()))
    before = factor_values(FACE)
    assert {n: changed[n] for n in others} == {n: before[n] for n in others}


def test_the_shares_of_the_morphologies_go_on_summing_to_one():
    mixed = vary(vary(FACE, african=0.25), asian=0.4).person
    assert mixed.african + mixed.asian + mixed.caucasian == pytest.approx(1)
    assert mixed.caucasian == pytest.approx(0.45)
    assert vary(FACE, caucasian=0.0).person.african == 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nose": 1.0}, "unknown factor 'nose'.*nose_length"),
        ({"yaw": 61.0}, "yaw is 61.0.*within -60 and 60"),
        ({"yaw": float("nan")}, "yaw is nan"),
        ({"yaw": "left"}, "yaw is 'left'"),
        ({"iris": "pink"}, "iris is 'pink'.*brown, hazel"),
    ],
)
def test_what_is_no_factor_or_no_value_of_it_is_refused_by_name(values, message):
    with pytest.raises(InputError, match=message):
        vary(FACE, **values)


def test_a_face_survives_its_own_description():
    face = vary(FACE, yaw=1 / 3, iris="green", glasses="round", nose_hump=-0.123)
    face = face._replace(person=dataclasses.replace(face.person, detail=7))
    assert face_from_json(face_to_json(face)) == face


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"person": {"height": 2}}'])
def test_a_damaged_description_is_refused(text):
    with pytest.raises(InputError, match="no description of a face"):
        face_from_json(text)


def test_a_description_outside_the_ranges_is_refused():
    text = face_to_json(FACE).replace('"yaw": 0.0', '"yaw": 300.0')
    with pytest.raises(InputError, match="yaw is 300"):
        face_from_json(text)
