"""Soft shadows and ambient occlusion, both from depth maps of parallel light."""

import functools
import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering import raster
from facedirs_jax.rendering.camera import rotated
from facedirs_jax.rendering.compiled import njit

SPREAD = 5.0  # degrees, radius of the flash as the head sees it
SHADOW_EXTENT = 4.2  # dm, side of what a shadow map shows
OCCLUSION_EXTENT = 4.6  # dm
OCCLUSION_SIZE = 96  # px
OCCLUSION_DIRECTIONS = 16
OCCLUSION_LIFT = 0.04  # dm along the normal, of points that ask for light
OCCLUSION_REACH = 0.05  # dm; what shades from closer than this is the surface itself
STRAND_STEP = 4  # every fourth strand occludes


Direction = tuple[float, float, float]


class ShadowMaps(NamedTuple):
    """What each of several lights sees of the head.

    Attributes:
        depth: [L, M, M] float32, dm towards the light, about the head's centre.
        axes: [L, 3, 3] float64, rows: right, up, towards the light; in the head frame.
        scale: px / dm.
    """

    depth: np.ndarray
    axes: np.ndarray
    scale: float


def axes_towards(direction: Direction) -> np.ndarray:
    """[3, 3] float64, rows right, up and the unit direction itself."""
    x, y, z = direction
    across = (z, 0.0, -x) if abs(y) < 0.95 else (0.0, -z, y)
    length = math.sqrt(sum(value * value for value in across))
    a, b, c = (value / length for value in across)
    return np.array(
        [[a, b, c], [y * c - z * b, z * a - x * c, x * b - y * a], [x, y, z]]
    )


def light_direction(azimuth: float, elevation: float) -> Direction:
    """The unit vector to a light, from degrees to the head's left and upwards."""
    around, up = math.radians(azimuth), math.radians(elevation)
    flat = math.cos(up)
    return math.sin(around) * flat, math.sin(up), math.cos(around) * flat


def shadow_maps(
    points: np.ndarray,
    triangles: np.ndarray,
    strands: np.ndarray,
    direction: Direction,
    *,
    num_lights: int,
    size: int,
) -> ShadowMaps:
    """Depth as seen from points spread over a round light.

    Args:
        points: [P, 3] float32, dm, head frame, about the head's centre.
        triangles: [T, 3] int32.
        strands: [S, K, 3] float32, dm.
        direction: towards the middle of the light, unit.
        num_lights: points of the light; one makes hard shadows.
        size: side of the depth maps, px.

    Returns:
        The maps.
    """
    axes = np.array([axes_towards(d) for d in _spread(direction, num_lights)])
    scale = size / SHADOW_EXTENT
    maps = np.full((num_lights, size, size), raster.FARTHEST, np.float32)
    for depth, frame in zip(maps, axes, strict=True):
        _draw(points, triangles, strands, frame, scale, depth)
    return ShadowMaps(maps, axes, scale)


def ambient_occlusion(
    points: np.ndarray, normals: np.ndarray, triangles: np.ndarray, strands: np.ndarray
) -> np.ndarray:
    """How much of the light from all around reaches each vertex.

    Args:
        points: [P, 3] float32, dm, about the head's centre.
        normals: [P, 3] float32, unit.
        triangles: [T, 3] int32.
        strands: [S, K, 3] float32, dm; a few of them stand for all.

    Returns:
        [P] float32 in [0, 1]: 1 where nothing is in the way.
    """
    scale = OCCLUSION_SIZE / OCCLUSION_EXTENT
    reached = np.zeros(len(points), np.float64)
    possible = np.zeros(len(points), np.float64)
    few = np.ascontiguousarray(strands[::STRAND_STEP, ::2])
    lifted = points + normals * np.float32(OCCLUSION_LIFT)
    for axes in _all_around():
        depth = np.full((OCCLUSION_SIZE, OCCLUSION_SIZE), raster.FARTHEST, np.float32)
        _draw(points, triangles, few, axes, scale, depth)
        seen = _parallel(lifted, axes, scale, len(depth) / 2)
        _add_light(seen, normals, axes[2], depth, reached, possible)
    return (reached / np.maximum(possible, 1e-6)).astype(np.float32)


@njit(nogil=True)
def visibility(depth, axes, scale, place, bias):
    """Share of the light's points that see a point of the head, smoothly.

    Args:
        depth: of `ShadowMaps`.
        axes: of them.
        scale: of them.
        place: three numbers, dm.
        bias: dm; what is nearer to the light by no more than this casts no shadow.

    Returns:
        In [0, 1].
    """
    num_lights, height, width = depth.shape
    total = 0.0
    for n in range(num_lights):
        right, up, near = rotated(axes[n], place[0], place[1], place[2])
        across = right * scale + (width * 0.5 - 0.5)
        down = (height * 0.5 - 0.5) - up * scale
        i, j = int(np.floor(across)), int(np.floor(down))
        if i < 0 or j < 0 or i >= width - 1 or j >= height - 1:
            total += 1.0
            continue
        near += bias
        fx, fy = across - i, down - j
        if near > depth[n, j, i]:
            total += (1 - fx) * (1 - fy)
        if near > depth[n, j, i + 1]:
            total += fx * (1 - fy)
        if near > depth[n, j + 1, i]:
            total += (1 - fx) * fy
        if near > depth[n, j + 1, i + 1]:
            total += fx * fy
    return total / num_lights


def _draw(
    points: np.ndarray,
    triangles: np.ndarray,
    strands: np.ndarray,
    axes: np.ndarray,
    scale: float,
    depth: np.ndarray,
) -> None:
    seen = _parallel(points, axes, scale, len(depth) / 2)
    raster.draw_depth(seen, triangles, depth)
    if len(strands):
        flat = _parallel(strands.reshape(-1, 3), axes, scale, len(depth) / 2)
        raster.draw_strands_depth(flat.reshape(strands.shape), depth)


def _spread(direction: Direction, count: int) -> list[Direction]:
    """Directions over a disc about one: two rings, alike on its left and right."""
    right, up, ahead = axes_towards(direction)
    radius = math.tan(math.radians(SPREAD))
    inner = count // 3
    rings = ((inner, inner / 2, 90.0), (count - inner, (count + inner) / 2, -90.0))
    found = []
    for members, area, start in rings:
        for k in range(members):
            angle = math.radians(start + 360.0 * k / members)
            reach = radius * math.sqrt(area / count) if count > 1 else 0.0
            offset = right * math.cos(angle) + up * math.sin(angle)
            moved = ahead + offset * reach
            x, y, z = moved.tolist()
            length = math.sqrt(x * x + y * y + z * z)
            found.append((x / length, y / length, z / length))
    return found


@functools.cache
def _all_around() -> list[np.ndarray]:
    """Axes towards directions spread evenly over the sphere, in mirrored pairs."""
    golden = (1 + math.sqrt(5)) / 2
    pairs = OCCLUSION_DIRECTIONS // 2
    frames = []
    for k in range(pairs):  # a Fibonacci lattice over the left half
        height = 1 - 2 * (k + 0.5) / pairs
        flat, around = math.sqrt(1 - height * height), math.pi * (k / golden % 1)
        for side in (1, -1):
            across, ahead = side * flat * math.sin(around), flat * math.cos(around)
            frames.append(axes_towards((across, height, ahead)))
    return frames


@njit(nogil=True)
def _parallel(points, axes, scale, middle):
    seen = np.empty(points.shape, np.float32)
    for p in range(len(points)):
        x, y, z = rotated(axes, points[p, 0], points[p, 1], points[p, 2])
        seen[p, 0] = middle + x * scale
        seen[p, 1] = middle - y * scale
        seen[p, 2] = z
    return seen


@njit(nogil=True)
def _add_light(seen, normals, towards, depth, reached, possible):
    height, width = depth.shape
    for p in range(len(seen)):
        facing = (
            normals[p, 0] * towards[0]
            + normals[p, 1] * towards[1]
            + normals[p, 2] * towards[2]
        )
        if facing <= 0:
            continue
        possible[p] += facing
        i = min(max(int(seen[p, 0]), 0), width - 1)
        j = min(max(int(seen[p, 1]), 0), height - 1)
        if seen[p, 2] + OCCLUSION_REACH > depth[j, i]:
            reached[p] += facing
