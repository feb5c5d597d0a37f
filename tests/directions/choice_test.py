"""Directions by name: numbers, labels, and names that nothing has."""

import numpy as np
import pytest

from facedirs_jax.directions.choice import choose, names_of
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError


def directions(count: int, **about) -> Directions:
    rows = np.eye(5, dtype=np.float32)[:count]
    return Directions(rows, np.full(count, 4.0, np.float32), np.zeros(5), about)


SETS = {"nose": directions(4), "yaw": directions(2, labels=["-30", "30"])}


def test_names_are_numbers_or_labels():
    assert names_of("nose", SETS["nose"]) == ["nose:1", "nose:2", "nose:3", "nose:4"]
    assert names_of("yaw", SETS["yaw"]) == ["yaw:-30", "yaw:30"]


def test_without_a_wish_the_first_three_of_every_set_are_taken():
    found = [each.name for each in choose(SETS, [])]
    assert found == ["nose:1", "nose:2", "nose:3", "yaw:-30", "yaw:30"]


def test_a_direction_is_taken_once_in_the_order_asked_for():
    found = choose(SETS, ["yaw:30", "nose", "nose:2", "nose:4"])
    names = ["yaw:30", "nose:1", "nose:2", "nose:3", "nose:4"]
    assert [each.name for each in found] == names
    np.testing.assert_array_equal(found[0].vector, np.eye(5)[1])
    assert found[0].scale == 2.0


def test_an_unknown_name_tells_what_there_is():
    with pytest.raises(InputError, match=r"no direction 'mouth'.*nose, yaw.*yaw:-30"):
        choose(SETS, ["mouth"])


def test_a_direction_without_a_reading_reads_nothing():
    assert choose(SETS, ["nose:1"])[0].read(np.zeros((2, 5))) is None


def test_a_reading_is_a_product_and_an_intercept():
    weights = np.arange(10, dtype=np.float32).reshape(2, 5)
    reads = SETS["yaw"]._replace(weights=weights, intercepts=np.array([1.0, -2.0]))
    chosen = choose({"yaw": reads}, ["yaw:30"])[0]
    found = chosen.read(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 2]], np.float32))
    assert found is not None
    np.testing.assert_allclose(found, [3.0, 16.0])
