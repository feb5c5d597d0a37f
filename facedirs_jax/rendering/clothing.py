"""Clothes: how far they reach up the neck, and what they are coloured."""

import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.factors import Look

PLAIN, STRIPES, PINSTRIPES, CHECKS = range(4)
_PATTERN_SHARES = (0.55, 0.2, 0.12, 0.13)
_PERIODS = (0.10, 0.28)  # dm


class Cut(NamedTuple):
    """Where a garment ends, in the base shape.

    Attributes:
        side: height of the neckline at the sides and behind, dm.
        front: in front, dm.
        pointed: whether it falls straight to a point in front.
        band: width of its border, dm.
    """

    side: float
    front: float
    pointed: bool
    band: float


_CUTS = (
    Cut(5.98, 5.86, False, 0.07),  # crew neck
    Cut(5.97, 5.55, True, 0.06),  # V neck
    Cut(6.06, 5.72, True, 0.16),  # collar
    Cut(6.16, 6.12, False, 0.0),  # roll neck
)
_CUT_SHARES = (0.45, 0.2, 0.2, 0.15)
_NECK_Z, _NECK_HALF_WIDTH = 0.2, 0.55  # dm
THICKNESS = 0.035  # dm, of cloth on the skin
EDGE = 0.05  # dm below the neckline over which cloth reaches its thickness
EDGE_SHADE, SEAM_SHADE, EDGE_WIDTH = 0.35, 0.25, 0.012  # the width in dm
_CLOTH_STREAM = 301

Color = tuple[float, float, float]


class Cloth(NamedTuple):
    """What a garment looks like.

    Attributes:
        colors: linear RGB of ground, pattern and border.
        pattern: `PLAIN` to `CHECKS`.
        period: dm, of the pattern.
        band: dm, width of the border along the neckline.
    """

    colors: tuple[Color, Color, Color]
    pattern: int
    period: float
    band: float


def dress(look: Look, base: np.ndarray) -> tuple[Cloth, np.ndarray]:
    """Draws the garment of a look.

    Args:
        look: whose `detail` draws cut, colours and pattern.
        base: [P, 3] float32, dm, points of the base shape.

    Returns:
        The cloth; [P] float32, dm below the neckline of each point, negative for bare
        skin.
    """
    draws = np.random.default_rng([look.detail, _CLOTH_STREAM])
    cut = _CUTS[int(draws.choice(len(_CUTS), p=_CUT_SHARES))]
    ground = _color(draws)
    second = _color(draws) if draws.random() < 0.5 else _times(ground, 2.5)
    bordered = draws.random() < 0.5
    cloth = Cloth(
        colors=(ground, second, second if bordered else _times(ground, 0.85)),
        pattern=int(draws.choice(4, p=_PATTERN_SHARES)),
        period=float(draws.uniform(*_PERIODS)),
        band=cut.band,
    )
    return cloth, _reach(cut, base)


def _color(draws: np.random.Generator) -> Color:
    """Linear RGB of cloth: mostly muted, sometimes strong, black or white."""
    kind = draws.random()
    if kind < 0.25:
        black = draws.uniform(0.015, 0.06)
        return black, black, black
    if kind < 0.4:
        white = draws.uniform(0.40, 0.65)
        return white, 0.98 * white, 0.95 * white
    hue, strength = draws.uniform(0, 2 * math.pi), draws.uniform(0.2, 0.85)
    brightness = draws.uniform(0.04, 0.35)
    red, green, blue = (
        brightness * (1 + strength * math.cos(hue + k * 2 * math.pi / 3))
        for k in range(3)
    )
    return red, green, blue


def _times(color: Color, factor: float) -> Color:
    red, green, blue = (min(0.8, factor * value) for value in color)
    return red, green, blue


def _reach(cut: Cut, base: np.ndarray) -> np.ndarray:
    x, y = base[:, 0].astype(np.float64), base[:, 1].astype(np.float64)
    ahead = base[:, 2].astype(np.float64) - _NECK_Z
    if cut.pointed:
        dip = np.clip(1 - np.abs(x) / _NECK_HALF_WIDTH, 0, 1) * (ahead > 0)
    else:
        front = np.clip(ahead / np.sqrt(x * x + ahead * ahead + 1e-9), 0, 1)
        dip = front * front
    return (cut.side + (cut.front - cut.side) * dip - y).astype(np.float32)


def cloth_offsets(reach: np.ndarray) -> np.ndarray:
    """[P] float32, dm: how far cloth stands off the skin, from [P] dm of reach."""
    t = np.clip(reach.astype(np.float64) / EDGE, 0, 1)
    return (THICKNESS * t * t * (3 - 2 * t)).astype(np.float32)


@njit(nogil=True)
def cloth_color(cloth, reach, place):
    """Colour of a garment at a point of the base shape, dm.

    Returns:
        Linear RGB; the share of light that its seams let through.
    """
    x, y = place[0], place[1]
    odd = False
    if cloth.pattern == STRIPES:
        odd = (y / cloth.period) % 1 < 0.4
    elif cloth.pattern == PINSTRIPES:
        odd = ((abs(x) + 0.3 * y) / (0.6 * cloth.period)) % 1 < 0.2
    elif cloth.pattern == CHECKS:
        odd = ((y / cloth.period) % 1 < 0.3) != ((x / cloth.period) % 1 < 0.3)
    color = cloth.colors[1] if odd else cloth.colors[0]
    seam = 1 - EDGE_SHADE * max(0.0, 1 - reach / EDGE_WIDTH)
    if reach < cloth.band:
        color = cloth.colors[2]
        seam -= SEAM_SHADE * (cloth.band - reach < EDGE_WIDTH)
    return color, seam
