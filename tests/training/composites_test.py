"""Composites against a plain loop over single blends, and whom they take from."""

import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.blending import blend, unit_range
from facedirs_jax.errors import InputError
from facedirs_jax.faces import load_faces
from facedirs_jax.regions import REGIONS, region_masks
from facedirs_jax.training import crop_sets
from facedirs_jax.training.composites import SHARE, composites, draw_donors
from facedirs_jax.training.crop_sets import (
    CropSet,
    enlarged_fingerprint,
    with_composites,
)

PEOPLE = np.array([0, 0, 1, 2, 3, 4])
GROUPS = np.array(["a", "a", "a", "a", "b", "b"])


@pytest.fixture(scope="module")
def faces(portraits):
    return load_faces(sorted(portraits.iterdir())[:6], alignment="dlib_chip", size=48)


def test_regions_come_from_other_people_of_the_same_group():
    donors = draw_donors(GROUPS, PEOPLE, count=4000)
    face, regions = donors[:, :1], donors[:, 1:]
    assert (GROUPS[face] == GROUPS[regions]).all()
    taken = regions != face
    assert (PEOPLE[face] != PEOPLE[regions])[taken].all()
    assert abs(taken.mean() - SHARE) < 0.02
    assert {*np.unique(face)} == {*range(6)}
    np.testing.assert_array_equal(donors, draw_donors(GROUPS, PEOPLE, count=4000))
    assert (donors != draw_donors(GROUPS, PEOPLE, count=4000, seed=1)).any()


def test_composites_are_blends_one_after_another(faces):
    donors = np.array([[0, 1, 2, 0], [3, 3, 3, 3]])
    made = composites(faces.crops, faces.landmarks, donors)
    wanted = unit_range(jnp.asarray(faces.crops[0]))
    for region, donor in zip(REGIONS.values(), donors[0, 1:], strict=True):
        mask = region_masks(faces.landmarks[:1], region, side=48)[0]
        other = unit_range(jnp.asarray(faces.crops[donor]))
        wanted = blend(wanted, other, mask, color_transfer="lab")
    gap = made[0].astype(float) - 255 * np.clip(wanted, 0, 1)
    assert np.abs(gap).max() < 0.51  # rounded to whole grey levels
    # Its own regions, recoloured as they are: no grey level moves by more than one.
    assert np.abs(made[1].astype(int) - faces.crops[3]).max() <= 1


def crops_of(faces, *, rendered, splits) -> CropSet:
    return CropSet(
        faces.crops,
        np.arange(6),
        faces.landmarks,
        np.array([f"a:{n}" for n in range(6)]),
        np.array(["a"] * 6),
        np.array(rendered),
        np.array(splits),
        {"ok": 6},
        "of these tests",
    )


def test_a_set_grows_by_composites_of_its_photographed_training_people(
    faces, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        crop_sets,
        "composites",
        lambda crops, landmarks, donors: (
            asked.append(len(crops)) or crops[donors[:, 0]]
        ),
    )
    crops = crops_of(
        faces, rendered=[False] * 4 + [True] * 2, splits=["train"] * 3 + ["test"] * 3
    )
    assert with_composites(crops, count=0) is crops
    grown = with_composites(crops, count=20)
    assert asked == [3]
    assert grown.fingerprint != crops.fingerprint
    told = enlarged_fingerprint(crops.fingerprint, count=20)
    assert grown.fingerprint == told
    assert enlarged_fingerprint("of one", count=0) == "of one"
    rows, identities = grown.of_split("train")
    assert len(rows) == 23
    np.testing.assert_array_equal(grown.crops[:6], faces.crops)
    for row, identity in zip(rows[3:], identities[3:], strict=True):
        person = int(identity.rpartition(":")[2])
        assert person < 3
        np.testing.assert_array_equal(grown.crops[row], faces.crops[person])
    np.testing.assert_array_equal(grown.of_split("test")[0], [3, 4, 5])


def test_rendered_faces_make_composites_where_there_are_no_others(faces):
    crops = crops_of(faces, rendered=[True] * 6, splits=["train"] * 6)
    assert len(with_composites(crops, count=3).rows) == 9


def test_a_person_alone_in_a_folder_is_refused():
    with pytest.raises(InputError, match="5 is alone in their folder"):
        draw_donors(np.array([*GROUPS[:4], "c"]), np.array([0, 0, 1, 2, 5]), count=50)
