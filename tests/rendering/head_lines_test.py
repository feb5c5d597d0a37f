import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.head_lines import (
    AXIS_Z,
    TABLE,
    TABLE_DEGREES,
    draw_line,
    line_height,
    measure,
)
from facedirs_jax.rendering.vectors import smooth_step


def test_the_measure_of_an_azimuth_rises_from_0_to_2():
    assert measure(np.array([0.0, 45, 90, 135, 180])).tolist() == pytest.approx(
        [0, 0.5, 1, 1.5, 2]
    )
    np.testing.assert_allclose(
        measure(TABLE_DEGREES), np.linspace(0, 2, TABLE), atol=1e-4
    )


def test_a_line_runs_through_its_points_where_they_lie_straight():
    line = draw_line(np.array([0, 90, 180]), np.array([8.0, 7.0, 6.0]))
    for degrees in (10, 50, 120, 170):
        angle = np.radians(degrees)
        x, z = 0.8 * np.sin(angle), AXIS_Z + 0.8 * np.cos(angle)
        expected = 8 - degrees / 90
        assert line_height(line, x, z) == pytest.approx(expected, abs=0.01)
        assert line_height(line, -x, z) == line_height(line, x, z)


def test_a_step_rises_smoothly_in_either_direction():
    assert [smooth_step(1, 3, v) for v in (0.0, 1.0, 2.0, 3.0, 4.0)] == [
        0,
        0,
        0.5,
        1,
        1,
    ]
    assert smooth_step(3, 1, 1.5) == smooth_step(1, 3, 2.5)
