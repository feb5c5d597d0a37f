"""Hairs that grow by steps along the head: the loops over strands."""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.skull import (
    MIDDLE,
    Skull,
    base_place,
    radius_towards,
)
from facedirs_jax.rendering.strands import POINTS

CURTAIN_ROWS, CURTAIN_LOW, CURTAIN_HIGH = 160, 5.6, 8.16  # dm, base heights
NEAREST = 0.008  # dm, how close to the skin a strand may lie
SETTLED = 0.95  # share of its motion to or from the skin that a lying strand loses
HANGING_X = 0.65  # dm, base half width that hanging hair leans in to
FALL_INWARD = 0.08  # how far it leans in, of its way down
CURTAIN_SLACK = 0.85  # share of the curtain that no strand passes
ASIDE, ASTERN = 0.6, 0.7  # how a strand turns that reaches the face


class Seedlings(NamedTuple):
    """Strands before they grow, one row each, float64.

    Attributes:
        start: [S, 3] dm, roots.
        heading: [S, 3] first direction, unit length.
        step: [S] dm, length of each of the 11 pieces.
        layer: [S] dm, height above the skin that the strand settles at.
        bend: [S, 3] what is added to the direction at each step.
        hem: [S] dm, base height at which the strand is cut.
        side: [S] -1 or 1, to which side of the face it parts.
        shift: [S] how far it stays behind the curtain, tangent of an angle.
    """

    start: np.ndarray
    heading: np.ndarray
    step: np.ndarray
    layer: np.ndarray
    bend: np.ndarray
    hem: np.ndarray
    side: np.ndarray
    shift: np.ndarray


class Laws(NamedTuple):
    """What moves all strands of a head alike; see `Cut`."""

    weight: float
    hug: float
    free: float
    parted: float  # 1: the face parts the hair; 0: hair ends there


def curtain_table(knots: np.ndarray, fringe: float) -> np.ndarray:
    """Tangent of the azimuth that hair may not pass, by base height.

    Args:
        knots: [K, 2] base height in dm, azimuth in degrees.
        fringe: base height above which hair may pass, dm.

    Returns:
        [CURTAIN_ROWS] float64.
    """
    heights = np.linspace(CURTAIN_LOW, CURTAIN_HIGH, CURTAIN_ROWS)
    azimuth = np.interp(heights, knots[:, 0], knots[:, 1])
    return np.where(heights > fringe, 0.0, np.tan(np.radians(azimuth)))


@njit(inline="always")
def _curtain(table: np.ndarray, height: float) -> float:
    place = (height - CURTAIN_LOW) / (CURTAIN_HIGH - CURTAIN_LOW) * CURTAIN_ROWS
    if place >= CURTAIN_ROWS:
        return 0.0
    return table[max(int(place), 0)]


@njit(inline="always")
def _put(path: np.ndarray, s: int, k: int, x: float, y: float, z: float) -> None:
    path[s, k, 0], path[s, k, 1], path[s, k, 2] = x, y, z


@njit(nogil=True, error_model="numpy")
def grow(seeds: Seedlings, laws: Laws, skull: Skull, curtain: np.ndarray) -> np.ndarray:
    """[S, POINTS, 3] float64, dm: strands laid over a head, step by step."""
    path = np.empty((len(seeds.start), POINTS, 3))
    for s in range(len(path)):
        x, y, z = seeds.start[s, 0], seeds.start[s, 1], seeds.start[s, 2]
        dx, dy, dz = seeds.heading[s, 0], seeds.heading[s, 1], seeds.heading[s, 2]
        _put(path, s, 0, x, y, z)
        kept = POINTS - 1.0
        for k in range(1, POINTS):
            dx += seeds.bend[s, 0]
            dy += seeds.bend[s, 1] - laws.weight * (0.6 + 0.8 * k / POINTS)
            dz += seeds.bend[s, 2]
            times = 1 / np.sqrt(dx * dx + dy * dy + dz * dz + 1e-12)
            dx, dy, dz = dx * times, dy * times, dz * times
            step = seeds.step[s]
            x, y, z = x + dx * step, y + dy * step, z + dz * step
            layer = seeds.layer[s] * min(1.0, 0.2 + k / 3)
            x, y, z, dx, dy, dz = _settle(x, y, z, dx, dy, dz, layer, laws, skull)
            _put(path, s, k, x, y, z)
            bx, by, bz = base_place(skull.to_base, x, y, z)
            ahead = bz - MIDDLE[2]
            edge = _curtain(curtain, by) * (1 + seeds.shift[s])
            if abs(bx) < edge * ahead:
                if laws.parted == 0.0:
                    kept = k - 1.0
                    break
                side = seeds.side[s] if abs(bx) < 0.05 else np.sign(bx)
                out = np.sqrt((bx * bx + ahead * ahead) / (1 + edge * edge))
                x += (side * out * edge - bx) / skull.to_base[3]
                z += (out - ahead) / skull.to_base[6]
                _put(path, s, k, x, y, z)
                dx, dz = dx + ASIDE * side, dz - ASTERN
            if by < seeds.hem[s]:
                kept = k
                break
        trim(path[s], kept)
    return path


@njit(inline="always")
def _settle(x, y, z, dx, dy, dz, layer, laws, skull):
    """A strand's place and direction after the head and its weight have had their say.

    Hair is lifted out of the layer below it, drawn back to its layer, or hangs.
    """
    ux, uy, uz = x - skull.center[0], y - skull.center[1], z - skull.center[2]
    reach = radius_towards(skull.radii, ux, uy, uz) + layer
    radius = np.sqrt(ux * ux + uy * uy + uz * uz)
    times = 1 / radius
    ux, uy, uz = ux * times, uy * times, uz * times
    along = dx * ux + dy * uy + dz * uz
    lifted = 0.0
    if radius < reach:
        lifted, along = reach - radius, min(along, 0.0)
    else:
        bx, by, _ = base_place(skull.to_base, x, y, z)
        if by > laws.free:
            lifted, along = (reach - radius) * laws.hug, along * laws.hug
        else:
            inward = FALL_INWARD * min(max((HANGING_X - abs(bx)) * 5, -1.0), 0.0)
            dx = 0.5 * dx + inward * np.sign(bx)
            dy, dz, along = 0.5 * dy - 0.5, 0.5 * dz, 0.0
    lost = SETTLED * along
    return (
        *(x + lifted * ux, y + lifted * uy, z + lifted * uz),
        *(dx - lost * ux, dy - lost * uy, dz - lost * uz),
    )


@njit(inline="always")
def trim(strand: np.ndarray, kept: float) -> None:
    """Spreads all points of a strand, [K, 3], over its first `kept` pieces."""
    last = len(strand) - 1
    if kept >= last:
        return
    kept = max(kept, 0.2)
    final = int(np.ceil(kept)) - 1
    for k in range(last, 0, -1):  # from the tip: reads only what still stands
        place = k * kept / last
        i = min(int(place), final)
        part = place - i
        for axis in range(3):
            here, beyond = strand[i, axis], strand[i + 1, axis]
            strand[k, axis] = here + part * (beyond - here)


@njit(nogil=True, error_model="numpy")
def find_locks(base: np.ndarray, every: int) -> np.ndarray:
    """[S] int64: for each root the nearest among every so many of the roots."""
    guides = np.arange(0, len(base), every)
    middles = base[guides].astype(np.float32)
    nearest = np.empty(len(base), np.int64)
    for s in range(len(base)):
        x, y, z = base[s, 0], base[s, 1], base[s, 2]
        least, found = np.float32(1e9), 0
        for g in range(len(guides)):
            dx = np.float32(x) - middles[g, 0]
            dy = np.float32(y) - middles[g, 1]
            dz = np.float32(z) - middles[g, 2]
            far = dx * dx + dy * dy + dz * dz
            if far < least:
                least, found = far, g
        nearest[s] = guides[found]
    return nearest


@njit(nogil=True, error_model="numpy")
def gather(path: np.ndarray, locks: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Draws strands together in locks, roots not and tips the most.

    Args:
        path: [S, POINTS, 3] dm.
        locks: [S] the strand that each one is drawn to.
        shares: [S] of the way that the tip moves.

    Returns:
        [S, POINTS, 3] float64, dm.
    """
    ramp = np.empty(POINTS)
    for k in range(POINTS):
        ramp[k] = (k / (POINTS - 1.0)) ** 1.5
    gathered = np.empty_like(path)
    for s in range(len(path)):
        guide = locks[s]
        for k in range(POINTS):
            share = shares[s] * ramp[k]
            for axis in range(3):
                here = path[s, k, axis]
                gathered[s, k, axis] = here + share * (path[guide, k, axis] - here)
    return gathered


@njit(nogil=True, error_model="numpy")
def wind(
    path: np.ndarray,
    coil: np.ndarray,
    phase: np.ndarray,
    turn: np.ndarray,
    center: np.ndarray,
) -> np.ndarray:
    """Winds strands into curls, that reach their full size after three steps.

    Args:
        path: [S, POINTS, 3] dm.
        coil: [S] dm, radius of the curls.
        phase: [S] radians.
        turn: [S] radians per step.
        center: [3] dm, of the head.

    Returns:
        [S, POINTS, 3] float64, dm.
    """
    wound = path.copy()
    for s in range(len(path)):
        sine, cosine = np.sin(phase[s]), np.cos(phase[s])
        turned_sine, turned_cosine = np.sin(turn[s]), np.cos(turn[s])
        for k in range(1, POINTS):
            x, y, z = path[s, k, 0], path[s, k, 1], path[s, k, 2]
            tx, ty, tz = (
                x - path[s, k - 1, 0],
                y - path[s, k - 1, 1],
                z - path[s, k - 1, 2],
            )
            ux, uy, uz = x - center[0], y - center[1], z - center[2]
            wx, wy, wz = uy * tz - uz * ty, uz * tx - ux * tz, ux * ty - uy * tx
            sine, cosine = (
                sine * turned_cosine + cosine * turned_sine,
                cosine * turned_cosine - sine * turned_sine,
            )
            size = coil[s] * min(1.0, k / 3)
            up = size * cosine / np.sqrt(ux * ux + uy * uy + uz * uz)
            across = size * sine / (np.sqrt(wx * wx + wy * wy + wz * wz) + 1e-9)
            wound[s, k, 0] += up * ux + across * wx
            wound[s, k, 1] += up * uy + across * wy
            wound[s, k, 2] += up * uz + across * wz
    return wound


@njit(nogil=True, error_model="numpy")
def keep_out(path: np.ndarray, skull: Skull, curtain: np.ndarray) -> np.ndarray:
    """Lifts strands out of the head and ends them where they would cross the face.

    Args:
        path: [S, POINTS, 3] dm, changed.
        skull: of the head.
        curtain: [rows] of heights, see `curtain_table`.

    Returns:
        [S, POINTS, 3] float32, dm.
    """
    center = skull.center
    for s in range(len(path)):
        kept = POINTS - 1.0
        for k in range(1, POINTS):
            x, y, z = path[s, k, 0], path[s, k, 1], path[s, k, 2]
            ux, uy, uz = x - center[0], y - center[1], z - center[2]
            radius = np.sqrt(ux * ux + uy * uy + uz * uz)
            nearest = radius_towards(skull.radii, ux, uy, uz) + NEAREST
            if radius < nearest:
                times = nearest / radius
                x, y, z = (
                    center[0] + times * ux,
                    center[1] + times * uy,
                    center[2] + times * uz,
                )
                _put(path, s, k, x, y, z)
            bx, by, bz = base_place(skull.to_base, x, y, z)
            ahead = bz - MIDDLE[2]
            if ahead > 0 and abs(bx) < CURTAIN_SLACK * _curtain(curtain, by) * ahead:
                kept = k - 1.0
                break
        trim(path[s], kept)
    return path.astype(np.float32)
