"""Probes edited by labels: what is planted in toy templates is found in decodes."""

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.labelled_pictures import read_pictures
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE, divide_people
from facedirs_jax.paper.edits import rank_correlations, slopes


@pytest.fixture(scope="module")
def pictures():
    return read_pictures(gallery_folder(name="controlled"))


@pytest.mark.parametrize(
    ("attribute", "count"), [(POSE, 5), (LIGHT, 13), (EXPRESSION, 6)]
)
def test_an_attribute_has_the_pictures_that_vary_in_it_alone(
    pictures, attribute, count
):
    rows = attribute.rows(pictures)
    assert len(rows) == 10 * count
    found = set(attribute.texts(pictures)[rows])
    assert found == {*attribute.values, attribute.neutral}


def test_nobody_is_used_twice():
    people = divide_people([str(n % 21) for n in range(100)])
    assert len(people.directions) == 10 and len(people.readers) == 11
    assert not set(people.directions) & set(people.readers)


def test_too_few_people_are_refused():
    with pytest.raises(InputError, match="9 people under conditions; 10 are needed"):
        divide_people([str(n) for n in range(9)])


def test_ranks_and_slopes_of_each_probe():
    wanted = [-1.0, 0.0, 1.0, 2.0]
    read = np.array(
        [[-2, 0, 2, 4], [3, 2, 1, 0], [5, 5, 5, 5], [0, np.nan, 1, np.nan]], float
    )
    found = rank_correlations(wanted, read)
    np.testing.assert_allclose(found, [1, -1, 0, np.nan], atol=1e-12)
    np.testing.assert_allclose(slopes(wanted, read), [2, -1, 0, 0.5], atol=1e-12)
