"""What stands behind the head: studio walls, rooms and light out of focus.

Kind, colours and places are drawn from a stream of the photo alone, so that no
background tells who is before it.
"""

import math

import numpy as np

from facedirs_jax.rendering.factors import Photo

KINDS = ("studio", "coloured", "room", "blinds", "lights", "outdoors")
SHARES = (0.34, 0.14, 0.22, 0.08, 0.10, 0.12)
GRID = 64  # painted at this size, px, and enlarged: all of it is out of focus
_BACKDROP_STREAM = 502


def paint_backdrop(photo: Photo, size: int) -> np.ndarray:
    """Paints the background of a photo.

    Args:
        photo: whose `detail` draws it.
        size: side of the picture, px.

    Returns:
        [size, size, 3] float32, linear RGB; the same picture at every size.
    """
    draws = np.random.default_rng([photo.detail, _BACKDROP_STREAM])
    kind = KINDS[int(draws.choice(len(KINDS), p=SHARES))]
    painted = _PAINTERS[kind](draws, *_grid())
    return _enlarge(np.clip(painted, 0.005, 1.2).astype(np.float32), size)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Places of the painted pixels' centres, 0 to 1: to the right, and downwards."""
    place = (np.arange(GRID) + 0.5) / GRID
    return place[None, :], place[:, None]


def _bell(x: np.ndarray, y: np.ndarray, cx: float, cy: float, r: float) -> np.ndarray:
    """[GRID, GRID, 1]: 1 at the centre, a Gaussian of standard deviation r."""
    across = np.exp(-0.5 * ((x - cx) / r) ** 2)
    down = np.exp(-0.5 * ((y - cy) / r) ** 2)
    return (across * down)[..., None]


def _edge(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 on one side of a line, 1 on the other, with a soft step between."""
    t = np.clip(distance / softness * 0.5 + 0.5, 0, 1)
    return (t * t * (3 - 2 * t))[..., None]


def _color(draws: np.random.Generator, low: float, high: float, strength: float):
    """Linear RGB of some brightness and at most that strength of colour."""
    hue = draws.uniform(0, 2 * math.pi)
    tint = draws.uniform(0, strength)
    brightness = math.exp(draws.uniform(math.log(low), math.log(high)))
    return np.array(
        [brightness * (1 + tint * math.cos(hue + k * 2.0944)) for k in range(3)]
    )


def _studio(draws, x, y):
    return _lit_wall(draws, x, y, _color(draws, 0.06, 0.55, 0.05))


def _coloured(draws, x, y):
    return _lit_wall(draws, x, y, _color(draws, 0.06, 0.4, 0.6))


def _lit_wall(draws, x, y, color):
    """A wall with a pool of light, and darker towards the corners."""
    cx, cy = draws.uniform(0.3, 0.7), draws.uniform(0.25, 0.65)
    pool = draws.uniform(0.1, 0.6)
    slope = draws.uniform(-0.15, 0.15, 2)
    shade = 1 - pool / 2 + pool * _bell(x, y, cx, cy, draws.uniform(0.3, 0.6))
    return color * shade * (1 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5))[..., None]


def _room(draws, x, y):
    """Walls, furniture and a window, blurred."""
    picture = _lit_wall(draws, x, y, _color(draws, 0.1, 0.45, 0.25))
    corner = draws.uniform(-0.2, 1.2)
    side = _edge((x - corner) * draws.choice((-1, 1)) + 0 * y, 0.04)
    picture = picture * (1 - side * draws.uniform(0.1, 0.4))
    for _ in range(draws.integers(2, 6)):
        left, top = draws.uniform(-0.3, 1.0), draws.uniform(-0.2, 1.0)
        wide, high = draws.uniform(0.1, 0.5), draws.uniform(0.1, 0.6)
        soft = draws.uniform(0.03, 0.12)
        inside = _edge(x - left + 0 * y, soft) * _edge(left + wide - x + 0 * y, soft)
        inside = inside * _edge(y - top + 0 * x, soft)
        inside = inside * _edge(top + high - y + 0 * x, soft)
        color = _color(draws, 0.02, 0.7, 0.4)
        picture = picture + (color - picture) * inside * draws.uniform(0.5, 1)
    return picture


def _blinds(draws, x, y):
    """Slats before daylight."""
    count, phase = draws.uniform(7, 16), draws.uniform(0, 1)
    tilt = draws.uniform(-0.05, 0.05)
    wave = 0.5 + 0.5 * np.cos(2 * math.pi * (count * (y + tilt * x) + phase))
    slat = _color(draws, 0.12, 0.4, 0.12)
    day = _color(draws, 0.4, 0.9, 0.12)
    glow = 0.5 + 0.5 * _bell(x, y, draws.uniform(0, 1), draws.uniform(0, 0.6), 0.5)
    return slat + (day - slat) * (wave[..., None] * draws.uniform(0.3, 0.8)) * glow


def _lights(draws, x, y):
    """Discs of light far behind, in the dark."""
    picture = _lit_wall(draws, x, y, _color(draws, 0.01, 0.08, 0.4))
    for _ in range(draws.integers(5, 14)):
        cx, cy = draws.uniform(-0.05, 1.05), draws.uniform(-0.05, 0.8)
        radius = draws.uniform(0.02, 0.07)
        distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        color = _color(draws, 0.1, 0.8, 0.6)
        picture = picture + color * _edge(radius - distance, 0.03) * 0.8
    return picture


def _outdoors(draws, x, y):
    """Sky over ground, with foliage or walls as soft blobs."""
    sky = _color(draws, 0.4, 0.8, 0.08) * (0.92, 1.0, 1.1)
    ground = _color(draws, 0.05, 0.25, 0.3)
    horizon = draws.uniform(0.35, 0.95)
    picture = sky + (ground - sky) * _edge(
        y - horizon + 0 * x, draws.uniform(0.05, 0.3)
    )
    leaf = _color(draws, 0.03, 0.15, 0.3) * (0.9, 1.15, 0.7)
    for _ in range(draws.integers(4, 12)):
        cx, cy = draws.uniform(-0.1, 1.1), horizon + draws.uniform(-0.35, 0.2)
        blob = _bell(x, y, cx, cy, draws.uniform(0.04, 0.18))
        picture = picture + (leaf * draws.uniform(0.5, 1.8) - picture) * blob * 0.8
    return picture


_PAINTERS = {
    "studio": _studio,
    "coloured": _coloured,
    "room": _room,
    "blinds": _blinds,
    "lights": _lights,
    "outdoors": _outdoors,
}


def _enlarge(picture: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, from [GRID, GRID, 3] to [size, size, 3], the edges continued."""
    place = np.clip((np.arange(size) + 0.5) * (GRID / size) - 0.5, 0, GRID - 1)
    first = np.minimum(place.astype(np.int32), GRID - 2)
    share = (place - first).astype(np.float32)
    rows = picture[first] * (1 - share)[:, None, None]
    rows = rows + picture[first + 1] * share[:, None, None]
    columns = rows[:, first] * (1 - share)[None, :, None]
    return columns + rows[:, first + 1] * share[None, :, None]
