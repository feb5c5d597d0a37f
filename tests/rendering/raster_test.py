import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.raster import (
    FARTHEST,
    NOTHING,
    TAPER,
    draw_depth,
    draw_strands,
    draw_strands_depth,
    draw_triangles,
    empty_buffers,
)

HEIGHT, WIDTH = 24, 32  # px


def drawn(points: np.ndarray, triangles: np.ndarray):
    buffers = empty_buffers(HEIGHT, WIDTH)
    draw_triangles(points.astype(np.float32), triangles.astype(np.int32), buffers)
    return buffers


def random_triangles(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = rng.uniform(-6, 36, (3 * count, 3)).astype(np.float32)
    return points, np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def slowly(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and depth, pixel by pixel, from a linear system per triangle."""
    ids = np.full((HEIGHT, WIDTH), NOTHING)
    depth = np.full((HEIGHT, WIDTH), FARTHEST)
    for t, corners in enumerate(points[triangles].astype(np.float64)):
        edges = corners[1:, :2] - corners[0, :2]
        if np.linalg.det(edges) >= 0:  # seen from behind, y being down
            continue
        for j in range(HEIGHT):
            for i in range(WIDTH):
                offset = np.array([i + 0.5, j + 0.5]) - corners[0, :2]
                second, third = np.linalg.solve(edges.T, offset)
                shares = np.array([1 - second - third, second, third])
                near = shares @ corners[:, 2]
                if (shares >= 0).all() and near > depth[j, i]:
                    ids[j, i], depth[j, i] = t, near
    return ids, depth


def test_every_pixel_shows_the_nearest_triangle_over_its_centre():
    points, triangles = random_triangles(12)
    buffers = drawn(points, triangles)
    ids, depth = slowly(points, triangles)
    assert (ids != NOTHING).mean() > 0.3
    np.testing.assert_array_equal(buffers.ids, ids)
    np.testing.assert_allclose(buffers.depth, depth, rtol=1e-4)


def test_weights_give_back_the_place_of_the_pixel():
    points, triangles = random_triangles(12)
    ids, weights, _ = drawn(points, triangles)
    j, i = np.nonzero(ids != NOTHING)
    first, second = weights[j, i].T.astype(np.float64)
    shares = np.stack([first, second, 1 - first - second], axis=1)
    found = (points[triangles[ids[j, i]]] * shares[..., None]).sum(axis=1)
    np.testing.assert_allclose(found[:, 0], i + 0.5, atol=1e-3)
    np.testing.assert_allclose(found[:, 1], j + 0.5, atol=1e-3)


def test_depth_alone_is_the_same_depth():
    points, triangles = random_triangles(12)
    depth = empty_buffers(HEIGHT, WIDTH).depth
    draw_depth(points, triangles, depth)
    np.testing.assert_array_equal(depth, drawn(points, triangles).depth)


def test_a_fan_around_any_point_leaves_no_gap():
    rng = np.random.default_rng(1)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 40))[::-1]
    rim = np.stack([16 + 60 * np.cos(angles), 12 + 60 * np.sin(angles)], axis=1)
    points = np.concatenate([[(16.37, 11.83)], rim])
    points = np.column_stack([points, np.ones(len(points))])
    after = np.arange(40)
    fan = np.stack([0 * after, after + 1, (after + 1) % 40 + 1], axis=1)
    assert (drawn(points, fan).ids != NOTHING).all()


def test_what_is_seen_from_behind_or_off_the_picture_is_not_drawn():
    points = np.array([[2, 2, 1], [30, 2, 1], [2, 20, 1]])
    front, back = np.array([[0, 2, 1]]), np.array([[0, 1, 2]])
    assert (drawn(points, front).ids == 0).sum() > 200
    assert (drawn(points, back).ids == NOTHING).all()
    assert (drawn(points + np.array([100, 0, 0]), front).ids == NOTHING).all()
    assert (drawn(points * np.array([0, 1, 1]), front).ids == NOTHING).all()  # no area


def strand(*knots: tuple[float, float, float]) -> np.ndarray:
    return np.array([knots], np.float32)


@pytest.mark.parametrize("width", (0.3, 0.7))
def test_a_strand_thinner_than_a_pixel_covers_its_share(width):
    first = 4.0 + 8 * np.arange(400)
    x = first + np.random.default_rng(2).uniform(0, 1, 400)
    paths = np.zeros((400, 2, 3), np.float32)
    paths[:, 0, 0], paths[:, 1, 0], paths[:, 1, 1] = x, x + 2, 20
    buffers = empty_buffers(HEIGHT, 8 * 400 + 8)
    draw_strands(paths, np.full(400, width, np.float32), 0.0, 7, buffers)
    covered = (buffers.ids != NOTHING).sum()
    assert covered / (400 * 20) == pytest.approx(width, abs=0.03)


def test_a_strand_is_as_wide_as_told_and_tapers():
    path = strand(*((3 + k, 12, 1) for k in range(27)))
    buffers = empty_buffers(HEIGHT, WIDTH)
    draw_strands(path, np.array([8], np.float32), 0.0, 100, buffers)
    rows = (buffers.ids != NOTHING).sum(axis=0)
    assert rows[3] == 8
    assert rows[28] == pytest.approx(8 * (1 - TAPER), abs=1)
    assert (np.diff(rows[3:29]) <= 0).all()
    assert buffers.ids[12, 10] == 107
    assert buffers.weights[12, 10, 0] == pytest.approx(0.5)


def test_a_strand_is_hidden_by_what_is_nearer_unless_it_is_lifted():
    path, width = strand((4, 4, 1), (20, 15, 1)), np.array([1], np.float32)
    for lift, visible in ((0.0, False), (0.5, True)):
        buffers = empty_buffers(HEIGHT, WIDTH)
        buffers.depth[:] = 1.2
        draw_strands(path, width, lift, 3, buffers)
        assert (buffers.ids == 3).any() == visible


def test_depth_of_strands_reaches_from_end_to_end():
    path = strand((2.5, 3.5, 1), (28.5, 16.5, 3))
    depth = empty_buffers(HEIGHT, WIDTH).depth
    draw_strands_depth(path, depth)
    found = np.nonzero((depth > FARTHEST).any(axis=0))[0]
    np.testing.assert_array_equal(found, np.arange(2, 29))
    assert depth[3, 2] < 1.1 and depth[16, 28] > 2.9


def test_corners_that_are_no_numbers_draw_nothing():
    points, triangles = random_triangles(12)
    points[::3, 1] = np.nan
    assert (drawn(points, triangles).ids == NOTHING).all()
