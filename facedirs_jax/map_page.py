"""A page with a map to turn, zoom and ask, which needs nothing but a browser."""

import importlib.resources
import os
from typing import Any

import jinja2
import numpy as np

from facedirs_jax import files
from facedirs_jax.map_charts import styles_of
from facedirs_jax.maps import MapSet

_DIGITS = 4  # of coordinates between -1 and 1: less than a pixel


def write_map(
    path: str | os.PathLike[str], shown: MapSet, *, title: str, note: str
) -> None:
    """Writes maps as one HTML page; maps of three dimensions can be turned.

    Args:
        path: of the file.
        shown: [M, 2] or [M, 3] points of each network.
        title: of the page.
        note: what the maps show, and how to read them.

    Raises:
        ValueError: if a point is NaN or infinite, or has other than 2 or 3 dimensions.
    """
    data = {
        "maps": [
            {"name": name, "points": _scaled(points)}
            for name, points in shown.maps.items()
        ],
        "dims": next(iter(shown.maps.values())).shape[1],
        "captions": shown.captions,
        "classes": shown.classes,
        "codes": shown.codes.tolist(),
        "styles": styles_of(len(shown.classes), ordered=shown.ordered),
        "joined": shown.joined,
        "ordered": shown.ordered,
    }
    source = importlib.resources.files("facedirs_jax") / "map.html.jinja"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(source.read_text(encoding="utf-8"))
    files.write_text(path, template.render(title=title, note=note, data=data))


def _scaled(points: np.ndarray) -> list[list[Any]]:
    """Centred, the farthest point at 1; a third coordinate of 0 if there is none."""
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"points must be [M, 2] or [M, 3], got {list(points.shape)}")
    if not np.isfinite(points).all():
        raise ValueError("a point of the map is NaN or infinite")
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    centred = np.zeros((len(points), 3))
    centred[:, : points.shape[1]] = points - middle
    reach = np.linalg.norm(centred, axis=1).max()
    return np.round(centred / (reach or 1.0), _DIGITS).tolist()
