"""Labels read from pictures: planted light is told, of people never seen."""

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.picture_readings import (
    fit_picture_reader,
    picture_features,
)

SIDE = 32


def lit(angle: float, person: int) -> np.ndarray:
    """A random face of a person, brighter on one side by an angle in [-1, 1]."""
    rng = np.random.default_rng(person)
    coarse = rng.uniform(0.3, 0.6, (4, 4, 3))
    face = coarse.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)
    slope = angle * np.linspace(-0.25, 0.25, SIDE)[None, :, None]
    return (face + slope).astype(np.float32)


@pytest.fixture(scope="module")
def reader():
    people = np.arange(12).repeat(5)
    angles = np.tile(np.linspace(-1, 1, 5), 12)
    pictures = np.stack([lit(a, int(p)) for a, p in zip(angles, people, strict=True)])
    return fit_picture_reader(pictures, angles, people)


def test_light_is_read_on_a_new_person_in_order(reader):
    assert reader.correlation > 0.9
    found = reader.read(np.stack([lit(angle, 99) for angle in (-1, -0.3, 0.4, 1)]))
    assert (np.diff(found) > 0).all()


def test_a_picture_of_bytes_reads_as_one_of_floats(reader):
    picture = lit(0.5, 99)[None]
    as_bytes = np.round(picture * 255).astype(np.uint8)
    np.testing.assert_allclose(reader.read(picture), reader.read(as_bytes))


def test_features_do_not_depend_on_the_other_pictures():
    pictures = np.stack([lit(0.1, 1), lit(0.9, 2)])
    np.testing.assert_array_equal(
        picture_features(pictures)[1:], picture_features(pictures[1:])
    )


def test_a_constant_label_and_too_few_people_are_refused():
    pictures = np.stack([lit(0.1, n) for n in range(6)])
    with pytest.raises(InputError, match="same in all pictures"):
        fit_picture_reader(pictures, np.ones(6), np.arange(6))
    with pytest.raises(InputError, match="2 people"):
        fit_picture_reader(pictures, np.arange(6.0), np.arange(6) % 2)
