import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax import grid
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import stability
from tests.planted import sums_of


def test_a_known_turn_is_measured():
    turn = np.radians(30)
    first = np.eye(5)[:3]
    second = first.copy()
    second[2] = np.cos(turn) * np.eye(5)[2] + np.sin(turn) * np.eye(5)[4]
    found = stability.angles_between(jnp.asarray(first), jnp.asarray(second))
    # 0.05 degrees: arccos is steep at 1, where float32 knows cosines to 1e-7.
    np.testing.assert_allclose(found.components, [0, 0, 30], atol=0.05)
    np.testing.assert_allclose(found.subspace, [30, 0, 0], atol=0.05)


def test_swapped_components_span_the_same():
    first = np.eye(4, dtype=np.float32)[:3]
    found = stability.angles_between(jnp.asarray(first), jnp.asarray(first[[1, 0, 2]]))
    np.testing.assert_allclose(found.components, [90, 90, 0], atol=0.05)
    np.testing.assert_allclose(found.subspace, 0, atol=0.05)


def test_the_sign_of_a_direction_does_not_matter():
    first = jnp.eye(4)[:3]
    found = stability.angles_between(first, -first)
    np.testing.assert_allclose(found.components, 0, atol=0.05)


def test_sets_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        stability.angles_between(jnp.eye(3), jnp.eye(4))


def templates_with(region_spread, interaction, shape, seed=0):
    rng = np.random.default_rng(seed)
    faces, regions = shape.filled.shape
    dim = 12
    own = rng.normal(size=(faces, dim))
    effect = rng.normal(size=(regions, dim)) * region_spread
    noise = interaction * rng.normal(size=(faces, regions, dim))
    return own, own[:, None] + effect[None] + noise


def test_clear_directions_are_steady_and_equal_ones_are_not():
    shape = grid.make_grid(80, num_face_donors=8, num_region_donors=64)
    clear = np.array([27.0, 9.0, 3.0, *[0.1] * 9])
    for spread, low, high in ((clear, 0, 15), (np.ones(12), 45, 90)):
        own, templates = templates_with(spread, 0.01, shape)
        found = stability.split_half_over_regions(sums_of(shape, templates, own), shape)
        assert found is not None and found.num_splits == 35
        assert found.donors_in_half == 32
        assert (found.mean.components >= low).all()
        assert (found.mean.components <= high).all()


def test_halving_matches_directions_found_on_either_half():
    shape = grid.make_grid(24, num_face_donors=4, num_region_donors=20)
    own, templates = templates_with(np.linspace(3, 0.5, 12), 0.3, shape)
    halves = stability._halves(8)
    assert len(halves) == 35
    expected = []
    for pair in halves:
        vectors = []
        for half in pair:
            rows = templates[:, np.isin(shape.region_blocks, half)]
            rows = (rows - rows.mean(axis=1, keepdims=True)).reshape(-1, 12)
            vectors.append(np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :3].T)
        cosines = np.abs(np.sum(vectors[0] * vectors[1], axis=1))
        expected.append(np.degrees(np.arccos(cosines)))
    found = stability.split_half_over_regions(sums_of(shape, templates, own), shape)
    assert found is not None
    np.testing.assert_allclose(
        found.mean.components, np.mean(expected, axis=0), atol=0.1
    )
    np.testing.assert_allclose(
        found.spread.components, np.std(expected, axis=0), atol=0.1
    )


def test_halves_may_be_analysed_in_the_span_of_the_leading_components():
    shape = grid.make_grid(60, num_face_donors=4, num_region_donors=40)
    own, templates = templates_with(np.array([9, 6, 4, *[0.1] * 9]), 0.01, shape)
    sums = sums_of(shape, templates, own)
    whole = stability.split_half_over_regions(sums, shape)
    within = stability.split_half_over_regions(sums, shape, span=np.eye(12)[:6])
    assert whole is not None and within is not None
    # The last 6 dimensions hold a thousandth of the spread.
    np.testing.assert_allclose(within.mean.components, whole.mean.components, atol=0.5)


def test_face_donors_hardly_matter_without_interaction():
    shape = grid.make_grid(40, num_face_donors=8, num_region_donors=30)
    own, templates = templates_with(np.linspace(3, 0.5, 12), 1e-3, shape)
    found = stability.split_half_over_faces(sums_of(shape, templates, own), shape)
    assert found is not None and found.donors_in_half == 4
    assert found.mean.components.max() < 1


def test_too_few_donors_are_not_halved():
    shape = grid.make_grid(10, num_face_donors=1, num_region_donors=7)
    own, templates = templates_with(1.0, 0.1, shape)
    sums = sums_of(shape, templates, own)
    assert stability.split_half_over_regions(sums, shape) is None
    assert stability.split_half_over_faces(sums, shape) is None


def test_more_people_give_steadier_directions():
    shape = grid.make_grid(420, num_face_donors=4, num_region_donors=400)
    spread = np.array([3.0, 2.0, 1.4, *[0.5] * 9])
    _, templates = templates_with(spread, 0.1, shape)
    templates = templates.astype(np.float32)
    few, many = (
        stability.angles_between_people(
            templates, region_donors=count, face_donors=2, draws=8
        ).components.mean()
        for count in (10, 200)
    )
    assert many < few / 2


def test_two_sets_need_people_enough():
    templates = np.zeros((4, 10, 12), np.float32)
    with pytest.raises(InputError, match="need 12 people and 10"):
        stability.angles_between_people(
            templates, region_donors=6, face_donors=2, draws=1
        )
    with pytest.raises(InputError, match="face donors need 6 people and 4"):
        stability.angles_between_people(
            templates, region_donors=5, face_donors=3, draws=1
        )
