"""Person and expression -> the shape of the head, as weights of morph targets."""

import functools
import itertools
import types

import numpy as np

from .factors import Person, Photo
from .head_model import load_head_model, morph

# Factor -> families of targets it moves, and how far at a factor of 1. A family is two
# targets that are each other's opposite, named without their ending.
SHAPE_FACTORS: dict[str, dict[str, float]] = {
    "nose_length": {"nose-scale-vert": 1.2, "nose-base": -0.8},
    "nose_width": {
        "nose-width2": 0.5,
        "nose-width3": 0.8,
        "nose-scale-horiz": 0.8,
        "nose-nostrils-width": 0.6,
        "nose-point-width": 0.5,
    },
    "nose_hump": {"nose-hump": 0.8, "nose-curve": 0.5},
    "nose_depth": {"nose-scale-depth": 1.0},
    "eye_size": {"l-eye-scale": 1.0, "r-eye-scale": 1.0},
    "eye_distance": {"l-eye-trans-out": 0.6, "r-eye-trans-out": 0.6},
    "mouth_width": {"mouth-scale-horiz": 1.0},
    "lip_fullness": {
        "mouth-upperlip-height": 0.6,
        "mouth-lowerlip-height": 0.6,
        "mouth-upperlip-volume": 0.5,
        "mouth-lowerlip-volume": 0.5,
    },
    "chin_height": {"chin-height": 0.8},
    "jaw_width": {"chin-bones": 1.0, "chin-width": 0.8},
    "cheekbones": {"l-cheek-bones": 1.0, "r-cheek-bones": 1.0},
    "face_width": {"head-scale-horiz": 0.6},
}

EXPRESSIONS: dict[str, dict[str, float]] = {  # facial units at full strength
    "neutral": {},
    "smile": {
        "mouthSmile": 1.0,
        "cheekSquint": 0.7,
        "mouthUpperUp": 0.55,
        "mouthDimple": 0.2,
        "eyeSquint": 0.3,
        "mouthLowerDown": 0.3,
        "mouthStretch": 0.15,
        "jawOpen": 0.1,
    },
    "surprise": {
        "jawOpen": 0.55,
        "browInnerUp": 0.9,
        "browOuterUp": 0.9,
        "eyeWide": 0.9,
        "mouthFunnel": 0.25,
    },
    "squint": {
        "eyeSquint": 0.9,
        "eyeBlink": 0.2,
        "cheekSquint": 0.8,
        "browDown": 0.6,
        "mouthPress": 0.3,
    },
    "disgust": {
        "noseSneer": 1.0,
        "mouthUpperUp": 0.75,
        "browDown": 0.75,
        "eyeSquint": 0.5,
        "cheekSquint": 0.5,
        "mouthFrown": 0.5,
        "mouthShrugUpper": 0.4,
        "mouthShrugLower": 0.3,
    },
    "scream": {
        "jawOpen": 1.0,
        "mouthStretch": 0.6,
        "eyeSquint": 0.8,
        "browDown": 0.6,
        "noseSneer": 0.5,
        "mouthLowerDown": 0.6,
        "mouthUpperUp": 0.5,
        "cheekSquint": 0.6,
        "eyeBlink": 0.25,
    },
}

_OPPOSITES = (
    *(("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward")),
    *(("convex", "concave"), ("compress", "uncompress")),
)
_HEAD_SHAPES = (
    *("head-oval", "head-round", "head-rectangular", "head-square"),
    *("head-triangular", "head-invertedtriangular", "head-diamond"),
)
# Spread of what no factor names: the first beginning that fits.
_SPREADS = (
    *(("head-age", 0.0), ("head-trans", 0.0), ("neck", 0.1), ("measure", 0.1)),
    *(("ear", 0.12), ("head-", 0.2), ("nose-trans-out", 0.05)),
    *(("mouth-trans-out", 0.05), ("nose-trans", 0.15), ("mouth-trans", 0.15)),
    *(("nose-compression", 0.15), ("nose-septumangle", 0.15), ("nose-", 0.28)),
    *(("mouth-laugh-lines", 0.15), ("mouth-dimples", 0.15), ("mouth-angles", 0.2)),
    *(("mouth-", 0.28), ("chin-jaw-drop", 0.15), ("chin-cleft", 0.2), ("chin-", 0.28)),
    *(("eye-push", 0.15), ("eye-corner", 0.15), ("eye-trans", 0.16), ("eye-", 0.25)),
    *(("forehead", 0.28), ("eyebrows", 0.28), ("cheek", 0.28)),
)
_LARGEST = 0.85  # weight of a family
_FAT, _FATTEST = "head-fat", 0.6  # what a body's weight does to the head
_YOUNG, _OLD = 25.0, 90.0  # years that the age targets stand for
_ASYMMETRIES = 0.12  # share of the asymmetric targets that a person has


@functools.cache
def families() -> dict[str, tuple[str, str]]:
    """Family -> its targets for a positive and for a negative weight."""
    targets = load_head_model().targets
    found = {}
    for name, (positive, negative) in itertools.product(targets, _OPPOSITES):
        family = name.removesuffix(f"-{positive}")
        opposite = f"{family}-{negative}"
        if family != name and opposite in targets and not name.startswith("asym"):
            kept = f"{family}-out" if positive == "out" else family
            found[kept] = (name, opposite)
    return found


def shape_weights(person: Person) -> dict[str, float]:
    """Morph target -> weight for a person's neutral face."""
    weights = _macro_weights(person) | dict(_detail_weights(person.detail))
    for factor, moved in SHAPE_FACTORS.items():
        for family, amount in moved.items():
            _add(weights, family, amount * getattr(person, factor))
    _add(weights, _FAT, _FATTEST * (2 * person.weight - 1))
    return weights


def _add(weights: dict[str, float], family: str, amount: float) -> None:
    if amount:
        target = families()[family][0 if amount > 0 else 1]
        weights[target] = weights.get(target, 0.0) + abs(amount)


def _macro_weights(person: Person) -> dict[str, float]:
    """Gender x age x ethnicity, and gender x age x muscle x weight, bilinear."""
    old = (person.age - _YOUNG) / (_OLD - _YOUNG)
    genders = {"female": 1 - person.gender, "male": person.gender}
    ages = {"young": 1 - old, "old": old}
    found = {}
    for (gender, of_gender), (age, of_age) in itertools.product(
        genders.items(), ages.items()
    ):
        share = of_gender * of_age
        for ethnicity in ("african", "asian", "caucasian"):
            of_ethnicity = getattr(person, ethnicity)
            found[f"macro/{ethnicity}-{gender}-{age}"] = share * of_ethnicity
        for (muscle, of_muscle), (weight, of_weight) in itertools.product(
            _three("muscle", person.muscle), _three("weight", person.weight)
        ):
            name = f"macro/universal-{gender}-{age}-{muscle}-{weight}"
            found[name] = share * of_muscle * of_weight
    targets = load_head_model().targets  # averages may leave the head as it is
    return {
        name: weight for name, weight in found.items() if weight and name in targets
    }


def _three(what: str, value: float) -> list[tuple[str, float]]:
    """Shares of the targets for the least, the average and the most."""
    return [
        (f"min{what}", max(0.0, 1 - 2 * value)),
        (f"average{what}", 1 - abs(2 * value - 1)),
        (f"max{what}", max(0.0, 2 * value - 1)),
    ]


@functools.lru_cache(maxsize=64)
def _detail_weights(detail: int) -> types.MappingProxyType[str, float]:
    """All that makes a person's shape their own and that no factor names."""
    draws = np.random.default_rng([detail, 1])
    named = {_FAT, *(family for moved in SHAPE_FACTORS.values() for family in moved)}
    weights: dict[str, float] = {}
    for family in sorted(families()):
        if family.startswith("r-"):
            continue
        draw = float(np.clip(_spread(family) * draws.normal(), -_LARGEST, _LARGEST))
        if family in named:
            continue
        _add(weights, family, draw)
        if family.startswith("l-"):
            _add(weights, f"r-{family[2:]}", draw)
    shares = draws.dirichlet(np.full(len(_HEAD_SHAPES), 0.5)) * draws.uniform(0, 0.6)
    weights |= dict(zip(_HEAD_SHAPES, shares.tolist(), strict=True))
    for name in sorted(load_head_model().targets):
        if name.startswith("asym-") and draws.random() < _ASYMMETRIES:
            weights[name] = abs(float(draws.normal(0, 0.25)))
    return types.MappingProxyType(weights)


def _spread(family: str) -> float:
    name = family.removeprefix("l-")
    return next(size for start, size in _SPREADS if name.startswith(start))


def expression_weights(expression: str, amount: float) -> dict[str, float]:
    """Facial unit -> weight of an expression.

    Args:
        expression: a key of `EXPRESSIONS`.
        amount: in [0, 1]; 0 is neutral.

    Returns:
        Facial unit -> weight, for `head_model.morph`.
    """
    targets = load_head_model().targets
    return {
        f"unit/{unit}{side}": strength * amount
        for unit, strength in EXPRESSIONS[expression].items()
        for side in ("", "Left", "Right")
        if f"unit/{unit}{side}" in targets
    }


def neutral_shape(person: Person) -> np.ndarray:
    """Vertices of a person's face at rest, [V, 3] float32, dm."""
    return morph(load_head_model(), shape_weights(person))


def expressed_shape(person: Person, photo: Photo) -> np.ndarray:
    """Vertices with the expression of a photo, [V, 3] float32, dm."""
    weights = expression_weights(photo.expression, photo.expression_amount)
    return morph(load_head_model(), shape_weights(person) | weights)
