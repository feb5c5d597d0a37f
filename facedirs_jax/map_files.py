"""Files of maps: the picture, the page to turn them on, and the report."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from facedirs_jax import figures, files, map_charts, map_page, report
from facedirs_jax.evaluation.bend import Bend
from facedirs_jax.manifold import Metric
from facedirs_jax.maps import MapSet, Method, TemplateMap
from facedirs_jax.report import Section
from facedirs_jax.tables import flat_rows

_HOW_TO_READ = {
    "mds": "Distances in the map are, as far as its dimensions allow, those of the "
    "templates; directions mean nothing.",
    "smacof": "Distances in the map are as near to those of the templates as its "
    "dimensions allow; directions mean nothing.",
    "tsne": "Who is near whom means something; distances between groups, their sizes "
    "and directions mean nothing.",
}
_NOTE_MAPS = (
    "stress: error of the map's distances, 0.2 is poor and 0.05 good; share: of each "
    "dimension; negative share: what no flat map can show; disparity: from the first "
    "network's map, 0 alike, 1 unlike."
)
_NOTE_BENDS = (
    "A straight line seen through distances that saturate shows as a horseshoe too. "
    "ratio: second eigenvalue over the first; bend: what lies along the second axis "
    "less what lies beyond the map, and the same of the nearest such line; p_bend: "
    "small where no such line is so bent; p_flat: small where the curve leaves the "
    "map; closure: 0 where the ends are farthest apart, 1 where they meet; p_closed: "
    "small where they are nearer than the ends of any line. Intervals are of 95 % over "
    "people."
)


def sections_of(
    found: Mapping[str, TemplateMap],
    metrics: Mapping[str, Metric],
    bends: Mapping[str, Bend],
    method: Method,
) -> list[Section]:
    """Tables of what is known of maps.

    Args:
        found: [M, d] points each, by network.
        metrics: of their distances, by network.
        bends: what is known of the curve, by network; none where nothing was asked.
        method: of the maps.

    Returns:
        One section of the maps, and one of the curves if there are any.
    """
    rows: list[dict[str, Any]] = [
        {"network": name, "distances": metrics[name], **each.numbers}
        for name, each in found.items()
    ]
    sections = [Section("Maps", f"{_HOW_TO_READ[method]} {_NOTE_MAPS}", rows)]
    if bends:
        rows = [{"network": name, **each._asdict()} for name, each in bends.items()]
        sections.append(Section("Is the curve real?", _NOTE_BENDS, rows))
    return sections


def write_maps(
    out: pathlib.Path,
    shown: MapSet,
    sections: Sequence[Section],
    *,
    method: Method,
    title: str,
    facts: Mapping[str, Any],
) -> None:
    """Writes map.png, map.html, report.html, and results.json of the tables.

    Args:
        out: run directory.
        shown: [M, 2] or [M, 3] points of each network.
        sections: of `sections_of`; the first gets the picture.
        method: of the maps.
        title: of both pages.
        facts: what was looked at, by name, for the top of the report.
    """
    notes = {
        str(row["network"]): f"stress {row['stress']:.3f}"
        for row in sections[0].rows
        if "stress" in row
    }
    results = {section.title: flat_rows(section.rows) for section in sections}
    files.write_text(out / "results.json", json.dumps(results, indent=1) + "\n")
    figures.save_figure(out / "map.png", map_charts.draw_maps(shown, notes=notes))
    note = _HOW_TO_READ[method]
    map_page.write_map(out / "map.html", shown, title=title, note=note)
    report.write_sections(
        out / "report.html",
        title=title,
        facts={name: str(value) for name, value in facts.items()},
        sections=[sections[0]._replace(figures=[out / "map.png"]), *sections[1:]],
    )
