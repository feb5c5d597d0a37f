import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.skull import MAP_SIDE, MIDDLE, Skull
from facedirs_jax.rendering.strand_growth import (
    CURTAIN_HIGH,
    CURTAIN_LOW,
    NEAREST,
    Laws,
    Seedlings,
    curtain_table,
    find_locks,
    gather,
    grow,
    keep_out,
    trim,
    wind,
)

# A ball for a head, on the axes of the base head.
CENTER = np.array(MIDDLE)
RADIUS = 1.0
BALL = Skull(
    center=CENTER,
    radii=np.full((MAP_SIDE, MAP_SIDE), RADIUS),
    to_base=np.array([0, 7.284, MIDDLE[2], 1, 1, 1, 1, MIDDLE[2]]),
)
OPEN = np.zeros_like(curtain_table(np.array([[5, 0], [9, 0]]), 9.0))
LYING = Laws(weight=0.1, hug=0.6, free=0.0, parted=1.0)


def seedlings(directions: np.ndarray, length: float, **changed: float) -> Seedlings:
    count = len(directions)
    ways = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    values = {"layer": 0.05, "hem": 0.0, "side": 1.0, "shift": 0.0} | changed
    return Seedlings(
        start=CENTER + RADIUS * ways,
        heading=ways,
        step=np.full(count, length / 11),
        bend=np.zeros((count, 3)),
        **{name: np.full(count, value) for name, value in values.items()},
    )


def directions(count: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3))


def test_lying_strands_settle_in_their_layer():
    seeds = seedlings(directions(), 1.5)
    aside = np.cross(seeds.heading, [0.3, 0.2, 0.9])
    path = grow(seeds._replace(heading=aside), LYING, BALL, OPEN)
    radius = np.linalg.norm(path - CENTER, axis=-1)
    np.testing.assert_allclose(radius[:, 0], RADIUS)
    # Each straight step leads a little out of the layer.
    np.testing.assert_allclose(radius[:, 6:], RADIUS + 0.065, atol=0.025)
    heavy = grow(seeds._replace(heading=aside), LYING._replace(weight=0.4), BALL, OPEN)
    assert (heavy[:, -1, 1] < path[:, -1, 1]).mean() > 0.9


def test_free_strands_hang():
    hanging = LYING._replace(free=9.0)
    path = grow(seedlings(np.array([[1.0, 0.3, 0.0]]), 3.0), hanging, BALL, OPEN)
    last = np.diff(path[0], axis=0)[-4:]
    assert (last[:, 1] < -0.9 * np.linalg.norm(last, axis=1)).all()


def test_a_hem_cuts_strands_at_its_height():
    path = grow(seedlings(np.array([[1.0, 0.2, 0.0]]), 3.0, hem=6.9), LYING, BALL, OPEN)
    assert 6.5 < path[0, -1, 1] < 6.9


def test_the_curtain_parts_long_hair_and_ends_short_hair():
    knots = np.array([[CURTAIN_LOW, 50], [7.9, 50], [7.95, 0], [CURTAIN_HIGH, 0]])
    curtain = curtain_table(knots, fringe=9.0)
    forehead = seedlings(np.array([[0.1, 0.9, 0.8]]), 1.8)
    combed = forehead._replace(heading=np.array([[0.1, -0.3, 1.0]]))
    for law, low in ((LYING, 7.5), (LYING._replace(parted=0.0), 7.85)):
        points = keep_out(grow(combed, law, BALL, curtain), BALL, curtain)[0]
        ahead = points[:, 2] - MIDDLE[2]
        azimuth = np.degrees(np.arctan2(np.abs(points[:, 0]), ahead))
        assert (azimuth[points[:, 1] < 7.85] > 42).all()
        assert (points[-1, 1] < low) == (law.parted == 1.0)


def test_the_curtain_opens_above_the_fringe():
    table = curtain_table(np.array([[5.0, 45.0], [9.0, 45.0]]), fringe=7.0)
    heights = np.linspace(CURTAIN_LOW, CURTAIN_HIGH, len(table))
    np.testing.assert_allclose(table, np.where(heights > 7, 0, 1), atol=1e-12)


def test_a_trimmed_strand_keeps_its_first_pieces():
    strand = np.stack([np.arange(12.0), np.zeros(12), np.zeros(12)], axis=1)
    trim(strand, 5.5)
    np.testing.assert_allclose(strand[:, 0], np.linspace(0, 5.5, 12))


def test_each_strand_joins_the_nearest_lock():
    base = np.random.default_rng(1).normal(size=(200, 3))
    guides = np.arange(0, 200, 20)
    apart = np.linalg.norm(base[:, None] - base[guides], axis=-1)
    np.testing.assert_array_equal(find_locks(base, 20), guides[apart.argmin(axis=1)])


def test_gathering_moves_tips_and_leaves_roots():
    path = np.random.default_rng(2).normal(size=(5, 12, 3))
    gathered = gather(path, np.zeros(5, np.int64), np.full(5, 0.4))
    np.testing.assert_array_equal(gathered[:, 0], path[:, 0])
    expected = path[:, -1] + 0.4 * (path[0, -1] - path[:, -1])
    np.testing.assert_allclose(gathered[:, -1], expected)


def test_curls_wind_around_the_strand_at_their_radius():
    path = np.zeros((1, 12, 3)) + CENTER
    path[0, :, 1] += 1.2
    path[0, :, 0] += np.linspace(0, 0.01, 12)  # so short that the head looks flat
    wound = wind(path, np.array([0.1]), np.zeros(1), np.array([1.2]), CENTER)
    away = wound[0] - path[0]
    np.testing.assert_allclose(np.linalg.norm(away, axis=1)[3:], 0.1, rtol=0.02)
    turned = np.unwrap(np.arctan2(away[3:, 2], away[3:, 1]))
    np.testing.assert_allclose(np.abs(np.diff(turned)), 1.2, atol=0.05)
    straight = wind(path, np.zeros(1), np.zeros(1), np.ones(1), CENTER)
    np.testing.assert_array_equal(straight, path)


def test_strands_are_lifted_out_of_the_head():
    path = CENTER + 0.5 * np.random.default_rng(3).normal(size=(20, 12, 3))
    points = keep_out(path.copy(), BALL, OPEN)
    radius = np.linalg.norm(points[:, 1:] - CENTER, axis=-1)
    assert radius.min() > RADIUS + NEAREST - 1e-5
    far = np.linalg.norm(path[:, 1:] - CENTER, axis=-1) > RADIUS + 2 * NEAREST
    np.testing.assert_allclose(points[:, 1:][far], path[:, 1:][far], atol=1e-5)
