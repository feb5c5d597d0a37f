"""Pictures with what is known of each: from a table, from their names, or a data set.

A label is a number, NaN where it is unknown, or a word, empty where it is unknown.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from facedirs_jax import datasets
from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.image_folder import Table, read_table
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import FILE_NAME

TABLES = (FILE_NAME, "labels.csv")  # looked for in this order beside the pictures
_IDENTITY = "identity"


class LabelledPictures(NamedTuple):
    """N pictures and their labels.

    Attributes:
        paths: of the files.
        ids: their paths below the folder, with /.
        identities: [N] str, whose face each shows.
        columns: label -> [N] float64, NaN where unknown, or [N] str.
    """

    paths: tuple[pathlib.Path, ...]
    ids: tuple[str, ...]
    identities: np.ndarray
    columns: dict[str, np.ndarray]

    def take(self, rows: np.ndarray) -> "LabelledPictures":
        """Some of the pictures: row numbers, or a mask [N]; in the order given."""
        chosen = np.arange(len(self.paths))[rows]
        return LabelledPictures(
            tuple(self.paths[row] for row in chosen),
            tuple(self.ids[row] for row in chosen),
            self.identities[chosen],
            {name: values[chosen] for name, values in self.columns.items()},
        )

    def values(self, label: str) -> np.ndarray:
        """[N] values of a label.

        Raises:
            InputError: if there is no such label.
        """
        if label not in self.columns:
            known = ", ".join(self.columns) or "none"
            raise InputError(f"no label {label!r}; those of the pictures are: {known}")
        return self.columns[label]

    def known(self, label: str) -> np.ndarray:
        """[N] bool, where a label has a value."""
        values = self.values(label)
        return values != "" if values.dtype.kind == "U" else np.isfinite(values)

    def where(self, conditions: Mapping[str, str]) -> np.ndarray:
        """[N] bool, which pictures are as asked for.

        Args:
            conditions: regular expression of the whole value, by label; a number is
                matched as Python prints it, without a trailing ".0".

        Raises:
            InputError: if there is no such label, no picture is left, or an expression
                is none.
        """
        kept = np.ones(len(self.paths), bool)
        for label, expression in conditions.items():
            pattern = _compiled(expression)
            texts = map(_text, self.values(label).tolist())
            kept &= np.array([bool(pattern.fullmatch(text)) for text in texts], bool)
        if not kept.any():
            asked = ", ".join(f"{name}={text}" for name, text in conditions.items())
            raise InputError(f"no picture of {len(kept)} has {asked}; ask for less")
        return kept


def read_pictures(
    folder: str | os.PathLike[str],
    *,
    dataset: str = "image_folder",
    table: str | os.PathLike[str] | None = None,
    names: str | None = None,
) -> LabelledPictures:
    """Finds pictures and their labels.

    Args:
        folder: read recursively.
        dataset: a key of `datasets.DATASETS`, whose own layout and labels the folder
            has; "image_folder" for any folder.
        table: CSV with a column `file` (path below the folder), perhaps one `identity`,
            and labels; by default `factors.csv` or `labels.csv` in the folder. Pictures
            without a row are left out.
        names: regular expression at the start of a picture's name, whose named groups
            are labels, `identity` among them, such as
            `(?P<identity>[^_]+)_(?P<pose>[^_]+)`; instead of a table.

    Returns:
        The pictures, in the order of their paths.

    Raises:
        InputError: if the folder, the table or the expression is not as it should be,
            or no picture has labels.
    """
    folder = pathlib.Path(folder)
    if table is not None and names is not None:
        raise InputError("give a table of labels or an expression of names, not both")
    if dataset != "image_folder":
        return _of_dataset(folder, dataset)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pictures")
    found, _ = tree.pictures(folder)
    if names is not None:
        return _by_names(folder, found, _compiled(names))
    path = _table_of(folder) if table is None else pathlib.Path(table)
    return _by_table(folder, found, read_table(path))


def _of_dataset(folder: pathlib.Path, dataset: str) -> LabelledPictures:
    if dataset not in datasets.DATASETS:
        known = ", ".join(datasets.DATASETS)
        raise InputError(f"unknown data set {dataset!r}; known: {known}")
    builder = datasets.DATASETS[dataset]()
    faces = builder.find(folder).faces
    kinds = builder.label_kinds
    rows = [labels.with_unknowns(face.labels, kinds) for face in faces]
    columns = {
        name: np.array([row[name] for row in rows])
        for name, kind in kinds.items()
        if kind in (str, float)
    }
    identities = np.array([face.identity for face in faces], str)
    paths, ids = (face.path for face in faces), (face.id for face in faces)
    return LabelledPictures(tuple(paths), tuple(ids), identities, columns)


def _by_names(
    folder: pathlib.Path, found: Mapping[str, pathlib.Path], pattern: re.Pattern[str]
) -> LabelledPictures:
    if not pattern.groupindex:
        raise InputError(
            f"{pattern.pattern!r} names no label; write a group such as (?P<pose>[^_]+)"
        )
    matches = {name: pattern.match(path.name) for name, path in found.items()}
    known = {name: match for name, match in matches.items() if match}
    if not known:
        raise InputError(
            f"{folder}: the name of none of {len(found)} pictures starts with "
            f"{pattern.pattern!r}"
        )
    cells = {
        name: [match[name] or "" for match in known.values()]
        for name in pattern.groupindex
    }
    people = cells.pop(_IDENTITY, list(known))
    paths = tuple(found[name] for name in known)
    return LabelledPictures(
        paths,
        tuple(known),
        np.array(people, str),
        {name: np.array(values, str) for name, values in cells.items()},
    )


def _by_table(
    folder: pathlib.Path, found: Mapping[str, pathlib.Path], table: Table
) -> LabelledPictures:
    gone = [f"{name!r} is no picture there" for name in table.rows if name not in found]
    labels.refuse(gone, f"{table.path}, of {folder}", "correct these rows")
    ids = [name for name in found if name in table.rows]
    if not ids:
        raise InputError(f"{table.path}: has no row for any picture of {folder}")
    rows = [table.rows[name] for name in ids]
    columns = {
        name: np.array(
            [labels.number(r[name]) if kind is float else r[name] for r in rows],
            np.float64 if kind is float else str,
        )
        for name, kind in table.kinds.items()
    }
    people = [
        row.get(_IDENTITY, _folder_of(name))
        for row, name in zip(rows, ids, strict=True)
    ]
    paths = tuple(found[name] for name in ids)
    return LabelledPictures(paths, tuple(ids), np.array(people, str), columns)


def _table_of(folder: pathlib.Path) -> pathlib.Path:
    for name in TABLES:
        if (folder / name).exists():
            return folder / name
    raise InputError(
        f"{folder}: has no {' or '.join(TABLES)}; name a table of labels, or an "
        "expression of the pictures' names"
    )


def _folder_of(name: str) -> str:
    parent = pathlib.PurePosixPath(name).parent.as_posix()
    return name if parent == "." else parent


def _text(value: object) -> str:
    return str(value).removesuffix(".0")


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise InputError(f"{expression!r} is no regular expression: {error}") from error


def conditions_of(asked: Iterable[str]) -> dict[str, str]:
    """Parses `label=expression`, each label once.

    Raises:
        InputError: if a text is not of this form.
    """
    found: dict[str, str] = {}
    for text in asked:
        label, equals, expression = text.partition("=")
        if not (label and equals) or label in found:
            raise InputError(
                f"{text!r} is no condition; write label=expression, each label once"
            )
        found[label] = expression
    return found
