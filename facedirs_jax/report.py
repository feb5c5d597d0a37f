"""The report: one self-contained HTML page that asks for nothing outside itself."""

import base64
import importlib.resources
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from facedirs_jax import files


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
            with that region, the others at the top.
    """
    source = importlib.resources.files("facedirs_jax") / "report.html.jinja"
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined
    ).from_string(source.read_text(encoding="utf-8"))
    by_region = {
        name: [f for f in figures if f.name.startswith(f"{name}_")] for name in sets
    }
    placed = {figure for group in by_region.values() for figure in group}
    page = template.render(
        run=run,
        status_counts=status_counts,
        sets=sets,
        common=[_embedded(figure) for figure in figures if figure not in placed],
        by_region={n: [_embedded(f) for f in group] for n, group in by_region.items()},
    )
    files.write_text(path, page)


def _embedded(figure: pathlib.Path) -> dict[str, str]:
    data = base64.b64encode(figure.read_bytes()).decode("ascii")
    return {"name": figure.stem.replace("_", " "), "data": data}
