import json

import numpy as np
import pytest

from facedirs_jax import discovery, grid, regions
from facedirs_jax.errors import InputError
from tests.planted import sums_of


def test_a_planted_direction_is_found_with_its_certificate():
    shape = grid.make_grid(80, num_face_donors=8, num_region_donors=64)
    rng = np.random.default_rng(0)
    axis = rng.normal(size=16)
    axis /= np.linalg.norm(axis)
    places = rng.normal(size=64)
    own = rng.normal(size=(8, 16))
    noise = 0.2 * rng.normal(size=(64, 16))
    templates = own[:, None] + (2.0 * places[:, None] * axis + noise)[None]
    templates = templates + 0.1 * rng.normal(size=templates.shape)
    found = discovery.analyse(
        sums_of(shape, templates, own), shape, own, regions.REGIONS["nose"]
    )
    first = found.directions.directions[0]
    assert abs(first @ axis) > 0.99
    assert first[np.argmax(np.abs(first))] > 0
    assert abs(np.corrcoef(found.effects[:, 0], places)[0, 1]) > 0.99
    np.testing.assert_allclose(
        found.directions.mean, templates.mean(axis=(0, 1)), atol=1e-5
    )
    about = found.directions.about
    assert about["components_above_noise"] == 1
    assert about["explained_variance"][0] > 0.8
    assert about["split_half_over_region_donors"]["component_degrees"][0] < 10
    assert about["consistency"][0] > 0.99
    assert json.loads(json.dumps(about, allow_nan=False)) == about


def test_both_modes_give_the_same_directions_and_eigenvalues_in_one_ratio(
    toy, toy_faces
):
    corrected, paper = (
        discovery.discover(toy.network, toy.preprocess, toy_faces, "nose", mode=mode)
        for mode in ("corrected", "paper")
    )
    np.testing.assert_allclose(
        corrected.directions.directions[:5], paper.directions.directions[:5], atol=1e-3
    )
    np.testing.assert_allclose(
        corrected.eigenvalues[:5] / paper.eigenvalues[:5],
        (20 * 19 - 1) / (20 * 18),
        rtol=1e-4,
    )
    assert paper.directions.about["mode"] == "paper"


def test_the_number_of_donors_can_be_limited(toy, toy_faces):
    found = discovery.discover(
        toy.network,
        toy.preprocess,
        toy_faces,
        "eyes",
        num_face_donors=1,
        num_region_donors=5,
    )
    assert found.shares is None and found.over_regions is None
    assert found.effects.shape == (5, 3)
    # 5 region donors leave 4 dimensions, and 1 face donor no other.
    assert len(found.directions.eigenvalues) == 4


def test_a_region_of_ones_own_can_be_given(toy, toy_faces):
    chin = regions.Region("chin", ((6, 7, 8, 9, 10, 57),))
    found = discovery.discover(
        toy.network, toy.preprocess, toy_faces, chin, num_face_donors=2
    )
    assert found.directions.about["region"] == "chin"
    assert found.directions.about["landmarks"] == [[6, 7, 8, 9, 10, 57]]


def test_an_unknown_region_is_refused(toy, toy_faces):
    with pytest.raises(InputError, match=r"'ears'.*nose, eyes, lower_face"):
        discovery.discover(toy.network, toy.preprocess, toy_faces, "ears")


def test_faces_cropped_for_another_network_are_refused(toy, toy_faces):
    small = toy_faces._replace(crops=toy_faces.crops[:, :20, :20])
    with pytest.raises(InputError, match=r"20, 20.* the network wants .*24, 24"):
        discovery.discover(toy.network, toy.preprocess, small, "nose")
    other = toy_faces._replace(alignment="arcface")
    with pytest.raises(InputError, match="arcface"):
        discovery.discover(toy.network, toy.preprocess, other, "nose")


def test_three_faces_are_the_least(toy, toy_faces):
    few = toy_faces._replace(
        crops=toy_faces.crops[:2],
        landmarks=toy_faces.landmarks[:2],
        status=toy_faces.status[:2],
    )
    with pytest.raises(InputError, match="at least 3 region donors and has 2"):
        discovery.discover(toy.network, toy.preprocess, few, "nose")


def test_a_picture_that_is_there_twice_is_used_once(toy, toy_faces):
    status = [row._replace(sha256=row.file) for row in toy_faces.status]
    twice = toy_faces._replace(
        crops=np.concatenate([toy_faces.crops, toy_faces.crops[:4]]),
        landmarks=np.concatenate([toy_faces.landmarks, toy_faces.landmarks[:4]]),
        status=(*status, *status[:4]),
    )
    once, again = (
        discovery.discover(toy.network, toy.preprocess, faces, "nose")
        for faces in (toy_faces, twice)
    )
    np.testing.assert_array_equal(once.eigenvalues, again.eigenvalues)
