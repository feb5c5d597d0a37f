"""Where hair grows on a head, and its colour.

All positions are of the base mesh, so that a person's hairline lies on the same skin
whatever their morphology and expression.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit

from .factors import Look, Person
from .head_lines import (
    TABLE,
    TABLE_DEGREES,
    draw_line,
    line_height,
)
from .vectors import smooth_step

HAIR_RGB = {  # linear
    "black": (0.012, 0.010, 0.009),
    "dark": (0.030, 0.018, 0.011),
    "brown": (0.075, 0.040, 0.020),
    "light": (0.160, 0.095, 0.045),
    "blond": (0.380, 0.250, 0.120),
    "red": (0.200, 0.065, 0.020),
    "grey": (0.300, 0.290, 0.280),
}
SHADE_SPREAD = 0.14  # of log brightness between people of one hair colour
HUE_SPREAD = 0.05  # of log red and log blue

HAIRLINE = np.array(  # degrees, dm
    [
        *((0, 8.06), (14, 8.06), (26, 8.07), (37, 8.03), (44, 7.92), (48, 7.79)),
        *((51, 7.64), (55, 7.52), (60, 7.34), (63, 7.12), (67, 7.06), (70, 7.30)),
        *(
            (73, 7.44),
            (82, 7.44),
            (92, 7.36),
            (102, 7.06),
            (118, 6.80),
            (140, 6.62),
            (180, 6.55),
        ),
    ]
)
CHEEK_LINE = np.array(  # upper end of a beard
    [
        *((0, 6.84), (8, 6.84), (14, 6.81), (19, 6.74), (25, 6.69), (33, 6.71)),
        *((41, 6.78), (49, 6.90), (56, 7.05), (60, 7.22), (63, 7.32), (67, 7.28)),
        *((70, 6.94), (78, 6.70), (86, 6.30), (180, 6.0)),
    ]
)
NECK_LINE = np.array(  # lower end of a beard
    [(0, 6.02), (20, 6.03), (40, 6.10), (60, 6.22), (75, 6.40), (84, 6.6), (180, 7.0)]
)
TONSURE = np.array(  # upper end of the fringe around a bald head
    [(0, 6.0), (54, 6.4), (64, 7.46), (76, 7.68), (105, 7.78), (180, 7.74)]
)
BEFORE, BEHIND = -0.03, 0.06  # dm from the hairline, where hair begins and is full
NEAR = 0.25  # dm, to which distances from the hairline are true
CROWN = (0.0, 8.36, 0.12)  # dm, where hair thins first
EAR_Y, EAR_X = 7.42, (0.71, 0.745)  # dm; lower and farther out lies the ear
LIPS = (6.60, 0.300, 0.125)  # height of the centre, half width and half height, dm

_HAIRLINE_STREAM, _BEARD_STREAM, _COLOR_STREAM = 101, 102, 103


class _Growth(NamedTuple):
    """How one person's scalp hair grows."""

    lines: np.ndarray  # [2, TABLE], left and right
    slants: np.ndarray  # [2, TABLE], vertical distance over that across the line
    tonsure: np.ndarray  # [TABLE]
    most: float  # largest cover
    thinning: float  # of the crown


def recession(person: Person) -> float:
    """How far the hairline has receded, 0 to 1, with age and male morphology."""
    leaning = np.random.default_rng([person.detail, _HAIRLINE_STREAM]).normal()
    male = smooth_step(0.3, 0.9, person.gender)
    ageing = smooth_step(25.0, 85.0, person.age)
    grown = male * (0.10 + 0.75 * ageing + 0.20 * leaning) + 0.12 * ageing
    return min(max(grown, 0.0), 1.0)


def _side_line(draws: np.random.Generator, height: float, receded: float) -> np.ndarray:
    """[TABLE] float64: the hairline of one side."""
    degrees, heights = HAIRLINE.T
    front = np.interp(degrees, [50, 66], [1.0, 0.0])
    corner = np.exp(-0.5 * ((degrees - 32) / 11) ** 2)
    raised = front * (height + receded * (0.13 + 0.20 * corner))
    raised += draws.normal(0, 0.012, len(degrees))
    moved = np.interp(degrees, [30, 48, 60, 68], [0.0, 1.0, 1.0, 0.0])
    line = draw_line(degrees + moved * 1.5 * draws.normal(), heights + raised)
    wave = line.astype(np.float64)
    for cycles in (9, 17, 31):
        turned = cycles * np.linspace(0, 2, TABLE) + draws.uniform(0, 2 * np.pi)
        wave += 0.007 * draws.normal() * np.sin(turned)
    return wave


def _slants(lines: np.ndarray) -> np.ndarray:
    """[2, TABLE]: how much farther a line is upwards than straight across it."""
    radius = 0.75  # dm, of the head at the hairline
    run = np.maximum(np.gradient(np.radians(TABLE_DEGREES)) * radius, 1e-3)
    rise = np.gradient(lines, axis=1) / run
    return np.sqrt(1 + rise * rise)


@functools.lru_cache(maxsize=64)
def _growth(person: Person, bald: bool) -> _Growth:
    receded = recession(person)
    draws = np.random.default_rng([person.detail, _HAIRLINE_STREAM, 1])
    height = 0.035 * draws.normal() + 0.02 * smooth_step(0.2, 0.8, person.gender)
    peak = max(0.0, 0.5 + 0.7 * draws.normal()) * 0.05 + 0.06 * receded
    lines = np.stack([_side_line(draws, height, receded) for _ in range(2)])
    seam = np.exp(-((TABLE_DEGREES / 5.0) ** 2))
    lines += (lines[:, 0].sum() / 2 - lines[:, :1]) * seam
    lines -= peak * np.exp(-((TABLE_DEGREES / 8.0) ** 2))
    fringed = draws.random() < 0.5  # else shaved
    degrees, heights = TONSURE.T
    tonsure = draw_line(degrees, heights + 0.05 * draws.normal())
    male = smooth_step(0.3, 0.6, person.gender)
    return _Growth(
        lines=lines.astype(np.float32),
        slants=_slants(lines).astype(np.float32),
        tonsure=tonsure if bald else np.full(TABLE, np.float32(9)),
        most=1.0 if not bald else male * fringed,
        thinning=0.0 if bald else 0.75 * smooth_step(0.35, 0.95, receded),
    )


@njit(nogil=True, error_model="numpy")
def _distances(points: np.ndarray, lines: np.ndarray, slants: np.ndarray) -> np.ndarray:
    found = np.empty(len(points), np.float32)
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        side = 0 if x >= 0 else 1
        above = y - line_height(lines[side], x, z)
        found[i] = above / line_height(slants[side], x, z)
        if abs(above) > NEAR:
            found[i] += above - math.copysign(NEAR, above)
    return found


@njit(nogil=True, error_model="numpy")
def _scalp(
    points: np.ndarray,
    distances: np.ndarray,
    tonsure: np.ndarray,
    most: float,
    thinning: float,
) -> np.ndarray:
    cover = np.zeros(len(points), np.float32)
    for i in range(len(points)):
        if distances[i] <= BEFORE:
            continue
        x, y, z = abs(points[i, 0]), points[i, 1], points[i, 2]
        c = most * smooth_step(BEFORE, BEHIND, distances[i])
        if y < EAR_Y:
            c *= 1 - smooth_step(EAR_X[0], EAR_X[1], x)
        far = math.sqrt(x**2 + (y - CROWN[1]) ** 2 + (z - CROWN[2]) ** 2)
        c *= 1 - thinning * (1 - smooth_step(0.15, 0.50, far))
        cover[i] = c * smooth_step(0.10, -0.12, y - line_height(tonsure, x, z))
    return cover


@njit(nogil=True, error_model="numpy")
def _bearded(
    points: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    moustache_only: bool,
    cheeks: float,
    bare: float,
    philtrum: float,
) -> np.ndarray:
    cover = np.zeros(len(points), np.float32)
    for i in range(len(points)):
        x, y, z = abs(points[i, 0]), points[i, 1], points[i, 2]
        if y < 5.9 or y > 7.4 or z < 0.2:
            continue
        lip = (x / LIPS[1]) ** 2 + ((y - LIPS[0]) / LIPS[2]) ** 2
        if lip < 0.98 or (x < 0.22 and 6.4 < y < 6.8 and z < 1.3):  # mouth's cavity
            continue
        c = smooth_step(0.0, 0.08, line_height(top, x, z) - y)
        c *= smooth_step(0.0, 0.12, y - line_height(bottom, x, z))
        c *= smooth_step(0.98, 1.25, lip) * smooth_step(0.725, 0.70, x)
        c *= 1 - philtrum * smooth_step(0.035, 0.0, x) * smooth_step(6.70, 6.72, y)
        if moustache_only:
            c *= smooth_step(6.63, 6.68, y) * smooth_step(0.37, 0.31, x)
        else:
            c *= 1 - cheeks * smooth_step(0.30, 0.45, x) * smooth_step(6.45, 6.75, y)
            spot = ((x - 0.13) / 0.07) ** 2 + ((y - 6.44) / 0.06) ** 2
            c *= 1 - bare * smooth_step(1.0, 0.2, spot)
        cover[i] = c
    return cover


def _points(positions: np.ndarray) -> np.ndarray:
    if positions.ndim == 0 or positions.shape[-1] != 3:
        raise ValueError(f"positions must be [..., 3], not {list(positions.shape)}")
    return np.ascontiguousarray(positions, np.float64).reshape(-1, 3)


def distance_from_hairline(positions: np.ndarray, person: Person) -> np.ndarray:
    """How far inside the hairline skin lies; true near it, larger farther inside.

    Args:
        positions: [..., 3] on the base mesh, dm.
        person: whose hairline.

    Returns:
        [...] float32, dm, positive on the scalp.

    Raises:
        ValueError: if positions is not [..., 3].
    """
    growth = _growth(person, False)
    found = _distances(_points(positions), growth.lines, growth.slants)
    return found.reshape(positions.shape[:-1])


def hair_cover(positions: np.ndarray, person: Person, look: Look) -> np.ndarray:
    """How much of the skin scalp hair covers.

    The hairline recedes and the crown thins with age and male morphology; a bald head
    has no hair, or of some men a fringe around it.

    Args:
        positions: [..., 3] on the base mesh, dm.
        person: its `detail` draws what no factor names.
        look: its `hair_style` matters only where it is "bald".

    Returns:
        [...] float32 in [0, 1].

    Raises:
        ValueError: if positions is not [..., 3].
    """
    growth = _growth(person, look.hair_style == "bald")
    points = _points(positions)
    distances = _distances(points, growth.lines, growth.slants)
    cover = _scalp(points, distances, growth.tonsure, growth.most, growth.thinning)
    return cover.reshape(positions.shape[:-1])


def beard_cover(positions: np.ndarray, person: Person, look: Look) -> np.ndarray:
    """How much of the skin the roots of facial hair cover, whatever its length.

    Args:
        positions: [..., 3] on the base mesh, dm.
        person: its `detail` draws the cheek line and how evenly it grows.
        look: "none" gives 0 and "moustache" the skin above the upper lip; the lips
            are free of it always.

    Returns:
        [...] float32 in [0, 1].

    Raises:
        ValueError: if positions is not [..., 3].
    """
    points = _points(positions)
    if look.facial_hair == "none":
        return np.zeros(positions.shape[:-1], np.float32)
    draws = np.random.default_rng([person.detail, _BEARD_STREAM])
    degrees, heights = CHEEK_LINE.T
    moved = np.interp(degrees, [16, 30, 56, 66], [0, 0.04, 0.04, 0]) * draws.normal()
    top = draw_line(degrees, heights + moved)
    degrees, heights = NECK_LINE.T
    bottom = draw_line(degrees, heights + 0.02 * draws.normal())
    cover = _bearded(
        points,
        top,
        bottom,
        look.facial_hair == "moustache",
        cheeks=draws.uniform(0, 0.35),
        bare=draws.uniform(0, 0.8),
        philtrum=draws.uniform(0, 0.6),
    )
    return cover.reshape(positions.shape[:-1])


def hair_rgb(person: Person, look: Look) -> np.ndarray:
    """Mean colour of a person's hair.

    Returns:
        [3] float64, linear RGB: that of `look.hair_color`, a little lighter or darker
        and warmer or cooler from person to person.
    """
    draws = np.random.default_rng([person.detail, _COLOR_STREAM])
    shade, hue = SHADE_SPREAD * draws.normal(), HUE_SPREAD * draws.normal()
    tint = np.exp(shade + hue * np.array([1.0, 0.0, -1.0]))
    return np.array(HAIR_RGB[look.hair_color]) * tint
