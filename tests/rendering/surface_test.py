import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.camera import camera_view, to_pixels
from facedirs_jax.rendering.factors import Person, Photo
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.morphs import expressed_shape, neutral_shape
from facedirs_jax.rendering.raster import draw_triangles, empty_buffers
from facedirs_jax.rendering.surface import (
    BODY,
    CAVITY,
    LEFT_EYE,
    RIGHT_EYE,
    SKIN,
    find_eyeballs,
    head_surface,
    split_quads,
    subdivide,
    surface_points,
    vertex_normals,
)

MODEL = load_head_model()
CUBE = np.array(
    [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32
)
CUBE_QUADS = np.array(
    [
        *([0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1]),
        *([2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]),
    ],
    np.int32,
)


def rows_of(material: int) -> np.ndarray:
    surface = head_surface()
    return np.unique(surface.triangles[surface.materials == material])


def no_uvs(quads: np.ndarray) -> np.ndarray:
    return np.zeros((*quads.shape, 2), np.float32)


def catmull_clark(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """The rules of Catmull and Clark, of a closed mesh, one vertex at a time."""
    faces = [tuple(quad) for quad in quads.tolist()]
    middle = {face: vertices[list(face)].mean(axis=0) for face in faces}
    edges: dict[tuple[int, int], list] = {}
    for face in faces:
        for k in range(4):
            a, b = sorted((face[k], face[(k + 1) % 4]))
            edges.setdefault((a, b), []).append(middle[face])
    found = []
    for v, place in enumerate(vertices):
        around = [middle[face] for face in faces if v in face]
        halves = [vertices[list(edge)].mean(axis=0) for edge in edges if v in edge]
        n = len(around)
        mean = np.mean(around, axis=0) + 2 * np.mean(halves, axis=0)
        found.append((mean + (n - 3) * place) / n)
    for edge in sorted(edges):
        found.append((vertices[list(edge)].sum(axis=0) + sum(edges[edge])) / 4)
    return np.array([*found, *(middle[face] for face in faces)])


def test_a_cube_is_subdivided_by_the_rules_of_catmull_and_clark():
    matrix, quads, _ = subdivide(CUBE_QUADS, no_uvs(CUBE_QUADS), len(CUBE))
    expected = catmull_clark(CUBE.astype(np.float64), CUBE_QUADS)
    np.testing.assert_allclose(matrix @ CUBE, expected, atol=1e-6)
    assert quads.shape == (24, 4)
    assert set(quads.ravel()) == set(range(len(expected)))


def test_a_border_stays_on_its_curve_and_a_flat_sheet_flat():
    across, down = np.meshgrid(np.arange(4), np.arange(3))
    sheet = np.stack([across, down, 0 * across], -1).reshape(-1, 3).astype(np.float32)
    corner = np.array([j * 4 + i for j in range(2) for i in range(3)], np.int32)
    quads = np.stack([corner, corner + 1, corner + 5, corner + 4], axis=1)
    matrix, _, _ = subdivide(quads, no_uvs(quads), len(sheet))
    points = matrix @ sheet
    assert not points[:, 2].any()
    assert points.min() >= 0 and points[:, 0].max() <= 3 and points[:, 1].max() <= 2
    np.testing.assert_allclose(points[1], (1, 0, 0), atol=1e-6)  # on the straight side


def test_points_follow_a_shape_that_is_moved_and_stretched():
    surface = head_surface()
    skin = surface.matrix @ MODEL.vertices
    stretched = MODEL.vertices * np.float32(1.5) + np.float32(2)
    np.testing.assert_allclose(surface.matrix @ stretched, skin * 1.5 + 2, atol=1e-4)


def test_texture_coordinates_are_halved_with_the_quads():
    uvs = np.arange(48, dtype=np.float32).reshape(6, 4, 2)
    _, _, fine = subdivide(CUBE_QUADS, uvs, len(CUBE))
    np.testing.assert_array_equal(fine[:6, 0], uvs[:, 0])
    np.testing.assert_array_equal(fine[6:12, 2], uvs.mean(axis=1))
    np.testing.assert_array_equal(fine[:6, 1], (uvs[:, 0] + uvs[:, 1]) / 2)


def test_normals_of_a_round_surface_point_away_from_its_middle():
    uvs = no_uvs(CUBE_QUADS)
    points, quads = CUBE, CUBE_QUADS
    for _ in range(3):
        matrix, quads, uvs = subdivide(quads, uvs, len(points))
        points = np.ascontiguousarray(matrix @ points)
    triangles, _ = split_quads(quads, uvs)
    normals = vertex_normals(points, triangles)
    outwards = points / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert ((normals * outwards).sum(axis=1) > 0.97).all()


def test_every_triangle_has_a_material_and_only_skin_lies_on_the_texture():
    surface = head_surface()
    assert len(surface.triangles) == len(surface.uvs) == len(surface.materials)
    assert surface.triangles.max() + 1 == len(surface.base)
    counts = np.bincount(surface.materials)
    assert (counts > 500).all()
    centers = surface.base[surface.triangles].mean(axis=1)
    assert centers[surface.materials == SKIN, 1].min() > 6.1  # dm
    assert centers[surface.materials == BODY, 1].max() < 6.8
    assert np.abs(centers[surface.materials == CAVITY, 0]).max() < 0.4


def test_eyeballs_are_spheres_about_the_eyes_centres():
    shape = neutral_shape(Person(detail=2))
    points = surface_points(head_surface(), MODEL, shape)
    balls = find_eyeballs(MODEL, shape)
    for eye, material in enumerate((LEFT_EYE, RIGHT_EYE)):
        reach = np.linalg.norm(points[rows_of(material)] - balls.centers[eye], axis=1)
        np.testing.assert_allclose(reach, balls.radii[eye], rtol=1e-5)
    assert balls.centers[0, 0] > 0.2 > -0.2 > balls.centers[1, 0]


@pytest.mark.parametrize("detail", range(4))
def test_closed_lids_show_no_more_of_an_eye_than_a_slit(detail):
    shown = []
    for amount in (0.0, 1.0):
        photo = Photo(expression="squint", expression_amount=amount, zoom=1.3)
        points = surface_points(
            head_surface(), MODEL, expressed_shape(Person(detail=detail), photo)
        )
        points -= points[rows_of(LEFT_EYE)].mean(axis=0)
        buffers = empty_buffers(400, 400)
        view = camera_view(photo, 400)
        draw_triangles(to_pixels(points, view), head_surface().triangles, buffers)
        seen = head_surface().materials[buffers.ids.clip(0)] == LEFT_EYE
        shown.append(seen & (buffers.ids >= 0))
    wide, closed = shown
    assert wide.sum() > 200
    assert closed.sum() < 0.5 * wide.sum()
    assert closed.sum(axis=0).max() < 0.75 * wide.sum(axis=0).max()


def test_a_shape_of_another_mesh_is_refused():
    with pytest.raises(ValueError, match=r"mismatch|dimension"):
        surface_points(head_surface(), MODEL, neutral_shape(Person())[:-1])
