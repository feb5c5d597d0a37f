"""Tables of results as CSV, text and JSON."""

import csv
import io
import json

from facedirs_jax import tables
from facedirs_jax.evaluation.bootstrap import Estimate

ROWS = [
    {"condition": "yaw, 30", "pairs": 120, "auc": Estimate(0.99871234, 0.99, 1.0)},
    {"condition": "smile", "pairs": 7, "rate": 123.456, "note": "few"},
    {"condition": "dark", "pairs": 0, "auc": Estimate(0.5, float("nan"), float("nan"))},
]


def test_csv_gives_an_estimate_three_columns_and_leaves_unknown_cells_empty():
    read = list(csv.DictReader(io.StringIO(tables.csv_text(ROWS))))
    assert list(read[0]) == [
        *("condition", "pairs", "auc", "auc_low", "auc_high", "rate", "note")
    ]
    assert read[0]["condition"] == "yaw, 30" and read[0]["auc"] == "0.998712"
    assert read[1]["auc"] == read[1]["auc_low"] == "" and read[1]["rate"] == "123.456"
    assert read[2]["auc"] == "0.5" and read[2]["auc_high"] == ""


def test_json_holds_no_nan():
    flat = tables.flat_rows(ROWS)
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat
    assert flat[2]["auc_low"] is None and flat[0]["rate"] is None


def test_text_stands_in_columns_with_numbers_on_the_right():
    lines = tables.plain_text(ROWS).splitlines()
    assert lines == [
        "condition  pairs                      auc   rate  note",
        "yaw, 30      120  0.9987 [0.9900, 1.0000]",
        "smile          7                           123.5  few",
        "dark           0                   0.5000",
    ]
    assert tables.plain_text([]) == "" and tables.csv_text([]) == "\n"


def test_markdown_holds_the_same_cells():
    lines = tables.markdown_text(ROWS).splitlines()
    assert lines[0] == "| condition | pairs | auc | rate | note |"
    assert lines[1] == "| --- | --- | --- | --- | --- |"
    assert lines[3] == "| smile | 7 |  | 123.5 | few |"
    assert len(lines) == 2 + len(ROWS)
