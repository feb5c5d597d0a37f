"""Checks: tables of results with their figures, and the files that hold them."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from facedirs_jax import charts, figures, files, report
from facedirs_jax.evaluation.bootstrap import RESAMPLES
from facedirs_jax.report import Section
from facedirs_jax.tables import csv_text, flat_rows, plain_text


class Draws(NamedTuple):
    """How intervals are found."""

    resamples: int = RESAMPLES
    seed: int = 0


class Check(NamedTuple):
    """One table of the results.

    Attributes:
        name: of its files.
        section: the table, for people.
        drawn: figures by name.
    """

    name: str
    section: Section
    drawn: dict[str, charts.Figure]


def write_checks(
    out: pathlib.Path,
    checks: Iterable[Check],
    *,
    title: str,
    facts: Mapping[str, object],
    show: Callable[[str], object],
) -> None:
    """Shows and writes each table as soon as it is there, then the page of all.

    Args:
        out: run directory; gets a CSV a table, figures/, results.json and report.html.
        checks: in their order; no two of one name.
        title: of the page.
        facts: what was looked at, by name, for its top.
        show: is given the text of each table.
    """
    (out / "figures").mkdir(mode=0o700, exist_ok=True)
    sections, results = [], {}
    for name, section, drawn in checks:
        lines = (section.title, section.note, plain_text(section.rows), "")
        show("\n".join(lines))
        files.write_text(out / f"{name}.csv", csv_text(section.rows))
        results[name] = flat_rows(section.rows)
        named = {f"{name}_{figure}": made for figure, made in drawn.items()}
        paths = figures.save_figures(out / "figures", named)
        sections.append(section._replace(figures=paths))
    files.write_text(out / "results.json", json.dumps(results, indent=1) + "\n")
    report.write_sections(
        out / "report.html",
        title=title,
        facts={key: str(value) for key, value in facts.items()},
        sections=sections,
    )
