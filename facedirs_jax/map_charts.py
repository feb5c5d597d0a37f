"""Charts of maps: labelled points, joined in the order of their label."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import matplotlib.colors
import matplotlib.figure
import numpy as np

from facedirs_jax.maps import MapSet
from facedirs_jax.palette import PALETTE

Figure = matplotlib.figure.Figure

MARKERS = ("o", "s", "^", "D", "P", "X")  # in this order, once the colours are spent
_COLUMNS = 3
_SIDE = 4.2  # of a panel, inches
_LEGEND = 26  # names that fit below


def styles_of(classes: int, *, ordered: bool) -> list[tuple[str, int]]:
    """Colour and marker of each class.

    Args:
        classes: K.
        ordered: whether they are numbers, which get the colours of a scale.

    Returns:
        K times `#rrggbb` and a place in `MARKERS`.
    """
    if ordered:
        scale = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, classes))
        return [(matplotlib.colors.to_hex(color), 0) for color in scale]
    return [
        (PALETTE[place % len(PALETTE)], place // len(PALETTE) % len(MARKERS))
        for place in range(classes)
    ]


def draw_maps(shown: MapSet, *, notes: Mapping[str, str]) -> Figure:
    """Draws maps side by side.

    Args:
        shown: [M, 2] or [M, 3] points of each network.
        notes: a line below the name of each network.

    Returns:
        Figure with a panel a network.
    """
    columns = min(len(shown.maps), _COLUMNS)
    rows = -(-len(shown.maps) // columns)
    size = (_SIDE * columns, _SIDE * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    solid = next(iter(shown.maps.values())).shape[1] == 3
    kind = {"projection": "3d"} if solid else {}
    panels = figure.subplots(rows, columns, squeeze=False, subplot_kw=kind).flat
    for axis in panels[len(shown.maps) :]:
        axis.set_axis_off()
    for axis, (name, points) in zip(panels, shown.maps.items(), strict=False):
        _draw_points(axis, shown, points)
        axis.set_title(f"{name}\n{notes.get(name, '')}".strip(), fontsize=9)
        axis.set_aspect("equal", **({} if solid else {"adjustable": "datalim"}))
        axis.tick_params(labelsize=7)
    if not shown.joined and len(shown.classes) <= _LEGEND:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(
            *(handles, names),
            loc="outside lower center",
            ncols=min(len(names), 4 * columns),
            frameon=False,
            fontsize=8,
        )
    return figure


def _draw_points(axis: Any, shown: MapSet, points: np.ndarray) -> None:
    styles = styles_of(len(shown.classes), ordered=shown.ordered)
    if shown.joined and shown.ordered:
        axis.plot(*points.T, "-", color="#bbbbbb", lw=1, zorder=0)
    for place, (name, (color, marker)) in enumerate(
        zip(shown.classes, styles, strict=True)
    ):
        of_class = points[shown.codes == place]
        axis.scatter(
            *of_class.T,
            s=40 if shown.joined else 10,
            color=color,
            marker=MARKERS[marker],
            alpha=1 if shown.joined else 0.7,
            label=name,
            linewidths=0,
        )
    if shown.joined:
        for caption, point in zip(shown.captions, points, strict=True):
            axis.text(*point, f" {caption}", fontsize=7, va="bottom")
