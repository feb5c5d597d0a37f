"""NIST Special Database 32, Multiple Encounter Dataset II (MEDS-II): booking photos.

Confirmed from github.com/biometrics/openbr (scripts/downloadMEDS.sh and data/MEDS): the
archive unpacks to `data/<folder>/S001-01-t10_01.jpg`, which is subject, encounter,
record type and picture; its table has the columns img_name, subject_id, enc_num,
img_num, age_phd, sex, rac, hgt, wgt and label, and its folders are aa, ab, ...
Inferred: folders of other names (S001), the table's place in the archive (any .csv with
those columns is taken), and the units, which are those of FBI records: height 503 is
5 ft 3 in, weight is in pounds, 0 is unknown; age in years; race A, B, I, W, U unknown.
"""

import csv
import math
import pathlib
import re
from collections.abc import Mapping
from typing import ClassVar

from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found, Kind
from facedirs_jax.errors import InputError

_NAME = r"(?:.*/)?(?P<person>S\d{3})-(?P<encounter>\d{2})-t10_(?P<shot>\d{2})\.\w+"
_COLUMNS = ("img_name", "sex", "rac", "age_phd", "hgt", "wgt", "label")
_GENDERS = {"M": "male", "F": "female"}
_RACES = {"A": "asian", "B": "black", "I": "american_indian", "W": "white"}
_CM_PER_INCH, _KG_PER_POUND = 2.54, 0.45359237


class MedsII(FaceDataset, skip_registration=True):
    """Booking photos of 518 people, deceased, up to 18 encounters each.

    Labels from the name: `encounter`, `shot` (numbers, from 1). From the table, unknown
    without one: `gender`, `race`, `age` (years), `height` (cm), `weight` (kg), `pose`
    (Frontal, Left Angle, Right Angle, Left Profile, Right Profile).
    """

    name = "meds_ii"
    LABELS: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("gender", "race", "pose"), str),
        **dict.fromkeys(("encounter", "shot", "age", "height", "weight"), float),
    }
    ABOUT: ClassVar[str] = "Booking photos of people who have died, many times each."
    TREE: ClassVar[str] = "data/S001/S001-01-t10_01.jpg, and the table as *.csv"
    CITATION: ClassVar[str] = "NIST Special Database 32, doi:10.18434/mds0000fbk3"

    def find(self, folder: pathlib.Path) -> Found:
        table = _read_tables(folder)

        def face(found: re.Match[str], path: pathlib.Path) -> Face:
            numbers = {name: float(found[name]) for name in ("encounter", "shot")}
            known = {**numbers, **table.get(path.name, {})}
            return Face(found[0], path, found["person"], known)

        root = tree.picture_root(folder, ["data"])
        return tree.match(root, _NAME, face, expected="S001/S001-01-t10_01.jpg")


def _read_tables(folder: pathlib.Path) -> dict[str, dict[str, str | float]]:
    """Labels by name of the picture, from the table where there is one."""
    tables = {}
    for path in sorted(folder.rglob("*.csv")):
        rows = csv.DictReader(line for _, line in labels.lines_of(path))
        if set(_COLUMNS) <= set(rows.fieldnames or ()):
            tables[path] = rows
    if len(tables) > 1:
        names = ", ".join(str(path) for path in tables)
        raise InputError(f"several tables of labels: {names}; keep one")
    found: dict[str, dict[str, str | float]] = {}
    for path, rows in tables.items():
        for row in rows:
            if None in row or None in row.values() or row["img_name"] in found:
                raise InputError(
                    f"{path}: line {rows.line_num} is cut short, too long, or comes "
                    "twice; download the table anew"
                )
            found[row["img_name"]] = _labels(row)
    return found


def _labels(row: Mapping[str, str]) -> dict[str, str | float]:
    feet, inches = divmod(labels.number(row["hgt"]), 100)
    height = (12 * feet + inches) * _CM_PER_INCH
    weight = labels.number(row["wgt"]) * _KG_PER_POUND
    return {
        "gender": _GENDERS.get(row["sex"], ""),
        "race": _RACES.get(row["rac"], ""),
        "age": labels.number(row["age_phd"]),
        "height": height if height > 0 else math.nan,
        "weight": weight if weight > 0 else math.nan,
        "pose": row["label"],
    }
