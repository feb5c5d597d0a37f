"""Charts of what benchmarks measure."""

from collections.abc import Mapping

import numpy as np

from facedirs_jax.charts import Figure

_COLORS = ("#0072B2", "#E69F00")  # blue, orange: Okabe and Ito's


def draw_scale(
    by_size: Mapping[int, list[float]],
    by_devices: Mapping[int, list[float]],
    growth: Mapping[int, float],
    expected: Mapping[int, float],
    by_processes: Mapping[int, list[float]],
) -> Figure:
    """Draws how the cost of a grid grows.

    Args:
        by_size: milliseconds a blend, one a round, by number of faces.
        by_devices: the same by number of devices.
        growth: of the peak of memory, MB, by number of faces.
        expected: the same of the arrays whose size depends on it.
        by_processes: blends a second, one a round, by number of processes.

    Returns:
        Figure with four panels; lines: medians, dots: rounds.
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    (faces, memory), (devices, processes) = figure.subplots(2, 2)
    least = float(np.median(by_size[min(by_size)]))
    faces.axhspan(0.9 * least, 1.1 * least, color="0.9", label="within 10 %")
    for axis, series, what, unit in (
        (faces, by_size, "faces", "ms a blend"),
        (devices, by_devices, "devices", "ms a blend"),
        (processes, by_processes, "processes, a core each", "blends a second"),
    ):
        for place, values in series.items():
            axis.plot([place] * len(values), values, "o", color=_COLORS[1], ms=4)
        medians = [float(np.median(values)) for values in series.values()]
        axis.plot(list(series), medians, "-", color=_COLORS[0])
        axis.set_xticks(list(series))
        axis.set_ylim(bottom=0)
        axis.set_xlabel(what)
        axis.set_ylabel(unit)
    faces.legend(frameon=False, fontsize=8)
    for values, style, label in (
        (growth, "o-", "peak of the process"),
        (expected, "--", "crops, masks, templates, sums"),
    ):
        color = _COLORS[label.startswith("crops")]
        memory.plot(
            list(values), list(values.values()), style, color=color, label=label
        )
    memory.set_xticks(list(growth))
    memory.set_xlabel("faces")
    memory.set_ylabel(f"MB more than with {min(growth)}")
    memory.legend(frameon=False, fontsize=8)
    return figure


def draw_rates(rates: Mapping[str, Mapping[str, float]], unit: str) -> Figure:
    """Draws how fast several ways to do the same things are.

    Args:
        rates: higher is better, by way, by what is done.
        unit: of all of them.

    Returns:
        Figure with a panel for what is done, and a bar for each way.
    """
    columns = 3
    rows = -(-len(rates) // columns)
    most = max(len(ways) for ways in rates.values())
    size = 9, rows * (0.7 + 0.22 * most)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, (what, ways) in zip(panels, rates.items(), strict=False):
        best = max(ways, key=lambda way: ways[way])
        colors = [_COLORS[way == best] for way in ways]
        panel.barh(list(ways), list(ways.values()), color=colors)
        panel.invert_yaxis()
        panel.tick_params(labelsize=7)
        panel.set_title(what, fontsize=8)
        panel.set_xlabel(unit, fontsize=7)
    for panel in list(figure.axes)[len(rates) :]:
        panel.remove()
    return figure
