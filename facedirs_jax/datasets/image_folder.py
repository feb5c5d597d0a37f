r"""Any folder of pictures, with a table of labels if there is one.

Pictures are found at any depth. The table is a CSV file with a header: `file` is the
path relative to the folder, with /; `identity`, if there is such a column, says whose
face it is; all other columns are labels. A column whose cells are all numbers or empty
is a label of float32, any other of text. Without a table, or without that column, the
sub-folder that a picture lies in is its identity, else the file itself is.
"""

import csv
import io
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found, Kind
from facedirs_jax.errors import InputError

_SHARED = ("file", "identity")
_TAKEN = ("image", "id")  # features that every data set has


class Table(NamedTuple):
    """Labels of pictures.

    Attributes:
        path: the CSV file.
        kinds: `str` or `float`, by label.
        rows: cells by column, by file.
    """

    path: pathlib.Path
    kinds: Mapping[str, Kind]
    rows: Mapping[str, Mapping[str, str]]


def read_table(path: pathlib.Path) -> Table:
    """Reads a table of labels.

    Args:
        path: CSV file in UTF-8, with commas and a header.

    Returns:
        The table.

    Raises:
        InputError: if it cannot be read, has no column `file`, or holds rows that are
            too long or short, come twice, or lead out of the folder.
    """
    reader = csv.reader(io.StringIO(labels.text_of(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        body = [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV table ({error}); save it anew") from error
    _check_header(path, header)
    problems: list[str] = []
    rows: dict[str, Mapping[str, str]] = {}
    for place, cells in body:
        row = dict(zip(header, cells, strict=False))
        wrong = _wrong(row, header, cells, rows)
        if wrong:
            problems.append(f"line {place}: {wrong}")
        else:
            rows[row["file"]] = row
    labels.refuse(problems, str(path), "correct these rows")
    own = [name for name in header if name not in _SHARED]
    kinds = {name: _kind([row[name] for row in rows.values()]) for name in own}
    return Table(path, kinds, rows)


def _check_header(path: pathlib.Path, header: list[str]) -> None:
    if "file" not in header:
        raise InputError(f"{path}: has no column 'file'; its columns are {header}")
    taken = [name for name in header if name in _TAKEN or not name or "/" in name]
    if taken or len(set(header)) < len(header):
        raise InputError(
            f"{path}: columns need names of their own, other than {', '.join(_TAKEN)} "
            f"and without /; they are {header}"
        )


def _wrong(
    row: Mapping[str, str],
    header: list[str],
    cells: list[str],
    rows: Mapping[str, Mapping[str, str]],
) -> str:
    """What is wrong with a row; empty if nothing is."""
    if len(cells) != len(header):
        return f"has {len(cells)} cells, not {len(header)}"
    file = row["file"]
    pure = pathlib.PurePosixPath(file)
    drive = pathlib.PureWindowsPath(file).drive
    if pure.is_absolute() or drive or ".." in pure.parts or "\\" in file:
        return f"{file!r} leads out of the folder; give a path inside it, with /"
    if str(pure) != file or file == ".":
        return f"{file!r} is no plain path such as people/anna.jpg"
    if file in rows:
        return f"{file!r} comes twice"
    if not row.get("identity", "somebody"):
        return f"{file!r} has no identity"
    return ""


def _kind(cells: list[str]) -> Kind:
    filled = [cell for cell in cells if cell.strip()]
    numbers = all(_is_number(cell) for cell in filled)
    return float if filled and numbers else str


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


class ImageFolder(FaceDataset, skip_registration=True):
    """Any folder of pictures, with a table of labels if there is one.

    Args:
        labels_csv: the table; None for no labels.
        **options: of `FaceDataset`.
    """

    name = "image_folder"
    ABOUT: ClassVar[str] = "Pictures of one's own; labels from a table, if any."
    TREE: ClassVar[str] = "any/sub/folder/picture.jpg, at any depth"

    def __init__(self, *, labels_csv: str | None = None, **options: Any):
        self._table = read_table(pathlib.Path(labels_csv)) if labels_csv else None
        super().__init__(**options)

    @property
    def label_kinds(self) -> Mapping[str, Kind]:
        """Columns of the table other than `file` and `identity`."""
        return self._table.kinds if self._table else {}

    def find(self, folder: pathlib.Path) -> Found:
        found, others = tree.pictures(folder)
        if self._table:
            labels.refuse(
                _mismatches(found, self._table),
                f"{folder} and {self._table.path}",
                "every picture needs one row, and every row a picture",
            )
        faces = [self._face(name, path) for name, path in found.items()]
        return Found(faces, others)

    def _face(self, name: str, path: pathlib.Path) -> Face:
        parent = pathlib.PurePosixPath(name).parent.as_posix()
        identity = name if parent == "." else parent
        if not self._table:
            return Face(name, path, identity, {})
        row = self._table.rows[name]
        known = {
            label: labels.number(row[label]) if kind is float else row[label]
            for label, kind in self._table.kinds.items()
        }
        return Face(name, path, row.get("identity", identity), known)


def _mismatches(found: Mapping[str, pathlib.Path], table: Table) -> Iterator[str]:
    for file in table.rows:
        if file not in found:
            yield f"{file!r} has a row and is no picture there"
    for name in found:
        if name not in table.rows:
            yield f"{name!r} has no row"
