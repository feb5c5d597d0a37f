"""Templates moved along a direction: against plain numpy, and cases that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import facedirs_jax
from facedirs_jax import traversal
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError
from facedirs_jax.traversal import edit_to_label, steps_of, traverse

DIM = 16


def drawn(seed=0, *, unit=False):
    rng = np.random.default_rng(seed)
    template, direction = rng.normal(size=(2, DIM)).astype(np.float32)
    if unit:
        template /= np.linalg.norm(template)
    return template, 5 * direction


def by_numpy(template, direction, scale, alphas, *, unit_norm):
    moved = []
    for alpha in alphas:
        step = alpha * scale * direction / np.sqrt((direction**2).sum())
        found = template.astype(np.float64) + step
        moved.append(found / np.sqrt((found**2).sum()) if unit_norm else found)
    return np.stack(moved)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_moved_templates_are_those_of_numpy(unit_norm):
    template, direction = drawn(unit=unit_norm)
    alphas = steps_of(-3.0, 3.0, 7)
    found = traverse(template, direction, 0.3, alphas, unit_norm=unit_norm)
    expected = by_numpy(template, direction, 0.3, alphas, unit_norm=unit_norm)
    assert (found.shape, found.dtype) == ((7, DIM), jnp.float32)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32
    one, other, steps = map(jnp.asarray, (template, direction, alphas))
    with jax.disable_jit():
        plain = traversal.moved(one, other, jnp.float32(0.3), steps, unit_norm)
    np.testing.assert_allclose(found, plain, atol=1e-6)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_no_step_gives_the_probe(unit_norm):
    template, direction = drawn(unit=unit_norm)
    found = traverse(template, direction, 0.3, [-1.0, 0.0, 1.0], unit_norm=unit_norm)
    np.testing.assert_allclose(found[1], template, atol=1e-7 if unit_norm else 0)


def test_on_the_sphere_every_template_has_length_one():
    template, direction = drawn(unit=True)
    found = traverse(template, direction, 2.0, steps_of(-3, 3, 9), unit_norm=True)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    unit = direction / np.linalg.norm(direction)
    assert (np.diff(found @ unit) > 0).all()  # ever nearer to the direction


def test_off_the_sphere_alpha_counts_standard_deviations():
    template, direction = drawn()
    alphas = steps_of(-2.0, 2.0, 5)
    found = np.asarray(traverse(template, direction, 0.3, alphas, unit_norm=False))
    unit = direction / np.linalg.norm(direction)
    np.testing.assert_allclose((found - template) @ unit, 0.3 * alphas, atol=1e-5)
    np.testing.assert_allclose(np.diff(found, 2, axis=0), 0, atol=1e-5)  # a line
    twice = traverse(template, 2 * direction, 0.3, alphas, unit_norm=False)
    np.testing.assert_allclose(found, twice, atol=1e-6)


def test_steps_are_even_and_have_an_exact_zero():
    for end in (0.1, 2.5, 3.0, 7.3):
        for count in (3, 7, 11, 101):
            steps = steps_of(-end, end, count)
            assert steps.dtype == np.float32 and steps[count // 2] == 0
            np.testing.assert_array_equal(steps, -steps[::-1])
            np.testing.assert_allclose(steps, np.linspace(-end, end, count), atol=1e-6)
    np.testing.assert_allclose(steps_of(0.0, 6.0, 4), [0, 2, 4, 6])


def test_what_leads_nowhere_is_refused():
    template, direction = drawn()
    with pytest.raises(ValueError, match="the direction is zero"):
        traverse(template, 0 * direction, 1.0, [1.0], unit_norm=False)
    with pytest.raises(ValueError, match="scale holds numbers that are not finite"):
        traverse(template, direction, np.nan, [1.0], unit_norm=False)
    for wrong in (direction[:3], direction[None]):
        with pytest.raises(ValueError):
            traverse(template, wrong, 1.0, [1.0], unit_norm=False)
    with pytest.raises(ValueError):
        traverse(template[None], direction[None], 1.0, [1.0], unit_norm=False)
    with pytest.raises(ValueError):
        traverse(template, direction, [1.0], [1.0], unit_norm=False)
    with pytest.raises(ValueError, match="cannot make 1 steps"):
        steps_of(-3.0, 3.0, 1)
    with pytest.raises(ValueError, match="from -inf to 3"):
        steps_of(-np.inf, 3.0, 7)


def test_a_geodesic_goes_along_the_great_circle_at_an_even_pace():
    template, direction = drawn(unit=True)
    alphas = steps_of(-4.0, 4.0, 9)
    found = np.asarray(
        traverse(template, direction, 0.5, alphas, unit_norm=True, step="geodesic")
    ).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    arcs = np.arccos(np.clip(found @ template, -1, 1))
    np.testing.assert_allclose(arcs, 0.5 * np.abs(alphas), atol=1e-3)  # float32 near 1
    plane, _ = np.linalg.qr(np.stack([template, direction], axis=1))
    np.testing.assert_allclose(found @ plane @ plane.T, found, atol=1e-6)
    unit = direction / np.linalg.norm(direction)
    assert found[5] @ unit > template @ unit  # towards the direction


def test_short_steps_are_the_same_along_chord_and_geodesic():
    template, direction = drawn(unit=True)
    direction -= (direction @ template) * template
    ways = [
        traverse(template, direction, 0.01, [-1.0, 1.0], unit_norm=True, step=step)
        for step in ("chord", "geodesic")
    ]
    np.testing.assert_allclose(ways[0], ways[1], atol=1e-6)  # the cube of 0.01
    chord, geodesic = (
        traverse(template, direction, 100.0, [1.0], unit_norm=True, step=step)
        for step in ("chord", "geodesic")
    )
    unit = direction / np.linalg.norm(direction)
    assert chord[0] @ unit > 0.999 and geodesic[0] @ unit < 0  # 16 times round


def test_off_the_sphere_a_geodesic_is_the_straight_line():
    template, direction = drawn()
    ways = [
        traverse(template, direction, 0.3, [-2.0, 3.0], unit_norm=False, step=step)
        for step in ("chord", "geodesic")
    ]
    np.testing.assert_array_equal(ways[0], ways[1])


def test_a_circle_that_there_is_not_is_refused():
    template, direction = drawn(unit=True)
    settings = {"unit_norm": True, "step": "geodesic"}
    with pytest.raises(ValueError, match="the direction runs through the template"):
        traverse(template, -3 * template, 1.0, [1.0], **settings)
    with pytest.raises(ValueError, match="the template is 2 long"):
        traverse(2 * template, direction, 1.0, [1.0], **settings)


def reading(dim, *, seed=0, own_way=False, unit=False):
    """A probe, and a direction that reads a label of some tens far from the origin."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=dim) * (40.0 if unit else 30 / np.sqrt(dim))
    direction = rng.normal(size=dim) + weights if own_way else weights
    mean = np.abs(rng.normal(size=dim))
    template = mean + 0.3 * rng.normal(size=dim)
    if unit:
        mean /= np.linalg.norm(mean)
        template /= np.linalg.norm(template)
    directions = Directions(
        directions=(direction / np.linalg.norm(direction)).astype(np.float32)[None],
        eigenvalues=np.ones(1, np.float32),
        mean=mean.astype(np.float32),
        about={},
        weights=weights.astype(np.float32)[None],
        intercepts=np.array([5.0 - mean @ weights]),
    )
    return template.astype(np.float32), directions


def read_in_float32(template, directions):
    weights, intercept = directions.reading(0)
    product = np.asarray(template, np.float32) @ weights.astype(np.float32)
    return product + np.float32(intercept)


@pytest.mark.parametrize("own_way", [False, True])
@pytest.mark.parametrize("dim", [16, 128, 512, 2048])
def test_an_edited_template_reads_the_label(dim, own_way):
    template, directions = reading(dim, own_way=own_way)
    for label in (-90.0, 0.5, 30.0, 1950.0):
        found = edit_to_label(template, directions, 0, label, unit_norm=False)
        assert (found.shape, found.dtype) == ((dim,), jnp.float32)
        assert read_in_float32(found, directions) == pytest.approx(label, rel=1e-4)
        step = np.asarray(found, np.float64) - template
        along = step @ directions.directions[0].astype(np.float64)
        np.testing.assert_allclose(
            step, along * directions.directions[0], atol=1e-6 * np.abs(found).max()
        )


@pytest.mark.parametrize("own_way", [False, True])
@pytest.mark.parametrize("dim", [16, 128, 512, 2048])
def test_on_the_sphere_an_edited_template_reads_the_label_too(dim, own_way):
    template, directions = reading(dim, own_way=own_way, unit=True)
    before = float(read_in_float32(template, directions))
    for label in (before - 8, before + 0.01, before + 20):
        found = edit_to_label(template, directions, 0, label, unit_norm=True)
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
        assert read_in_float32(found, directions) == pytest.approx(label, rel=1e-4)


def test_on_the_sphere_it_is_the_nearest_such_place():
    template, directions = reading(16, own_way=True, unit=True)
    own, along = template, directions.directions[0]
    across = along - (along @ own) * own
    across /= np.linalg.norm(across)
    turns = np.linspace(-np.pi, np.pi, 200_001)[:, None]
    circle = np.cos(turns) * own + np.sin(turns) * across
    weights, intercept = directions.reading(0)
    read = circle @ weights + intercept
    for label in np.linspace(read.min(), read.max(), 9)[1:-1]:
        found = edit_to_label(template, directions, 0, label, unit_norm=True)
        crossed = np.flatnonzero(np.diff(read > label))
        nearest = crossed[np.argmin(np.abs(turns[crossed]))]
        np.testing.assert_allclose(found, circle[nearest], atol=1e-4)  # of the turns


def test_a_label_that_the_circle_does_not_hold_is_refused_with_what_it_holds():
    template, directions = reading(64, unit=True)
    with pytest.raises(
        InputError, match=r"reads 1e\+06; from this probe .* reached"
    ) as e:
        edit_to_label(template, directions, 0, 1e6, unit_norm=True)
    low, high = map(
        float, str(e.value).split("probe ")[1].split(" can")[0].split(" to ")
    )
    for label in (low, high):
        inside = label - 1e-4 * (label - (low + high) / 2)
        found = edit_to_label(template, directions, 0, inside, unit_norm=True)
        assert read_in_float32(found, directions) == pytest.approx(inside, rel=1e-4)
        with pytest.raises(InputError, match="can be reached"):
            outside = label + 1e-3 * (label - (low + high) / 2)
            edit_to_label(template, directions, 0, outside, unit_norm=True)


def test_a_probe_that_reads_the_label_stays():
    for unit in (False, True):
        template, directions = reading(64, unit=unit)
        weights, intercept = directions.reading(0)
        label = template.astype(np.float64) @ weights + intercept
        found = edit_to_label(template, directions, 0, label, unit_norm=unit)
        np.testing.assert_allclose(found, template, atol=1e-6)


def test_the_papers_step_misses_the_label_unless_the_weights_have_length_1():
    template, directions = reading(128)
    weights, intercept = directions.reading(0)
    found = edit_to_label(template, directions, 0, 30.0, unit_norm=False, mode="paper")
    before = template.astype(np.float64) @ weights + intercept
    expected = template + (30.0 - before) * weights  # eqs. 12-13
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    # it moves by |w|^2 times what is missing
    length = np.linalg.norm(weights)
    read = np.asarray(found, np.float64) @ weights + intercept
    assert read - before == pytest.approx((30 - before) * length**2, rel=1e-4)
    assert abs(read - 30) > 100 and length > 20
    scaled = directions._replace(
        weights=(weights / length).astype(np.float32)[None], intercepts=np.zeros(1)
    )
    found = edit_to_label(template, scaled, 0, 3.0, unit_norm=False, mode="paper")
    assert read_in_float32(found, scaled) == pytest.approx(3.0, rel=1e-4)


def test_on_the_sphere_the_papers_step_is_scaled_back():
    template, directions = reading(64, unit=True)
    found, line = (
        np.asarray(
            edit_to_label(template, directions, 0, 30.0, unit_norm=unit, mode="paper")
        )
        for unit in (True, False)
    )
    np.testing.assert_allclose(found, line / np.linalg.norm(line), atol=1e-6)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("mode", ["corrected", "paper"])
def test_edits_without_jit_are_the_same(unit, mode):
    template, directions = reading(64, unit=unit)
    settings = {"unit_norm": unit, "mode": mode}
    found = edit_to_label(template, directions, 0, 20.0, **settings)
    with jax.disable_jit():
        plain = edit_to_label(template, directions, 0, 20.0, **settings)
    np.testing.assert_allclose(found, plain, rtol=1e-6)


def test_what_cannot_be_edited_is_refused():
    template, directions = reading(16)
    with pytest.raises(InputError, match="these directions read no label"):
        silent = directions._replace(weights=None, intercepts=None)
        edit_to_label(template, silent, 0, 1.0, unit_norm=False)
    across = np.zeros((1, 16), np.float32)
    weights, _ = directions.reading(0)
    across[0, :2] = weights[1], -weights[0]
    with pytest.raises(InputError, match="does not change along this direction"):
        turned = directions._replace(directions=across)
        edit_to_label(template, turned, 0, 1.0, unit_norm=False)
    for label, probe in ((np.nan, template), (1.0, template * np.nan)):
        with pytest.raises(ValueError, match="not finite"):
            edit_to_label(probe, directions, 0, label, unit_norm=False)
    with pytest.raises(ValueError, match="the direction is zero"):
        zero = directions._replace(directions=np.zeros((1, 16), np.float32))
        edit_to_label(template, zero, 0, 1.0, unit_norm=False)
    for wrong in (template[:3], template[None]):
        with pytest.raises(ValueError):
            edit_to_label(wrong, directions, 0, 1.0, unit_norm=False)
    with pytest.raises(ValueError, match="should be on the sphere"):
        edit_to_label(3 * template, directions, 0, 1.0, unit_norm=True)


def test_a_notebook_finds_them():
    assert facedirs_jax.traverse is traverse
    assert facedirs_jax.edit_to_label is edit_to_label
