"""Tables of factors go to disk and come back unchanged, and faults are named."""

import csv

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import (
    FactorTable,
    read_factor_table,
    write_factor_table,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    lengths = (1000 * rng.normal(size=40) ** 5).astype(np.float32)
    lengths[:4] = [np.nan, np.nextafter(np.float32(1), np.float32(2)), 1e-38, -0.0]
    return FactorTable(
        files=tuple(f"images/{i:06d}.png" for i in range(40)),
        identities=np.arange(40) // 4,
        conditions=np.array(["frontal", "yaw+15", "light-90", "smile, open"] * 10),
        splits=np.array(["train"] * 20 + ["validation", "test"] * 10),
        columns={
            "melanin": rng.random(40).astype(np.float32),
            "iris": np.array(["brown", "blue"] * 20),
            "nose_length_mm": lengths,
            "photo_detail": np.array([str(2**60 + i) for i in range(40)]),
        },
    )


def same(first, second):
    for one, other in zip(first[:4], second[:4], strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(first.columns) == list(second.columns)
    for name, values in first.columns.items():
        np.testing.assert_array_equal(values, second.columns[name], strict=True)


def test_a_table_comes_back_bit_by_bit(table, tmp_path):
    write_factor_table(tmp_path / "factors.csv", table)
    found = read_factor_table(tmp_path / "factors.csv")
    same(found, table)
    assert found.columns["nose_length_mm"].dtype == np.float32
    assert found.identities.dtype == np.int64
    write_factor_table(tmp_path / "again.csv", found)
    again, first = tmp_path / "again.csv", tmp_path / "factors.csv"
    assert again.read_bytes() == first.read_bytes()


def test_the_file_is_a_plain_csv_of_the_columns_in_order(table, tmp_path):
    write_factor_table(tmp_path / "factors.csv", table)
    with open(tmp_path / "factors.csv", encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    first = ["file", "identity", "condition", "split"]
    assert list(rows[0]) == [
        *first,
        "melanin",
        "iris",
        "nose_length_mm",
        "photo_detail",
    ]
    assert rows[3]["condition"] == "smile, open" and rows[0]["nose_length_mm"] == ""
    assert float(rows[5]["melanin"]) == pytest.approx(table.columns["melanin"][5])


def test_rows_are_taken_in_the_order_asked_for(table):
    rows = np.array([7, 2])
    taken = table.take(rows)
    assert taken.files == (table.files[7], table.files[2])
    assert list(taken.columns["iris"]) == ["blue", "brown"]
    same(table.take(table.identities == 1), table.take(np.arange(4, 8)))


def test_columns_of_different_lengths_are_not_written(table, tmp_path):
    columns = table.columns | {"age": np.ones(3, np.float32)}
    with pytest.raises(ValueError, match=r"age is \[3\]; it must be \[40\]"):
        write_factor_table(tmp_path / "t.csv", table._replace(columns=columns))
    assert not list(tmp_path.iterdir())


HEAD = "file,identity,condition,split,yaw,iris\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        (HEAD, "names no picture"),
        ("file,identity,split\n", "has no column condition; its first columns must"),
        (HEAD.replace("iris", "yaw"), "has two columns yaw; drop one"),
        (HEAD + "a.png,1,x,train,3,brown\na.png,1,x,test\n", "line 3 has 4 cells"),
        (HEAD + "a.png,1,x,train,3,brown\n" * 2, "lists a.png more than once"),
        (HEAD + "../a.png,1,x,train,3,brown\n", r"line 2: file is '../a.png'"),
        (HEAD + "/a.png,1,x,train,3,brown\n", r"line 2: file is '/a.png'"),
        (HEAD + "a.png,1.5,x,train,3,brown\n", "identity is '1.5'; .* whole number"),
        (HEAD + "a.png,1,x,both,3,brown\n", "split is 'both'; it must be one of train"),
        (HEAD + 'a.png,1,x,test,"3,5",brown\n', "line 2: yaw is '3,5'; it must be a"),
        (HEAD + "a.png,1,x,test,inf,brown\n", "yaw is 'inf'; it must be a number"),
        (HEAD + "a.png,1,x,test,3,pink\n", "iris is 'pink'; it must be one of brown"),
    ],
)
def test_what_is_no_table_of_factors_is_refused(tmp_path, text, complaint):
    path = tmp_path / "factors.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_factor_table(path)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read as a table"):
        read_factor_table(tmp_path / "gone.csv")
