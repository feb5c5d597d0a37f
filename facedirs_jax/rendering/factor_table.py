"""The table beside rendered pictures: what is known of each, `factors.csv`.

One row a picture: `file` (its path below the folder of the table, with /), `identity`
(whole number), `condition` (how it was taken, in a word), `split`, then a column a
factor of `rendering.factors`, and a column a length on the mesh, `<name>_mm`. What
other columns there are, such as seeds, is text.
"""

import csv
import io
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax import files
from facedirs_jax.errors import InputError

from .factors import FACTORS

FILE_NAME = "factors.csv"
MEASURE_SUFFIX = "_mm"
SPLITS = ("train", "validation", "test")
_FIRST = ("file", "identity", "condition", "split")


class FactorTable(NamedTuple):
    """What is known of N pictures.

    Attributes:
        files: paths below the folder of the table, with /; no two alike.
        identities: [N] int64, whose face it is.
        conditions: [N] str, such as `frontal`, `yaw+15`, `smile`, `random`.
        splits: [N] str, of `SPLITS`.
        columns: name -> [N] float32 in the factor's own unit, or mm, NaN where
            unknown; [N] str for a factor that is a word, and all other columns.
    """

    files: tuple[str, ...]
    identities: np.ndarray
    conditions: np.ndarray
    splits: np.ndarray
    columns: dict[str, np.ndarray]

    def take(self, rows: np.ndarray) -> "FactorTable":
        """The same table of some rows: numbers, or a mask [N]; in the order given."""
        chosen = np.arange(len(self.files))[rows]
        return FactorTable(
            tuple(self.files[row] for row in chosen),
            *(self.identities[chosen], self.conditions[chosen], self.splits[chosen]),
            {name: values[chosen] for name, values in self.columns.items()},
        )


def write_factor_table(path: str | os.PathLike[str], table: FactorTable) -> None:
    """Writes a table atomically; `read_factor_table` gives the same back, bit by bit.

    Args:
        path: the CSV file.
        table: of N pictures.

    Raises:
        ValueError: if a column is not [N].
    """
    rows = len(table.files)
    first = (table.files, table.identities, table.conditions, table.splits)
    named = {**dict(zip(_FIRST, first, strict=True)), **table.columns}
    for name, values in named.items():
        if np.shape(values) != (rows,):
            raise ValueError(
                f"{name} is {list(np.shape(values))}; it must be [{rows}], one value "
                "a file"
            )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(named)
    cells = [_cells(np.asarray(values)) for values in named.values()]
    writer.writerows(zip(*cells, strict=True))
    files.write_text(path, text.getvalue())


def _cells(values: np.ndarray) -> list[str]:
    """Text of each value; of a float32 the shortest that reads back as the same."""
    if np.issubdtype(values.dtype, np.floating):
        return ["" if np.isnan(v) else str(v) for v in values.astype(np.float32)]
    return [str(value) for value in values]


def read_factor_table(path: str | os.PathLike[str]) -> FactorTable:
    """Reads what `write_factor_table` wrote.

    Raises:
        InputError: if it cannot be read, lacks one of the first four columns, has no
            row, or a cell is not what its column needs.
    """
    path = pathlib.Path(path)
    header, *rows = _read_rows(path)
    missing = [name for name in _FIRST if name not in header]
    if missing:
        raise InputError(
            f"{path}: has no column {', '.join(missing)}; its first columns must be "
            f"{', '.join(_FIRST)}"
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise InputError(f"{path}: has two columns {', '.join(twice)}; drop one")
    if not rows:
        raise InputError(f"{path}: names no picture")
    text = dict(zip(header, zip(*rows, strict=True), strict=True))
    _check_files(path, text["file"])
    columns = {
        name: _column(path, name, text[name]) for name in header if name not in _FIRST
    }
    return FactorTable(
        files=tuple(text["file"]),
        identities=_whole_numbers(path, "identity", text["identity"]),
        conditions=np.array(text["condition"], str),
        splits=_words(path, "split", text["split"], SPLITS),
        columns=columns,
    )


def _read_rows(path: pathlib.Path) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    if not rows:
        raise InputError(f"{path}: is empty")
    for line, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}: line {line} has {len(row)} cells and the first "
                f"{len(rows[0])}; the file was cut short or edited"
            )
    return rows


def _check_files(path: pathlib.Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{path}: lists {twice[0]} more than once")
    for line, name in enumerate(names, start=2):
        parts = pathlib.PurePosixPath(name)
        if not name or parts.is_absolute() or ".." in parts.parts:
            raise InputError(
                f"{path}: line {line}: file is {name!r}; it must be a path below the "
                "folder of the table"
            )


def _column(path: pathlib.Path, name: str, cells: Sequence[str]) -> np.ndarray:
    if name in FACTORS and FACTORS[name].choices:
        return _words(path, name, cells, FACTORS[name].choices)
    if name in FACTORS or name.endswith(MEASURE_SUFFIX):
        return _numbers(path, name, cells)
    return np.array(cells, str)


def _words(
    path: pathlib.Path, name: str, cells: Sequence[str], words: Sequence[str]
) -> np.ndarray:
    for line, cell in enumerate(cells, start=2):
        if cell not in words:
            raise InputError(
                f"{path}: line {line}: {name} is {cell!r}; it must be one of "
                f"{', '.join(words)}"
            )
    return np.array(cells, str)


def _numbers(path: pathlib.Path, name: str, cells: Sequence[str]) -> np.ndarray:
    try:
        values = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        values = np.full(len(cells), np.inf)
    if np.isinf(values).any():
        line, cell = next(
            (line, cell)
            for line, cell in enumerate(cells, start=2)
            if not _is_number(cell)
        )
        raise InputError(
            f"{path}: line {line}: {name} is {cell!r}; it must be a number, or empty "
            "where it is unknown"
        )
    return values.astype(np.float32)


def _is_number(cell: str) -> bool:
    try:
        return not np.isinf(float(cell or "nan"))
    except ValueError:
        return False


def _whole_numbers(path: pathlib.Path, name: str, cells: Sequence[str]) -> np.ndarray:
    for line, cell in enumerate(cells, start=2):
        if not cell.removeprefix("-").isdecimal():
            raise InputError(
                f"{path}: line {line}: {name} is {cell!r}; it must be a whole number"
            )
    return np.array([int(cell) for cell in cells], np.int64)
