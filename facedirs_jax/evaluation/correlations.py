"""Which known quantities go together, so that one is not taken for another."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax.errors import InputError


class Correlated(NamedTuple):
    """Two quantities and their Pearson correlation."""

    first: str
    second: str
    correlation: float


def as_numbers(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers as they are, and words as one column a word, `name=word`, of 0 and 1.

    Args:
        columns: name -> [N] numbers or [N] str.

    Returns:
        Name -> [N] float64.
    """
    numbers = {}
    for name, values in columns.items():
        values = np.asarray(values)
        if values.dtype.kind in "US":
            for word in np.unique(values):
                numbers[f"{name}={word}"] = (values == word).astype(np.float64)
        else:
            numbers[name] = values.astype(np.float64)
    return numbers


def correlation_matrix(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pearson correlations of all columns with all.

    Args:
        columns: name -> [N] numbers.

    Returns:
        [C, C] float64, -1 to 1, in the order of the columns.

    Raises:
        ValueError: if the columns are not of one length.
        InputError: if there are none or fewer than 3 rows, or a column holds NaN or
            does not vary.
    """
    if not columns or len(next(iter(columns.values()))) < 3:
        raise InputError("correlations need a column and 3 rows or more")
    table = np.stack([np.asarray(values, np.float64) for values in columns.values()])
    for name, values in zip(columns, table, strict=True):
        if not np.isfinite(values).all():
            raise InputError(f"{name}: holds NaN or infinity; leave such rows out")
        if (values == values[0]).all():
            raise InputError(f"{name}: is {values[0]:g} in every row; leave it out")
    return np.clip(np.corrcoef(table).reshape(len(table), -1), -1.0, 1.0)


def correlated_above(
    names: Sequence[str], matrix: np.ndarray, limit: float
) -> list[Correlated]:
    """Pairs of columns whose correlation is above a limit, the strongest first.

    Args:
        names: C of them.
        matrix: [C, C], correlations.
        limit: of the absolute value, exclusive.

    Returns:
        Each pair once.
    """
    rows, columns = np.triu_indices(len(names), k=1)
    found = [
        Correlated(names[row], names[column], float(matrix[row, column]))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if abs(matrix[row, column]) > limit
    ]
    return sorted(found, key=lambda pair: -abs(pair.correlation))
