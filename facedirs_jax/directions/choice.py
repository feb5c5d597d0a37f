"""Single directions by name: `nose:2` is the second of a set, `yaw:30` leads to 30."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError

FIRST = 3  # of a set, where none is asked for


class Chosen(NamedTuple):
    """One direction of a set.

    Attributes:
        name: such as `nose:2`.
        directions: the set.
        row: its place in the set.
    """

    name: str
    directions: Directions
    row: int

    @property
    def vector(self) -> np.ndarray:
        """[D] float32, of length 1."""
        return self.directions.directions[self.row]

    @property
    def scale(self) -> np.float32:
        """One standard deviation along it, template units."""
        return self.directions.scales[self.row]

    def read(self, templates: np.ndarray) -> np.ndarray | None:
        """Labels that its reading finds in templates [T, D]; None if it reads none."""
        if self.directions.weights is None:
            return None
        weights, intercept = self.directions.reading(self.row)
        return np.asarray(templates, np.float64) @ weights + intercept


def names_of(name: str, directions: Directions) -> list[str]:
    """Names of the K directions of a set: its labels if it has some, else numbers."""
    known = directions.about.get("labels")
    if known is None or len(known) != len(directions.directions):
        known = range(1, len(directions.directions) + 1)
    return [f"{name}:{label}" for label in known]


def choose(
    sets: Mapping[str, Directions], asked: Sequence[str], *, first: int = FIRST
) -> list[Chosen]:
    """Picks directions by name.

    Args:
        sets: by name.
        asked: names of sets, of which the first few are taken, or of directions; no
            name asks for every set.
        first: how many of a set.

    Returns:
        The directions in the order asked for, none twice.

    Raises:
        InputError: naming what there is, if a name is unknown.
    """
    known = {
        name: Chosen(name, directions, row)
        for set_name, directions in sets.items()
        for row, name in enumerate(names_of(set_name, directions))
    }
    found: dict[str, Chosen] = {}
    for name in asked or sets:
        if name in sets:
            leading = names_of(name, sets[name])[:first]
            found |= {leader: known[leader] for leader in leading}
        elif name in known:
            found[name] = known[name]
        else:
            raise InputError(
                f"no direction {name!r}; there are the sets {', '.join(sets)}, of the "
                f"directions {_some(list(known))}"
            )
    return list(found.values())


def _some(names: Sequence[str], *, most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
