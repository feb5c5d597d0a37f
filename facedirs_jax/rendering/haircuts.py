"""The hair styles, and how each person's hair lies in them."""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.factors import Person


class Cut(NamedTuple):
    """A hair style.

    Attributes:
        density: strands per dm^2.
        top: length on top, dm.
        sides: length at the sides and behind, dm.
        hem: base height that hair is cut at, dm; 0 where `top` and `sides` say.
        edge: share of its length that hair keeps at the hairline.
        comb_top: direction that hair on top is combed in: away from the parting, up,
            forward.
        comb_sides: the same at the sides, where "away" is outward.
        whorl: how much hair on top turns away from the crown instead.
        lift: how much hair stands up from the skin at its root.
        volume: thickness of the layer of hair, dm.
        weight: how fast hair turns downwards, per step.
        hug: share of the way back to the layer that hair takes, per step.
        free: base height below which hair hangs freely, dm.
        fringe: lowest base height of hair before the forehead, dm.
        wisp: spread of directions between neighbours.
        clump: share of the way that tips draw together in locks.
        coil: radius of the curls, dm.
        turn: radians of a curl per step.
        gloss: strength of the highlight.
    """

    density: float
    top: float
    sides: float
    hem: float
    edge: float
    comb_top: tuple[float, float, float]
    comb_sides: tuple[float, float, float]
    whorl: float
    lift: float
    volume: float
    weight: float
    hug: float
    free: float
    fringe: float
    wisp: float
    clump: float
    coil: float
    turn: float
    gloss: float


CUTS = {
    "bald": Cut(
        *(900, 0.08, 0.08, 0.0, 0.5, (0, 0, 0.3), (0.1, -0.6, -0.2)),
        *(0.3, 0.4, 0.03, 0.0, 0.5, 6.3, 7.7, 0.15, 0.0, 0.0, 0.0, 0.3),
    ),
    "buzz": Cut(
        *(950, 0.10, 0.075, 0.0, 0.5, (0, 0, 0.5), (0.1, -0.5, -0.1)),
        *(0.6, 0.8, 0.035, 0.0, 0.3, 6.3, 7.9, 0.15, 0.0, 0.0, 0.0, 0.3),
    ),
    "short": Cut(
        *(800, 0.42, 0.20, 0.0, 0.4, (0.45, 0.05, 0.5), (0.1, -0.75, -0.35)),
        *(0.5, 0.45, 0.15, 0.03, 0.6, 6.3, 7.84, 0.16, 0.45, 0.012, 0.9, 0.45),
    ),
    "side": Cut(
        *(800, 0.80, 0.32, 0.0, 0.4, (1.0, 0.1, 0.22), (0.1, -0.8, -0.45)),
        *(0.1, 0.35, 0.17, 0.05, 0.65, 6.3, 7.86, 0.10, 0.5, 0.010, 0.7, 0.55),
    ),
    "back": Cut(
        *(800, 1.10, 0.55, 0.0, 0.5, (0.12, 0.15, -1.0), (0.05, -0.35, -0.9)),
        *(0.0, 0.4, 0.15, 0.04, 0.75, 6.4, 7.9, 0.07, 0.4, 0.008, 0.6, 0.6),
    ),
    "bob": Cut(
        *(850, 0.0, 0.0, 6.40, 1.0, (1.0, 0.0, -0.15), (0.0, -0.9, -0.2)),
        *(0.0, 0.25, 0.18, 0.16, 0.6, 7.25, 7.9, 0.06, 0.35, 0.012, 0.5, 0.6),
    ),
    "long": Cut(
        *(900, 0.0, 0.0, 5.45, 1.0, (0.95, 0.0, -0.25), (0.0, -0.9, -0.25)),
        *(0.0, 0.2, 0.14, 0.16, 0.6, 7.25, 7.9, 0.06, 0.4, 0.025, 0.7, 0.6),
    ),
    "curly": Cut(
        *(950, 0.55, 0.50, 0.0, 0.5, (0.1, 0.1, 0.1), (0.1, -0.1, -0.05)),
        *(0.3, 1.2, 0.42, 0.02, 0.5, 6.4, 7.86, 0.40, 0.6, 0.055, 1.25, 0.3),
    ),
}
HEM_START = 7.3  # dm, base height that a hem would lie at were hair 0 times as long
# The face that hair leaves free: azimuth in degrees it may not pass, by base height.
CURTAIN = np.array(
    [
        *((5.6, 20), (6.1, 36), (6.5, 48), (6.8, 54), (7.1, 57), (7.4, 55)),
        *((7.6, 48), (7.75, 45), (7.9, 40), (8.0, 30), (8.1, 0)),
    ]
)
_CUT_STREAM = 202


class Habit(NamedTuple):
    """How one person's hair lies, in every cut of it.

    Attributes:
        parting: where on top it parts, dm to the left on the base head; half as far
            from the middle in cuts with a hem.
        wave: 0 for hair as straight as its cut lets it be, 1 for wavy.
        body: times the cut's volume.
    """

    parting: float
    wave: float
    body: float


def hair_habit(person: Person) -> Habit:
    """Draws how a person's hair lies."""
    draws = np.random.default_rng([person.detail, _CUT_STREAM])
    side = 1.0 if draws.random() < 0.5 else -1.0
    return Habit(
        parting=side * draws.uniform(0.18, 0.4),
        wave=draws.random(),
        body=draws.uniform(0.8, 1.2),
    )


def hem_height(cut: Cut, hair_length: float) -> float:
    """Base height that hair is cut at, dm; 0 if the cut has no hem."""
    return HEM_START - (HEM_START - cut.hem) * hair_length if cut.hem else 0.0
