"""SiblingsDB HQ-f (Vieira et al., The Visual Computer 30, 2014): frontal portraits.

Confirmed from public code that reads the database: one folder a subject, named by a
number, with pictures as the camera named them, `DBs/HQf/149/_DSC0564.jpg` (frontal;
`DBs/HQfps` holds frontal, profile and smiling ones of fewer subjects and is not read),
and `subjects.csv` without a header: tabs between number, two quoted texts, age in
years, and more.

Inferred: which of the texts is the gender (the one that reads M, F, male or female, in
any case). How the database itself lists sibling pairs is in no public text: put them
into a file `pairs.txt` of your own, two subject numbers a line.
"""

import csv
import pathlib
import re
from collections.abc import Mapping
from typing import ClassVar

from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found, Kind
from facedirs_jax.errors import InputError

_NAME = r"(?P<person>\d+)/[^/]+"
_GENDERS = {"m": "male", "male": "male", "f": "female", "female": "female"}
_AGE = 3  # column of subjects.csv


class SiblingsDbHqf(FaceDataset, skip_registration=True):
    """184 frontal portraits of siblings, 92 pairs, before a uniform background.

    Labels, unknown without the files: `gender` and `age` (years) from subjects.csv,
    `family` (lowest number among brothers and sisters) from pairs.txt. Families stay in
    one split, whole.
    """

    name = "siblingsdb_hqf"
    LABELS: ClassVar[Mapping[str, Kind]] = {"gender": str, "age": float, "family": str}
    ABOUT: ClassVar[str] = "High-quality frontal portraits of pairs of siblings."
    TREE: ClassVar[str] = "[DBs/]HQf/149/_DSC0564.jpg, subjects.csv, pairs.txt"
    CITATION: ClassVar[str] = "Vieira et al., Detecting siblings in image pairs, 2014"
    COMPANIONS: ClassVar = ("pairs.txt",)

    def find(self, folder: pathlib.Path) -> Found:
        subjects = _read_subjects(folder / "subjects.csv")
        families = _families(folder / "pairs.txt")

        def face(found: re.Match[str], path: pathlib.Path) -> Face:
            person = str(int(found["person"]))
            family = families.get(person, "")
            known = {**subjects.get(person, {}), "family": family}
            return Face(found[0], path, person, known, family)

        root = tree.picture_root(folder, ["DBs/HQf", "HQf"])
        return tree.match(root, _NAME, face, expected="149/_DSC0564.jpg")


def _read_subjects(path: pathlib.Path) -> dict[str, dict[str, str | float]]:
    """Gender and age by subject; empty where there is no table."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, str | float]] = {}
    for place, line in labels.lines_of(path):
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter="\t"))]
        if len(cells) <= _AGE or not cells[0].isdigit():
            raise InputError(
                f"{path}: line {place} is not number, text, text, age, with tabs "
                f"between: {line!r}"
            )
        texts = [_GENDERS[cell.lower()] for cell in cells if cell.lower() in _GENDERS]
        gender = texts[0] if texts else ""
        known = {"gender": gender, "age": labels.number(cells[_AGE])}
        found[str(int(cells[0]))] = known
    return found


def _families(path: pathlib.Path) -> dict[str, str]:
    """Lowest number among brothers and sisters, by subject."""
    if not path.is_file():
        return {}
    members: dict[int, set[int]] = {}
    for place, line in labels.lines_of(path):
        cells = re.split(r"[\s,;]+", line.strip())
        if len(cells) != 2 or not all(cell.isdigit() for cell in cells):
            raise InputError(f"{path}: line {place} is not two numbers: {line!r}")
        first, second = (int(cell) for cell in cells)
        joined = members.get(first, {first}) | members.get(second, {second})
        members.update(dict.fromkeys(joined, joined))
    return {str(person): str(min(family)) for person, family in members.items()}
