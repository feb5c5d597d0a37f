"""Charts and tables of label directions."""

from typing import Any

import matplotlib.figure
import numpy as np

from facedirs_jax.directions.choice import names_of
from facedirs_jax.directions.record import Directions
from facedirs_jax.palette import BLUE

Figure = matplotlib.figure.Figure

_NOTES = {
    "label_centroid": "Difference of mean templates. The length is that of the whole "
    "difference, counted in template units; degrees over people tell how far the "
    "direction turns when other people are drawn.",
    "label_regression": "Linear regression on templates; held-out numbers are of "
    "people left out of the fit.",
    "label_boundary": "Linear boundary between classes; held-out numbers are of "
    "people left out of the fit.",
}
_OF_THE_SET = ("labels", "without")  # lists of names, which may be as long as the set


def note_of(directions: Directions) -> str:
    """What the table of a set shows, in a sentence."""
    return _NOTES.get(directions.about.get("kind", ""), "")


def projections(directions: Directions, templates: np.ndarray) -> np.ndarray:
    """Where templates lie along directions, in standard deviations of the data.

    Args:
        directions: [K, D].
        templates: [N, D] float32.

    Returns:
        [N, K] float64.
    """
    centred = np.asarray(templates, np.float64) - directions.mean[None]
    return centred @ directions.directions.T / directions.scales[None]


def rows_of(label: str, directions: Directions) -> list[dict[str, Any]]:
    """A row of numbers for each direction."""
    about = directions.about
    rows = []
    for place, name in enumerate(names_of(label, directions)):
        row: dict[str, Any] = {
            "direction": name,
            "standard_deviation": float(directions.scales[place]),
        }
        for key, told in about.items():
            if key in _OF_THE_SET:
                continue
            if isinstance(told, list) and len(told) == len(directions.directions):
                row[key] = told[place]
            elif isinstance(told, dict):
                row |= {f"{key}_{n}": _at(v, place) for n, v in told.items()}
            elif key in ("penalty", "templates", "identities", "mode"):
                row[key] = told
        rows.append(row)
    return rows


def _at(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) else value


def draw_along(label: str, values: np.ndarray, along: np.ndarray) -> Figure:
    """Draws where pictures lie along each direction, by the value of their label.

    Args:
        label: its name.
        values: [N] float64 or str.
        along: [N, K], see `projections`.

    Returns:
        Figure with a panel a direction, at most four.
    """
    shown = min(along.shape[1], 4)
    figure = Figure(figsize=(3.4 * shown, 3.2), layout="constrained")
    axes = figure.subplots(1, shown, sharey=True, squeeze=False)[0]
    for place, axis in enumerate(axes):
        if values.dtype.kind == "U":
            known = sorted(set(values))
            parts = [along[values == value, place] for value in known]
            axis.boxplot(parts, orientation="horizontal", tick_labels=known)
        else:
            axis.scatter(along[:, place], values, s=6, color=BLUE, alpha=0.5)
            axis.set_ylabel(label)
        axis.set_xlabel(f"direction {place + 1}, standard deviations")
    return figure


def draw_cosines(label: str, directions: Directions) -> Figure:
    """Draws the cosines between the directions of a set: which go together."""
    names = [name.partition(":")[2] for name in names_of(label, directions)]
    cosines = directions.directions @ directions.directions.T
    side = 1.6 + 0.45 * len(names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1)
    places = range(len(names))
    axis.set_xticks(places, names, rotation=60, ha="right", fontsize=8)
    axis.set_yticks(places, names, fontsize=8)
    axis.set_title(f"{label}: cosines of directions", fontsize=9)
    figure.colorbar(shown, ax=axis, shrink=0.8)
    return figure
