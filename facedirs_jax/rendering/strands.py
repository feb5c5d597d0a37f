"""Hairs as polylines, and the skin that they grow from."""

import functools
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.head_model import UV_WINDOW, HeadModel, load_head_model

POINTS = 12  # of each strand, root first
CAVITY_V = 0.142  # texture coordinate below which lies the mouth's inside
LOWEST = 5.95  # dm, base height of the lowest skin that grows hair
SKULL_LOWEST = 6.25  # dm; lower skin, of the shoulders, would push hair outwards


class Strands(NamedTuple):
    """Hairs in the head's frame.

    Attributes:
        points: [S, 12, 3] float32, dm, from root to tip.
        color: [S, 3] float32, linear RGB.
        width: [S] float32, 1 for a hair of the scalp.
        gloss: [S] float32, strength of the white highlight.
    """

    points: np.ndarray
    color: np.ndarray
    width: np.ndarray
    gloss: np.ndarray


class Skin(NamedTuple):
    """Quads of the head that hair can grow from, of the base mesh.

    Attributes:
        quads: [Q, 4] int32.
        areas: [Q] float64, dm^2.
        skull: [P, 4] int32, the quads that hair lies on.
        used: [U] int32, vertices of the skull.
    """

    quads: np.ndarray
    areas: np.ndarray
    skull: np.ndarray
    used: np.ndarray


class Roots(NamedTuple):
    """Points on the skin.

    Attributes:
        quads: [S, 4] int32, corners of the quad each lies in.
        weights: [S, 4] float64 of the corners, summing to 1.
    """

    quads: np.ndarray
    weights: np.ndarray


def no_strands() -> Strands:
    """Strands of a face that has none."""
    empty = np.zeros((0, 3), np.float32)
    none = np.zeros(0, np.float32)
    return Strands(np.zeros((0, POINTS, 3), np.float32), empty, none, none)


def check_shape(model: HeadModel, vertices: np.ndarray) -> np.ndarray:
    """Refuses what is no shape of the model.

    Returns:
        [V, 3] float32, dm, the vertices.

    Raises:
        ValueError: if they are not [V, 3] or not finite.
    """
    if vertices.shape != model.vertices.shape:
        expected = list(model.vertices.shape)
        raise ValueError(f"vertices must be {expected}, not {list(vertices.shape)}")
    if not np.isfinite(vertices).all():
        raise ValueError("vertices must be finite")
    return np.ascontiguousarray(vertices, np.float32)


@functools.cache
def _shipped_skin() -> Skin:
    return _find_skin(load_head_model())


def head_skin(model: HeadModel) -> Skin:
    """The skin of a head model; that of the shipped one is kept."""
    return _shipped_skin() if model is load_head_model() else _find_skin(model)


def _find_skin(model: HeadModel) -> Skin:
    u, v = model.uvs[..., 0], model.uvs[..., 1]
    on_head = (u.min(1) > UV_WINDOW[0]) & (v.max(1) < UV_WINDOW[3])
    on_head &= v.min(1) > CAVITY_V
    corners = model.vertices[model.quads]
    lowest = corners[..., 1].min(1)
    grows = on_head & (lowest > LOWEST)
    first = corners[grows, 2] - corners[grows, 0]
    second = corners[grows, 3] - corners[grows, 1]
    areas = np.linalg.norm(np.cross(first, second).astype(np.float64), axis=1) / 2
    skull = on_head & (lowest > SKULL_LOWEST)
    quads = model.quads[skull]
    return Skin(model.quads[grows], areas, quads, np.unique(quads))


def draw_roots(skin: Skin, expected: np.ndarray, draws: np.random.Generator) -> Roots:
    """Strews roots evenly over quads.

    Args:
        skin: the skin.
        expected: [Q] float64, how many roots each quad gets on average.
        draws: random stream.

    Returns:
        The roots.
    """
    ends = np.cumsum(expected)
    count = int(ends[-1])
    places = (np.arange(count) + draws.random(count)) * (ends[-1] / max(count, 1))
    which = np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)
    s, t = draws.random((2, count))
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], axis=1)
    return Roots(skin.quads[which], weights)


@njit(nogil=True, error_model="numpy")
def root_points(
    quads: np.ndarray, weights: np.ndarray, vertices: np.ndarray
) -> np.ndarray:
    """[S, 3] float64, dm: `Roots` on a shape of the head."""
    found = np.zeros((len(quads), 3))
    for i in range(len(quads)):
        for corner in range(4):
            for axis in range(3):
                of_vertex = vertices[quads[i, corner], axis]
                found[i, axis] += weights[i, corner] * of_vertex
    return found


@njit(nogil=True, error_model="numpy")
def vertex_normals(quads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """[V, 3] float64, not normalised: outward, the sum over the quads around."""
    normals = np.zeros((len(vertices), 3))
    for i in range(len(quads)):
        a, b, c, d = quads[i, 0], quads[i, 1], quads[i, 2], quads[i, 3]
        ax = vertices[c, 0] - vertices[a, 0]
        ay = vertices[c, 1] - vertices[a, 1]
        az = vertices[c, 2] - vertices[a, 2]
        bx = vertices[d, 0] - vertices[b, 0]
        by = vertices[d, 1] - vertices[b, 1]
        bz = vertices[d, 2] - vertices[b, 2]
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in (a, b, c, d):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    return normals


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scales [..., 3] vectors to length 1; 0 stays 0."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    length = np.sqrt(x * x + y * y + z * z)
    return vectors / np.maximum(length, 1e-12)[..., None]
