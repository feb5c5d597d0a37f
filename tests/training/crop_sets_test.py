"""From folders of pictures to crops of people, once."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from facedirs_jax.errors import InputError
from facedirs_jax.faces import load_faces
from facedirs_jax.rendering.factor_table import FactorTable, write_factor_table
from facedirs_jax.training import crop_sets
from facedirs_jax.training.crop_sets import load_crops
from facedirs_jax.training.photos import (
    describe,
    find_photos,
    first_identities,
    is_rendered,
)

SETTINGS = {"preset": "training", "seed": 4, "independent": False}


def rendered(folder, people, settings=None):
    """A folder as `render_faces` makes it, but for the pictures."""
    folder.mkdir()
    identities = np.repeat(people, 2)
    splits = [{8: "validation", 9: "test"}.get(n % 10, "train") for n in identities]
    names = [f"images/{number:02d}.png" for number in range(len(identities))]
    table = FactorTable(
        tuple(names),
        identities.astype(np.int64),
        np.array(["random"] * len(names)),
        np.array(splits),
        {},
    )
    write_factor_table(folder / "factors.csv", table)
    if settings:
        (folder / "run.json").write_text(json.dumps({"settings": settings}))
    return folder


def test_a_table_gives_people_and_splits(tmp_path):
    photos = find_photos([rendered(tmp_path / "a", [3, 8, 19], SETTINGS)])
    assert [photo.split for photo in photos[::2]] == ["train", "validation", "test"]
    assert len({photo.identity for photo in photos}) == 3
    assert photos[0].path == tmp_path / "a" / "images" / "00.png"


@pytest.mark.parametrize(
    ("change", "shared"),
    [({"preset": "controlled"}, 2), ({"seed": 5}, 0), ({"preset": "demographic"}, 0),
     ({"independent": True}, 0)],
)  # fmt: skip
def test_sets_of_one_seed_share_their_people_and_others_do_not(
    tmp_path, change, shared
):
    one = rendered(tmp_path / "a", [0, 1, 2], SETTINGS)
    other = rendered(tmp_path / "b", [1, 2, 3], SETTINGS | change)
    people = {photo.identity for photo in find_photos([one, other])}
    assert len(people) == 6 - shared
    assert is_rendered(one)


def test_tables_without_a_run_are_folders_of_their_own_people(tmp_path):
    folders = [rendered(tmp_path / name, [0, 1]) for name in "ab"]
    assert len({photo.identity for photo in find_photos(folders)}) == 4
    assert not is_rendered(folders[0])


def test_a_folder_a_person_is_split_by_names(tmp_path):
    for number in range(20):
        person = tmp_path / f"person_{number:02d}"
        person.mkdir()
        for name in ("1.png", "2.jpg", "notes.txt"):
            (person / name).touch()
    photos = find_photos([tmp_path])
    assert len(photos) == 40
    held_out = {p.path.parent.name: p.split for p in photos if p.split != "train"}
    assert held_out == {
        "person_08": "validation",
        "person_09": "test",
        "person_18": "validation",
        "person_19": "test",
    }


def test_names_tell_of_people_where_there_are_no_folders(tmp_path):
    for person in "abcdefghij":
        for number in (1, 2):
            (tmp_path / f"{person}_{number}.png").touch()
    photos = find_photos([tmp_path], person="[^_]+")
    assert len({p.identity for p in photos}) == 10
    assert {p.path.stem for p in photos if p.split == "validation"} == {"i_1", "i_2"}
    assert {p.path.stem for p in photos if p.split == "test"} == {"j_1", "j_2"}
    assert len({p.identity for p in find_photos([tmp_path])}) == 20
    grouped = find_photos([tmp_path], person="._(.)")
    assert [p.identity.rpartition(":")[2] for p in grouped[:4]] == ["1", "2"] * 2


def test_who_is_held_out_does_not_depend_on_other_folders(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        for number in range(20):
            (tmp_path / folder / f"{number:02d}_1.png").touch()
    alone = find_photos([tmp_path / "other"], person="[^_]+")
    assert find_photos([tmp_path / "one", tmp_path / "other"], person="[^_]+")[20:] == (
        alone
    )


def test_a_folder_is_described_by_a_name_that_tells_something(tmp_path):
    images = tmp_path / "congress" / "images"
    images.mkdir(parents=True)
    (tmp_path / "link").symlink_to(images)
    assert describe(tmp_path / "link") == describe(images) == "congress/images"
    assert describe(tmp_path / "congress") == "congress"
    told = describe(rendered(tmp_path / "varied", [0, 1], SETTINGS))
    assert told == "varied (render_faces: preset training, seed 4)"


@pytest.mark.parametrize(
    ("person", "message"),
    [("[", "no regular expression"), ("z+", r"a_1\.png: its name does not start")],
)
def test_an_expression_that_tells_nothing_is_refused(tmp_path, person, message):
    (tmp_path / "a_1.png").touch()
    with pytest.raises(InputError, match=message):
        find_photos([tmp_path], person=person)


def test_a_trial_takes_the_first_people_of_each_split(tmp_path):
    photos = find_photos([rendered(tmp_path / "a", range(100), SETTINGS)])
    found = first_identities(photos, 12)
    people = {split: {p.identity for p in found if p.split == split} for split in
              ("train", "validation", "test")}  # fmt: skip
    assert {split: len(names) for split, names in people.items()} == {
        "train": 12,
        "validation": 3,
        "test": 3,
    }
    assert first_identities(photos, None) == photos
    assert found == [photo for photo in photos if photo in found]


def test_folders_that_hold_no_people_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing: no such folder of pictures"):
        find_photos([tmp_path / "missing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture in the folder"):
        find_photos([tmp_path])
    table = rendered(tmp_path / "a", [0, 1])
    with pytest.raises(InputError, match="given twice"):
        find_photos([table, tmp_path / "." / "a"])


@pytest.fixture(scope="module")
def people(portraits, tmp_path_factory):
    """A folder a person, and an empty picture among them."""
    folder = tmp_path_factory.mktemp("people")
    for number, file in enumerate(sorted(portraits.iterdir())[:4]):
        person = folder / f"person_{number // 2}"
        person.mkdir(exist_ok=True)
        shutil.copy(file, person)
    Image.new("RGB", (64, 64)).save(folder / "person_0" / "nobody.png")
    return folder


def test_crops_are_those_of_load_faces_and_made_once(people, tmp_path, monkeypatch):
    photos = find_photos([people])
    wanted = {"alignment": "dlib_chip", "size": 48, "cache_dir": tmp_path}
    monkeypatch.setattr(crop_sets, "_CHUNK", 2)
    found = load_crops(photos, **wanted)
    assert found.statuses == {"ok": 4, "no_face": 1}
    expected = load_faces(people, alignment="dlib_chip", size=48)
    np.testing.assert_array_equal(found.crops[found.rows], expected.crops)
    np.testing.assert_array_equal(found.landmarks, expected.landmarks)
    names = [name.rpartition(":")[2] for name in found.identities]
    assert names == ["person_0"] * 2 + ["person_1"] * 2
    rows, identities = found.of_split("train")
    np.testing.assert_array_equal(rows, found.rows)
    np.testing.assert_array_equal(identities, found.identities)

    monkeypatch.setattr(crop_sets, "load_faces", None)
    again = load_crops(photos, **wanted)
    np.testing.assert_array_equal(again.crops, found.crops)
    assert again.fingerprint == found.fingerprint
    moved = [photo._replace(split="test") for photo in photos]
    other = load_crops(moved, **wanted)
    assert other.fingerprint != found.fingerprint


def test_a_cache_that_was_cut_short_is_made_again(people, tmp_path):
    photos = find_photos([people])
    wanted = {"alignment": "dlib_chip", "size": 32, "cache_dir": tmp_path}
    expected = np.array(load_crops(photos, **wanted).crops)
    arrays = sorted(tmp_path.glob("crops_*.npy"))
    assert len(arrays) == 2  # of crops and of landmarks
    for file in arrays:
        file.write_bytes(file.read_bytes()[:1000])
        np.testing.assert_array_equal(load_crops(photos, **wanted).crops, expected)


def test_pictures_that_are_gone_or_twice_there_are_refused(people, tmp_path):
    photos = find_photos([people])
    wanted = {"alignment": "dlib_chip", "size": 32, "cache_dir": tmp_path}
    gone = photos[0]._replace(path=people / "gone.png")
    with pytest.raises(InputError, match=r"1 pictures are not there: .*gone\.png"):
        load_crops([gone], **wanted)
    with pytest.raises(InputError, match="name each once"):
        load_crops([photos[0], photos[0]], **wanted)
    with pytest.raises(InputError, match="unknown alignment 'chip'"):
        load_crops(photos, alignment="chip", size=32, cache_dir=tmp_path)
