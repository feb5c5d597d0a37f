"""What a rendered face is made from: a person, their look, and the photo of them.

Every field is a *factor*: its range, unit and meaning stand beside it and nowhere else.
A `Face` says all that decides a picture, so that the same face is the same picture.
Morphology (gender, the three parts of ethnicity, age) is a shape alone; the colour of
skin, hair and eyes is told by factors of its own.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from facedirs_jax.errors import InputError

IRISES = ("brown", "hazel", "green", "blue", "grey")
HAIR_STYLES = ("bald", "buzz", "short", "side", "back", "bob", "long", "curly")
HAIR_COLORS = ("black", "dark", "brown", "light", "blond", "red", "grey")
FACIAL_HAIR = ("none", "stubble", "moustache", "beard")
GLASSES = ("none", "round", "square")
EXPRESSIONS = ("neutral", "smile", "surprise", "squint", "disgust", "scream")


class Factor(NamedTuple):
    """One number or one word that decides how a face looks.

    Attributes:
        about: what it is, with the unit.
        low: smallest value, of a number.
        high: largest value.
        choices: the words, of a word; empty for a number.
    """

    about: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()


def _number(default: float, low: float, high: float, about: str) -> Any:
    return dataclasses.field(
        default=default, metadata={"factor": Factor(about, low, high)}
    )


def _word(choices: tuple[str, ...], about: str) -> Any:
    return dataclasses.field(
        default=choices[0], metadata={"factor": Factor(about, choices=choices)}
    )


@dataclasses.dataclass(frozen=True)
class Person:
    """What stays with a person in every photo."""

    detail: int = dataclasses.field(default=0)  # seed of all that no factor names
    gender: float = _number(0.5, 0, 1, "morphology, 0 female to 1 male")
    african: float = _number(0.0, 0, 1, "share of this morphology; the three sum to 1")
    asian: float = _number(0.0, 0, 1, "share of this morphology")
    caucasian: float = _number(1.0, 0, 1, "share of this morphology")
    age: float = _number(35.0, 25, 85, "years, as shape and wrinkles show them")
    weight: float = _number(0.5, 0, 1, "thin to heavy")
    muscle: float = _number(0.5, 0, 1, "weak to strong")
    nose_length: float = _number(0.0, -1, 1, "short to long")
    nose_width: float = _number(0.0, -1, 1, "narrow to wide")
    nose_hump: float = _number(0.0, -1, 1, "hollow to humped bridge")
    nose_depth: float = _number(0.0, -1, 1, "flat to standing out")
    eye_size: float = _number(0.0, -1, 1, "small to large")
    eye_distance: float = _number(0.0, -1, 1, "close to far apart")
    mouth_width: float = _number(0.0, -1, 1, "narrow to wide")
    lip_fullness: float = _number(0.0, -1, 1, "thin to full")
    chin_height: float = _number(0.0, -1, 1, "short to long chin")
    jaw_width: float = _number(0.0, -1, 1, "narrow to wide jaw")
    cheekbones: float = _number(0.0, -1, 1, "flat to prominent")
    face_width: float = _number(0.0, -1, 1, "narrow to wide head")
    melanin: float = _number(0.25, 0.03, 1.1, "of the skin, pale to dark")
    blood: float = _number(0.35, 0, 1, "redness of the skin")
    flush: float = _number(0.3, 0, 1, "redness of cheeks and nose")
    freckles: float = _number(0.0, 0, 1, "none to many")
    under_eye: float = _number(0.3, 0, 1, "shadow under the eyes")
    brow_thickness: float = _number(1.0, 0.4, 1.8, "times the usual")
    brow_arch: float = _number(0.0, -1, 1, "straight to arched")
    brow_density: float = _number(0.95, 0.7, 1.1, "sparse to dense")
    iris: str = _word(IRISES, "colour of the eyes")


@dataclasses.dataclass(frozen=True)
class Look:
    """What a person can change from day to day."""

    detail: int = dataclasses.field(default=0)  # seed of strands and clothing
    hair_style: str = _word(HAIR_STYLES, "cut of the hair")
    hair_color: str = _word(HAIR_COLORS, "colour of hair, brows and beard")
    hair_length: float = _number(1.0, 0.75, 1.3, "times the style's own")
    facial_hair: str = _word(FACIAL_HAIR, "kind of facial hair")
    facial_hair_amount: float = _number(0.5, 0, 1, "of it, short to long")
    glasses: str = _word(GLASSES, "frame")
    lipstick: float = _number(0.0, 0, 1, "none to strong")
    eye_shadow: float = _number(0.0, 0, 1, "none to strong")


@dataclasses.dataclass(frozen=True)
class Photo:
    """Pose, light, expression, surroundings and camera of one photo."""

    detail: int = dataclasses.field(default=0)  # seed of background and noise
    yaw: float = _number(0.0, -60, 60, "degrees, positive turns to the picture's right")
    pitch: float = _number(0.0, -20, 20, "degrees, positive looks down")
    roll: float = _number(0.0, -15, 15, "degrees, in the picture's plane")
    light: float = _number(0.0, -90, 90, "azimuth of the flash on the head, degrees")
    elevation: float = _number(12.0, -10, 60, "of the flash, degrees")
    flash: float = _number(1.0, 0, 1, "its strength; 0 leaves the room's light")
    expression: str = _word(EXPRESSIONS, "which")
    expression_amount: float = _number(0.0, 0, 1, "of it; 0 is neutral")
    zoom: float = _number(1.0, 0.8, 1.3, "size of the head in the picture")
    blur: float = _number(0.0, 0, 3, "standard deviation, px of a 128 px picture")
    noise: float = _number(0.0, 0, 0.1, "standard deviation, share of full white")
    white_balance: float = _number(0.0, -1, 1, "blue to yellow cast")
    exposure: float = _number(0.0, -1, 1, "stops")
    jpeg_quality: float = _number(100.0, 20, 100, "100 leaves JPEG's losses out")


class Face(NamedTuple):
    """All that decides one picture."""

    person: Person
    look: Look = Look()
    photo: Photo = Photo()


_PARTS = {"person": Person, "look": Look, "photo": Photo}
FACTORS: dict[str, Factor] = {
    field.name: field.metadata["factor"]
    for part in _PARTS.values()
    for field in dataclasses.fields(part)
    if "factor" in field.metadata
}
_PART_OF = {
    field.name: part
    for part, kind in _PARTS.items()
    for field in dataclasses.fields(kind)
    if "factor" in field.metadata
}


def vary(face: Face, **values: float | str) -> Face:
    """The same face with some factors set.

    A share of a morphology scales the other two, so that the three go on summing to 1.

    Args:
        face: any face.
        values: factor -> its new value, given by name.

    Returns:
        The changed face.

    Raises:
        InputError: for an unknown factor or a value outside its range.
    """
    for name, value in values.items():
        check_factor(name, value)
        part = _PART_OF[name]
        changed = {name: value}
        if name in ("african", "asian", "caucasian"):
            changed = _shares(face.person, name, float(value))
        record = dataclasses.replace(getattr(face, part), **changed)
        face = face._replace(**{part: record})
    return face


def find_factor(name: str) -> Factor:
    """The factor of a name.

    Raises:
        InputError: if there is none, naming those there are.
    """
    if name not in FACTORS:
        raise InputError(f"unknown factor {name!r}; known: {', '.join(FACTORS)}")
    return FACTORS[name]


def check_factor(name: str, value: float | str) -> None:
    """Refuses what is no factor, or no value of it.

    Raises:
        InputError: naming the factors, or the range.
    """
    factor = find_factor(name)
    if factor.choices:
        if value not in factor.choices:
            choices = ", ".join(factor.choices)
            raise InputError(f"{name} is {value!r}; it must be one of {choices}")
    elif isinstance(value, str) or not factor.low <= value <= factor.high:
        raise InputError(
            f"{name} is {value!r}; it must lie within {factor.low} and {factor.high}"
        )


def _shares(person: Person, name: str, share: float) -> dict[str, float]:
    others = [n for n in ("african", "asian", "caucasian") if n != name]
    left = sum(getattr(person, other) for other in others)
    scaled = {
        other: (getattr(person, other) / left if left else 0.5) * (1 - share)
        for other in others
    }
    return {name: share, **scaled}


def factor_values(face: Face) -> dict[str, float | str]:
    """Factor -> its value in a face, in the order of `FACTORS`."""
    return {name: getattr(getattr(face, _PART_OF[name]), name) for name in FACTORS}


def face_to_json(face: Face) -> str:
    """One line of JSON from which `face_from_json` makes the same face."""
    return json.dumps(
        {part: dataclasses.asdict(getattr(face, part)) for part in _PARTS}
    )


def face_from_json(text: str) -> Face:
    """Reads what `face_to_json` wrote.

    Raises:
        InputError: if it is not that, or a value lies outside its factor's range.
    """
    try:
        parts: Mapping[str, Any] = json.loads(text)
        face = Face(**{part: kind(**parts[part]) for part, kind in _PARTS.items()})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"no description of a face: {error}") from error
    for name, value in factor_values(face).items():
        check_factor(name, value)
    return face
