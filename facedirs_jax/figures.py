"""Figures of faces; this and `charts` alone import matplotlib.

Faces are named by their row among the usable faces, never by file name.
"""

import os
import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import matplotlib.figure
import matplotlib.image
import numpy as np

from facedirs_jax import charts, files
from facedirs_jax.blending import ColorTransfer, blend_pairs
from facedirs_jax.discovery import Discovery
from facedirs_jax.grid import Grid
from facedirs_jax.strips import Strips

Figure = matplotlib.figure.Figure

_END_DONORS = 6
_SHEET_DONORS = 6
_END_SHARE = 0.1  # of the region donors, averaged at either end


def draw_discoveries(
    discoveries: Mapping[str, Discovery],
    grid: Grid,
    crops: np.ndarray,
    masks: Mapping[str, np.ndarray],
    *,
    color_transfer: ColorTransfer = "none",
) -> dict[str, Figure]:
    """Draws everything that a run shows.

    Args:
        discoveries: by region.
        grid: the donors, rows of crops.
        crops: [N, S, S, 3] uint8.
        masks: [N, S, S] float32 in [0, 1], by region.
        color_transfer: as the run had it.

    Returns:
        Figures by file stem, in the order of the report; those of one region start with
        its name and "_".
    """
    face = grid.face_donors[0]
    donors = grid.region_donors[grid.region_donors != face][:_SHEET_DONORS]
    pairs = np.stack([np.full_like(donors, face), donors], axis=-1)
    blends = {
        name: np.asarray(
            blend_pairs(
                jnp.asarray(crops),
                jnp.asarray(mask),
                jnp.asarray(pairs),
                color_transfer=color_transfer,
            )
        )
        for name, mask in masks.items()
    }
    own_masks = {name: mask[face] for name, mask in masks.items()}
    figures = {
        "blends": draw_blends(crops[np.append(face, donors)], own_masks, blends),
        "stability": charts.draw_stability(discoveries),
    }
    shares = charts.draw_variance(discoveries)
    if shares is not None:
        figures["variance"] = shares
    for name, found in discoveries.items():
        figures[f"{name}_scree"] = charts.draw_scree(name, found)
        for component in range(found.effects.shape[1]):
            figures[f"{name}_component_{component + 1}"] = draw_component(
                name, component, found, grid, crops, masks[name]
            )
    return figures


def draw_blends(
    donors: np.ndarray, masks: Mapping[str, np.ndarray], blends: Mapping[str, Any]
) -> Figure:
    """Draws blends in the manner of the paper's Figure 1.

    Args:
        donors: [1 + n, S, S, 3] uint8, the face donor and n region donors.
        masks: [S, S] float32 in [0, 1] of the face donor, by region.
        blends: [n, S, S, 3] float32 in [0, 1], by region.

    Returns:
        Figure with one row for the donors and one for each region.
    """
    columns, rows = 1 + len(donors), 1 + len(masks)
    figure, axes = _sheet(rows, columns, side=1.25)
    axes[0, 0].text(
        0.5,
        0.5,
        "region donors →\n\nface donor ↓",
        ha="center",
        va="center",
        fontsize=9,
    )
    for axis, donor in zip(axes[0, 2:], donors[1:], strict=True):
        axis.imshow(donor)
    for row, (name, mask) in zip(axes[1:], masks.items(), strict=True):
        row[0].imshow(mask, cmap="gray", vmin=0, vmax=1)
        row[0].set_title(name, fontsize=9)
        row[1].imshow(donors[0])
        for axis, blend in zip(row[2:], blends[name], strict=True):
            axis.imshow(np.clip(blend, 0, 1))
    return figure


def draw_component(
    name: str,
    component: int,
    discovery: Discovery,
    grid: Grid,
    crops: np.ndarray,
    masks: np.ndarray,
) -> Figure:
    """Draws the region donors at both ends of a component, which show what it means.

    The large pictures are the mean face with the mean region of the outermost tenth of
    the donors; the small ones are the outermost donors themselves.

    Args:
        name: of the region.
        component: 0 for the first.
        discovery: [K, LEADING] effects and so on.
        grid: the donors.
        crops: [N, S, S, 3] uint8.
        masks: [N, S, S] float32 in [0, 1] of the region.

    Returns:
        Figure with the low end on the left and the high end on the right.
    """
    donors = grid.region_donors[np.argsort(discovery.effects[:, component])]
    shown = min(_END_DONORS, len(donors) // 2)
    tenth = max(1, round(_END_SHARE * len(donors)))
    ends = {"low": donors, "high": donors[::-1]}
    figure = Figure(figsize=(10, 3.1), layout="constrained")
    figure.suptitle(_component_title(name, component, discovery), fontsize=10)
    mean_face = crops[donors].mean(axis=0)
    mean_mask = masks[donors].mean(axis=0)[:, :, None]
    halves: Any = figure.subfigures(1, 2, wspace=0.03)
    for half, (end, order) in zip(halves, ends.items(), strict=True):
        mean_end = crops[order[:tenth]].mean(axis=0)
        picture = mean_face + mean_mask * (mean_end - mean_face)
        mosaic = [["mean", "mean", *range(3)], ["mean", "mean", *range(3, 6)]]
        axes = half.subplot_mosaic(mosaic)
        for axis in axes.values():
            axis.set_axis_off()
        axes["mean"].imshow(picture.round().astype(np.uint8))
        axes["mean"].set_title(f"{end} end: mean of {tenth} regions", fontsize=8)
        for place, row in enumerate(order[:shown]):
            axes[place].imshow(_outlined(crops[row], masks[row]))
            axes[place].set_title(f"face {row}", fontsize=7)
    return figure


def draw_strips(name: str, strips: Strips) -> Figure:
    """Draws probes moved along the directions of a region, with what that is worth.

    Args:
        name: of the region.
        strips: [P, C, T, S, S, 3] decodes and so on.

    Returns:
        Figure with a row for each probe and component: the probe's crop, the decodes
        from the low end to the high one, and the numbers of the row.
    """
    probes, shown, steps = strips.decodes.shape[:3]
    figure = Figure(figsize=(1.2 * steps + 2.6, 1.25 * probes * shown + 0.8))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
    figure.suptitle(
        f"{name}: faces moved along its directions; decoded, not a photo, but for the "
        "originals on the left",
        fontsize=10,
    )
    ratios = [1.2, *[1.0] * steps, 0.8]
    places = figure.add_gridspec(probes * shown, steps + 2, width_ratios=ratios)
    for probe, face in enumerate(strips.probes.rows):
        first = probe * shown
        axis = figure.add_subplot(places[first : first + shown, 0])
        axis.imshow(strips.probes.crops[probe])
        axis.set_title(f"face {face}, original", fontsize=8)
        axis.set_axis_off()
        for component in range(shown):
            row = [
                figure.add_subplot(places[first + component, column])
                for column in range(1, steps + 2)
            ]
            _draw_strip(row, strips, probe, component)
    return figure


def _draw_strip(axes: list[Any], strips: Strips, probe: int, component: int) -> None:
    """One row: decodes in all axes but the last, which tells its numbers."""
    for step, (axis, alpha) in enumerate(zip(axes[:-1], strips.alphas, strict=True)):
        axis.imshow(np.clip(strips.decodes[probe, component, step], 0, 1))
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        if component == 0:
            axis.set_title(f"{alpha:+.3g} sd" if alpha else "0", fontsize=8)
    axes[0].set_ylabel(f"component {component + 1}", fontsize=8)
    axes[-1].set_axis_off()
    numbers = {
        "cosine": strips.cosine,
        "centred": strips.centred_cosine,
        "recovered": strips.recovered,
        "isolation": strips.isolation,
    }
    lines = [f"{what} {of[probe, component]:.2f}" for what, of in numbers.items()]
    axes[-1].text(0, 0.5, "\n".join(lines), va="center", fontsize=8)


def draw_walks(walks: Sequence[tuple[str, np.ndarray, Sequence[str]]]) -> Figure:
    """Draws rows of decodes along directions.

    Args:
        walks: name, [T, S, S, 3] float32 decodes and T texts of the steps of each row;
            rows may differ in T.

    Returns:
        Figure with a row for each walk.
    """
    columns = 1 + max(len(decodes) for _, decodes, _ in walks)
    figure, axes = _sheet(len(walks), columns, side=1.3)
    figure.suptitle("decoded, no photos", fontsize=8)
    for row, (name, decodes, steps) in zip(axes, walks, strict=True):
        lines = [part for line in name.split("\n") for part in textwrap.wrap(line, 16)]
        row[0].text(0.5, 0.5, "\n".join(lines), ha="center", va="center", fontsize=7)
        for axis, picture, step in zip(row[1:], decodes, steps, strict=False):
            axis.imshow(np.clip(picture, 0, 1))
            axis.set_title(step, fontsize=8)
    return figure


def _component_title(name: str, component: int, discovery: Discovery) -> str:
    about = discovery.directions.about
    parts = [f"{about['explained_variance'][component]:.1%} of the variance"]
    split = about["split_half_over_region_donors"]
    if split:
        degrees = split["component_degrees"][component]
        parts.append(f"moves {degrees:.0f}° between halves of the region donors")
    if about["consistency"]:
        parts.append(f"{about['consistency'][component]:.0%} alike in every face")
    return f"{name}, component {component + 1}: {'; '.join(parts)}"


def _outlined(crop: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The crop, darkened where the mask gives little of it; [S, S, 3] uint8."""
    return (crop * (0.45 + 0.55 * mask[:, :, None])).round().astype(np.uint8)


def _sheet(rows: int, columns: int, side: float) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(side * columns, side * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def save_figures(
    folder: pathlib.Path, drawn: Mapping[str, Figure]
) -> list[pathlib.Path]:
    """Writes figures as PNG files named by their stems; gives their paths."""
    paths = [folder / f"{stem}.png" for stem in drawn]
    for path, figure in zip(paths, drawn.values(), strict=True):
        save_figure(path, figure)
    return paths


def save_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    """Writes a figure as PNG, atomically."""
    with files.replaced(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def save_picture(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes [S, S, 3] uint8 as PNG, atomically."""
    with files.replaced(path) as temporary:
        matplotlib.image.imsave(temporary, picture, format="png")
