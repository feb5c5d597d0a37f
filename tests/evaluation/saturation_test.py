"""Lines through saturations: planted ones are found, and what is no line is not one."""

import numpy as np
import pytest

from facedirs_jax.evaluation.saturation import SATURATIONS, fit_line, monotone


def through(saturation, places, ceiling=3.0):
    """[K, K] distances of points on a line."""
    apart = np.abs(places[:, None] - places)
    off = ~np.eye(len(places), dtype=bool)
    found = np.zeros_like(apart)
    found[off] = ceiling * saturation.value(apart[off])
    return found


def circle(degrees, count=9):
    """[K, K] distances of points on an arc."""
    angles = np.radians(np.linspace(0, degrees, count))
    return 2 * np.abs(np.sin((angles[:, None] - angles) / 2))


@pytest.mark.parametrize("name", SATURATIONS)
def test_a_function_rises_from_0_to_1_and_its_parts_agree(name):
    saturation, u = SATURATIONS[name], np.geomspace(1e-3, 4, 20)
    value = saturation.value(u)
    assert (np.diff(value) > 0).all() and value[0] < 0.04 and value[-1] > 0.98
    np.testing.assert_allclose(saturation.inverse(value), u, rtol=1e-6)
    step = 1e-6 * u
    rise = saturation.value(u + step) - saturation.value(u - step)
    np.testing.assert_allclose(saturation.slope(u), rise / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("name", SATURATIONS)
def test_distances_through_a_function_have_a_map_without_error(name):
    squared = through(SATURATIONS[name], np.linspace(0, 3, 12)) ** 2
    centred = np.eye(12) - 1 / 12
    assert np.linalg.eigvalsh(-0.5 * centred @ squared @ centred).min() > -1e-9


@pytest.mark.parametrize("name", SATURATIONS)
def test_planted_places_are_found(name):
    places = np.array([0, 0.2, 0.9, 1.1, 1.8, 2.6])
    found = fit_line(through(SATURATIONS[name], places), SATURATIONS[name])
    np.testing.assert_allclose(found.places, places, atol=1e-4)
    np.testing.assert_allclose(found.ceiling, 3, rtol=1e-4)
    assert found.error < 1e-5
    wanted = through(SATURATIONS[name], places)
    np.testing.assert_allclose(found.distances, wanted, atol=1e-4)


def test_a_unit_of_distance_changes_no_place():
    saturation = SATURATIONS["1 - exp(-u)"]
    wanted = circle(150)
    one, other = fit_line(wanted, saturation), fit_line(100 * wanted, saturation)
    np.testing.assert_allclose(one.places, other.places, rtol=1e-3)
    np.testing.assert_allclose(100 * one.distances, other.distances, rtol=1e-3)


def test_a_straight_line_needs_no_saturation():
    found = fit_line(through(SATURATIONS["1 - exp(-u)"], np.arange(7) * 1e-4, 1e4),
                     SATURATIONS["1 - exp(-u)"])  # fmt: skip
    assert found.error < 1e-2 and found.ceiling > 50 * found.distances.max()


@pytest.mark.parametrize("name", SATURATIONS)
def test_a_circle_is_no_line(name):
    assert fit_line(circle(340), SATURATIONS[name]).error > 0.15


def test_monotone_distances_stay_and_others_become_so():
    wanted = through(SATURATIONS["sqrt(1 - exp(-u))"], np.array([0, 1, 1.5, 3, 3.2]))
    np.testing.assert_allclose(monotone(wanted), wanted, atol=1e-12)
    np.testing.assert_allclose(monotone(circle(180)), circle(180), atol=1e-12)
    ring = circle(340)
    found = monotone(ring)
    np.testing.assert_array_equal(found, found.T)
    for i in range(9):
        for j in range(i + 1, 9):
            within = found[i : j + 1, i : j + 1]
            assert found[i, j] >= within.max() - 1e-12
    # The nearest: half of the worst fall from what is within to what is around.
    falls = [
        ring[i : j + 1, i : j + 1].max() - ring[i, j]
        for i in range(9)
        for j in range(i + 1, 9)
    ]
    np.testing.assert_allclose(np.abs(found - ring).max(), max(falls) / 2, atol=1e-12)
