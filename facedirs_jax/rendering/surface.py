"""The surface that is drawn: the head model's skin, subdivided, with eyes and teeth.

One step of Catmull-Clark subdivision is a sparse matrix over the model's vertices, so
that any shape of the head becomes its surface in one product.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import sparse

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.head_model import UV_WINDOW, HeadModel, load_head_model

# What a triangle is made of.
SKIN, BODY, CAVITY, SOCKET, LEFT_EYE, RIGHT_EYE, TEETH, TONGUE, FRAME = range(9)

CAVITY_U, CAVITY_V = 0.7, 0.142  # the mouth's inside lies right of and below these
SOCKET_Y = 6.8  # dm; what lies higher and off the face's texture lines the eye sockets
EYE_RADIUS = 0.955  # of the model's eyeball, which else pokes through closed lids
EYE_RINGS, EYE_SIDES = 12, 24
EYE_REACH = 0.6  # share of pi from the eyeball's front pole to the edge of the mesh


class Surface(NamedTuple):
    """What stays the same whatever the head's shape.

    Attributes:
        matrix: [S, V] float32 sparse, model vertices -> points; its first V rows are
            the model's own vertices, moved to the smooth surface.
        triangles: [T, 3] int32, of points; eyeballs take the points from S on.
        uvs: [T, 3, 2] float32, texture coordinates of the corners; 0 off the skin.
        materials: [T] int8, `SKIN` to `TONGUE`.
        coarse: [C, 3] int32, the triangles of the model itself, without eyeballs.
        base: [S + E, 3] float32, dm, the points of the base shape.
    """

    matrix: sparse.csr_matrix
    triangles: np.ndarray
    uvs: np.ndarray
    materials: np.ndarray
    coarse: np.ndarray
    base: np.ndarray


class Eyeballs(NamedTuple):
    """Where the eyes are, left one first.

    Attributes:
        centers: [2, 3] float32, dm.
        radii: [2] float32, dm.
    """

    centers: np.ndarray
    radii: np.ndarray


@functools.cache
def head_surface() -> Surface:
    """The surface of the head model that ships with the package."""
    model = load_head_model()
    names = ("upper-teeth", "lower-teeth", "tongue")
    quads = np.concatenate([model.quads, *(model.parts[name] for name in names)])
    extra = len(quads) - len(model.quads)
    uvs = np.concatenate([model.uvs, np.zeros((extra, 4, 2), np.float32)])
    materials = np.concatenate(
        [_skin_materials(model)]
        + [
            np.full(len(model.parts[name]), material, np.int8)
            for name, material in zip(names, (TEETH, TEETH, TONGUE), strict=True)
        ]
    )
    matrix, fine, fine_uvs = subdivide(quads, uvs, len(model.vertices))
    triangles, corners = split_quads(fine, fine_uvs)
    eye_triangles, eye_materials = _eye_triangles(int(fine.max()) + 1)
    eyes = eye_points(find_eyeballs(model, model.vertices))
    base = np.concatenate([matrix @ model.vertices, eyes])
    return Surface(
        matrix=matrix,
        triangles=np.concatenate([triangles, eye_triangles]),
        uvs=np.concatenate([corners, np.zeros((len(eye_triangles), 3, 2), np.float32)]),
        # Each quad gave four, once per corner; each of these, two triangles.
        materials=np.concatenate([np.tile(materials, 8), eye_materials]),
        coarse=split_quads(quads, uvs)[0],
        base=base,
    )


def surface_points(surface: Surface, model: HeadModel, shape: np.ndarray) -> np.ndarray:
    """Where a shape of the head puts the surface.

    Args:
        surface: of the model.
        model: the head model.
        shape: [V, 3] float32, dm, the model's vertices.

    Returns:
        [S + E, 3] float32, dm.
    """
    eyes = eye_points(find_eyeballs(model, shape))
    return np.concatenate([surface.matrix @ shape, eyes])


def find_eyeballs(model: HeadModel, shape: np.ndarray) -> Eyeballs:
    """Fits a sphere to each eyeball of a shape of the head, [V, 3] dm."""
    centers, radii = [], []
    for side in "lr":
        joint = shape[model.points[f"joint-{side}-eye"]].astype(np.float64)
        across = shape[model.points[f"helper-{side}-eye"], 0]
        centers.append(joint.sum(axis=0) / len(joint))
        radii.append((across.max() - across.min()) / 2 * EYE_RADIUS)
    return Eyeballs(np.array(centers, np.float32), np.array(radii, np.float32))


def eye_points(eyes: Eyeballs) -> np.ndarray:
    """[E, 3] float32, dm: points of both eyeballs, the left one's first."""
    sphere = _unit_sphere()
    spheres = [c + r * sphere for c, r in zip(eyes.centers, eyes.radii, strict=True)]
    return np.concatenate(spheres).astype(np.float32)


@njit(nogil=True)
def _between(points, start, end):
    return (
        points[end, 0] - points[start, 0],
        points[end, 1] - points[start, 1],
        points[end, 2] - points[start, 2],
    )


@njit(nogil=True, error_model="numpy")
def vertex_normals(points, triangles):
    """Unit normals of a mesh, each the mean of its triangles' weighted by area.

    Args:
        points: [P, 3] float32.
        triangles: [T, 3] int32, counter-clockwise seen from outside.

    Returns:
        [P, 3] float32; 0 for a point of no triangle.
    """
    normals = np.zeros(points.shape, np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ux, uy, uz = _between(points, a, b)
        vx, vy, vz = _between(points, a, c)
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for p in range(len(points)):
        x, y, z = normals[p, 0], normals[p, 1], normals[p, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            for k in range(3):
                normals[p, k] /= length
    return normals


def subdivide(
    quads: np.ndarray, uvs: np.ndarray, count: int
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """One step of Catmull-Clark subdivision, with sharp boundaries.

    Catmull and Clark, Recursively generated B-spline surfaces on arbitrary topological
    meshes, 1978. Vertices of no quad stay where they are.

    Args:
        quads: [Q, 4] int32.
        uvs: [Q, 4, 2] float32, texture coordinates of their corners.
        count: number of vertices.

    Returns:
        [S, V] float32 matrix; [4Q, 4] int32 quads of its rows; [4Q, 4, 2] float32. The
        rows are first the V vertices, then the edges, then the quads.
    """
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1)  # [Q, 4, 2]
    edges, side_edges = np.unique(
        np.sort(sides.reshape(-1, 2), axis=1), axis=0, return_inverse=True
    )
    side_edges = side_edges.reshape(len(quads), 4)
    shared = np.bincount(side_edges.ravel(), minlength=len(edges)) == 2
    quad_of_corner = np.repeat(np.arange(len(quads)), 4)

    quad_points = _rows(quads, count) * 0.25
    middles = _rows(edges, count) * 0.5
    touching = _incidence(side_edges.ravel(), quad_of_corner, len(edges), len(quads))
    edge_points = _diagonal(np.where(shared, 0.5, 1.0)) @ middles
    edge_points += _diagonal(np.where(shared, 0.25, 0.0)) @ touching @ quad_points
    own_points = _vertex_points(quads, edges, shared, quad_points, middles, count)

    stacked = sparse.vstack([own_points, edge_points, quad_points])
    matrix = sparse.csr_matrix(stacked, dtype=np.float32)
    matrix.sort_indices()
    edge_rows = count + side_edges
    quad_rows = count + len(edges) + np.arange(len(quads))
    new_quads, new_uvs = [], []
    for k in range(4):
        before = (k + 3) % 4
        rows = (quads[:, k], edge_rows[:, k], quad_rows, edge_rows[:, before])
        new_quads.append(np.stack(rows, axis=1))
        after, back = (uvs[:, k] + uvs[:, (k + 1) % 4]) / 2, uvs[:, k] + uvs[:, before]
        new_uvs.append(np.stack([uvs[:, k], after, uvs.mean(1), back / 2], axis=1))
    return (
        matrix,
        np.concatenate(new_quads).astype(np.int32),
        np.concatenate(new_uvs).astype(np.float32),
    )


def split_quads(quads: np.ndarray, uvs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[Q, 4] quads and their corners' [Q, 4, 2] -> [2Q, 3] and [2Q, 3, 2]."""
    halves = ([0, 1, 2], [0, 2, 3])
    return (
        np.concatenate([quads[:, half] for half in halves]),
        np.concatenate([uvs[:, half] for half in halves]),
    )


def _vertex_points(
    quads: np.ndarray,
    edges: np.ndarray,
    shared: np.ndarray,
    quad_points: sparse.csr_matrix,
    middles: sparse.csr_matrix,
    count: int,
) -> sparse.csr_matrix:
    quad_of_corner = np.repeat(np.arange(len(quads)), 4)
    edge_of_end = np.repeat(np.arange(len(edges)), 2)
    in_quads = _incidence(quads.ravel(), quad_of_corner, count, len(quads))
    in_edges = _incidence(edges.ravel(), edge_of_end, count, len(edges))
    in_borders = in_edges @ _diagonal(np.where(shared, 0.0, 1.0))
    valence = np.asarray(in_edges.sum(axis=1)).ravel()
    num_quads = np.maximum(np.asarray(in_quads.sum(axis=1)).ravel(), 1)
    num_borders = np.asarray(in_borders.sum(axis=1)).ravel()
    border, used = num_borders > 0, valence > 0
    inner = used & ~border
    n = np.maximum(valence, 1)
    keep = np.where(inner, (n - 3) / n, np.where(border, 0.5, 1.0))
    rows = _diagonal(keep) @ sparse.identity(count, format="csr")
    rows += _diagonal(np.where(inner, 1 / (n * num_quads), 0)) @ in_quads @ quad_points
    rows += _diagonal(np.where(inner, 2 / n**2, 0)) @ in_edges @ middles
    border_share = np.where(border, 0.5 / np.maximum(num_borders, 1), 0)
    return rows + _diagonal(border_share) @ in_borders @ middles


def _rows(members: np.ndarray, count: int) -> sparse.csr_matrix:
    """[N, K] vertices -> [N, count] matrix that sums them."""
    rows = np.repeat(np.arange(len(members)), members.shape[1])
    return _incidence(rows, members.ravel(), len(members), count)


def _incidence(
    rows: np.ndarray, columns: np.ndarray, height: int, width: int
) -> sparse.csr_matrix:
    ones = np.ones(len(rows))
    return sparse.csr_matrix((ones, (rows, columns)), (height, width))


def _diagonal(values: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(sparse.diags(values))


def _skin_materials(model: HeadModel) -> np.ndarray:
    u, v = model.uvs[..., 0], model.uvs[..., 1]
    low_u, _, _, high_v = UV_WINDOW
    heights = model.vertices[model.quads, 1].mean(axis=1)
    materials = np.full(len(model.quads), BODY, np.int8)
    materials[heights > SOCKET_Y] = SOCKET
    on_face = (u.min(1) > low_u) & (v.max(1) < high_v) & (v.min(1) > CAVITY_V)
    materials[on_face] = SKIN
    materials[(u.min(1) > CAVITY_U) & (v.max(1) < CAVITY_V)] = CAVITY
    return materials


@functools.cache
def _unit_sphere() -> np.ndarray:
    polar = np.linspace(0, np.pi * EYE_REACH, EYE_RINGS)[:, None]
    around = (np.arange(EYE_SIDES) * (2 * np.pi / EYE_SIDES))[None]
    x, y = np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)
    z = np.cos(polar) + np.zeros_like(around)
    return np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)


def _eye_triangles(first: int) -> tuple[np.ndarray, np.ndarray]:
    ring, side = np.divmod(np.arange((EYE_RINGS - 1) * EYE_SIDES), EYE_SIDES)
    a = ring * EYE_SIDES + side
    b = ring * EYE_SIDES + (side + 1) % EYE_SIDES
    c, d = a + EYE_SIDES, b + EYE_SIDES
    one = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(
        np.int32
    )
    both = np.concatenate([one + first, one + first + EYE_RINGS * EYE_SIDES])
    eyes = np.repeat(np.array([LEFT_EYE, RIGHT_EYE], np.int8), len(one))
    return both, eyes
