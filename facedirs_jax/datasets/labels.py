"""What a labelled face data set holds: one picture, its person, and what is known.

Every data set has the features `image` (the encoded bytes of the file, untouched), `id`
(path of the file relative to the folder of the pictures, with /, the same on every
machine) and `identity` (whose face it is), and labels of its own. A label is text,
empty where it is unknown, or a float32, NaN where it is unknown.
"""

import hashlib
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow_datasets as tfds

from facedirs_jax.errors import InputError
from facedirs_jax.faces import FaceStatus

# Text, number, or what only a feature of TFDS can say, such as an array.
Kind: TypeAlias = type[str] | type[float] | tfds.features.FeatureConnector

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}  # of the people, on average
UNKNOWN = {str: "", float: math.nan}
_SHOWN = 5  # problems that an error lists


class Face(NamedTuple):
    """One picture before it is written.

    Attributes:
        id: path relative to the folder of the pictures, with /.
        path: where the file lies.
        identity: whose face it is.
        labels: what is known of it; what is absent is unknown.
        family: people who must stay in one split carry the same; empty if alone.
    """

    id: str
    path: pathlib.Path
    identity: str
    labels: Mapping[str, str | float]
    family: str = ""


class Found(NamedTuple):
    """What a folder holds: faces to write, and a status row for every other file."""

    faces: list[Face]
    others: list[FaceStatus]


def features(labels: Mapping[str, Kind]) -> tfds.features.FeaturesDict:
    """Features that all face data sets share, and those of one.

    Args:
        labels: for each label `str`, `float`, or a feature of TFDS.

    Returns:
        The features, for `tfds.core.DatasetInfo`.
    """
    known = {str: tfds.features.Text(), float: tfds.features.Scalar(np.float32)}
    own = {
        name: kind if isinstance(kind, tfds.features.FeatureConnector) else known[kind]
        for name, kind in labels.items()
    }
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(doc="encoded, as in the file"),
            "id": tfds.features.Text(doc="path relative to the folder of pictures"),
            "identity": tfds.features.Text(doc="whose face it is"),
            **own,
        }
    )


def split_of(group: str) -> str:
    """Split of a person, or of a family: `train`, `validation` or `test`.

    By SHA-256 of the name, so that it does not depend on who else is there, and no
    person is in two splits. On average they hold `SHARES` of the people.
    """
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    for name, share in SHARES.items():
        place -= share
        if place < 0:
            return name
    return "test"  # rounding


def refuse(problems: Iterable[str], what: str, remedy: str) -> None:
    """Turns a list of problems, if there are any, into one error.

    Args:
        problems: one line each.
        what: where they were found.
        remedy: what to do about them.

    Raises:
        InputError: with the first few problems and the number of all.
    """
    problems = list(problems)
    if not problems:
        return
    more = len(problems) - _SHOWN
    lines = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    listed = "".join(f"\n  {line}" for line in lines)
    raise InputError(f"{what}: {count}; {remedy}{listed}")


def with_unknowns(
    labels: Mapping[str, str | float], kinds: Mapping[str, Kind]
) -> dict[str, str | float]:
    """Gives every label a value, that of the unknown where it has none."""
    return {
        name: labels[name] if name in labels else UNKNOWN[kind]
        for name, kind in kinds.items()
        if name in labels or kind in UNKNOWN
    }


def number(text: str) -> float:
    """A number of a table; NaN where the cell is empty or no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def text_of(path: pathlib.Path) -> str:
    """All of a UTF-8 text file.

    Raises:
        InputError: if it cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as UTF-8 text ({error}); save it anew as UTF-8"
        ) from error


def lines_of(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file that are not empty, numbered from 1; see `text_of`."""
    for place, line in enumerate(text_of(path).splitlines(), 1):
        if line.strip():
            yield place, line
