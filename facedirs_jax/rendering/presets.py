"""Which pictures a rendered data set holds: people, conditions and splits, from a seed.

A person is a number, and looks the same in every preset of one seed but `demographic`,
which sets gender and ethnicity. Splits go by that number, so that a network trained on
the training people of any preset has seen none of the test people of another.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from facedirs_jax.errors import InputError

from .factor_table import SPLITS
from .factors import EXPRESSIONS, FACTORS, Face, Photo, find_factor, vary
from .morphs import SHAPE_FACTORS
from .sampling import (
    ETHNICITIES,
    draws_of,
    restyle,
    sample_look,
    sample_person,
    sample_photo,
)

YAWS = (-30, -15, 0, 15, 30)  # degrees; Multi-PIE's, 15 apart
LIGHTS = (-90, -75, -60, -45, -30, -15, 0, 15, 30, 45, 60, 75, 90)  # degrees
_PERSON, _LOOK, _PHOTO, _GROUP = range(4)  # what a random stream is for
_SWEEP_STEPS = 7
_SHAPE_REACH = 0.8


class Shot(NamedTuple):
    """One picture to render.

    Attributes:
        identity: number of the person.
        condition: what sets this photo of them apart, such as `frontal` or `yaw+15`.
        split: `train`, `validation` or `test`; the same for all photos of a person.
        face: all that decides the picture.
    """

    identity: int
    condition: str
    split: str
    face: Face


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings of a rendered data set.

    Attributes:
        preset: a key of `PRESETS`.
        seed: of everything drawn at random.
        identities: number of people; None for the preset's own.
        photos: photos of each person, where the preset draws them; None for its own.
        independent: draws every factor without regard to the others.
        fixed_look: keeps hair, facial hair and glasses of a person in `training` and
            `controlled`; None for the preset's own: varied in training only.
        full: all combinations of pose, light and expression in `controlled`, instead
            of each by itself from frontal and neutral.
        factors: which to sweep; empty for all.
        split: keeps the people of one split only; None for all.
    """

    preset: str
    seed: int = 0
    identities: int | None = None
    photos: int | None = None
    independent: bool = False
    fixed_look: bool | None = None
    full: bool = False
    factors: tuple[str, ...] = ()
    split: str | None = None


def shots(plan: Plan) -> list[Shot]:
    """All pictures of a data set, those of one person side by side.

    Raises:
        InputError: for an unknown preset, factor or split, or a count below 1.
    """
    if plan.preset not in PRESETS:
        known = ", ".join(PRESETS)
        raise InputError(f"unknown preset {plan.preset!r}; known: {known}")
    for name, count in (("identities", plan.identities), ("photos", plan.photos)):
        if count is not None and not 1 <= count <= _MOST:
            raise InputError(f"{name} is {count}; it must lie within 1 and {_MOST}")
    for factor in plan.factors:
        find_factor(factor)
    if plan.split not in (None, *SPLITS):
        raise InputError(f"unknown split {plan.split!r}; known: {', '.join(SPLITS)}")
    everybody = PRESETS[plan.preset](plan)
    return [shot for shot in everybody if plan.split in (None, shot.split)]


_MOST = 1_000_000


def split_of(identity: int) -> str:
    """Split of a person: of ten, eight train, one validates and one tests."""
    return {8: "validation", 9: "test"}.get(identity % 10, "train")


def _base(plan: Plan, identity: int, **wanted: str) -> Face:
    """A person with their look, glasses off, in a frontal photo."""
    draws = draws_of(plan.seed, _PERSON, identity)
    person = sample_person(draws, independent=plan.independent, **wanted)
    draws = draws_of(plan.seed, _LOOK, identity)
    look = sample_look(draws, person, independent=plan.independent)
    photo = sample_photo(draws_of(plan.seed, _PHOTO, identity), frontal=True)
    return Face(person, dataclasses.replace(look, glasses="none"), photo)


def _shot(identity: int, condition: str, face: Face) -> Shot:
    return Shot(identity, condition, split_of(identity), face)


def _portraits(plan: Plan) -> Iterator[Shot]:
    """One frontal neutral portrait of each person."""
    for identity in range(plan.identities or 1000):
        yield _shot(identity, "frontal", _base(plan, identity))


def _controlled(plan: Plan) -> Iterator[Shot]:
    """Pose x light x expression of each person, otherwise the same photo.

    With a look that is not fixed, hair, facial hair and glasses are others each time.
    """
    for identity in range(plan.identities or (20 if plan.full else 100)):
        base = _base(plan, identity)
        still = Photo(base.photo.detail)
        for number, (condition, changed) in enumerate(_conditions(plan.full)):
            detail = int(draws_of(plan.seed, _PHOTO, identity, number).integers(2**31))
            face = base._replace(photo=dataclasses.replace(still, detail=detail))
            if plan.fixed_look is False:
                draws = draws_of(plan.seed, _LOOK, identity, number)
                face = face._replace(look=restyle(draws, base.person, base.look))
            yield _shot(identity, condition, vary(face, **changed))


def _conditions(full: bool) -> Iterator[tuple[str, dict[str, float | str]]]:
    """Name of each condition and the factors it sets."""
    axes: list[dict[str, dict[str, float | str]]] = [
        {f"yaw{yaw:+d}": {"yaw": float(yaw)} for yaw in YAWS},
        {f"light{light:+d}": {"light": float(light)} for light in LIGHTS},
        {
            name: {"expression": name, "expression_amount": float(name != "neutral")}
            for name in EXPRESSIONS
        },
    ]
    axes[1]["no_flash"] = {"flash": 0.0}
    neutral = ("yaw+0", "light+0", "neutral")
    for names in itertools.product(*axes):
        changed = [
            name for name, usual in zip(names, neutral, strict=True) if name != usual
        ]
        if full or len(changed) < 2:
            values = [axis[name] for axis, name in zip(axes, names, strict=True)]
            yield (
                ",".join(changed) or "frontal",
                {**values[0], **values[1], **values[2]},
            )


def _demographic(plan: Plan) -> Iterator[Shot]:
    """As many people of every gender and ethnicity, in everyday photos."""
    cells = list(itertools.product(("female", "male"), ETHNICITIES))
    people = plan.identities or 600
    if people % len(cells):
        raise InputError(
            f"identities is {people}; demographic needs a multiple of {len(cells)}, as "
            "many people of every gender and ethnicity"
        )
    grouped = dataclasses.replace(plan, seed=_other_seed(plan.seed))
    for number, cell in itertools.product(
        range(people // len(cells)), range(len(cells))
    ):
        # Ten of a group are numbered in a row, so that each split gets its share.
        identity = number // 10 * 10 * len(cells) + 10 * cell + number % 10
        gender, ethnicity = cells[cell]
        base = _base(grouped, identity, gender=gender, ethnicity=ethnicity)
        for photo in range(plan.photos or 4):
            draws = draws_of(grouped.seed, _PHOTO, identity, photo)
            yield _shot(
                identity,
                f"{gender} {ethnicity}",
                base._replace(photo=_everyday(draws)),
            )


def _other_seed(seed: int) -> int:
    """A seed whose people are none of those of `seed`."""
    return int(draws_of(seed, _GROUP).integers(2**62))


def _everyday(draws: np.random.Generator) -> Photo:
    """A photo as it is taken, seldom far from frontal."""
    photo = sample_photo(draws)
    return dataclasses.replace(
        photo, yaw=photo.yaw / 2, light=photo.light / 2, flash=max(photo.flash, 0.5)
    )


def _sweeps(plan: Plan) -> Iterator[Shot]:
    """One factor at a time, from end to end, on people of the test split."""
    factors = plan.factors or tuple(FACTORS)
    for number in range(plan.identities or 8):
        identity = 10 * number + 9
        base = _base(plan, identity)
        for factor in factors:
            for value in _steps(factor):
                face = vary(_ready_for(base, factor), **{factor: value})
                shown = value if isinstance(value, str) else f"{value:.3g}"
                yield _shot(identity, f"{factor}={shown}", face)


def _steps(factor: str) -> tuple[float | str, ...]:
    """Values of a sweep; a shape's stop short of caricature."""
    found = FACTORS[factor]
    if found.choices:
        return found.choices
    reach = _SHAPE_REACH if factor in SHAPE_FACTORS else 1.0
    return tuple((reach * np.linspace(found.low, found.high, _SWEEP_STEPS)).tolist())


def _ready_for(face: Face, factor: str) -> Face:
    """The face on which a factor shows: amounts need something to be an amount of."""
    if factor == "facial_hair_amount" and face.look.facial_hair in ("none", "stubble"):
        return vary(face, facial_hair="beard")
    if factor == "expression_amount" and face.photo.expression == "neutral":
        return vary(face, expression="smile")
    if factor == "expression":
        return vary(face, expression_amount=1.0)
    return face


def _training(plan: Plan) -> Iterator[Shot]:
    """Everyday photos of many people, whose looks vary unless they are fixed."""
    for identity in range(plan.identities or 3000):
        base = _base(plan, identity)
        for number in range(plan.photos or 12):
            draws = draws_of(plan.seed, _PHOTO, identity, number)
            look = base.look
            if not plan.fixed_look:
                look = restyle(draws, base.person, base.look)
            face = Face(base.person, look, sample_photo(draws))
            yield _shot(identity, "random", face)


PRESETS: dict[str, Callable[[Plan], Iterator[Shot]]] = {
    "portraits": _portraits,
    "controlled": _controlled,
    "demographic": _demographic,
    "sweeps": _sweeps,
    "training": _training,
}
