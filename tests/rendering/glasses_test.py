import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import Look, Person
from facedirs_jax.rendering.glasses import FRAME_RGB, FRAMES, frame_color, glasses_mesh
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.morphs import neutral_shape
from facedirs_jax.rendering.surface import (
    LEFT_EYE,
    RIGHT_EYE,
    find_eyeballs,
    head_surface,
    surface_points,
    vertex_normals,
)

MODEL = load_head_model()
FACES = {
    "usual": Person(),
    "deep nose": Person(detail=3, nose_depth=1.0, nose_hump=1.0),
    "flat face": Person(detail=4, nose_depth=-1.0, cheekbones=1.0, asian=1.0),
    "wide": Person(detail=5, face_width=1.0, eye_distance=1.0, weight=1.0),
    "narrow": Person(detail=6, face_width=-1.0, eye_distance=-1.0, gender=0.0),
}


def volume(points: np.ndarray, triangles: np.ndarray) -> float:
    """Enclosed by a mesh, positive if its triangles face outwards; dm^3."""
    a, b, c = (points[triangles[:, k]].astype(np.float64) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def nearest_in_front(skin: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How much farther forward points lie than the skin within 0.03 dm behind them."""
    gaps = []
    for point in points:
        beside = np.abs(skin[:, :2] - point[:2]).max(axis=1) < 0.03
        if beside.any():
            gaps.append(point[2] - skin[beside, 2].max())
    return np.array(gaps)


@pytest.mark.parametrize("style", FRAMES)
@pytest.mark.parametrize("person", FACES.values(), ids=FACES)
def test_rims_and_bridge_lie_on_no_skin_but_close_to_it(person, style):
    shape = neutral_shape(person)
    mesh = glasses_mesh(MODEL, shape, style)
    eyes = find_eyeballs(MODEL, shape)
    surface = head_surface()
    own = (surface.materials != LEFT_EYE) & (surface.materials != RIGHT_EYE)
    rows = np.unique(surface.triangles[own])
    skin = surface_points(surface, MODEL, shape)[rows]
    reach = abs(eyes.centers[0, 0]) + FRAMES[style].half_width - 0.06
    front = mesh.points[np.abs(mesh.points[:, 0]) < reach]
    front = front[front[:, 2] > eyes.centers[0, 2]]
    gaps = nearest_in_front(skin, front)
    assert gaps.min() > -0.01  # dm
    assert gaps.min() < 0.12


@pytest.mark.parametrize("style", FRAMES)
def test_each_eye_has_its_rim_and_each_ear_its_temple(style):
    shape = neutral_shape(Person(detail=2))
    mesh = glasses_mesh(MODEL, shape, style)
    frame = FRAMES[style]
    for center in find_eyeballs(MODEL, shape).centers:
        offset = mesh.points - (center - [0, frame.drop, 0])
        close = np.abs(offset[:, :2]).max(axis=1) < frame.half_width * 1.2
        rim = offset[close & (offset[:, 2] > 0)]
        assert rim[:, 1].max() == pytest.approx(frame.half_height, abs=0.05)
        assert rim[:, 1].min() == pytest.approx(-frame.half_height, abs=0.05)
        side = np.sign(center[0])
        temple = mesh.points[(side * mesh.points[:, 0] > 0.6)]
        assert temple[:, 2].min() < 0.45  # dm, behind the ear's root


@pytest.mark.parametrize("style", FRAMES)
def test_the_mesh_faces_outwards_and_has_no_loose_points(style):
    mesh = glasses_mesh(MODEL, neutral_shape(Person()), style)
    assert volume(*mesh) > 0
    assert set(mesh.triangles.ravel()) == set(range(len(mesh.points)))
    normals = vertex_normals(mesh.points, mesh.triangles)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_a_face_without_glasses_has_an_empty_mesh():
    mesh = glasses_mesh(MODEL, MODEL.vertices, "none")
    assert mesh.points.shape == (0, 3) and mesh.triangles.shape == (0, 3)


def test_the_look_alone_draws_the_colour():
    colors = {frame_color(Look(detail=detail)) for detail in range(60)}
    assert colors == set(FRAME_RGB)
    assert frame_color(Look(detail=1)) == frame_color(Look(detail=1, glasses="round"))


def test_other_styles_are_refused():
    with pytest.raises(InputError, match=r"'monocle'.*'round'"):
        glasses_mesh(MODEL, MODEL.vertices, "monocle")
