"""Glasses: two rims, a bridge and temples, as thin tubes fitted to a head."""

import functools
import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import GLASSES, Look
from facedirs_jax.rendering.head_model import HeadModel
from facedirs_jax.rendering.surface import (
    SKIN,
    find_eyeballs,
    head_surface,
    surface_points,
)


class Frame(NamedTuple):
    """Measures of a frame, dm.

    Attributes:
        half_width: of a rim.
        half_height: of a rim.
        power: of the rim's superellipse: 2 is round, more is squarer.
        radius: of the tubes.
        drop: of the rims' middle below the eyes.
        bridge: height of the bridge above the rims' middle.
    """

    half_width: float
    half_height: float
    power: float
    radius: float
    drop: float
    bridge: float


class Mesh(NamedTuple):
    """Triangles of their own points.

    Attributes:
        points: [P, 3] float32, dm, in the frame of the head model.
        triangles: [T, 3] int32.
    """

    points: np.ndarray
    triangles: np.ndarray


FRAMES = {
    "round": Frame(0.215, 0.205, 2.0, 0.010, 0.03, 0.06),
    "square": Frame(0.240, 0.175, 4.0, 0.016, 0.04, 0.07),
}
FRAME_RGB = (  # linear: blacks, tortoiseshell, metals, colours
    *((0.012, 0.012, 0.013), (0.030, 0.028, 0.027), (0.070, 0.028, 0.012)),
    *((0.30, 0.29, 0.28), (0.34, 0.24, 0.10), (0.020, 0.035, 0.090)),
    *((0.110, 0.016, 0.020),),
)
WRAP = 0.22  # 1 / dm: how the front bends backwards, z = -WRAP x^2
CLEARANCE, TEMPLE_CLEARANCE = 0.02, 0.01  # dm, between tubes and skin
EYE_CLEARANCE = 0.10  # dm, between the eyeballs and the rims' plane
RIM_STEPS, SIDES = 40, 6
EAR = (0.79, 7.40, 0.42)  # dm in the base shape, where a temple rests
TIP_IN, TIP_DROP, TIP_BACK = 0.02, 0.14, 0.16  # dm, of a temple behind the ear
BRIDGE_RISE = 0.02  # dm, of the bridge's arch, upwards and forwards
BESIDE = 0.04  # dm; skin this near to a tube, as seen from the front, must clear it
FACE_Z = 0.6  # dm; skin farther back touches no rim
_COLOR_STREAM = 302


def frame_color(look: Look) -> tuple[float, float, float]:
    """Linear RGB, drawn by the look's `detail`."""
    draws = np.random.default_rng([look.detail, _COLOR_STREAM])
    return FRAME_RGB[int(draws.integers(len(FRAME_RGB)))]


def glasses_mesh(model: HeadModel, neutral: np.ndarray, style: str) -> Mesh:
    """Fits a frame to a head: clear of the face, temples on the ears.

    Args:
        model: the head model.
        neutral: [V, 3] float32, dm, the shape of the face at rest.
        style: one of `GLASSES`.

    Returns:
        The mesh; empty for "none".

    Raises:
        InputError: for an unknown style.
    """
    if style not in GLASSES:
        raise InputError(f"glasses are {style!r}; they must be one of {GLASSES}")
    if style == "none":
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    fit = _fit(model, neutral, FRAMES[style])
    tubes = [_bridge(fit)]
    for side in (1, -1):
        tubes += [_rim(fit, side), _temple(model, neutral, fit, side)]
    return _joined(tubes)


class _Fit(NamedTuple):
    """Where a frame sits: its rims' middles at (+-eye_x, middle), dm.

    The front bends around the face: z = front - WRAP x^2.
    """

    frame: Frame
    eye_x: float
    middle: float
    front: float


def _fit(model: HeadModel, neutral: np.ndarray, frame: Frame) -> _Fit:
    balls = find_eyeballs(model, neutral)
    left, right = balls.centers.astype(np.float64).tolist()
    eye_x, middle = (left[0] - right[0]) / 2, (left[1] + right[1]) / 2 - frame.drop
    front = float((balls.centers[:, 2] + balls.radii).max())
    fit = _Fit(frame, eye_x, middle, front + EYE_CLEARANCE + WRAP * eye_x**2)
    return fit._replace(front=max(fit.front, _clear(model, neutral, fit)))


def _clear(model: HeadModel, neutral: np.ndarray, fit: _Fit) -> float:
    """The front, as of `_Fit`, from which on rims and bridge are clear of the skin."""
    frame, skin = fit.frame, _skin_rows()
    points = surface_points(head_surface(), model, neutral)[skin].astype(np.float64)
    x, y, z = np.abs(points[:, 0]), points[:, 1] - fit.middle, points[:, 2]
    level = _power(np.abs(x - fit.eye_x) / frame.half_width, frame.power)
    level += _power(np.abs(y) / frame.half_height, frame.power)
    beside = frame.radius + BESIDE
    touching = np.abs(_power(level, 1 / frame.power) - 1) * frame.half_height < beside
    bridge = x < fit.eye_x - frame.half_width
    touching |= bridge & (np.abs(y - frame.bridge - BRIDGE_RISE / 2) < beside)
    needed = z + WRAP * x * x + frame.radius + CLEARANCE
    return float(needed[touching & (z > FACE_Z)].max())


@functools.cache
def _skin_rows() -> np.ndarray:
    surface = head_surface()
    return np.unique(surface.triangles[surface.materials == SKIN])


def _power(base: np.ndarray, exponent: float) -> np.ndarray:
    return np.exp(exponent * np.log(base + 1e-12))


def _rim(fit: _Fit, side: int) -> Mesh:
    angles = np.arange(RIM_STEPS) * (2 * math.pi / RIM_STEPS)
    cos, sin = np.cos(angles), np.sin(angles)
    share, frame = 2 / fit.frame.power, fit.frame
    x = fit.eye_x + frame.half_width * np.sign(cos) * _power(np.abs(cos), share)
    y = fit.middle + frame.half_height * np.sign(sin) * _power(np.abs(sin), share)
    path = np.stack([side * x, y, fit.front - WRAP * x * x], axis=1)
    return _tube(path if side > 0 else path[::-1], frame.radius, closed=True)


def _bridge(fit: _Fit) -> Mesh:
    t, frame = np.linspace(-1, 1, 9), fit.frame
    rise = (frame.bridge / frame.half_height) ** frame.power
    x = t * (fit.eye_x - frame.half_width * (1 - rise) ** (1 / frame.power))
    arch = BRIDGE_RISE * (1 - t * t)
    y, z = fit.middle + frame.bridge + arch, fit.front - WRAP * x * x + arch
    return _tube(np.stack([x, y, z], axis=1), frame.radius, closed=False)


def _temple(model: HeadModel, neutral: np.ndarray, fit: _Fit, side: int) -> Mesh:
    frame, shape = fit.frame, neutral.astype(np.float64)
    away = model.vertices.astype(np.float64) - np.array([side * EAR[0], *EAR[1:]])
    ear = shape[int((away**2).sum(axis=1).argmin())]
    outer = fit.eye_x + frame.half_width
    hinge = np.array([outer, fit.middle + frame.bridge, fit.front - WRAP * outer**2])
    rest = np.array([abs(ear[0]), ear[1] + frame.radius, ear[2]])
    path = hinge + (rest - hinge) * np.linspace(0, 1, 9)[:, None]
    x, y, z = side * shape[:, 0], shape[:, 1], shape[:, 2]
    for point in path[1:]:
        near = (np.abs(y - point[1]) < 0.07) & (np.abs(z - point[2]) < 0.09) & (x > 0)
        if near.any():
            point[0] = max(point[0], x[near].max() + frame.radius + TEMPLE_CLEARANCE)
    tip = path[-1] + np.array([-TIP_IN, -TIP_DROP, -TIP_BACK])
    path = np.concatenate([path, tip[None]]) * np.array([side, 1, 1])
    return _tube(path if side > 0 else path[::-1], frame.radius, closed=False)


def _tube(path: np.ndarray, radius: float, *, closed: bool) -> Mesh:
    """A tube around a path [N, 3] that runs nowhere straight up."""
    if closed:
        ahead, behind = np.roll(path, -1, axis=0), np.roll(path, 1, axis=0)
    else:
        ahead = np.concatenate([path[1:], path[-1:]])
        behind = np.concatenate([path[:1], path[:-1]])
    along = _unit(ahead - behind)
    # Across the path: away from z for the front, away from y for what runs backwards.
    helper = np.where(np.abs(along[:, 2:]) > 0.8, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    first = _unit(np.cross(helper, along))
    second = np.cross(along, first)
    angles = np.arange(SIDES) * (2 * math.pi / SIDES)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    rings = path[:, None] + radius * (first[:, None] * cos + second[:, None] * sin)
    count = len(path)
    ring, k = np.divmod(np.arange((count if closed else count - 1) * SIDES), SIDES)
    a, b = ring * SIDES + k, ring * SIDES + (k + 1) % SIDES
    after = (ring + 1) % count * SIDES
    c, d = after + k, after + (k + 1) % SIDES
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return Mesh(rings.reshape(-1, 3).astype(np.float32), triangles.astype(np.int32))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt((vectors**2).sum(axis=-1, keepdims=True) + 1e-18)


def _joined(meshes: list[Mesh]) -> Mesh:
    firsts = np.cumsum([0] + [len(mesh.points) for mesh in meshes[:-1]])
    pairs = zip(meshes, firsts, strict=True)
    return Mesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.triangles + np.int32(first) for mesh, first in pairs]),
    )
