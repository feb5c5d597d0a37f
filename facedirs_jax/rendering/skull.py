"""The head that hair lies on: how far it reaches, and where its face is.

Directions from the middle of the head are told by octahedral coordinates, which need
no trigonometry: the sphere is folded out into a square, the crown in its middle.
"""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.head_model import HeadModel
from facedirs_jax.rendering.strands import Skin

MIDDLE = (0.0, 7.42, 0.38)  # dm, of the base head, between the ears
MAP_SIDE = 56  # cells along each side of the square
SAMPLES = 3  # points along each side of a quad that the map is made from
# Base heights of crown and eyes, base half width and front of the head, dm.
CROWN_Y, EYE_Y, HALF_WIDTH, FRONT_Z = 8.48, 7.284, 0.745, 1.53
CHIN_TOP = 6.3  # dm, base height below which the foremost vertex is the chin
TEMPLE_Y = (7.45, 7.75)  # dm, base heights between which the half width is measured


class Skull(NamedTuple):
    """One person's head.

    Attributes:
        center: [3] float64, dm, where radii are measured from.
        radii: [N, N] float64, dm, the farthest skin in each direction.
        to_base: [8] float64; see `base_place`.
    """

    center: np.ndarray
    radii: np.ndarray
    to_base: np.ndarray


def measure_skull(model: HeadModel, skin: Skin, neutral: np.ndarray) -> Skull:
    """Measures the head of a neutral shape.

    Args:
        model: the head model.
        skin: its skin.
        neutral: [V, 3] float32, dm.

    Returns:
        The head's measures and radius map.
    """
    base, shape = model.vertices[skin.used], neutral[skin.used]
    temples = (base[:, 1] > TEMPLE_Y[0]) & (base[:, 1] < TEMPLE_Y[1])
    sides = shape[temples].astype(np.float64)
    middle_x = (sides[:, 0].max() + sides[:, 0].min()) / 2
    half_width = (sides[:, 0].max() - sides[:, 0].min()) / 2
    front, back = sides[:, 2].max(), sides[:, 2].min()
    base_back = float(base[temples, 2].min())
    depth = (front - back) / (FRONT_Z - base_back)
    eyes = neutral[np.r_[model.points["joint-l-eye"], model.points["joint-r-eye"]], 1]
    eye_y = eyes.astype(np.float64).sum() / len(eyes)
    crown_y = float(shape[:, 1].max())
    chin = int(
        np.where(model.vertices[:, 1] < CHIN_TOP, model.vertices[:, 2], -9).argmax()
    )
    chin_drop = eye_y - float(neutral[chin, 1])
    base_drop = EYE_Y - float(model.vertices[chin, 1])
    up = (crown_y - eye_y) / (CROWN_Y - EYE_Y)
    center = np.array(
        [
            middle_x,
            eye_y + up * (MIDDLE[1] - EYE_Y),
            back + depth * (MIDDLE[2] - base_back),
        ]
    )
    to_base = np.array(
        [
            *(middle_x, eye_y, center[2]),
            *(HALF_WIDTH / half_width, 1 / up, base_drop / chin_drop),
            *(1 / depth, MIDDLE[2]),
        ]
    )
    return Skull(center, _radius_map(skin.skull, neutral, center), to_base)


@njit(inline="always")
def base_place(
    to_base: np.ndarray, x: float, y: float, z: float
) -> tuple[float, float, float]:
    """About where a point near a head would be near the base head, dm.

    By the [8] numbers of `Skull.to_base`: the head is scaled along each axis; below the
    eyes by the height of the lower face.
    """
    height = y - to_base[1]
    height *= to_base[4] if height > 0 else to_base[5]
    ahead = (z - to_base[2]) * to_base[6] + to_base[7]
    return (x - to_base[0]) * to_base[3], EYE_Y + height, ahead


@njit(inline="always")
def _cell(x: float, y: float, z: float) -> tuple[float, float]:
    """Column and row of a direction in [0, MAP_SIDE]."""
    size = abs(x) + abs(y) + abs(z) + 1e-12
    u, v = x / size, z / size
    if y < 0:
        unfolded = u
        u = (1 - abs(v)) * (1.0 if u >= 0 else -1.0)
        v = (1 - abs(unfolded)) * (1.0 if v >= 0 else -1.0)
    return MAP_SIDE * (0.5 + 0.5 * u), MAP_SIDE * (0.5 + 0.5 * v)


@njit(inline="always")
def radius_towards(radii: np.ndarray, x: float, y: float, z: float) -> float:
    """Radius of the head in a direction, dm, bilinear in a map of [rows, columns]."""
    column, row = _cell(x, y, z)
    last = MAP_SIDE - 1.001
    column = min(max(column - 0.5, 0.0), last)
    row = min(max(row - 0.5, 0.0), last)
    i, j = int(row), int(column)
    fi, fj = row - i, column - j
    upper = radii[i, j] + fj * (radii[i, j + 1] - radii[i, j])
    lower = radii[i + 1, j] + fj * (radii[i + 1, j + 1] - radii[i + 1, j])
    return upper + fi * (lower - upper)


@njit(nogil=True, error_model="numpy")
def _radius_map(
    quads: np.ndarray, vertices: np.ndarray, center: np.ndarray
) -> np.ndarray:
    squares = np.zeros((MAP_SIDE, MAP_SIDE))
    for i in range(len(quads)):
        a, b, c, d = quads[i, 0], quads[i, 1], quads[i, 2], quads[i, 3]
        for k in range(SAMPLES * SAMPLES):
            s, t = (k // SAMPLES + 0.5) / SAMPLES, (k % SAMPLES + 0.5) / SAMPLES
            p, q, r, o = (1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t
            x = p * vertices[a, 0] + q * vertices[b, 0]
            x += r * vertices[c, 0] + o * vertices[d, 0] - center[0]
            y = p * vertices[a, 1] + q * vertices[b, 1]
            y += r * vertices[c, 1] + o * vertices[d, 1] - center[1]
            z = p * vertices[a, 2] + q * vertices[b, 2]
            z += r * vertices[c, 2] + o * vertices[d, 2] - center[2]
            column, row = _cell(x, y, z)
            j, i_ = min(int(column), MAP_SIDE - 1), min(int(row), MAP_SIDE - 1)
            squares[i_, j] = max(squares[i_, j], x * x + y * y + z * z)
    _fill(squares)
    return _smoothed(np.sqrt(squares))


@njit(nogil=True, error_model="numpy")
def _fill(values: np.ndarray) -> None:
    """Gives empty cells the largest value beside them, until none is empty."""
    empty = True
    while empty:
        empty = False
        before = values.copy()
        for i in range(MAP_SIDE):
            for j in range(MAP_SIDE):
                if before[i, j] > 0:
                    continue
                for k in range(max(i - 1, 0), min(i + 2, MAP_SIDE)):
                    for m in range(max(j - 1, 0), min(j + 2, MAP_SIDE)):
                        values[i, j] = max(values[i, j], before[k, m])
                empty = empty or values[i, j] == 0


@njit(nogil=True, error_model="numpy")
def _smoothed(values: np.ndarray) -> np.ndarray:
    """Means over 3 x 3 cells."""
    means = np.empty_like(values)
    for i in range(MAP_SIDE):
        for j in range(MAP_SIDE):
            total, count = 0.0, 0
            for k in range(max(i - 1, 0), min(i + 2, MAP_SIDE)):
                for m in range(max(j - 1, 0), min(j + 2, MAP_SIDE)):
                    total += values[k, m]
                    count += 1
            means[i, j] = total / count
    return means
