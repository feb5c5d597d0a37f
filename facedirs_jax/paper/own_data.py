"""The paper's own data sets, for those who have them, as its attributes need them."""

import csv
import os
import pathlib

import numpy as np

from facedirs_jax.datasets import labels
from facedirs_jax.errors import InputError
from facedirs_jax.labelled_pictures import LabelledPictures, read_pictures
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE

FRONTAL_FLASH = 7  # beside the frontal camera
_FURTHEST = 30.0  # degrees of yaw at which landmarks are still found, as in the paper


def multi_pie_pictures(
    folder: str | os.PathLike[str], flash_angles: str | os.PathLike[str]
) -> LabelledPictures:
    """Multi-PIE, where pose, light and expression vary one at a time.

    Args:
        folder: as `datasets.multi_pie` wants it.
        flash_angles: CSV `flash,degrees`: where the light of each flash comes from, one
            of 0 and `LIGHT.values`; no public table has these.

    Returns:
        Pictures with `condition`, `yaw` and `light` as rendered ones have them.

    Raises:
        InputError: if the folder or the table is not as it should be.
    """
    found = read_pictures(folder, dataset="multi_pie")
    angles = _angles(pathlib.Path(flash_angles))
    conditions = [
        _condition(*told, angles)
        for told in zip(
            *(found.values("expression").tolist(), found.values("yaw").tolist()),
            *(found.values("above").tolist(), found.values("flash").tolist()),
            strict=True,
        )
    ]
    columns = {
        "condition": np.array(conditions, str),
        "yaw": found.values("yaw"),
        "light": np.array([angles.get(f, np.nan) for f in found.values("flash")]),
    }
    return found._replace(columns=columns).take(columns["condition"] != "")


def _condition(
    expression: str, yaw: float, above: float, flash: float, angles: dict[float, float]
) -> str:
    """Name of what varies; empty if nothing or more than one thing does."""
    plain, lit = expression == "neutral", flash == FRONTAL_FLASH
    if above == 1 or not (plain or expression in EXPRESSION.values):
        return ""
    if plain and yaw == 0 and lit:
        return EXPRESSION.neutral
    if plain and lit and abs(yaw) <= _FURTHEST:
        return f"{POSE.label}{yaw:+.0f}"
    if plain and yaw == 0 and flash in angles:
        return f"{LIGHT.label}{angles[flash]:+.0f}"
    return expression if yaw == 0 and lit and not plain else ""


def _angles(path: pathlib.Path) -> dict[float, float]:
    rows = list(csv.DictReader(labels.text_of(path).splitlines()))
    known = {0.0, *map(float, LIGHT.values)}
    found: dict[float, float] = {}
    for row in rows:
        flash, degrees = (labels.number(row.get(n) or "") for n in ("flash", "degrees"))
        if not flash >= 1 or degrees not in known:
            raise InputError(
                f"{path}: {row}: a row is a flash, 1 to 18, and its degrees, one of "
                f"{', '.join(f'{angle:g}' for angle in sorted(known))}"
            )
        found[flash] = degrees
    if not found:
        raise InputError(f"{path}: has no row; write a table flash,degrees")
    return found
