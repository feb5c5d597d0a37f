"""Parts of the reproduction on disk, so that a stopped run goes on, and the report."""

import json
import pathlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

from absl import logging

from facedirs_jax import figures, files, report
from facedirs_jax.paper.claims import Claim, Verdict, claim_of
from facedirs_jax.paper.parts import Part
from facedirs_jax.sliders import Slider
from facedirs_jax.tables import csv_text, plain_text


class FinishedPart(NamedTuple):
    """A part that is on disk.

    Attributes:
        section: of the report.
        claims: of the figure.
    """

    section: report.Section
    claims: list[Claim]


def finished_part(
    out: pathlib.Path, name: str, make: Callable[[], Part]
) -> FinishedPart:
    """A part, made unless it is on disk; its claims are printed.

    Args:
        out: run directory; gets `parts/NAME.json` and its figures in `figures`.
        name: of the part.
        make: makes it.

    Returns:
        The part as it was stored.
    """
    for folder in ("parts", "figures"):
        (out / folder).mkdir(mode=0o700, exist_ok=True)
    path = out / "parts" / f"{name}.json"
    if not path.exists():
        logging.info("figure %s", name.lstrip("0"))
        _store(out, name, make())
    stored = json.loads(path.read_text(encoding="utf-8"))
    claims = [claim_of(told) for told in stored["claims"]]
    rows = [claim.row for claim in claims]
    print(f"{stored['title']}\n{plain_text(rows)}\n", flush=True)
    drawn = [out / "figures" / file for file in stored["figures"]]
    sliders = [Slider(**slider) for slider in stored["sliders"]]
    told = (stored["title"], stored["note"], rows)
    return FinishedPart(report.Section(*told, drawn, sliders), claims)


def _store(out: pathlib.Path, name: str, part: Part) -> None:
    named = {f"figure_{name}_{kind}": made for kind, made in part.drawn.items()}
    paths = figures.save_figures(out / "figures", named)
    stored = {
        "title": f"Figure {part.figure}. {part.title}",
        "note": part.note,
        "claims": [claim._asdict() for claim in part.claims],
        "figures": [path.name for path in paths],
        "sliders": [slider._asdict() for slider in part.sliders],
    }
    files.write_text(out / "parts" / f"{name}.json", json.dumps(stored))


def write_report(
    out: pathlib.Path, parts: Sequence[FinishedPart], *, networks: Sequence[str]
) -> dict[str, int]:
    """Writes claims.csv and report.html.

    Args:
        out: run directory.
        parts: in their order.
        networks: names of what was looked at.

    Returns:
        Number of claims by verdict.
    """
    rows = [claim.row for part in parts for claim in part.claims]
    files.write_text(out / "claims.csv", csv_text(rows))
    found = Counter(row["verdict"] for row in rows)
    counts = {verdict: found[verdict] for verdict in get_args(Verdict)}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"claims: {told}")
    note = (
        f"{told}. A claim holds if all of the interval lies on its side of the bound, "
        "does not if none of it does, and else cannot be said."
    )
    report.write_sections(
        out / "report.html",
        title="The figures of Plesh et al. 2024, and what of them holds",
        facts={"networks": ", ".join(networks)},
        sections=[
            report.Section("Claims", note, rows),
            *(part.section for part in parts),
        ],
    )
    return counts
