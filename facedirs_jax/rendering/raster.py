"""Z-buffers: which triangle or strand of hair each pixel shows, and depth alone.

Points come in pixels: x to the right, y downwards, the centre of the first pixel at
(0.5, 0.5), and a third number that grows towards the viewer and may be interpolated
linearly over the picture (the inverse distance, or the height in a parallel view).
Pictures are [H, W]; kernels draw into the arrays given to them.
"""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit

FARTHEST = -1e9
NOTHING = -1  # id of a pixel that shows neither triangle nor strand
TAPER = 0.6  # share of its width that a strand loses towards its tip


class Buffers(NamedTuple):
    """What each pixel shows.

    Attributes:
        ids: [H, W] int32: `NOTHING`, a triangle, or a strand's segment.
        weights: [H, W, 2] float32: of a triangle's first two corners, or how far along
            its segment a strand is seen.
        depth: [H, W] float32, larger is closer.
    """

    ids: np.ndarray
    weights: np.ndarray
    depth: np.ndarray


def empty_buffers(height: int, width: int) -> Buffers:
    """Buffers in which nothing is drawn yet."""
    return Buffers(
        ids=np.full((height, width), NOTHING, np.int32),
        weights=np.zeros((height, width, 2), np.float32),
        depth=np.full((height, width), FARTHEST, np.float32),
    )


@njit(nogil=True)
def _span(low, high, length):
    """First pixel and end of those whose centres lie within [low, high]."""
    first = max(0, int(np.ceil(low - 0.5)))
    end = min(length, int(np.floor(high - 0.5)) + 1)
    return first, end


@njit(nogil=True)
def _corners(points, a, b, c):
    """Coordinates in float64, in which the edge functions below are all but exact."""
    return (
        (np.float64(points[a, 0]), np.float64(points[a, 1]), np.float64(points[a, 2])),
        (np.float64(points[b, 0]), np.float64(points[b, 1]), np.float64(points[b, 2])),
        (np.float64(points[c, 0]), np.float64(points[c, 1]), np.float64(points[c, 2])),
    )


@njit(nogil=True)
def _twice_area(p, q, x, y):
    """Of the triangle p, q, (x, y); positive if clockwise as seen, y being down."""
    return (p[0] - x) * (q[1] - y) - (q[0] - x) * (p[1] - y)


@njit(nogil=True, error_model="numpy")
def draw_triangles(points, triangles, buffers):
    """Draws a mesh, back faces left out; a pixel belongs to who covers its centre.

    Args:
        points: [P, 3] float32, px.
        triangles: [T, 3] int32, counter-clockwise as seen from the front.
        buffers: drawn into; ids are rows of `triangles`.
    """
    ids, weights, depth = buffers
    height, width = depth.shape
    for t in range(len(triangles)):
        p, q, r = _corners(points, triangles[t, 0], triangles[t, 1], triangles[t, 2])
        area = _twice_area(p, q, r[0], r[1])
        if not area < 0:  # from behind, without extent, or no number
            continue
        left, right = _span(min(p[0], q[0], r[0]), max(p[0], q[0], r[0]), width)
        top, bottom = _span(min(p[1], q[1], r[1]), max(p[1], q[1], r[1]), height)
        share = 1.0 / area
        for j in range(top, bottom):
            y = j + 0.5
            for i in range(left, right):
                x = i + 0.5
                first = _twice_area(q, r, x, y) * share
                second = _twice_area(r, p, x, y) * share
                third = _twice_area(p, q, x, y) * share
                if first < 0 or second < 0 or third < 0:
                    continue
                z = np.float32(first * p[2] + second * q[2] + third * r[2])
                if z > depth[j, i]:
                    depth[j, i] = z
                    ids[j, i] = t
                    weights[j, i, 0] = first
                    weights[j, i, 1] = second


@njit(nogil=True, error_model="numpy")
def draw_depth(points, triangles, depth):
    """Draws a mesh's depth alone, back faces left out; see `draw_triangles`."""
    height, width = depth.shape
    for t in range(len(triangles)):
        p, q, r = _corners(points, triangles[t, 0], triangles[t, 1], triangles[t, 2])
        area = _twice_area(p, q, r[0], r[1])
        if not area < 0:  # from behind, without extent, or no number
            continue
        left, right = _span(min(p[0], q[0], r[0]), max(p[0], q[0], r[0]), width)
        top, bottom = _span(min(p[1], q[1], r[1]), max(p[1], q[1], r[1]), height)
        share = 1.0 / area
        for j in range(top, bottom):
            y = j + 0.5
            for i in range(left, right):
                x = i + 0.5
                first = _twice_area(q, r, x, y) * share
                second = _twice_area(r, p, x, y) * share
                third = _twice_area(p, q, x, y) * share
                if first >= 0 and second >= 0 and third >= 0:
                    z = np.float32(first * p[2] + second * q[2] + third * r[2])
                    depth[j, i] = max(depth[j, i], z)


@njit(nogil=True)
def _chance(strand, step):
    """A number in [0, 1) for a pixel of a strand, always the same one."""
    mixed = np.uint32(strand) * np.uint32(2654435761) + np.uint32(step) * np.uint32(
        2246822519
    )
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(2654435761)
    mixed ^= mixed >> np.uint32(13)
    return np.float64(mixed & np.uint32(0xFFFFFF)) / 16777216.0


@njit(nogil=True)
def _cross_section(centre, thickness, chance):
    """Pixels, from first to end, that a strand covers across; thin ones by chance."""
    if thickness < 1:
        first = int(np.floor(centre))
        return first, first + (1 if chance < thickness else 0)
    first = int(np.ceil(centre - thickness / 2 - 0.5))
    return first, first + max(1, int(thickness + 0.5))


@njit(nogil=True, error_model="numpy")
def draw_strands(points, widths, bias, first_id, buffers):
    """Draws polylines; one thinner than a pixel covers a like share of its pixels.

    Args:
        points: [S, K, 3] float32, px.
        widths: [S] float32, px, at the root.
        bias: added to the third number, to keep roots above the skin they grow from.
        first_id: id of the first segment; strand s's segment k has s * K + k more.
        buffers: drawn into.
    """
    ids, weights, depth = buffers
    height, width = depth.shape
    num_strands, num_points = points.shape[:2]
    for s in range(num_strands):
        for k in range(num_points - 1):
            x, y = np.float64(points[s, k, 0]), np.float64(points[s, k, 1])
            dx, dy = points[s, k + 1, 0] - x, points[s, k + 1, 1] - y
            z = np.float64(points[s, k, 2])
            dz = points[s, k + 1, 2] - z
            steep = abs(dy) > abs(dx)
            start, rise = (y, dy) if steep else (x, dx)
            if rise == 0:
                continue
            across, slope = (x, dx / dy) if steep else (y, dy / dx)
            limit, others = (height, width) if steep else (width, height)
            thick = widths[s] * (1 - TAPER * k / (num_points - 1))
            thick *= np.sqrt(1 + slope * slope)
            # Half open, so that segments that meet share no pixel.
            begin = max(0, int(np.ceil(min(start, start + rise) - 0.5)))
            end = min(limit, int(np.ceil(max(start, start + rise) - 0.5)))
            for m in range(begin, end):
                along = m + 0.5 - start
                t = along / rise
                near = np.float32(z + t * dz + bias)
                chance = _chance(s, m)
                first, last = _cross_section(across + along * slope, thick, chance)
                for n in range(max(0, first), min(others, last)):
                    j, i = (m, n) if steep else (n, m)
                    if near > depth[j, i]:
                        depth[j, i] = near
                        ids[j, i] = first_id + s * num_points + k
                        weights[j, i, 0] = t
                        weights[j, i, 1] = 0


@njit(nogil=True, error_model="numpy")
def draw_strands_depth(points, depth):
    """Draws the depth of polylines alone, one pixel wide.

    Args:
        points: [S, K, 3] float32, px.
        depth: [H, W] float32, drawn into.
    """
    height, width = depth.shape
    num_strands, num_points = points.shape[:2]
    for s in range(num_strands):
        for k in range(num_points - 1):
            x, y, z = points[s, k, 0], points[s, k, 1], points[s, k, 2]
            dx, dy = points[s, k + 1, 0] - x, points[s, k + 1, 1] - y
            dz = points[s, k + 1, 2] - z
            steps = int(max(abs(dx), abs(dy))) + 1
            for m in range(steps):
                t = np.float32((m + 0.5) / steps)
                i, j = int(np.floor(x + t * dx)), int(np.floor(y + t * dy))
                if 0 <= i < width and 0 <= j < height:
                    depth[j, i] = max(depth[j, i], z + t * dz)
