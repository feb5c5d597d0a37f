"""The report: lines for a terminal, and one HTML page that needs nothing else."""

import base64
import importlib.resources
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

from facedirs_jax import files
from facedirs_jax.discovery import Discovery
from facedirs_jax.evaluation.stability import LEADING
from facedirs_jax.grid import Grid


def summary(name: str, grid: Grid, found: Discovery, rate: float | None) -> str:
    """Says in a few lines what the grid of a region gave.

    Args:
        name: of the region.
        grid: the donors.
        found: its directions and so on.
        rate: blends a second; None where a journal held them all.

    Returns:
        Lines of text.
    """
    about = found.directions.about
    speed = f", {rate} a second" if rate else ""
    lines = [f"{name}: {grid.num_blends} blends{speed}"]
    if shares := about["variance_shares"]:
        parts = ", ".join(f"{part} {share:.2f}" for part, share in shares.items())
        lines.append(f"share of the variance: {parts}")
    lines.append(
        f"components: {about['components_for_90_percent']} hold 90 %, "
        f"{about['components_above_noise']} above noise"
    )
    if split := about["split_half_over_region_donors"]:
        degrees = ", ".join(f"{angle:.0f}" for angle in split["component_degrees"])
        lines.append(
            f"degrees between halves of {split['donors_in_half']} region donors: "
            f"PC1-{LEADING} {degrees}; their span {split['subspace_degrees'][0]:.0f}"
        )
    return "\n  ".join(lines)


def write_page(
    path: str | os.PathLike[str],
    *,
    run: Mapping[str, Any],
    status_counts: Mapping[str, int],
    sets: Mapping[str, Mapping[str, Any]],
    figures: Sequence[pathlib.Path],
) -> None:
    """Writes the report of a run.

    Args:
        path: of the HTML file.
        run: content of run.json.
        status_counts: number of files by status.
        sets: `about` of each region's directions.
        figures: PNG files; those whose name starts with a region's name and "_" stand
            with that region (of two such, that of the longer name), the others at the
            top.
    """
    source = importlib.resources.files("facedirs_jax") / "report.html.jinja"
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined
    ).from_string(source.read_text(encoding="utf-8"))
    embedded = {figure.stem: _embedded(figure) for figure in figures}
    region_of = {stem: _region_of(stem, sets) for stem in embedded}
    page = template.render(
        run=run,
        status_counts=status_counts,
        sets=sets,
        common=[embedded[stem] for stem in embedded if region_of[stem] is None],
        by_region={
            name: [embedded[stem] for stem in embedded if region_of[stem] == name]
            for name in sets
        },
    )
    files.write_text(path, page)


def _region_of(stem: str, regions: Iterable[str]) -> str | None:
    fitting = [name for name in regions if stem.startswith(f"{name}_")]
    return max(fitting, key=len, default=None)


def _embedded(figure: pathlib.Path) -> dict[str, str]:
    data = base64.b64encode(figure.read_bytes()).decode("ascii")
    return {"name": figure.stem.replace("_", " "), "data": data}
