"""Pose, light and expression as the paper varies them, in labelled pictures."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.labelled_pictures import LabelledPictures


@dataclasses.dataclass(frozen=True)
class Attribute:
    """One attribute of photos, and which pictures show it.

    Attributes:
        name: of it.
        label: column that tells it.
        where: regular expressions of labels of the pictures, by column.
        neutral: its value in an ordinary photo, as text.
        values: those that are edited to, as texts, in order.
    """

    name: str
    label: str
    where: tuple[tuple[str, str], ...]
    neutral: str
    values: tuple[str, ...]

    def rows(self, pictures: LabelledPictures) -> np.ndarray:
        """Row numbers of the pictures that vary in this attribute alone."""
        return np.flatnonzero(pictures.where(dict(self.where)))

    def texts(self, pictures: LabelledPictures) -> np.ndarray:
        """[N] str, the value in each picture, as `values` has it."""
        found = pictures.values(self.label).tolist()
        return np.array([str(value).removesuffix(".0") for value in found], str)


POSE = Attribute(
    name="pose",
    label="yaw",
    where=(("condition", r"frontal|yaw.*"),),
    neutral="0",
    values=("-30", "-15", "15", "30"),
)
LIGHT = Attribute(
    name="light",
    label="light",
    where=(("condition", r"frontal|light.*"),),
    neutral="0",
    values=tuple(str(angle) for angle in range(-90, 91, 15) if angle),
)
EXPRESSION = Attribute(
    name="expression",
    label="condition",
    where=(("condition", "frontal|smile|surprise|squint|disgust|scream"),),
    neutral="frontal",
    values=("disgust", "scream", "smile", "squint", "surprise"),
)


@dataclasses.dataclass(frozen=True)
class People:
    """Who is used for what; no person is used twice.

    Attributes:
        directions: people that directions are found on.
        readers: people that picture readers learn from.
        probes: people that are edited.
    """

    directions: np.ndarray
    readers: np.ndarray
    probes: np.ndarray


def divide_people(
    identities: Sequence[str] | np.ndarray, *, probes: int, seed: int = 0
) -> People:
    """Divides people at random: some are probes, the others two equal halves.

    Args:
        identities: [N], whose face each picture shows.
        probes: how many are edited.
        seed: of the draw.

    Returns:
        People.

    Raises:
        InputError: if fewer than 4 remain to find directions on, or 5 to learn from.
    """
    everybody = np.random.default_rng(seed).permutation(np.unique(identities))
    edited, others = everybody[:probes], everybody[probes:]
    half = min(len(others) // 2, len(others) - 5)
    if half < 4:
        raise InputError(
            f"{len(everybody)} people, {probes} of them probes: 4 are needed to find "
            "directions on and 5 to learn to read pictures from"
        )
    return People(others[:half], others[half:], edited)
