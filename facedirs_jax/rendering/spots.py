"""Moles and freckles: round spots of melanin, each at a texel of its own."""

import math

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.complexion import MELANIN_DEPTH, decay
from facedirs_jax.rendering.factors import Person
from facedirs_jax.rendering.texels import head_texels
from facedirs_jax.rendering.vectors import smooth_step
from facedirs_jax.rendering.zones import FRECKLES, skin_zones

FACE_ROWS, FACE_COLUMNS = (0.48, 0.685), (0.32, 0.85)  # of the texture: the face
MOLES = 1.3  # mean number
MOLE_RADII, MOLE_MELANIN = (0.009, 0.021), (0.25, 0.75)  # dm
MOST_FRECKLES = 2400  # of which the face's regions keep about a third
FRECKLE_RADII, FRECKLE_MELANIN = (0.005, 0.013), (0.13, 0.40)
_REACH = 6  # texels, more than the radius of any spot
_MOLE_STREAM, _FRECKLE_STREAM = 208, 205


def face_spots(person: Person, scale: int) -> np.ndarray:
    """Where a person's moles and freckles are.

    Args:
        person: `freckles` tells their number and depth; `detail` draws all.
        scale: of the skin's texture.

    Returns:
        [S, 4] float64: row and column of the middle, radius in dm, melanin.
    """
    rng = np.random.default_rng([person.detail, _MOLE_STREAM])
    moles = _draw(rng, rng.poisson(MOLES), scale, MOLE_RADII, MOLE_MELANIN)
    rng = np.random.default_rng([person.detail, _FRECKLE_STREAM])
    freckles = _draw(rng, MOST_FRECKLES, scale, FRECKLE_RADII, FRECKLE_MELANIN)
    rows, columns = freckles[:, 0].astype(np.int64), freckles[:, 1].astype(np.int64)
    likely = skin_zones(scale).values[FRECKLES, rows, columns] / 255
    kept = rng.random(MOST_FRECKLES) < person.freckles * likely
    freckles[:, 3] *= 0.55 + 0.45 * person.freckles
    return np.concatenate([moles, freckles[kept]])


def _draw(
    rng: np.random.Generator,
    count: int,
    scale: int,
    radii: tuple[float, float],
    melanin: tuple[float, float],
) -> np.ndarray:
    ranges = (FACE_ROWS, FACE_COLUMNS, radii, melanin)
    drawn = np.stack([rng.uniform(*ends, count) for ends in ranges], axis=-1)
    drawn[:, :2] = np.floor(drawn[:, :2] * head_texels(scale).inside.shape)
    return drawn


@njit(nogil=True)
def paint_spots(texture: np.ndarray, positions: np.ndarray, spots: np.ndarray) -> None:
    """Darkens the texels of spots.

    Args:
        texture: [H, W, 5] float32, changed in place.
        positions: [H, W, 3] of the texels on the base head, dm.
        spots: [S, 4], row and column, radius (dm) and melanin.
    """
    for k in range(len(spots)):
        row, column = int(spots[k, 0]), int(spots[k, 1])
        for y in range(row - _REACH, row + _REACH + 1):
            for i in range(column - _REACH, column + _REACH + 1):
                squared = 0.0
                for c in range(3):
                    away = positions[y, i, c] - positions[row, column, c]
                    squared += away * away
                share = smooth_step(1.3, 0.5, math.sqrt(squared) / spots[k, 2])
                if share > 0.0:
                    for c in range(3):
                        depth = MELANIN_DEPTH[c] * spots[k, 3] * share
                        texture[y, i, c] *= decay(depth)
