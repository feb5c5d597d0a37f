"""Beards and moustaches: short strands that follow the face's expression."""

import functools

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.factors import Look, Person
from facedirs_jax.rendering.hairline import beard_cover, hair_rgb
from facedirs_jax.rendering.head_model import HeadModel, load_head_model
from facedirs_jax.rendering.strand_growth import find_locks, gather, trim
from facedirs_jax.rendering.strands import (
    POINTS,
    Roots,
    Skin,
    Strands,
    check_shape,
    draw_roots,
    head_skin,
    no_strands,
    root_points,
    unit,
    vertex_normals,
)

DENSITY, LIP_DENSITY = 1500.0, 4000.0  # strands per dm^2, and in a moustache
SHORTEST, LONGEST = 0.03, 0.25  # dm, at an amount of 0 and of 1
WIDTHS, GLOSS = (0.35, 0.68), 0.25  # width of the shortest and of longer hair
LOCK_ROOTS = 16  # strands in a lock
# Base places, dm, and how long hair is there as a share of the longest.
LIP_TOP = 6.66  # above it and nearer than LIP_SIDE to the middle grows the moustache
LIP_SIDE = 0.37
SHARES = {"moustache": 0.75, "cheek": 0.45, "neck": 0.40, "chin": 1.0}
CHIN = (0.0, 6.24, 1.42)
CHIN_REACH = 0.55  # dm around it, where the beard is longest
JAW_Y = 6.32  # dm, base height of the jaw's lower edge
DOWN = (0.0, -1.0, 0.22)  # the way a beard grows, before it is laid along the skin
OUTWARD = (0.85, -0.55, 0.0)  # the way a moustache grows, away from the middle
LIFT = 0.45  # how much hair stands up from the skin at its root
SETTLE = 0.13  # of it lost at each step
GREY_DARK, GREY_SHADES = 0.3, (0.55, 1.2)  # share and shades of grey hair's two kinds
WISP = 0.22  # spread of directions between neighbours
CLUMP = 0.35  # share of the way that tips draw together in locks
FULL_CLUMP = 0.12  # dm; shorter hair draws together less
# A line on the upper lip that no moustache crosses, base places in dm.
UPPER_LIP = np.array(
    [
        *((-0.29, 6.605), (-0.21, 6.635), (-0.135, 6.655), (-0.065, 6.665), (0, 6.665)),
        *((0.065, 6.665), (0.135, 6.655), (0.21, 6.635), (0.29, 6.605)),
    ]
)
_FACIAL_STREAM = 401


def grow_facial_hair(
    model: HeadModel, vertices: np.ndarray, person: Person, look: Look
) -> Strands:
    """Grows a beard or a moustache on a face with its expression.

    Args:
        model: the head model.
        vertices: [V, 3] float32, dm, the shape of the head with its expression.
        person: its `detail` draws the cheek line and how evenly it grows.
        look: kind, amount and colour; its `detail` draws the single strands.

    Returns:
        Strands; none for "none" and for "stubble", which is painted on the skin.

    Raises:
        ValueError: if vertices is not [V, 3] or not finite.
    """
    vertices = check_shape(model, vertices)
    if look.facial_hair in ("none", "stubble"):
        return no_strands()
    draws = np.random.default_rng([look.detail, _FACIAL_STREAM])
    skin = head_skin(model)
    roots, base = _sow(model, skin, person, look, draws)
    start = root_points(*roots, vertices)
    normals = unit(root_points(*roots, vertex_normals(skin.quads, vertices)))
    own, shared = draws.normal(size=(2, len(base), 3))
    first, second = draws.random((2, len(base)))
    locks = find_locks(base, LOCK_ROOTS)
    length = _lengths(base, look.facial_hair_amount) * (0.7 + 0.5 * first)
    noise = WISP * (0.7 * own + 0.7 * shared[locks])
    heading = unit(_combed(base, normals) + noise)
    path = _lay(start, normals, heading, length / (POINTS - 1), 0.35 * noise)
    path = gather(path, locks, CLUMP * np.clip(length / FULL_CLUMP, 0, 1))
    path = _clear_mouth(path, _over_lip(base), vertices[_lip_line(model)])
    shade = np.exp(0.16 * own[:, 0] + 0.10 * shared[locks, 1]) * (0.65 + 0.5 * second)
    if look.hair_color == "grey":
        shade *= np.where(first < GREY_DARK, *GREY_SHADES)
    return Strands(
        points=path.astype(np.float32),
        color=(hair_rgb(person, look) * shade[:, None]).astype(np.float32),
        width=np.interp(length, [SHORTEST, 3 * SHORTEST], WIDTHS).astype(np.float32),
        gloss=np.full(len(base), GLOSS, np.float32),
    )


def _sow(
    model: HeadModel,
    skin: Skin,
    person: Person,
    look: Look,
    draws: np.random.Generator,
) -> tuple[Roots, np.ndarray]:
    """Roots where facial hair grows, and their places on the base head, dm."""
    cover = beard_cover(model.vertices, person, look)[skin.quads].max(axis=1)
    middles = model.vertices[skin.quads].mean(axis=1)
    density = np.where(_over_lip(middles), LIP_DENSITY, DENSITY)
    roots = draw_roots(skin, skin.areas * density * (cover > 0), draws)
    base = root_points(*roots, model.vertices)
    kept = beard_cover(base, person, look) > draws.random(len(base))
    return Roots(roots.quads[kept], roots.weights[kept]), base[kept]


def _over_lip(base: np.ndarray) -> np.ndarray:
    return (base[:, 1] > LIP_TOP) & (np.abs(base[:, 0]) < LIP_SIDE)


def _lengths(base: np.ndarray, amount: float) -> np.ndarray:
    """[S] dm, longest on the chin."""
    longest = SHORTEST + (LONGEST - SHORTEST) * amount
    x, y, z = (base - np.array(CHIN)).T
    near = np.exp(-(x * x + y * y + z * z) / CHIN_REACH**2)
    rest = np.where(base[:, 1] < JAW_Y, SHARES["neck"], SHARES["cheek"])
    share = rest + (SHARES["chin"] - rest) * near
    share = np.where(_over_lip(base), SHARES["moustache"], share)
    return np.maximum(longest * share, SHORTEST)


def _combed(base: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """[S, 3] direction at the root, along the skin and a little up from it."""
    moustache = _over_lip(base)[:, None]
    sides = np.clip(base[:, :1] / 0.10, -1, 1)
    combed = np.where(
        moustache,
        np.array(OUTWARD) * np.hstack([sides, sides * 0 + 1, sides * 0]),
        DOWN,
    )
    n = normals
    out = combed[:, 0] * n[:, 0] + combed[:, 1] * n[:, 1] + combed[:, 2] * n[:, 2]
    return unit(combed - out[:, None] * n) + LIFT * n


@njit(nogil=True, error_model="numpy")
def _lay(
    start: np.ndarray,
    normals: np.ndarray,
    heading: np.ndarray,
    step: np.ndarray,
    bend: np.ndarray,
) -> np.ndarray:
    """[S, POINTS, 3] float64, dm: strands that rise from the skin and lie down."""
    path = np.empty((len(start), POINTS, 3))
    for s in range(len(path)):
        x, y, z = start[s, 0], start[s, 1], start[s, 2]
        dx, dy, dz = heading[s, 0], heading[s, 1], heading[s, 2]
        path[s, 0, 0], path[s, 0, 1], path[s, 0, 2] = x, y, z
        for k in range(1, POINTS):
            dx += bend[s, 0] / POINTS - SETTLE * LIFT * normals[s, 0]
            dy += bend[s, 1] / POINTS - SETTLE * LIFT * normals[s, 1]
            dz += bend[s, 2] / POINTS - SETTLE * LIFT * normals[s, 2]
            size = step[s] / np.sqrt(dx * dx + dy * dy + dz * dz + 1e-12)
            x, y, z = x + dx * size, y + dy * size, z + dz * size
            path[s, k, 0], path[s, k, 1], path[s, k, 2] = x, y, z
    return path


@njit(nogil=True, error_model="numpy")
def _clear_mouth(path: np.ndarray, held: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Ends held strands where they would cross a line; changes and returns them all."""
    for s in range(len(path)):
        if not held[s]:
            continue
        for k in range(1, POINTS):
            x, y = path[s, k, 0], path[s, k, 1]
            i = 0
            while i < len(line) - 2 and x > line[i + 1, 0]:
                i += 1
            part = (x - line[i, 0]) / (line[i + 1, 0] - line[i, 0])
            if 0 <= part <= 1 and y < line[i, 1] + part * (line[i + 1, 1] - line[i, 1]):
                trim(path[s], k - 1.0)
                break
    return path


@functools.cache
def _shipped_lip_line() -> np.ndarray:
    return _find_lip_line(load_head_model())


def _lip_line(model: HeadModel) -> np.ndarray:
    shipped = model is load_head_model()
    return _shipped_lip_line() if shipped else _find_lip_line(model)


def _find_lip_line(model: HeadModel) -> np.ndarray:
    """The foremost vertices about the line on the upper lip, from right to left."""
    x, y, z = model.vertices.T
    apart = (x - UPPER_LIP[:, :1]) ** 2 + (y - UPPER_LIP[:, 1:]) ** 2
    return (apart - 0.02 * z).argmin(axis=1)
