"""Walks of probes along directions, as files: frames, sheet, table and page."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facedirs_jax import figures, files, report
from facedirs_jax.decoding import as_uint8
from facedirs_jax.directions.choice import Chosen
from facedirs_jax.sliders import make_slider
from facedirs_jax.tables import csv_text
from facedirs_jax.walks import Walks


class NamedWalk(NamedTuple):
    """One probe along one direction.

    Attributes:
        probe: its name.
        chosen: the direction.
        steps: T texts that tell how far each picture lies.
        walk: T templates and decodes; see `Walks.take`.
    """

    probe: str
    chosen: Chosen
    steps: list[str]
    walk: Walks


def write_walks(
    out: pathlib.Path, rows: Sequence[NamedWalk], facts: Mapping[str, str]
) -> None:
    """Writes frames/, sheet.png, traversals.csv and report.html.

    Args:
        out: run directory.
        rows: of T decodes each.
        facts: what was looked at, by name, for the top of the page.
    """
    (out / "frames").mkdir(mode=0o700, exist_ok=True)
    for number, row in enumerate(rows, 1):
        for place, picture in enumerate(row.walk.decodes, 1):
            frame = out / "frames" / f"{number:03d}_{place:03d}.png"
            figures.save_picture(frame, as_uint8(picture))
    table = [numbers for row in rows for numbers in _numbers(row)]
    files.write_text(out / "traversals.csv", csv_text(table))
    walks = [
        (f"{row.probe}\n{row.chosen.name}", row.walk.decodes, row.steps) for row in rows
    ]
    figures.save_figure(out / "sheet.png", figures.draw_walks(walks))
    sliders = [
        make_slider(
            f"{row.probe}, {row.chosen.name}",
            row.walk.decodes,
            row.steps,
            start=_start(row),
            note=f"cosine of decodes to templates {row.walk.cycle.cosine.mean():.2f}",
        )
        for row in rows
    ]
    summary = [_summary(row) for row in rows]
    note = (
        "Decoded from templates, not photos. The cosine is that of the templates of "
        "the decodes to those decoded; recovered is the share of the step found in "
        "them."
    )
    section = report.Section("Along the directions", note, summary, (), sliders)
    report.write_sections(
        out / "report.html",
        title="Faces moved along directions",
        facts=facts,
        sections=[section],
    )


def _start(row: NamedWalk) -> int:
    return row.steps.index("0") if "0" in row.steps else len(row.steps) // 2


def _summary(row: NamedWalk) -> dict[str, Any]:
    cycle = row.walk.cycle
    told = cycle.recovered[np.isfinite(cycle.recovered)]
    return {
        "probe": row.probe,
        "direction": row.chosen.name,
        "cosine": float(cycle.cosine.mean()),
        "centred_cosine": float(cycle.centred_cosine.mean()),
        "recovered": float(told.mean()) if len(told) else None,
    }


def _numbers(row: NamedWalk) -> Iterator[dict[str, Any]]:
    """A row of numbers for each step."""
    cycle, chosen = row.walk.cycle, row.chosen
    read, again = (chosen.read(t) for t in (row.walk.templates, row.walk.again))
    for place, step in enumerate(row.steps):
        yield {
            "probe": row.probe,
            "direction": chosen.name,
            "step": step,
            "label_read": None if read is None else float(read[place]),
            "label_read_in_decode": None if again is None else float(again[place]),
            "cosine": float(cycle.cosine[place]),
            "centred_cosine": float(cycle.centred_cosine[place]),
            "recovered": float(cycle.recovered[place]),
        }
