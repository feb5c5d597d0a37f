import dataclasses

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import FACTORS, Face, factor_values, vary
from facedirs_jax.rendering.sampling import (
    draws_of,
    restyle,
    sample_look,
    sample_person,
    sample_photo,
)


def sampled(count: int, *, independent: bool, seed: int = 0) -> list[Face]:
    faces = []
    for number in range(count):
        draws = draws_of(seed, number)
        person = sample_person(draws, independent=independent)
        look = sample_look(draws, person, independent=independent)
        faces.append(Face(person, look, sample_photo(draws)))
    return faces


@pytest.mark.parametrize("independent", [False, True])
def test_everything_drawn_lies_within_its_range(independent):
    for face in sampled(300, independent=independent):
        vary(face, **factor_values(face))
        shares = face.person.african + face.person.asian + face.person.caucasian
        assert shares == pytest.approx(1)


def test_the_same_seed_draws_the_same_people_and_another_seed_others():
    assert sampled(5, independent=False) == sampled(5, independent=False)
    others = sampled(5, independent=False, seed=1)
    assert not set(others) & set(sampled(5, independent=False))


def correlations(faces: list[Face]) -> dict[tuple[str, str], float]:
    """Absolute correlation of each pair of numbers; words count by their place."""
    rows = [factor_values(face) for face in faces]
    columns = {
        name: np.array(
            [
                factor.choices.index(str(row[name])) if factor.choices else row[name]
                for row in rows
            ],
            float,
        )
        for name, factor in FACTORS.items()
    }
    names = [name for name, values in columns.items() if values.std() > 0]
    matrix = np.corrcoef([columns[name] for name in names])
    return {
        (names[i], names[j]): abs(matrix[i, j])
        for i in range(len(names))
        for j in range(i)
    }


TIED = {  # by what they are: shares of one whole, an amount that neutral does not have
    frozenset(pair)
    for pair in (
        ("african", "asian"),
        ("african", "caucasian"),
        ("asian", "caucasian"),
        ("expression", "expression_amount"),
    )
}


def test_independent_factors_are_independent():
    found = correlations(sampled(4000, independent=True))
    free = {pair: r for pair, r in found.items() if frozenset(pair) not in TIED}
    worst = max(free, key=free.__getitem__)
    # 0.1 is the promise; sampling alone gives about 0.06 over so many pairs.
    assert free[worst] < 0.1, (worst, free[worst])


def test_correlated_factors_go_together_as_among_people():
    found = correlations(sampled(2000, independent=False))
    assert found["melanin", "african"] > 0.6
    assert found["brow_thickness", "gender"] > 0.3


def test_a_gender_and_an_ethnicity_can_be_asked_for():
    person = sample_person(draws_of(3), gender="male", ethnicity="asian")
    assert person.gender > 0.5
    assert person.asian > max(person.african, person.caucasian)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({"gender": "boy"}, "gender is 'boy'"), ({"ethnicity": "x"}, "ethnicity is 'x'")],
)
def test_an_unknown_group_is_refused(wanted, message):
    with pytest.raises(InputError, match=message):
        sample_person(draws_of(0), **wanted)


def test_another_day_changes_the_look_and_seldom_the_colour_of_the_hair():
    person = sample_person(draws_of(0, 1))
    look = sample_look(draws_of(0, 2), person)
    days = [restyle(draws_of(0, 3, day), person, look) for day in range(200)]
    assert len({day.hair_style for day in days}) > 2
    assert len({day.glasses for day in days}) == 3
    kept = np.mean([day.hair_color == look.hair_color for day in days])
    assert 0.8 < kept < 1


def test_a_portrait_is_nearly_frontal_and_neutral():
    photos = [sample_photo(draws_of(0, n), frontal=True) for n in range(100)]
    assert max(abs(photo.yaw) for photo in photos) < 7
    assert {photo.expression_amount for photo in photos} == {0.0}
    details = [photo.detail for photo in photos]
    assert len(set(details)) == 100
    assert dataclasses.replace(photos[0], detail=0) != photos[1]
