"""Tables of labels that do not fit their folder."""

import pathlib

import pytest
from trees import plant, read_all

from facedirs_jax import datasets
from facedirs_jax.errors import InputError


def build(source, data_dir, **options):
    return datasets.build(
        "image_folder", manual_dir=source, data_dir=data_dir, **options
    )


def table(tmp_path: pathlib.Path, text: str) -> str:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'file'"),
        ("name,age\nx,1\n", "has no column 'file'"),
        ("file,id\nx,1\n", "columns need names of their own"),
        ("file,a,a\nx,1,1\n", "columns need names of their own"),
        ("file,age\na.png,1,2\n", "line 2: has 3 cells, not 2"),
        ("file\na.png\na.png\n", "line 3: 'a.png' comes twice"),
        ("file\n../a.png\n", "line 2: '../a.png' leads out of the folder"),
        ("file\n/a.png\n", "line 2: '/a.png' leads out of the folder"),
        ("file\nC:/a.png\n", "line 2: 'C:/a.png' leads out of the folder"),
        ("file\n./a.png\n", "line 2: './a.png' is no plain path"),
        ("file,identity\na.png,\n", "line 2: 'a.png' has no identity"),
        ('file\n"a.png\n', "is no CSV table"),
        ("file\nb.png\n", "2 problems.*\n.*'b.png' has a row.*\n.*'a.png' has no row"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, said):
    source = plant(tmp_path / "in", ["a.png"])
    with pytest.raises(InputError, match=said):
        build(source, tmp_path / "out", labels_csv=table(tmp_path, text))


def test_a_table_that_cannot_be_read_is_refused(tmp_path):
    source = plant(tmp_path / "in", ["a.png"])
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        build(source, tmp_path / "out", labels_csv=str(tmp_path / "nix.csv"))


def test_a_table_may_have_empty_lines_and_quoted_cells(tmp_path):
    source = plant(tmp_path / "in", ["a.png", "b.png"])
    text = 'file,note\n\na.png,"one,\n\ntwo"\nb.png,\n'
    options = {"labels_csv": table(tmp_path, text)}
    summary = build(source, tmp_path / "out", **options)
    found = read_all("image_folder", summary, tmp_path / "out")
    assert found["a.png"]["note"] == "one,\n\ntwo" and found["b.png"]["note"] == ""


def test_other_labels_do_not_pass_for_the_first(tmp_path):
    source = plant(tmp_path / "in", ["a.png"])
    build(source, tmp_path / "out", labels_csv=table(tmp_path, "file,age\na.png,1\n"))
    with pytest.raises(InputError, match="built from other files or labels"):
        build(
            source, tmp_path / "out", labels_csv=table(tmp_path, "file,age\na.png,2\n")
        )
