"""Pose, light and expression as the paper varies them, in labelled pictures."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.labelled_pictures import LabelledPictures

MIN_PEOPLE = 5


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
        directions: [M] str, people that directions are found on.
        readers: [R] str, people that picture readers learn from.
    """

    directions: np.ndarray
    readers: np.ndarray


def divide_people(identities: Sequence[str] | np.ndarray, *, seed: int = 0) -> People:
    """Divides people at random into two halves.

    Args:
        identities: [N], whose face each picture shows.
        seed: of the draw.

    Returns:
        People.

    Raises:
        InputError: if there are fewer than `MIN_PEOPLE` for either half.
    """
    everybody = np.random.default_rng(seed).permutation(np.unique(identities))
    half = len(everybody) // 2
    if half < MIN_PEOPLE:
        raise InputError(
            f"{len(everybody)} people under conditions; {2 * MIN_PEOPLE} are needed, "
            "half to find directions on and half to learn to read pictures from"
        )
    return People(everybody[:half], everybody[half:])
