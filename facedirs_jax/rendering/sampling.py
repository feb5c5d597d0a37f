"""Draws people, looks and photos at random, each from a seed of its own.

Two kinds of population: `correlated`, in which skin, hair and beard go with morphology
and age as they do among people; and `independent`, in which every factor is drawn
without regard to the others, so that what a network learned about one of them can be
told from what it learned about the rest.
"""

import dataclasses
from typing import Any

import numpy as np

from facedirs_jax.errors import InputError

from .factors import (
    EXPRESSIONS,
    FACIAL_HAIR,
    FACTORS,
    GLASSES,
    HAIR_COLORS,
    HAIR_STYLES,
    IRISES,
    Look,
    Person,
    Photo,
)
from .morphs import SHAPE_FACTORS

ETHNICITIES = ("african", "asian", "caucasian")
_SHAPE_SPREAD = 0.34  # standard deviation of a shape factor
_MELANIN = {"african": (0.78, 0.14), "asian": (0.30, 0.08), "caucasian": (0.17, 0.07)}
_GLASSES = (0.8, 0.1, 0.1)  # chance of each of GLASSES
# Chance of each hair style (HAIR_STYLES): of women, of men, times that of ethnicities.
_STYLES = {
    "female": (0.0, 0.02, 0.08, 0.08, 0.13, 0.21, 0.40, 0.08),
    "male": (0.06, 0.18, 0.36, 0.20, 0.07, 0.01, 0.03, 0.09),
}
_AFRICAN_STYLES = (1.0, 2.2, 0.8, 0.2, 1.0, 0.3, 0.3, 4.5)
_DARK_HAIR = (0.78, 0.22, 0.0, 0.0, 0.0, 0.0, 0.0)  # of HAIR_COLORS
_ANY_HAIR = (0.08, 0.22, 0.32, 0.17, 0.15, 0.06, 0.0)
_DARK_EYES = (0.9, 0.1, 0.0, 0.0, 0.0)  # of IRISES
_ANY_EYES = (0.3, 0.2, 0.12, 0.28, 0.1)
_FACIAL_HAIR = (0.5, 0.25, 0.1, 0.15)  # of FACIAL_HAIR, among men


def draws_of(*numbers: int) -> np.random.Generator:
    """The random stream of a seed and of what it is used for, apart from all others."""
    return np.random.default_rng(numbers)


def sample_person(
    draws: np.random.Generator,
    *,
    independent: bool = False,
    gender: str | None = None,
    ethnicity: str | None = None,
) -> Person:
    """Draws a person.

    Args:
        draws: random stream.
        independent: draws every factor without regard to the others.
        gender: "female" or "male"; None for either, each as likely.
        ethnicity: one of `ETHNICITIES`; None for any, each as likely.

    Returns:
        The person.

    Raises:
        InputError: for another gender or ethnicity.
    """
    female = draws.random() < 0.5
    which = int(draws.integers(len(ETHNICITIES)))
    if gender is not None:
        female = _index(("male", "female"), gender, "gender") == 1
    if ethnicity is not None:
        which = _index(ETHNICITIES, ethnicity, "ethnicity")
    shares = draws.dirichlet(np.where(np.arange(3) == which, 9.0, 0.8))
    age = 25 + 60 * draws.beta(1.3, 2.2)
    morphology: dict[str, Any] = {
        "gender": _clip("gender", (0.07 if female else 0.93) + draws.normal(0, 0.07)),
        **dict(zip(ETHNICITIES, _summing_to_one(shares), strict=True)),
        "age": _clip("age", age),
        "weight": _clip("weight", draws.normal(0.5, 0.18)),
        "muscle": _clip("muscle", draws.normal(0.5, 0.15)),
    }
    shape: dict[str, Any] = {
        name: _clip(name, draws.normal(0, _SHAPE_SPREAD)) for name in SHAPE_FACTORS
    }
    detail = int(draws.integers(2**31))
    if independent:
        return Person(detail, **morphology, **shape, **_any_colors(draws))
    colors = _colors(draws, ETHNICITIES[which], female)
    return Person(detail, **morphology, **shape, **colors)


def _any_colors(draws: np.random.Generator) -> dict[str, Any]:
    numbers = {
        "melanin": draws.uniform(0.08, 0.95),
        "blood": draws.uniform(0.15, 0.6),
        "flush": draws.uniform(0.05, 0.7),
        "freckles": draws.uniform(0.3, 1) * (draws.random() < 0.2),
        "under_eye": draws.uniform(0.05, 0.9),
        "brow_thickness": draws.normal(1.0, 0.27),
        "brow_arch": draws.normal(0.1, 0.3),
        "brow_density": draws.uniform(0.8, 1.1),
    }
    found = {name: _clip(name, value) for name, value in numbers.items()}
    return {**found, "iris": str(draws.choice(IRISES))}


def _colors(draws: np.random.Generator, ethnicity: str, female: bool) -> dict[str, Any]:
    """Skin, brows and eyes as they go with morphology."""
    melanin = _clip("melanin", draws.normal(*_MELANIN[ethnicity]))
    eyes = _ANY_EYES if ethnicity == "caucasian" else _DARK_EYES
    pale = max(0.0, 1 - melanin / 0.6)
    numbers = {
        "melanin": melanin,
        "blood": draws.uniform(0.15, 0.6),
        "flush": draws.uniform(0.05, 0.8) * (0.4 + 0.6 * pale),
        "freckles": draws.uniform(0.3, 1) * (draws.random() < 0.25 * pale),
        "under_eye": draws.uniform(0.05, 0.9),
        "brow_thickness": draws.normal(0.82 if female else 1.15, 0.22),
        "brow_arch": draws.normal(0.3 if female else 0.0, 0.3),
        "brow_density": draws.uniform(0.8, 1.1),
    }
    found = {name: _clip(name, value) for name, value in numbers.items()}
    return {**found, "iris": str(draws.choice(IRISES, p=eyes))}


def sample_look(
    draws: np.random.Generator, person: Person, *, independent: bool = False
) -> Look:
    """Draws how a person looks on one day; one draw for a fixed look, several to vary.

    Args:
        draws: random stream.
        person: whose look; unused if `independent`.
        independent: draws every factor without regard to the person.

    Returns:
        The look.
    """
    detail = int(draws.integers(2**31))
    female = person.gender < 0.5
    if independent:
        style, color = draws.choice(HAIR_STYLES), draws.choice(HAIR_COLORS)
        facial = draws.choice(FACIAL_HAIR, p=_FACIAL_HAIR)
        made_up = draws.random(2) < 0.25
    else:
        style, color = _style(draws, person, female), _hair_color(draws, person)
        facial = "none" if female else draws.choice(FACIAL_HAIR, p=_FACIAL_HAIR)
        made_up = (draws.random(2) < 0.4) & female
    lipstick, eye_shadow = draws.uniform(0.3, 0.9, 2) * made_up
    return Look(
        detail,
        hair_style=str(style),
        hair_color=str(color),
        hair_length=float(draws.uniform(0.78, 1.28)),
        facial_hair=str(facial),
        facial_hair_amount=float(draws.uniform(0.1, 1.0)),
        glasses=str(draws.choice(GLASSES, p=_GLASSES)),
        lipstick=float(lipstick),
        eye_shadow=float(eye_shadow),
    )


def _style(draws: np.random.Generator, person: Person, female: bool) -> str:
    chances = np.array(_STYLES["female" if female else "male"])
    if person.african > 0.5:
        chances = chances * _AFRICAN_STYLES
    return str(draws.choice(HAIR_STYLES, p=chances / chances.sum()))


def _hair_color(draws: np.random.Generator, person: Person) -> str:
    grey = float(np.clip((person.age - 48) / 30, 0, 0.9))
    if draws.random() < grey:
        return "grey"
    chances = _ANY_HAIR if person.caucasian > 0.5 else _DARK_HAIR
    return str(draws.choice(HAIR_COLORS, p=chances))


def restyle(draws: np.random.Generator, person: Person, look: Look) -> Look:
    """Another day's look of the same person: hair, facial hair and glasses anew.

    The colour of the hair stays, but for one day in eight, when it is dyed.
    """
    other = sample_look(draws, person)
    dyed = draws.random() < 0.125
    return other if dyed else dataclasses.replace(other, hair_color=look.hair_color)


def sample_photo(draws: np.random.Generator, *, frontal: bool = False) -> Photo:
    """Draws the circumstances of one photo.

    Args:
        draws: random stream.
        frontal: a portrait: hardly turned, neutral, lit from the front, well exposed.

    Returns:
        The photo.
    """
    if frontal:
        return Photo(
            int(draws.integers(2**31)),
            yaw=_clip("yaw", draws.normal(0, 1.5)),
            pitch=_clip("pitch", draws.normal(0, 1.5)),
            roll=_clip("roll", draws.normal(0, 1.0)),
            light=_clip("light", draws.normal(0, 6)),
            elevation=_clip("elevation", draws.normal(14, 4)),
            zoom=_clip("zoom", draws.normal(1.0, 0.015)),
            noise=float(draws.uniform(0.0, 0.008)),
        )
    numbers: dict[str, Any] = {
        "yaw": draws.uniform(-35, 35),
        "pitch": draws.normal(0, 5),
        "roll": draws.normal(0, 4),
        "light": draws.uniform(-80, 80),
        "elevation": draws.uniform(-5, 40),
        "flash": draws.uniform(0.5, 1) if draws.random() < 0.9 else 0.0,
        "zoom": draws.normal(1.0, 0.04),
        "blur": abs(draws.normal(0, 0.5)),
        "noise": abs(draws.normal(0, 0.01)),
        "white_balance": draws.normal(0, 0.35),
        "exposure": draws.normal(0, 0.25),
        "jpeg_quality": draws.uniform(55, 100),
    }
    expression = str(draws.choice(EXPRESSIONS))
    return Photo(
        int(draws.integers(2**31)),
        expression=expression,
        expression_amount=float(draws.random() * (expression != "neutral")),
        **{name: _clip(name, value) for name, value in numbers.items()},
    )


def _clip(name: str, value: float) -> Any:
    return float(np.clip(value, FACTORS[name].low, FACTORS[name].high))


def _summing_to_one(shares: np.ndarray) -> tuple[float, float, float]:
    first, second = float(shares[0]), float(shares[1])
    return first, second, max(0.0, 1.0 - first - second)


def _index(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise InputError(f"{what} is {name!r}; it must be one of {', '.join(names)}")
    return names.index(name)
