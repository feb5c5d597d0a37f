import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.factors import Person, Photo
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.lashes import STRIPS, grow_lashes, strip_grid
from facedirs_jax.rendering.morphs import expressed_shape, neutral_shape

MODEL = load_head_model()


def flat_strip(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.array([[i, j, 0] for j in range(rows) for i in range(columns)])
    corner = np.array(
        [j * columns + i for j in range(rows - 1) for i in range(columns - 1)]
    )
    quads = np.stack([corner, corner + 1, corner + columns + 1, corner + columns], 1)
    return vertices.astype(np.float64), quads


def test_a_strip_is_ordered_from_the_corner_that_is_nearest_to_the_eye():
    vertices, quads = flat_strip(6, 3)
    shuffled = np.random.default_rng(0).permutation(len(quads))
    grid = strip_grid(quads[shuffled], vertices, np.array([0.0, -1.0, 0.0]))
    np.testing.assert_array_equal(grid, np.arange(18).reshape(3, 6).T)


def test_lashes_start_at_the_eye_and_end_away_from_it():
    lashes = grow_lashes(MODEL, MODEL.vertices)
    assert len(lashes.points) == sum(count for count, _, _ in STRIPS.values())
    eye = MODEL.vertices[MODEL.points["joint-l-eye"]].mean(axis=0)
    left = lashes.points[lashes.points[:, 0, 0] > 0]
    assert len(left) * 2 == len(lashes.points)
    root, tip = (np.linalg.norm(left[:, k] - eye, axis=1) for k in (0, -1))
    assert (tip > root).all()
    assert tip.max() < 0.3
    upper = left[:, 0, 1] > eye[1] + 0.01
    assert (left[upper, -1, 1] > left[upper, 0, 1] - 0.01).all()


def test_lashes_follow_the_lids():
    person = Person(3)
    squint = Photo(expression="squint", expression_amount=1.0)
    open_eyes = grow_lashes(MODEL, neutral_shape(person)).points
    closing = grow_lashes(MODEL, expressed_shape(person, squint)).points
    upper = open_eyes[:, 0, 1] > np.median(open_eyes[:, 0, 1])
    assert (closing - open_eyes)[upper, 0, 1].mean() < -0.01
    moved = np.array([0.1, -0.2, 0.3], np.float32)
    again = grow_lashes(MODEL, neutral_shape(person) + moved).points
    np.testing.assert_allclose(again, open_eyes + moved, atol=1e-5)


def test_vertices_must_be_finite():
    with pytest.raises(ValueError, match="finite"):
        grow_lashes(MODEL, np.full_like(MODEL.vertices, np.nan))
