"""CMU Multi-PIE (Gross et al., Image and Vision Computing, 2010): pose, light, smile.

Confirmed from Idiap's bob.db.multipie (create.py):
`session01/multiview/001/01/05_1/001_01_01_051_07.png` (subject, session, recording,
camera, illumination), `session01/highres/001/001_01.png` (subject, recording), the 15
cameras, the expressions by session and recording, illumination 00 without flash, and
lines `001 1980 Male 1 0 0 0` (subject, birth year, gender, sessions attended) of a list
of subjects. Confirmed from its chapter on face recognition (bob.chapter.FRICE): yaw by
camera, positive for what it calls right profiles; OpenFace counts the other way.

Inferred: the list's name `meta/subject_list.txt`; the session also in names of highres
pictures; that camera 19_1 hangs above 19_0 and 08_1 above 08_0 (the same yaw, `above`
is 1); that illumination 19 is without flash like 00 and the others fire the flash of
their number, 18 in all. Directions of the flashes are in no public table.
"""

import math
import pathlib
import re
from collections.abc import Mapping
from typing import ClassVar

from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found, Kind
from facedirs_jax.errors import InputError

_LEVEL = "24_0 01_0 20_0 19_0 04_1 05_0 05_1 14_0 13_0 08_0 09_0 12_0 11_0".split()
ABOVE = ("19_1", "08_1")
YAW = {  # degrees, by camera
    **{camera: 90.0 - 15.0 * place for place, camera in enumerate(_LEVEL)},
    **dict(zip(ABOVE, (45.0, -45.0), strict=True)),
}
EXPRESSIONS = {  # by session, in the order of the recordings
    "01": ("neutral", "smile"),
    "02": ("neutral", "surprise", "squint"),
    "03": ("neutral", "smile", "disgust"),
    "04": ("neutral", "neutral", "scream"),
}
_NO_FLASH = (0, 19)
_SUBJECTS = "meta/subject_list.txt"
_MULTIVIEW = (
    r"session(?P<session>0[1-4])/multiview/(?P<person>\d{3})/(?P<recording>\d{2})/"
    r"(?P<camera>\d{2}_\d)/(?P=person)_(?P=session)_(?P=recording)_\d{3}_"
    r"(?P<illumination>\d{2})\.\w+"
)
_HIGHRES = (
    r"session(?P<session2>0[1-4])/highres/(?P<person2>\d{3})/"
    r"(?P=person2)_(?:(?P=session2)_)?(?P<recording2>\d{2})\.\w+"
)


class MultiPie(FaceDataset, skip_registration=True):
    """337 people in up to 4 sessions, 15 cameras, 18 flashes, 6 expressions.

    Labels: `kind` (multiview, highres), `session`, `recording`, `camera` (05_1 is the
    frontal one; empty for highres, which is frontal too), `expression`; `yaw` (degrees,
    positive for cameras 05_0 to 24_0); of multiview alone, `above` (1 for cameras over
    the head, else 0), `illumination` (number of the shot, 0 to 19) and `flash` (number
    of the flash that fired, 0 for none); from the list of subjects, unknown without it,
    `gender` and `birth_year`.
    """

    name = "multi_pie"
    LABELS: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("kind", "session", "recording", "camera", "expression"), str),
        **dict.fromkeys(("yaw", "above", "illumination", "flash"), float),
        "gender": str,
        "birth_year": float,
    }
    ABOUT: ClassVar[str] = "Faces under controlled pose, illumination and expression."
    TREE: ClassVar[str] = (
        "[data/]session01/multiview/001/01/05_1/001_01_01_051_07.png, "
        "[data/]session01/highres/001/001_01.png, meta/subject_list.txt"
    )
    CITATION: ClassVar[str] = "Gross et al., Multi-PIE, IVC 28(5), 2010"

    def find(self, folder: pathlib.Path) -> Found:
        subjects = _read_subjects(folder / _SUBJECTS)

        def face(found: re.Match[str], path: pathlib.Path) -> Face:
            person = found["person"] or found["person2"]
            return Face(
                found[0], path, person, {**_labels(found), **subjects.get(person, {})}
            )

        root = tree.picture_root(folder, ["data"])
        expected = "session01/multiview/001/01/05_1/001_01_01_051_07.png"
        return tree.match(root, f"{_MULTIVIEW}|{_HIGHRES}", face, expected=expected)


def _labels(found: re.Match[str]) -> dict[str, str | float]:
    session = found["session"] or found["session2"]
    recording = found["recording"] or found["recording2"]
    known: dict[str, str | float] = {
        "kind": "multiview" if found["camera"] else "highres",
        "session": session,
        "recording": recording,
        "expression": _expression(session, int(recording)),
        "yaw": YAW["05_1"],
    }
    if not found["camera"]:
        return known
    camera, illumination = found["camera"], int(found["illumination"])
    return {
        **known,
        "camera": camera,
        "yaw": YAW.get(camera, math.nan),
        "above": float(camera in ABOVE),
        "illumination": float(illumination),
        "flash": 0.0 if illumination in _NO_FLASH else float(illumination),
    }


def _expression(session: str, recording: int) -> str:
    known = EXPRESSIONS[session]
    return known[recording - 1] if 0 < recording <= len(known) else ""


def _read_subjects(path: pathlib.Path) -> dict[str, dict[str, str | float]]:
    """Gender and birth year by subject; empty where there is no list."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, str | float]] = {}
    for place, line in labels.lines_of(path):
        cells = line.split()
        gender = cells[2].lower() if len(cells) > 2 else ""
        if gender not in ("male", "female") or not cells[0].isdigit():
            raise InputError(
                f"{path}: line {place} is not like '001 1980 Male 1 0 0 0': {line!r}"
            )
        known: dict[str, str | float] = {"gender": gender}
        found[f"{int(cells[0]):03d}"] = known | {"birth_year": labels.number(cells[1])}
    return found
