"""Charts: numbers of one run or several, drawn with matplotlib."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import matplotlib.figure
import numpy as np

from facedirs_jax.discovery import Discovery
from facedirs_jax.evaluation.bootstrap import Estimate
from facedirs_jax.evaluation.roc import RocCurve
from facedirs_jax.evaluation.stability import LEADING, Angles, SplitHalf
from facedirs_jax.evaluation.verification import Pairs
from facedirs_jax.palette import BLUE, GREY, ORANGE, PALETTE

Figure = matplotlib.figure.Figure

_SCREE_COMPONENTS = 20


def draw_scree(name: str, discovery: Discovery) -> Figure:
    """Draws the share of variance of each component, and what noise would give.

    Args:
        name: of the region.
        discovery: [D] eigenvalues and so on.

    Returns:
        Figure with one panel.
    """
    about = discovery.directions.about
    total = discovery.eigenvalues.sum()
    shown = min(_SCREE_COMPONENTS, len(discovery.eigenvalues), len(discovery.null))
    numbers = np.arange(1, shown + 1)
    figure, axis = _panel()
    axis.bar(
        numbers, discovery.eigenvalues[:shown] / total, color=BLUE, label="component"
    )
    axis.plot(
        numbers,
        discovery.null[:shown] / total,
        "o-",
        color=ORANGE,
        markersize=3,
        label="noise, 95th percentile (parallel analysis)",
    )
    axis.set_xlabel("component")
    axis.set_ylabel("share of variance")
    axis.set_title(
        f"{name}: {about['components_for_90_percent']} components hold 90 %, "
        f"{about['components_above_noise']} stand above noise",
        fontsize=10,
    )
    axis.legend(frameon=False, fontsize=8)
    return figure


def draw_stability(discoveries: Mapping[str, Discovery]) -> Figure:
    """Draws split-half angles of the leading components and of what they span.

    Args:
        discoveries: by region; [LEADING] angles each.

    Returns:
        Figure with a panel for region donors and one for face donors.
    """
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    kinds = ("over_regions", "over_faces")
    for panel, kind, what in zip(panels, kinds, ("region", "face"), strict=True):
        splits: dict[str, SplitHalf | None] = {
            name: getattr(found, kind) for name, found in discoveries.items()
        }
        for place, (name, split) in enumerate(splits.items()):
            if split is None:
                continue
            heights = [*split.mean.components, split.mean.subspace[0]]
            spreads = [*split.spread.components, split.spread.subspace[0]]
            width = 0.8 / len(splits)
            panel.bar(
                np.arange(LEADING + 1) + place * width,
                heights,
                width,
                yerr=spreads,
                label=name,
                color=PALETTE[place % len(PALETTE)],
                error_kw={"lw": 0.8},
            )
        panel.set_xticks(
            np.arange(LEADING + 1) + 0.4 - 0.4 / len(splits),
            [*_pc_names(), f"span of {LEADING}"],
        )
        panel.set_title(f"halving the {what} donors", fontsize=10)
        panel.set_ylim(0, 90)
        if panel.containers:  # else there were too few donors to halve
            panel.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("degrees between the halves")
    return figure


def draw_variance(discoveries: Mapping[str, Discovery]) -> Figure | None:
    """Draws where the variance of the templates lies, as one bar a region.

    Args:
        discoveries: by region.

    Returns:
        Figure with one panel; None where no grid was large enough.
    """
    shares = {
        name: found.shares._asdict()
        for name, found in discoveries.items()
        if found.shares is not None
    }
    if not shares:
        return None
    figure, axis = _panel(height=0.9 + 0.45 * len(shares))
    left = np.zeros(len(shares))
    names = list(shares)
    for part, color in (("face", GREY), ("region", BLUE), ("interaction", ORANGE)):
        widths = np.array([shares[name][part] for name in names])
        label = part if part == "interaction" else f"{part} donor"
        bars = axis.barh(names, widths, left=left, color=color, label=label)
        axis.bar_label(bars, fmt="{:.2f}", label_type="center", fontsize=8)
        left += widths
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the variance of all templates")
    figure.legend(frameon=False, fontsize=8, ncols=3, loc="outside upper center")
    return figure


def draw_people(angles: Mapping[tuple[str, int], Angles]) -> Figure:
    """Draws the angles between directions found on two disjoint sets of people.

    Args:
        angles: [draws, LEADING] each, by region and number of region donors.

    Returns:
        Figure with one panel a region; a dot a draw, a bar for the mean.
    """
    regions = list(dict.fromkeys(name for name, _ in angles))
    counts = sorted({count for _, count in angles})
    figure = Figure(figsize=(3.2 * len(regions), 3), layout="constrained")
    panels = figure.subplots(1, len(regions), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, regions, strict=True):
        for place, count in enumerate(counts):
            found = angles[name, count]
            values = np.column_stack([found.components, found.subspace[:, 0]])
            at = np.arange(LEADING + 1) + place / (len(counts) + 0.5)
            color = PALETTE[place % len(PALETTE)]
            panel.bar(at, values.mean(0), 0.8 / len(counts), color=color, alpha=0.5)
            panel.plot(at, values.T, ".", color=color, markersize=3)
            panel.plot([], [], "s", color=color, label=f"{count} region donors")
        panel.set_xticks(
            np.arange(LEADING + 1) + 0.3, [*_pc_names(), f"span of {LEADING}"]
        )
        panel.set_title(name, fontsize=10)
        panel.set_ylim(0, 90)
    panels[0].set_ylabel("degrees between two sets of people")
    panels[-1].legend(frameon=False, fontsize=8)
    return figure


def draw_roc(curves: Mapping[str, RocCurve]) -> Figure:
    """Draws the true accept rate over the false one, whose axis is logarithmic.

    Args:
        curves: by what was compared, with [T] rates each; the easiest first.

    Returns:
        Figure with one panel; the harder the redder.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    colors = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(curves)))
    for (name, curve), color in zip(curves.items(), colors, strict=True):
        start = np.searchsorted(curve.far, 0, side="right") - 1
        far = np.maximum(curve.far[start:], 1 / curve.impostor_pairs)
        axis.step(far, curve.tar[start:], where="post", color=color, label=name)
    axis.set_xscale("log")
    axis.set_xlim(right=1)
    axis.set_ylim(0, 1.01)
    axis.set_xlabel("false accept rate")
    axis.set_ylabel("true accept rate")
    figure.legend(
        frameon=False,
        fontsize=7,
        ncols=1 + len(curves) // 25,
        loc="outside right upper",
    )
    return figure


def draw_distances(pairs: Pairs) -> Figure:
    """Draws how far apart genuine and impostor pairs are.

    Args:
        pairs: [P] distances.

    Returns:
        Figure with one panel.
    """
    figure, axis = _panel()
    _draw_pairs(axis, pairs)
    axis.set_xlabel("distance of templates")
    return figure


def draw_distances_by_network(
    pairs: Mapping[str, Pairs], thresholds: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Draws `draw_distances` for several networks, each with thresholds as lines.

    Args:
        pairs: [P] distances each, by network.
        thresholds: name -> distance, by network; any may be left out.

    Returns:
        Figure with a panel a network, one below the other.
    """
    figure = Figure(figsize=(6, 0.5 + 1.8 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 1, squeeze=False)[:, 0]
    styles = ("--", ":", "-.")
    for axis, (name, found) in zip(panels, pairs.items(), strict=True):
        _draw_pairs(axis, found)
        for place, (what, at) in enumerate(thresholds.get(name, {}).items()):
            style = styles[place % len(styles)]
            axis.axvline(at, color="black", lw=1, ls=style, label=what)
        axis.set_title(name, fontsize=10)
        axis.legend(frameon=False, fontsize=8)
    panels[-1].set_xlabel("distance of templates")
    return figure


def _draw_pairs(axis: Any, pairs: Pairs) -> None:
    """Histograms of the genuine and the impostor pairs, those of them that exist."""
    bins = np.linspace(pairs.distances.min(), pairs.distances.max(), 80).tolist()
    for of, what, color in (
        (pairs.same, "genuine", BLUE),
        (~pairs.same, "impostor", ORANGE),
    ):
        if of.any():
            label = f"{what}, {of.sum()} pairs"
            kept = pairs.distances[of]
            axis.hist(kept, bins, density=True, color=color, alpha=0.6, label=label)
    axis.set_yticks([])
    axis.legend(frameon=False, fontsize=8)


def draw_estimates(estimates: Mapping[str, Estimate], what: str) -> Figure:
    """Draws numbers one below the other, with their intervals of 95 %.

    Args:
        estimates: by name; the first at the top.
        what: they are, for the axis.

    Returns:
        Figure with one panel.
    """
    figure, axis = _panel(height=0.8 + 0.19 * len(estimates))
    names = list(estimates)
    value, low, high = np.array(list(estimates.values())).T
    known = np.isfinite(low)
    axis.hlines(np.flatnonzero(known), low[known], high[known], color=BLUE, lw=2.5)
    axis.plot(value, np.arange(len(names)), "o", color=ORANGE, markersize=4)
    axis.set_yticks(np.arange(len(names)), names, fontsize=7)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="x", lw=0.4)
    axis.set_xlabel(f"{what}; interval of 95 % over people")
    return figure


def _pc_names() -> list[str]:
    return [f"PC{i + 1}" for i in range(LEADING)]


def _panel(height: float = 3.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, height), layout="constrained")
    return figure, figure.subplots()
