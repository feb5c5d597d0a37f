import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.strands import (
    Skin,
    check_shape,
    draw_roots,
    head_skin,
    no_strands,
    root_points,
    unit,
    vertex_normals,
)

# A cube of side 2 around the origin, its quads counterclockwise seen from outside.
CUBE = np.array(
    [[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], np.float32
)
QUADS = np.array(
    [
        *([0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4]),
        *([2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]),
    ],
    np.int32,
)
SKIN = Skin(QUADS, np.full(6, 4.0), QUADS, np.arange(8))


def test_the_vertex_normals_of_a_cube_point_along_its_diagonals():
    normals = unit(vertex_normals(QUADS, CUBE))
    np.testing.assert_allclose(normals, CUBE / np.sqrt(3), atol=1e-6)
    assert not unit(np.zeros((2, 3))).any()


def test_roots_are_strewn_in_the_wanted_numbers_over_the_quads():
    wanted = np.array([0.0, 300.0, 100.0, 0.0, 50.0, 50.0])
    roots = draw_roots(SKIN, wanted, np.random.default_rng(0))
    points = root_points(*roots, CUBE)
    assert len(points) == 500
    np.testing.assert_allclose(np.abs(points).max(axis=1), 1, atol=1e-6)
    on_quad = [np.isclose(points[:, axis], 1).sum() for axis in (2, 0)]
    assert on_quad == [300, 50]
    assert np.abs(points[:300, :2].mean(axis=0)).max() < 0.1
    assert points[:300, :2].std() == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_roots_stay_in_their_places_when_the_shape_changes():
    roots = draw_roots(SKIN, np.full(6, 20.0), np.random.default_rng(1))
    moved = CUBE * np.array([2, 1, 0.5], np.float32) + 3
    expected = root_points(*roots, CUBE) * [2, 1, 0.5] + 3
    np.testing.assert_allclose(root_points(*roots, moved), expected, atol=1e-5)


def test_hair_can_grow_from_the_outer_skin_of_the_head_alone():
    model = load_head_model()
    skin = head_skin(model)
    assert skin is head_skin(model)
    middles = model.vertices[skin.quads].mean(axis=1)
    outward = (middles - [0, 7.4, 0.4]) * unit(
        root_points(
            skin.quads,
            np.full((len(skin.quads), 4), 0.25),
            vertex_normals(skin.quads, model.vertices),
        )
    )
    # Nostrils, lids and the folds of the ears turn inwards.
    assert (outward.sum(axis=1) > 0).mean() > 0.9
    assert 10 < skin.areas.sum() < 15  # dm^2, a head and its neck
    assert set(map(tuple, skin.skull)) <= set(map(tuple, skin.quads))


def test_strands_of_a_face_without_any_have_the_shapes_of_others():
    assert [part.shape for part in no_strands()] == [(0, 12, 3), (0, 3), (0,), (0,)]


def test_a_shape_of_another_size_is_refused():
    model = load_head_model()
    assert check_shape(model, model.vertices) is model.vertices
    with pytest.raises(ValueError, match="must be"):
        check_shape(model, model.vertices[:9])
