"""The report: lines for a terminal, and one HTML page that needs nothing else."""

import base64
import importlib.resources
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from facedirs_jax import files
from facedirs_jax.discovery import Discovery
from facedirs_jax.evaluation.stability import LEADING
from facedirs_jax.grid import Grid
from facedirs_jax.sliders import Slider
from facedirs_jax.tables import Row, header_of, shown

_STRIP = ("face", "component")  # what the other entries of a strip are told of


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
    for strip in about.get("traversals", {}).get("strips", []):
        numbers = [f"{n} {shown(strip[n])}" for n in strip if n not in _STRIP]
        where = f"face {strip['face']} along PC{strip['component']}"
        lines.append(f"decoded, {where}: {', '.join(numbers)}")
    return "\n  ".join(lines)


def write_page(
    path: str | os.PathLike[str],
    *,
    run: Mapping[str, Any],
    status_counts: Mapping[str, int],
    sets: Mapping[str, Mapping[str, Any]],
    figures: Sequence[pathlib.Path],
    strips: Sequence[pathlib.Path] = (),
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
        strips: PNG files, named likewise, that stand first in a region's section.
    """
    embedded = {figure.stem: _embedded(figure) for figure in (*strips, *figures)}
    page = _template("report").render(
        run=run,
        status_counts=status_counts,
        sets=sets,
        common=[embedded[s] for s in embedded if _region_of(s, sets) is None],
        strips=_by_region([figure.stem for figure in strips], embedded, sets),
        by_region=_by_region([figure.stem for figure in figures], embedded, sets),
    )
    files.write_text(path, page)


class Section(NamedTuple):
    """A part of a report that tells results in tables.

    Attributes:
        title: its heading.
        note: what the table shows, and how to read it.
        rows: of the table.
        figures: PNG files to stand below it.
        sliders: rows of pictures to move through, below the figures.
    """

    title: str
    note: str
    rows: Sequence[Row]
    figures: Sequence[pathlib.Path] = ()
    sliders: Sequence[Slider] = ()


def write_sections(
    path: str | os.PathLike[str],
    *,
    title: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
) -> None:
    """Writes a report of tables as one HTML page that needs nothing else.

    Args:
        path: of the HTML file.
        title: of the page.
        facts: what was looked at, by name, for the top.
        sections: in their order.
    """
    parts = [
        {
            "title": section.title,
            "note": section.note,
            "header": header_of(section.rows),
            "rows": [
                [shown(row.get(name)) for name in header_of(section.rows)]
                for row in section.rows
            ],
            "figures": [_embedded(figure) for figure in section.figures],
            "sliders": section.sliders,
        }
        for section in sections
    ]
    page = _template("sections").render(title=title, facts=facts, sections=parts)
    files.write_text(path, page)


def _template(name: str) -> jinja2.Template:
    source = importlib.resources.files("facedirs_jax") / f"{name}.html.jinja"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source.read_text(encoding="utf-8"))


def _by_region(
    stems: Sequence[str], embedded: Mapping[str, Any], regions: Iterable[str]
) -> dict[str, list[Any]]:
    return {
        name: [embedded[stem] for stem in stems if _region_of(stem, regions) == name]
        for name in regions
    }


def _region_of(stem: str, regions: Iterable[str]) -> str | None:
    fitting = [name for name in regions if stem.startswith(f"{name}_")]
    return max(fitting, key=len, default=None)


def _embedded(figure: pathlib.Path) -> dict[str, str]:
    data = base64.b64encode(figure.read_bytes()).decode("ascii")
    return {"name": figure.stem.replace("_", " "), "data": data}
