"""Eyelashes, along the strips that the head model has for them."""

import functools

import numpy as np

from facedirs_jax.rendering.head_model import HeadModel, load_head_model
from facedirs_jax.rendering.strands import POINTS, Strands, check_shape

STRIPS = {  # part -> its hairs, their width, and where the longest ends (0 lid, 1 rim)
    "l-eyelashes-1": (30, 0.22, 0.55),  # lower lid
    "r-eyelashes-1": (30, 0.22, 0.55),
    "l-eyelashes-2": (60, 0.34, 0.9),  # upper lid
    "r-eyelashes-2": (60, 0.34, 0.9),
}
START = 0.15  # where lashes begin, across the strip
INNER_LENGTH = 0.45  # of a lash in the inner corner, times the longest
LEAN = 0.03  # how far tips lean outwards, of the strip's length
LASH_RGB = (0.012, 0.009, 0.008)  # linear
GLOSS = 0.1
_LASH_STREAM = 301


def strip_grid(quads: np.ndarray, vertices: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Orders the vertices of a strip of quads.

    Args:
        quads: [P, 4] int32, a rectangular grid of quads.
        vertices: [V, 3] dm.
        eye: [3] dm, centre of the eye, nearest to one corner of the lid's row.

    Returns:
        [columns, rows] int64, vertices; row 0 lies on the lid, column 0 at the corner
        that is nearest to the eye's centre.
    """
    edges = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)]).tolist()
    beside: dict[int, set[int]] = {}
    for a, b in edges:
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    corners = [vertex for vertex in beside if len(beside[vertex]) == 2]
    distance = np.linalg.norm(vertices[corners] - eye, axis=1)
    first = corners[int(distance.argmin())]
    along = _steps_from(first, beside)
    # Of the other corners the farthest lies across, the second farthest along the lid.
    second = sorted(corners, key=along.__getitem__)[2]
    back = _steps_from(second, beside)
    length = along[second]
    rows = (along[sorted(corners, key=along.__getitem__)[1]]) + 1
    grid = np.zeros((length + 1, rows), np.int64)
    for vertex, steps in along.items():
        column = (steps - back[vertex] + length) // 2
        grid[column, steps - column] = vertex
    return grid


def _steps_from(start: int, beside: dict[int, set[int]]) -> dict[int, int]:
    steps = {start: 0}
    reached = [start]
    for vertex in reached:
        for other in beside[vertex] - steps.keys():
            steps[other] = steps[vertex] + 1
            reached.append(other)
    return steps


def _lay(model: HeadModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices [S, 12, 4] that each point lies between, weights, and widths [S]."""
    corners, weights, widths = [], [], []
    draws = np.random.default_rng(_LASH_STREAM)
    for name, (count, width, reach) in STRIPS.items():
        eye = model.vertices[model.points[f"joint-{name[0]}-eye"]].mean(axis=0)
        grid = strip_grid(model.parts[name], model.vertices, eye)
        ends = np.abs(model.vertices[grid[[0, -1], 0], 0])
        grid = grid if ends[0] < ends[1] else grid[::-1]  # from the inner corner
        columns, rows = np.array(grid.shape) - 1
        root = (np.arange(count) + draws.uniform(0.1, 0.9, count)) / count
        length = reach * draws.uniform(0.75, 1.0, count)
        length *= INNER_LENGTH + (1 - INNER_LENGTH) * np.sin(0.75 * np.pi * root)
        across = np.linspace(0, 1, POINTS)[None]
        u = root[:, None] + (LEAN + 0.01 * draws.normal(size=(count, 1))) * across
        u = np.clip(u, 0, 1) * columns
        v = (START + length[:, None] * (1 - START) * across) * rows
        i = np.minimum(u.astype(np.int64), columns - 1)
        j = np.minimum(v.astype(np.int64), rows - 1)
        s, t = u - i, v - j
        corners.append([grid[i, j], grid[i + 1, j], grid[i + 1, j + 1], grid[i, j + 1]])
        weights.append([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t])
        widths.append(np.full(count, width, np.float32))
    return (
        np.concatenate(corners, axis=1),
        np.concatenate(weights, axis=1).astype(np.float32),
        np.concatenate(widths),
    )


@functools.cache
def _shipped_lay() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _lay(load_head_model())


def grow_lashes(model: HeadModel, vertices: np.ndarray) -> Strands:
    """Grows the eyelashes of both lids of both eyes.

    Args:
        model: the head model.
        vertices: [V, 3] float32, dm, the shape of the head with its expression.

    Returns:
        Strands, the same ones for every shape.

    Raises:
        ValueError: if vertices is not [V, 3] or not finite.
    """
    vertices = check_shape(model, vertices)
    shipped = model is load_head_model()
    corners, weights, widths = _shipped_lay() if shipped else _lay(model)
    points = weights[0, ..., None] * vertices[corners[0]]
    for corner in range(1, 4):
        points += weights[corner, ..., None] * vertices[corners[corner]]
    return Strands(
        points=points,
        color=np.tile(np.array(LASH_RGB, np.float32), (len(points), 1)),
        width=widths,
        gloss=np.full(len(points), GLOSS, np.float32),
    )
