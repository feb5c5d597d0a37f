"""Eyebrows, drawn hair by hair.

The hairs are drawn on a small canvas that lies along the brow's middle line, columns
outwards from the nose and rows upwards, and the skin's texels look them up there.
"""

import math

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.factors import Person
from facedirs_jax.rendering.texels import Texels
from facedirs_jax.rendering.vectors import smooth_step

MIDDLE = np.array(  # |x| and y of the middle line, dm
    [
        *((0.04, 7.478), (0.10, 7.500), (0.16, 7.520), (0.23, 7.537), (0.30, 7.549)),
        *((0.37, 7.556), (0.44, 7.552), (0.51, 7.533), (0.58, 7.499), (0.68, 7.435)),
    ]
)
ARCH = np.array(  # |x|, and how far an arch of 1 lifts the middle line there, dm
    [
        *((0.04, -0.016), (0.12, -0.010), (0.22, 0.008), (0.32, 0.034)),
        *((0.42, 0.050), (0.50, 0.034), (0.58, 0.004), (0.68, -0.030)),
    ]
)
INNER, OUTER = 0.105, 0.575  # |x| of the ends, dm
END_SPREADS = (0.015, 0.02, 0.010)  # of the inner end, the outer end and the height, dm
HALF_WIDTH = 0.034  # dm, at a thickness of 1
TAPER = np.array(  # share of the length, and of the half width
    [(0.0, 0.70), (0.10, 0.95), (0.22, 1.05), (0.5, 0.95), (0.75, 0.66), (1.0, 0.16)]
)
LEAN = np.array(  # share of the length, and rise over run of the lower and upper hairs
    [
        *((0.0, 3.0, 2.2), (0.12, 1.6, 0.7), (0.35, 0.75, 0.05)),
        *((0.7, 0.25, -0.4), (1.0, 0.0, -0.55)),
    ]
)
HAIRS = 330  # at a thickness and a density of 1
HAIR_LENGTH = 0.085  # dm, of the longest at a thickness of 1
HAIR_OPACITY = 0.55
GROUND_OPACITY = 0.42  # of the skin between the hairs
CANVAS_TEXELS = 150  # a decimetre, at scale 1
CANVAS_X, CANVAS_HEIGHT = (0.02, 0.70), 0.36  # dm
DENSITY_POWER = 2  # of the factor, in the number of hairs
_STREAM = 210
_MOST_HAIRS = 900
FRONT_Z = 0.8  # dm; brows lie before it
HAIR_DULLNESS = 0.85  # share of the gloss that a full cover takes


def brow_line(person: Person, x: np.ndarray) -> np.ndarray:
    """Height of a brow's middle line on the base head.

    Args:
        person: whose brow.
        x: [N] distances from the head's plane of symmetry, dm.

    Returns:
        [N] float64, dm.
    """
    lift = person.brow_arch * np.interp(x, ARCH[:, 0], ARCH[:, 1])
    return np.interp(x, MIDDLE[:, 0], MIDDLE[:, 1]) + lift + _offsets(person)[2]


def brow_canvas(person: Person, scale: int) -> np.ndarray:
    """Draws both brows.

    Args:
        person: whose brows.
        scale: of the skin's texture.

    Returns:
        [2, rows, columns] float32 in [0, 1], how much of the skin is covered; the left
        brow first. The middle row lies on the middle line.
    """
    density = CANVAS_TEXELS / scale
    rows = round(CANVAS_HEIGHT * density)
    columns = round((CANVAS_X[1] - CANVAS_X[0]) * density)
    density_gain = person.brow_density**DENSITY_POWER
    inner, outer, _ = _offsets(person)
    ends = np.array([INNER + inner, OUTER + outer])
    canvas = np.empty((2, rows, columns), np.float32)
    for side in range(2):
        rng = np.random.default_rng([person.detail, _STREAM, 1 + side])
        draws = rng.random((_MOST_HAIRS, 5))
        count = HAIRS * density_gain * person.brow_thickness
        drawn = min(round(count), _MOST_HAIRS)
        _draw_ground(canvas[side], density, ends, person.brow_thickness, TAPER)
        canvas[side] *= GROUND_OPACITY * density_gain
        _draw_hairs(
            canvas[side],
            density,
            ends,
            person.brow_thickness,
            draws[:drawn],
            TAPER,
            LEAN,
        )
    return canvas


def paint_brows(
    texture: np.ndarray, texels: Texels, person: Person, scale: int, rgb: np.ndarray
) -> None:
    """Paints both brows over a texture of the skin.

    Args:
        texture: [H, W, 5] float32, changed in place: colour and gloss.
        texels: of that scale.
        person: whose brows.
        scale: of the texture.
        rgb: [3], linear, colour of the hairs.
    """
    canvas = brow_canvas(person, scale)
    x = CANVAS_X[0] + (np.arange(canvas.shape[2]) + 0.5) * scale / CANVAS_TEXELS
    _blend(
        texture,
        texels.positions,
        canvas,
        brow_line(person, x),
        CANVAS_TEXELS / scale,
        rgb,
    )


def _offsets(person: Person) -> np.ndarray:
    """Where the inner end, the outer end and the height lie from the usual, dm."""
    rng = np.random.default_rng([person.detail, _STREAM])
    return np.clip(rng.normal(size=3), -2, 2) * np.array(END_SPREADS)


@njit(inline="always")
def _table(table: np.ndarray, place: float, column: int) -> float:
    """Interpolates a column of a table over its first."""
    last = len(table) - 1
    if place >= table[last, 0]:
        return table[last, column]
    i = 0
    while place > table[i + 1, 0]:
        i += 1
    share = max((place - table[i, 0]) / (table[i + 1, 0] - table[i, 0]), 0.0)
    return table[i, column] + share * (table[i + 1, column] - table[i, column])


@njit(nogil=True)
def _draw_ground(
    canvas: np.ndarray,
    density: float,
    ends: np.ndarray,
    thickness: float,
    taper: np.ndarray,
) -> None:
    rows, columns = canvas.shape
    for column in range(columns):
        x = CANVAS_X[0] + (column + 0.5) / density
        along = (x - ends[0]) / (ends[1] - ends[0])
        width = HALF_WIDTH * thickness * _table(taper, along, 1)
        fade = smooth_step(-0.06, 0.14, along) * smooth_step(1.06, 0.80, along)
        for row in range(rows):
            up = ((row + 0.5) / density - 0.5 * CANVAS_HEIGHT) / width
            canvas[row, column] = fade * smooth_step(1.3, 0.55, abs(up))


@njit(nogil=True)
def _draw_hairs(
    canvas: np.ndarray,
    density: float,
    ends: np.ndarray,
    thickness: float,
    draws: np.ndarray,
    taper: np.ndarray,
    lean: np.ndarray,
) -> None:
    """Draws one hair for each row of draws: along, across, length, lean, opacity."""
    rows = canvas.shape[0]
    for hair in range(len(draws)):
        along = draws[hair, 0]
        across = 2.0 * draws[hair, 1] - 1.0
        width = HALF_WIDTH * thickness * _table(taper, along, 1)
        upper = draws[hair, 1] * draws[hair, 1]
        rise = (1.0 - upper) * _table(lean, along, 1) + upper * _table(lean, along, 2)
        rise += 0.5 * (draws[hair, 3] - 0.5)
        length = HAIR_LENGTH * (0.45 + 0.55 * thickness) * (0.5 + 0.5 * draws[hair, 2])
        length *= 1.0 - 0.35 * along
        opacity = HAIR_OPACITY * density / CANVAS_TEXELS
        opacity *= 0.5 + 0.5 * draws[hair, 4]
        opacity *= smooth_step(-0.05, 0.12, along) * smooth_step(1.03, 0.85, along)
        x = (ends[0] + along * (ends[1] - ends[0]) - CANVAS_X[0]) * density - 0.5
        y = 0.5 * rows - 0.5 + (0.9 * across - 0.25) * width * density
        steps = int(2.0 * length * density) + 1
        for k in range(steps):
            share = k / steps
            bent = rise * (1.0 - 0.7 * share)
            stride = 0.5 / math.sqrt(1.0 + bent * bent)
            x += stride
            y += stride * bent
            _splat(canvas, x, y, 0.5 * opacity * (1.0 - 0.6 * share))


@njit(inline="always")
def _splat(canvas: np.ndarray, x: float, y: float, opacity: float) -> None:
    rows, columns = canvas.shape
    if not (0 <= x < columns - 1 and 0 <= y < rows - 1):
        return
    i, j = int(x), int(y)
    right, up = x - i, y - j
    for row, high in ((j, 1.0 - up), (j + 1, up)):
        for column, wide in ((i, 1.0 - right), (i + 1, right)):
            canvas[row, column] += (1.0 - canvas[row, column]) * opacity * high * wide


@njit(nogil=True)
def _blend(
    texture: np.ndarray,
    positions: np.ndarray,
    canvas: np.ndarray,
    line: np.ndarray,
    density: float,
    rgb: np.ndarray,
) -> None:
    height, width, _ = texture.shape
    _, rows, columns = canvas.shape
    for row in range(height):
        for column in range(width):
            if positions[row, column, 2] < FRONT_Z:
                continue
            x = (abs(positions[row, column, 0]) - CANVAS_X[0]) * density - 0.5
            if not 0 <= x < columns - 1:
                continue
            i = int(x)
            right = x - i
            middle = line[i] + right * (line[i + 1] - line[i])
            y = (positions[row, column, 1] - middle) * density + 0.5 * rows - 0.5
            if not 0 <= y < rows - 1:
                continue
            j = int(y)
            brow = canvas[0 if positions[row, column, 0] >= 0 else 1]
            low = brow[j, i] + right * (brow[j, i + 1] - brow[j, i])
            high = brow[j + 1, i] + right * (brow[j + 1, i + 1] - brow[j + 1, i])
            cover = low + (y - j) * (high - low)
            for c in range(3):
                texture[row, column, c] += cover * (rgb[c] - texture[row, column, c])
            texture[row, column, 4] *= 1.0 - HAIR_DULLNESS * cover
