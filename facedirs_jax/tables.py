"""Tables of results: rows of named cells, as CSV, as text for a terminal, as JSON."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from facedirs_jax.evaluation.bootstrap import Estimate

Cell: TypeAlias = str | int | float | Estimate | None
Row: TypeAlias = Mapping[str, Cell]


def header_of(rows: Sequence[Row]) -> list[str]:
    """Names of the cells of all rows, in the order in which they first come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(rows: Sequence[Row]) -> str:
    """CSV; an estimate takes three columns, `name`, `name_low` and `name_high`."""
    flat = flat_rows(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, header_of(flat), restval="", lineterminator="\n")
    writer.writeheader()
    for row in flat:
        writer.writerow(
            {
                name: f"{cell:.6g}" if isinstance(cell, float) else cell
                for name, cell in row.items()
            }
        )
    return text.getvalue()


def flat_rows(rows: Sequence[Row]) -> list[dict[str, str | int | float | None]]:
    """Rows of plain JSON values: an estimate is three of them, None what is unknown."""
    header = header_of(rows)
    wide = {
        name for row in rows for name, cell in row.items() if isinstance(cell, Estimate)
    }
    flat = []
    for row in rows:
        plain: dict[str, str | int | float | None] = {}
        for name in header:
            cell = row.get(name)
            if name in wide:
                parts = cell if isinstance(cell, Estimate) else (None, None, None)
                for suffix, part in zip(("", "_low", "_high"), parts, strict=True):
                    plain[name + suffix] = _known(part)
            elif not isinstance(cell, Estimate):
                plain[name] = _known(cell)
        flat.append(plain)
    return flat


def _known(cell: str | int | float | None) -> str | int | float | None:
    return None if isinstance(cell, float) and not np.isfinite(cell) else cell


def estimates_by(rows: Sequence[Row], name: str, column: str) -> dict[str, Estimate]:
    """Estimates of one column by the name in another; rows without one are left out."""
    return {
        str(row[name]): cell
        for row in rows
        if isinstance(cell := row.get(column), Estimate)
    }


def shown(cell: Cell) -> str:
    """What a person reads: four digits, the interval of an estimate in brackets."""
    if isinstance(cell, Estimate):
        value, low, high = (_digits(number) for number in cell)
        return f"{value} [{low}, {high}]" if low else value
    return (
        _digits(cell) if isinstance(cell, float) else str("" if cell is None else cell)
    )


def _digits(number: float) -> str:
    if not np.isfinite(number):
        return ""
    return f"{number:.4g}" if abs(number) >= 10 else f"{number:.4f}"


def plain_text(rows: Sequence[Row]) -> str:
    """Lines with columns one below the other; numbers stand on the right."""
    header = header_of(rows)
    cells = [[shown(row.get(name)) for name in header] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    left = [any(isinstance(row.get(name), str) for row in rows) for name in header]
    lines = []
    for line in (header, *cells):
        parts = [
            cell.ljust(width) if is_text else cell.rjust(width)
            for cell, width, is_text in zip(line, widths, left, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def markdown_text(rows: Sequence[Row]) -> str:
    """A table in Markdown, cells as `plain_text` shows them; ends with a new line."""
    header = header_of(rows)
    cells = [[shown(row.get(name)) for name in header] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
