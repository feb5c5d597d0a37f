"""Labelled pictures: tables, names, data sets, conditions, and what is wrong."""

import numpy as np
import pytest
from PIL import Image

from facedirs_jax.errors import InputError
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.labelled_pictures import conditions_of, read_pictures

NAMES = ("anna_left.png", "anna_right.png", "bert_left.png")
TABLE = (
    "file,identity,yaw,mood\nanna_left.png,anna,-30,happy\nbert_left.png,bert,,sad\n"
)


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def test_a_table_gives_identities_numbers_and_words(folder):
    (folder / "labels.csv").write_text(TABLE)
    found = read_pictures(folder)
    assert found.ids == ("anna_left.png", "bert_left.png")  # the other has no row
    assert found.paths[1] == folder / "bert_left.png"
    np.testing.assert_array_equal(found.identities, ["anna", "bert"])
    np.testing.assert_array_equal(found.values("yaw"), [-30.0, np.nan])
    np.testing.assert_array_equal(found.known("yaw"), [True, False])
    np.testing.assert_array_equal(found.values("mood"), ["happy", "sad"])


def test_a_table_elsewhere_is_named(folder, tmp_path_factory):
    table = tmp_path_factory.mktemp("tables") / "moods.csv"
    table.write_text(TABLE)
    assert read_pictures(folder, table=table).columns.keys() == {"yaw", "mood"}


def test_names_tell_labels(folder):
    found = read_pictures(folder, names=r"(?P<identity>[^_]+)_(?P<side>[a-z]+)")
    assert found.ids == tuple(sorted(NAMES))
    np.testing.assert_array_equal(found.identities, ["anna", "anna", "bert"])
    np.testing.assert_array_equal(found.values("side"), ["left", "right", "left"])


def test_a_part_of_a_name_that_is_not_there_is_unknown(folder):
    found = read_pictures(folder, names=r"(?P<who>[a-z]+)_(?P<side>left)?")
    np.testing.assert_array_equal(found.known("side"), [True, False, True])
    np.testing.assert_array_equal(found.identities, found.ids)


def test_the_gallery_is_read_by_its_own_table():
    found = read_pictures(gallery_folder(name="controlled"))
    assert len(found.paths) == 230 and len(set(found.identities)) == 10
    frontal = found.take(found.where({"condition": "frontal|yaw.*"}))
    assert sorted(set(frontal.values("yaw"))) == [-30, -15, 0, 15, 30]
    assert len(frontal.paths) == 50


def test_a_number_is_matched_as_it_is_read():
    found = read_pictures(gallery_folder(name="controlled"))
    assert found.where({"yaw": "-15"}).sum() == 10


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no factors.csv or labels.csv"),
        ({"table": "x.csv", "names": "(?P<a>.)"}, "not both"),
        ({"names": "(unclosed"}, "no regular expression"),
        ({"names": "[a-z]+"}, "names no label"),
        ({"names": "(?P<a>[0-9]+)"}, "of none of 3 pictures"),
        ({"dataset": "nothing"}, "unknown data set"),
        ({"table": "gone.csv"}, "gone.csv"),
    ],
)
def test_what_cannot_be_read_is_refused(folder, options, told):
    with pytest.raises(InputError, match=told):
        read_pictures(folder, **options)


def test_a_row_without_its_picture_is_refused(folder):
    (folder / "labels.csv").write_text("file,yaw\ngone.png,1\n")
    with pytest.raises(InputError, match=r"'gone.png' is no picture there"):
        read_pictures(folder)


def test_an_unknown_label_names_those_there_are(folder):
    (folder / "labels.csv").write_text(TABLE)
    with pytest.raises(InputError, match=r"no label 'pose'; .* yaw, mood"):
        read_pictures(folder).values("pose")


def test_a_condition_that_leaves_nothing_is_refused(folder):
    (folder / "labels.csv").write_text(TABLE)
    with pytest.raises(InputError, match="no picture of 2 has mood=angry"):
        read_pictures(folder).where({"mood": "angry"})


def test_conditions_are_read():
    assert conditions_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    for wrong in (["a"], ["=b"], ["a=b", "a=c"]):
        with pytest.raises(InputError, match="no condition"):
            conditions_of(wrong)
