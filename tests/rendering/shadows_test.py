import math

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.shadows import (
    SPREAD,
    ambient_occlusion,
    axes_towards,
    light_direction,
    shadow_maps,
    visibility,
)
from facedirs_jax.rendering.surface import vertex_normals

NO_STRANDS = np.zeros((0, 12, 3), np.float32)


def plate(half: float, z: float, steps: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """A square that faces +z."""
    place = np.linspace(-half, half, steps)
    x, y = np.meshgrid(place, place)
    points = np.stack([x, y, 0 * x + z], -1).reshape(-1, 3).astype(np.float32)
    first = np.array(
        [j * steps + i for j in range(steps - 1) for i in range(steps - 1)]
    )
    lower = np.stack([first, first + 1, first + steps], axis=1)
    upper = np.stack([first + 1, first + steps + 1, first + steps], axis=1)
    return points, np.concatenate([lower, upper]).astype(np.int32)


def share(maps, place: tuple[float, float, float]) -> float:
    return visibility(maps.depth, maps.axes, maps.scale, place, 0.05)


@pytest.mark.parametrize("azimuth, elevation", [(0, 0), (90, 0), (-40, 30), (10, 89)])
def test_axes_are_upright_and_end_in_the_direction(azimuth, elevation):
    direction = light_direction(azimuth, elevation)
    axes = axes_towards(direction)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(axes[2], direction)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert direction[0] == pytest.approx(
        math.sin(math.radians(azimuth)) * math.cos(math.radians(elevation))
    )


def test_a_plate_shades_what_lies_behind_it_away_from_the_light():
    points, triangles = plate(0.3, 1.0)
    maps = shadow_maps(
        points, triangles, NO_STRANDS, light_direction(45, 0), num_lights=8, size=256
    )
    assert share(maps, (0.0, 0.0, 1.0)) == 1  # on the plate
    assert share(maps, (0.0, 0.0, 0.0)) == 1  # straight behind it
    assert share(maps, (-1.0, 0.0, 0.0)) == 0  # a decimetre back, a decimetre aside


def test_a_shadow_s_edge_is_as_soft_as_the_light_is_large():
    points, triangles = plate(0.3, 1.0)
    maps = shadow_maps(
        points, triangles, NO_STRANDS, (0.0, 0.0, 1.0), num_lights=8, size=256
    )
    reach = math.tan(math.radians(SPREAD))  # of the half shadow, a decimetre behind
    places = [0.3 + reach * t for t in (-1.3, -0.4, 0.4, 1.3)]
    shares = [share(maps, (x, 0.0, 0.0)) for x in places]
    assert shares[0] == 0 and shares[-1] == 1
    assert 0 < shares[1] < shares[2] < 1


def test_lights_from_left_and_right_see_mirrored_shadows():
    points, triangles = plate(0.3, 1.0)
    left, right = (
        shadow_maps(
            points,
            triangles,
            NO_STRANDS,
            light_direction(a, 12),
            num_lights=6,
            size=200,
        )
        for a in (35, -35)
    )
    for x in np.linspace(-1.2, 0.2, 29).tolist():
        assert share(left, (x, 0.05, 0.0)) == pytest.approx(
            share(right, (-x, 0.05, 0.0)), abs=0.05
        )


def test_hair_casts_shadows():
    points, triangles = plate(0.3, -1.0)
    strand = np.zeros((1, 12, 3), np.float32)
    strand[0, :, 0], strand[0, :, 2] = np.linspace(-0.5, 0.5, 12), 1.0
    maps = shadow_maps(
        points, triangles, strand, (0.0, 0.0, 1.0), num_lights=1, size=256
    )
    assert share(maps, (0.1, 0.0, 0.0)) < 0.7
    assert share(maps, (0.1, 0.1, 0.0)) == 1


def test_nothing_is_in_the_way_of_a_plate_and_much_of_its_middle_under_a_roof():
    points, triangles = plate(1.0, 0.0)
    normals = vertex_normals(points, triangles)
    free = ambient_occlusion(points, normals, triangles, NO_STRANDS)
    np.testing.assert_array_equal(free, 1)

    roof, above = plate(1.0, 0.3)
    both = np.concatenate([points, roof])
    faces = np.concatenate([triangles, above + len(points)]).astype(np.int32)
    covered = ambient_occlusion(both, vertex_normals(both, faces), faces, NO_STRANDS)
    middle = len(points) // 2
    assert covered[middle] < 0.2
    assert (covered[len(points) :] > 0.99).all()
