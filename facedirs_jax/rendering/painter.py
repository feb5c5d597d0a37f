"""Paints the texture of a person's skin, one row of texels after another.

Each stage runs over the part of a row that it concerns.
"""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.complexion import Complexion, absorb
from facedirs_jax.rendering.texels import FIELD_STEPS
from facedirs_jax.rendering.vectors import smooth_step
from facedirs_jax.rendering.zones import (
    BLOOD,
    DARK,
    EVEN,
    FLUSH,
    LID,
    LIPS,
    OIL,
    PIGMENT,
    UNDER_EYE,
)

MELANIN_GRAIN, BLOOD_GRAIN = 0.006, 0.06  # a standard deviation of the fine grain
# What each layer of the face adds at full strength.
ZONE_PIGMENT = (0.035, 0.10)  # of melanin: to any skin, and a unit of the skin's own
ZONE_BLOOD = 0.65
FLUSH_BLOOD = 1.6
UNDER_EYE_PIGMENT, UNDER_EYE_BLOOD = (0.24, 0.25), 0.6
FOLD_SHADE = (0.45, 0.55, 0.58)  # share of red, green and blue lost in a fold
WRINKLE_SHADE = (0.38, 0.48, 0.50)
UPPER_LIP, UPPER_LIP_SHADE = (6.607, 6.637), 0.14  # dm of y; share of light lost above
LIP_CREASE_SHADE, LIP_CREASES_PER_DM = 0.20, 55.0

PORE_RELIEF, SPOT_RELIEF = 0.022, 0.014  # of the normal, a standard deviation
WRINKLE_RELIEF, LIP_RELIEF, STUBBLE_RELIEF = 0.30, 0.16, 0.06
OIL_GLOSS, PORE_GLOSS = 0.55, 0.10
HAIR_DULLNESS = 0.8  # share of the gloss that hair takes

_SMALLEST, _LARGEST = 0.003, 0.95  # albedo
_LAYER, _DEPTH, _SLOPE, _DEVIATE = 1 / 255, 1 / 127, 1 / 64, 1 / FIELD_STEPS


class Ground(NamedTuple):
    """What lies where on the texture.

    Attributes:
        positions: [H, W, 3] float32, of the texels on the base head, dm.
        painted: [H, 2] int32, first column and end of what is painted of a row.
        zones: [L, H, W] uint8.
        zone_spans: [L, H, 2] int32.
        clouds: [F, H, W] int8.
        grain: [2, S, S + W] int8, S a power of 2.
        folds: [2, H, W] int8, depth and slope of wrinkles.
        fold_spans: [2, H, 2] int32.
        covers: [h, w, 2] float32, share under scalp hair and under facial hair.
        covers_per_texel: rows and columns of covers to a texel.
    """

    positions: np.ndarray
    painted: np.ndarray
    zones: np.ndarray
    zone_spans: np.ndarray
    clouds: np.ndarray
    grain: np.ndarray
    folds: np.ndarray
    fold_spans: np.ndarray
    covers: np.ndarray
    covers_per_texel: float


class _Row(NamedTuple):
    """What a row of texels has become so far; each [W] float64."""

    red: np.ndarray
    green: np.ndarray
    blue: np.ndarray
    relief: np.ndarray
    gloss: np.ndarray
    uneven: np.ndarray
    pore: np.ndarray
    spot: np.ndarray
    melanin: np.ndarray
    blood: np.ndarray
    bare: np.ndarray


@njit(nogil=True)
def paint(
    ground: Ground, person: Complexion, gloss: float, texture: np.ndarray
) -> None:
    """Paints all but moles and brows.

    Args:
        ground: of the texture's scale.
        person: their colours.
        gloss: of even skin.
        texture: [H, W, 5] float32, written.
    """
    height, width, _ = texture.shape
    made = np.empty((11, width))
    row = _Row(
        made[0], made[1], made[2], made[3], made[4], made[5], made[6], made[7], made[8],
        made[9], made[10],
    )  # fmt: skip
    for y in range(height):
        first, end = ground.painted[y]
        _begin(ground, person, gloss, row, y)
        _add_tone(ground, person, row, y)
        _absorb(person, row, first, end)
        _paint_lips(ground, person, row, y)
        _paint_lids(ground, person, row, y)
        _paint_folds(ground, person, row, y)
        _paint_hair(ground, person, row, y, first, end)
        _store(person, gloss, row, texture[y], first, end)


@njit()
def _begin(ground: Ground, person: Complexion, gloss: float, row: _Row, y: int) -> None:
    last = ground.grain.shape[1] - 1
    pores = ground.grain[0, (y + person.pores[0]) & last, person.pores[1] :]
    spots = ground.grain[1, (y + person.pores[0]) & last, person.pores[1] :]
    even, oils = ground.zones[EVEN, y], ground.zones[OIL, y]
    rough = 1.0 + 0.5 * person.aged
    for i in range(len(row.pore)):
        pore, spot = pores[i] * _DEVIATE, spots[i] * _DEVIATE
        oil = oils[i] * _LAYER
        row.pore[i] = pore
        row.spot[i] = spot
        row.uneven[i] = even[i] * _LAYER
        row.melanin[i] = MELANIN_GRAIN * spot
        row.blood[i] = BLOOD_GRAIN * (pore + spot)
        row.bare[i] = 1.0
        grainy = (PORE_RELIEF * pore + SPOT_RELIEF * spot) * rough
        row.relief[i] = grainy * (0.7 + 0.5 * oil)
        row.gloss[i] = gloss * (1.0 + OIL_GLOSS * oil + PORE_GLOSS * pore)


@njit()
def _add_tone(ground: Ground, person: Complexion, row: _Row, y: int) -> None:
    """Melanin and blood above those of even skin."""
    for k in range(len(person.melanin_clouds)):
        field = ground.clouds[k, y]
        melanin, blood = person.melanin_clouds[k], person.blood_clouds[k]
        for i in range(len(field)):
            row.melanin[i] += melanin * field[i]
            row.blood[i] += blood * field[i]
    pigment = ZONE_PIGMENT[0] + ZONE_PIGMENT[1] * person.melanin
    tired = UNDER_EYE_PIGMENT[0] + UNDER_EYE_PIGMENT[1] * person.melanin
    _add_layer(row.melanin, ground, PIGMENT, y, pigment)
    _add_layer(row.melanin, ground, UNDER_EYE, y, tired * person.under_eye)
    _add_layer(row.blood, ground, BLOOD, y, ZONE_BLOOD)
    _add_layer(row.blood, ground, FLUSH, y, FLUSH_BLOOD * person.flush)
    _add_layer(row.blood, ground, UNDER_EYE, y, UNDER_EYE_BLOOD * person.under_eye)


@njit()
def _add_layer(
    sums: np.ndarray, ground: Ground, layer: int, y: int, amount: float
) -> None:
    start, stop = ground.zone_spans[layer, y]
    values, added = ground.zones[layer, y, start:stop], sums[start:stop]
    for i in range(len(values)):
        added[i] += amount * _LAYER * values[i]


@njit()
def _absorb(person: Complexion, row: _Row, first: int, end: int) -> None:
    red, green, blue = row.red[first:end], row.green[first:end], row.blue[first:end]
    melanin, blood = row.melanin[first:end], row.blood[first:end]
    uneven = row.uneven[first:end]
    own_melanin, own_blood = person.melanin, person.blood
    tint_red, tint_green, tint_blue = person.tint
    for i in range(len(red)):
        r, g, b = absorb(
            own_melanin + uneven[i] * melanin[i], own_blood + uneven[i] * blood[i]
        )
        red[i] = r * tint_red
        green[i] = g * tint_green
        blue[i] = b * tint_blue


@njit(inline="always")
def _mix(row: _Row, i: int, rgb: np.ndarray, light: float, share: float) -> None:
    row.red[i] += share * (light * rgb[0] - row.red[i])
    row.green[i] += share * (light * rgb[1] - row.green[i])
    row.blue[i] += share * (light * rgb[2] - row.blue[i])


@njit(inline="always")
def _shade(row: _Row, i: int, lost: tuple[float, float, float], share: float) -> None:
    row.red[i] *= 1.0 - lost[0] * share
    row.green[i] *= 1.0 - lost[1] * share
    row.blue[i] *= 1.0 - lost[2] * share


@njit()
def _paint_lips(ground: Ground, person: Complexion, row: _Row, y: int) -> None:
    creases = person.lip_creases
    start, stop = ground.zone_spans[LIPS, y]
    for i in range(start, stop):
        share = 0.9 * _LAYER * ground.zones[LIPS, y, i]
        place = ground.positions[y, i, 0] * LIP_CREASES_PER_DM + len(creases) // 2
        k = int(place)
        here, there = creases[k % len(creases)], creases[(k + 1) % len(creases)]
        crease = here + (place - k) * (there - here)
        upper = smooth_step(UPPER_LIP[0], UPPER_LIP[1], ground.positions[y, i, 1])
        light = 1.0 - LIP_CREASE_SHADE * crease - UPPER_LIP_SHADE * upper
        _mix(row, i, person.lips, light, share)
        row.relief[i] *= 1.0 - 0.7 * share
        row.relief[i] += LIP_RELIEF * share * (there - here)
        row.gloss[i] += person.lip_gloss * share * (1.0 - 0.5 * crease)
        row.bare[i] = 1.0 - _LAYER * ground.zones[LIPS, y, i]


@njit()
def _paint_lids(ground: Ground, person: Complexion, row: _Row, y: int) -> None:
    if person.lid_opacity > 0.0:
        start, stop = ground.zone_spans[LID, y]
        for i in range(start, stop):
            share = person.lid_opacity * _LAYER * ground.zones[LID, y, i]
            _mix(row, i, person.lid, 1.0, share)


@njit()
def _paint_folds(ground: Ground, person: Complexion, row: _Row, y: int) -> None:
    start, stop = ground.zone_spans[DARK, y]
    for i in range(start, stop):
        _shade(row, i, FOLD_SHADE, _LAYER * ground.zones[DARK, y, i])
    if person.aged > 0.0:
        start, stop = ground.fold_spans[0, y]
        for i in range(start, stop):
            share = person.aged * row.uneven[i]
            _shade(row, i, WRINKLE_SHADE, share * _DEPTH * ground.folds[0, y, i])
            row.relief[i] += WRINKLE_RELIEF * share * _SLOPE * ground.folds[1, y, i]


@njit()
def _paint_hair(
    ground: Ground, person: Complexion, row: _Row, y: int, first: int, end: int
) -> None:
    """The ground between facial hair, and the scalp under hair."""
    up = y * ground.covers_per_texel
    j = min(int(up), ground.covers.shape[0] - 2)
    up = min(up - j, 1.0)
    below, above = ground.covers[j], ground.covers[j + 1]
    for i in range(first, end):
        right = i * ground.covers_per_texel
        k = min(int(right), len(below) - 2)
        right = min(right - k, 1.0)
        scalp = _between(below, above, k, 0, right, up) * row.uneven[i]
        beard = _between(below, above, k, 1, right, up) * row.uneven[i]
        if beard > 0.0:
            uneven = 1.0 - person.beard_grain * smooth_step(-0.2, 1.2, row.pore[i])
            share = person.beard_opacity * beard * uneven * row.bare[i]
            _mix(row, i, person.beard, 1.0, share)
            row.relief[i] += STUBBLE_RELIEF * share * row.pore[i]
            row.gloss[i] *= 1.0 - HAIR_DULLNESS * share
        if scalp > 0.0:
            share = person.scalp_opacity * scalp
            share *= 1.0 - 0.1 * smooth_step(-0.5, 1.5, row.pore[i])
            _mix(row, i, person.scalp, 1.0, share)
            row.gloss[i] *= 1.0 - HAIR_DULLNESS * share


@njit(inline="always")
def _between(
    below: np.ndarray, above: np.ndarray, k: int, which: int, right: float, up: float
) -> float:
    low = below[k, which] + right * (below[k + 1, which] - below[k, which])
    high = above[k, which] + right * (above[k + 1, which] - above[k, which])
    return low + up * (high - low)


@njit()
def _store(
    person: Complexion,
    gloss: float,
    row: _Row,
    texels: np.ndarray,
    first: int,
    end: int,
) -> None:
    for i in range(len(texels)):
        if first <= i < end:
            texels[i, 0] = min(max(row.red[i], _SMALLEST), _LARGEST)
            texels[i, 1] = min(max(row.green[i], _SMALLEST), _LARGEST)
            texels[i, 2] = min(max(row.blue[i], _SMALLEST), _LARGEST)
            texels[i, 3] = row.uneven[i] * row.relief[i]
            texels[i, 4] = gloss + row.uneven[i] * (row.gloss[i] - gloss)
        else:
            texels[i, 0] = person.even[0]
            texels[i, 1] = person.even[1]
            texels[i, 2] = person.even[2]
            texels[i, 3] = 0.0
            texels[i, 4] = gloss
