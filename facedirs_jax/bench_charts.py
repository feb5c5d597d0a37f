"""Charts of what benchmarks measure."""

from collections.abc import Mapping, Sequence

import numpy as np

from facedirs_jax.charts import Figure
from facedirs_jax.palette import BLUE, ORANGE, PALETTE


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
            axis.plot([place] * len(values), values, "o", color=ORANGE, ms=4)
        medians = [float(np.median(values)) for values in series.values()]
        axis.plot(list(series), medians, "-", color=BLUE)
        axis.set_xticks(list(series))
        axis.set_ylim(bottom=0)
        axis.set_xlabel(what)
        axis.set_ylabel(unit)
    faces.legend(frameon=False, fontsize=8)
    for values, style, label in (
        (growth, "o-", "peak of the process"),
        (expected, "--", "crops, masks, templates, sums"),
    ):
        color = ORANGE if label.startswith("crops") else BLUE
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
        colors = [ORANGE if way == best else BLUE for way in ways]
        panel.barh(list(ways), list(ways.values()), color=colors)
        panel.invert_yaxis()
        panel.tick_params(labelsize=7)
        panel.set_title(what, fontsize=8)
        panel.set_xlabel(unit, fontsize=7)
    for panel in list(figure.axes)[len(rates) :]:
        panel.remove()
    return figure


def draw_times(times: Mapping[str, list[float]]) -> Figure:
    """Draws what each round of a benchmark took.

    Args:
        times: milliseconds an item, one a round, by what was timed.

    Returns:
        Figure with one panel.
    """
    size = 6, 0.9 + 0.4 * len(times)
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    for place, (what, values) in enumerate(times.items()):
        color = PALETTE[place % len(PALETTE)]
        axis.barh(what, float(np.median(values)), color=color, alpha=0.5)
        axis.plot(values, [what] * len(values), "o", color=color, markersize=4)
    axis.invert_yaxis()
    axis.set_xlabel("milliseconds; bar: median, dots: rounds")
    return figure


def draw_roofline(
    points: Mapping[str, Sequence[tuple[str, str, float, float]]],
    roofs: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draws how fast computations can at best be on a machine.

    Args:
        points: (network, region, operations a byte, operations a second), by precision.
        roofs: peak, operations a second, and bandwidth, bytes a second, by precision.

    Returns:
        Figure with a panel a precision, log-log: the roof, and a point for each network
        and region, in the network's colour and the region's shape.
    """
    figure = Figure(figsize=(3.6 * len(points), 3.6), layout="constrained")
    panels = figure.subplots(1, len(points), sharey=True, squeeze=False)[0]
    everything = [point for of_one in points.values() for point in of_one]
    networks, regions = (
        list(dict.fromkeys(point[field] for point in everything)) for field in (0, 1)
    )
    span = np.geomspace(5, 2e3, 200)
    for panel, (precision, of_one) in zip(panels, points.items(), strict=True):
        peak, bandwidth = roofs[precision]
        panel.plot(span, np.minimum(peak, span * bandwidth) / 1e12, color="black", lw=1)
        for network, region, intensity, speed in of_one:
            panel.plot(
                *(intensity, speed / 1e12, "osD^v<>P"[regions.index(region) % 8]),
                color=PALETTE[networks.index(network) % len(PALETTE)],
                alpha=0.7,
                label=f"{network}, {region}",
            )
        panel.set(xscale="log", yscale="log", xlabel="operations a byte")
        panel.set_title(precision, fontsize=10)
    panels[0].set_ylabel("10^12 operations a second, at most")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=7, loc="outside right upper")
    return figure
