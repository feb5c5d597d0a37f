"""Contact sheets: many rendered faces on one picture, for people to look at."""

import itertools
import os
import pathlib
import textwrap
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from facedirs_jax import files

from .presets import Shot

_GAP, _LABEL = 4, 15  # px
_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_FONT = ImageFont.load_default(11)
_COLUMNS = 10
_MOST = 60  # pictures that the sheet of people shows
_PEOPLE = 4  # that the sheet of conditions shows
_CAPTION = "Rendered from known factors; no picture shows a person."

Row = Sequence[tuple[str, pathlib.Path]]


def save_sheets(
    folder: str | os.PathLike[str],
    shots: Sequence[Shot],
    pictures: Sequence[pathlib.Path],
) -> None:
    """Draws what a folder of pictures holds.

    `people.png` shows the first picture of many people; `conditions.png`, a few people
    under all conditions. Of sweeps, `sweep_<factor>.png` shows a factor from end to end
    on a few people, and `sweeps.png` all factors on one.

    Args:
        folder: where to write; made if need be.
        shots: all of the folder.
        pictures: the file of each.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    by_person = {
        identity: list(of_person)
        for identity, of_person in itertools.groupby(
            zip(shots, pictures, strict=True), key=lambda item: item[0].identity
        )
    }
    first = [(str(person), taken[0][1]) for person, taken in by_person.items()][:_MOST]
    rows = {
        str(start): first[start : start + _COLUMNS]
        for start in range(0, len(first), _COLUMNS)
    }
    _save(folder / "people.png", draw_sheet(rows, caption=_CAPTION, titled=False))
    sweeps: dict[str, dict[str, Row]] = {}
    conditions: dict[str, Row] = {}
    for person, taken in list(by_person.items())[:_PEOPLE]:
        for factor, swept in itertools.groupby(
            taken, key=lambda item: _factor(item[0])
        ):
            row = [(shot.condition.partition("=")[2], path) for shot, path in swept]
            if factor:
                sweeps.setdefault(factor, {})[str(person)] = row
        conditions[str(person)] = [(shot.condition, path) for shot, path in taken]
    if sweeps:
        one = {factor: next(iter(swept.values())) for factor, swept in sweeps.items()}
        caption = f"One factor at a time, all else alike. {_CAPTION}"
        _save(folder / "sweeps.png", draw_sheet(one, caption=caption))
    for factor, swept in sweeps.items():
        caption = f"{factor}, all else alike. {_CAPTION}"
        _save(folder / f"sweep_{factor}.png", draw_sheet(swept, caption=caption))
    if not sweeps and max(map(len, conditions.values())) > 1:
        cut = {person: row[:24] for person, row in conditions.items()}
        _save(folder / "conditions.png", draw_sheet(cut, caption=_CAPTION))


def _factor(shot: Shot) -> str:
    """Factor that a sweep varies; empty for a shot of no sweep."""
    name, equals, _ = shot.condition.partition("=")
    return name if equals else ""


def _save(path: pathlib.Path, sheet: Image.Image) -> None:
    with files.replaced(path) as temporary:
        sheet.save(temporary, "PNG")


def draw_sheet(
    rows: Mapping[str, Row], *, caption: str, side: int = 112, titled: bool = True
) -> Image.Image:
    """Draws rows of pictures, each with a label below it.

    Args:
        rows: title of each row -> its pictures: label and file.
        caption: a line above all.
        side: of a picture on the sheet, px.
        titled: writes the titles beside the rows.

    Returns:
        The sheet, RGB.
    """
    left = _GAP
    if titled:
        left += _GAP + max(int(_FONT.getlength(title)) for title in rows)
    columns = max(len(row) for row in rows.values())
    width = max(left + columns * (side + _GAP), 360)
    lines = textwrap.wrap(caption, width // 6)
    top = _LABEL * len(lines) + 2 * _GAP
    sheet = Image.new("RGB", (width, top + len(rows) * (side + _LABEL)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((_GAP, _GAP), "\n".join(lines), _INK, _FONT)
    for number, (title, row) in enumerate(rows.items()):
        y = top + number * (side + _LABEL)
        if titled:
            draw.text((_GAP, y + side / 2), title, _INK, _FONT, anchor="lm")
        for column, (label, path) in enumerate(row):
            x = left + column * (side + _GAP)
            with Image.open(path) as opened:
                small = opened.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(small, (x, y))
            draw.text((x + side / 2, y + side + 1), label, _INK, _FONT, anchor="ma")
    return sheet
