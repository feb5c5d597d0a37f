"""Labeled Faces in the Wild (Huang et al., UMass TR 07-49) and its pairs.

Confirmed (scikit-learn's and torchvision's readers): `lfw/Name/Name_0001.jpg`,
`lfw_funneled` and `lfw-deepfunneled` laid out the same; `pairs.txt` with 10 folds of
300 same and 300 different pairs, `pairsDevTrain.txt` and `pairsDevTest.txt` without
folds. All of it is the split `test`: it is a benchmark, not to be trained on.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found
from facedirs_jax.errors import InputError

PAIR_FILES = ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt")
_NAME = r"(?P<person>[^/]+)/(?P=person)_\d{4}\.\w+"


class Pair(NamedTuple):
    """Two pictures to compare.

    Attributes:
        first: id of one.
        second: id of the other.
        same: whether they show one person.
        fold: number of the fold, from 0; 0 for all where there are none.
    """

    first: str
    second: str
    same: bool
    fold: int


def read_pairs(path: str | pathlib.Path) -> list[Pair]:
    """Reads a file of pairs; `Lfw` keeps those of `PAIR_FILES` beside its records.

    Args:
        path: pairs.txt, pairsDevTrain.txt or pairsDevTest.txt.

    Returns:
        The pairs, as in the file: per fold, first those of one person.

    Raises:
        InputError: if it cannot be read, a line is no pair, or there are more or fewer
            than its first line says.
    """
    path = pathlib.Path(path)
    lines = list(labels.lines_of(path))
    head = (
        [int(cell) for cell in lines[0][1].split() if cell.isdigit()] if lines else []
    )
    if len(head) not in (1, 2):
        raise InputError(
            f"{path}: its first line must be '10 300' (folds, pairs) or '1100' (pairs)"
        )
    folds, size = (1, *head) if len(head) == 1 else head
    if len(lines) - 1 != folds * size * 2:
        raise InputError(
            f"{path}: has {len(lines) - 1} pairs, not {folds} x 2 x {size} as its "
            "first line says; download it anew"
        )
    return [
        _pair(path, place, line.split(), *divmod(index, 2 * size), size)
        for index, (place, line) in enumerate(lines[1:])
    ]


def _pair(
    path: pathlib.Path, place: int, cells: list[str], fold: int, rank: int, size: int
) -> Pair:
    """The pair of one line; in each fold the first `size` show one person."""
    same = rank < size
    numbers = [*cells[1:2], cells[-1]]
    if len(cells) != (3 if same else 4) or not all(n.isdigit() for n in numbers):
        raise InputError(f"{path}: line {place} is no pair: {' '.join(cells)!r}")
    second = cells[0] if same else cells[2]
    return Pair(_id(cells[0], numbers[0]), _id(second, numbers[1]), same, fold)


def _id(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"


class Lfw(FaceDataset, skip_registration=True):
    """13 233 news pictures of 5 749 people, all in `test`; no labels but identity."""

    name = "lfw"
    ABOUT: ClassVar[str] = "News pictures of famous people, a verification benchmark."
    TREE: ClassVar[str] = (
        "{lfw,lfw_funneled,lfw-deepfunneled}/Anna_Lind/Anna_Lind_0001.jpg, pairs.txt"
    )
    CITATION: ClassVar[str] = "Huang et al., Labeled Faces in the Wild, UMass TR 07-49"
    COMPANIONS: ClassVar[Sequence[str]] = PAIR_FILES

    def find(self, folder: pathlib.Path) -> Found:
        root = tree.picture_root(folder, ["lfw", "lfw_funneled", "lfw-deepfunneled"])
        found = tree.match(root, _NAME, _face, expected="Anna_Lind/Anna_Lind_0001.jpg")
        there = {face.id for face in found.faces}
        for name in PAIR_FILES:
            if (folder / name).is_file():
                ids = {i for pair in read_pairs(folder / name) for i in pair[:2]}
                labels.refuse(
                    sorted(ids - there),
                    str(folder / name),
                    "it names pictures that are not there; unpack the data set anew",
                )
        return found

    def split_of(self, face: Face) -> str:
        return "test"


def _face(found: re.Match[str], path: pathlib.Path) -> Face:
    return Face(found[0], path, found["person"], {})
