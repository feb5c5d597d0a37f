import numpy as np
import pytest

from facedirs_jax import grid
from facedirs_jax.evaluation import variance
from tests.planted import GRIDS, planted, sums_of


def dense_least_squares(shape, templates):
    """Sums of squares of each main effect given the other, and residual, each [D]."""
    faces, regions = shape.filled.shape
    rows, columns = np.nonzero(shape.filled)
    y = templates[rows, columns]
    design_a, design_b = np.eye(faces)[rows], np.eye(regions)[columns]

    def residual(*designs):
        design = np.concatenate(designs, axis=1)
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return ((y - fitted) ** 2).sum(axis=0)

    both = residual(design_a, design_b)
    return residual(design_b) - both, residual(design_a) - both, both


def shares_of(sums, shape, own, **options):
    """[3] or [3, K] shares of face, region and interaction."""
    shares = variance.variance_shares(sums, shape, own, **options)
    assert shares is not None
    return np.array(shares)


@pytest.mark.parametrize("shape", GRIDS.values(), ids=GRIDS)
def test_shares_match_a_dense_least_squares_fit(shape):
    own, templates = planted(shape)
    a, b, ab = dense_least_squares(shape, templates)
    (faces, regions), blends = shape.filled.shape, shape.num_blends
    interaction = ab / (blends - faces - regions + 1)
    region = (b - (regions - 1) * interaction) / (blends - faces)
    face = (a - (faces - 1) * interaction) / (blends - regions)
    expected = np.stack([face, region, interaction])
    sums = sums_of(shape, templates, own)
    found = shares_of(sums, shape, own, directions=np.eye(10))
    np.testing.assert_allclose(found, expected / expected.sum(axis=0), rtol=1e-6)
    total = shares_of(sums, shape, own)
    whole = expected.sum(axis=1)
    np.testing.assert_allclose(total, whole / whole.sum(), rtol=1e-6)


def test_shares_are_unbiased_for_planted_components():
    shape = grid.make_grid(30, num_face_donors=8, num_region_donors=22)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        face = 2.0 * rng.normal(size=(8, 1, 40))
        region = 1.0 * rng.normal(size=(1, 22, 40))
        templates = face + region + 0.5 * rng.normal(size=(8, 22, 40))
        own = rng.normal(size=(8, 40))
        found.append(shares_of(sums_of(shape, templates, own), shape, own))
    # Variances 4, 1 and 0.25; 0.02 is twice the standard error over 40 draws.
    np.testing.assert_allclose(
        np.mean(found, axis=0), np.array([4, 1, 0.25]) / 5.25, atol=0.02
    )


def test_own_templates_are_a_shift_that_changes_nothing():
    shape = GRIDS["all x all"]
    own, templates = planted(shape)
    shifted = own + 5.0
    np.testing.assert_allclose(
        shares_of(sums_of(shape, templates, own), shape, own),
        shares_of(sums_of(shape, templates, shifted), shape, shifted),
    )


def test_without_interaction_the_region_acts_alike_in_every_face():
    shape = GRIDS["overlapping"]
    rng = np.random.default_rng(0)
    own, effect = rng.normal(size=(9, 4)), rng.normal(size=(15, 4))
    templates = own[:, None] + effect[None]
    sums = sums_of(shape, templates, own)
    shares = variance.variance_shares(sums, shape, own, directions=np.eye(4))
    assert shares is not None
    np.testing.assert_allclose(shares.consistency, 1, atol=1e-9)
    np.testing.assert_allclose(
        variance.region_effects(sums, shape), effect - effect.mean(axis=0), atol=1e-9
    )


def test_one_face_donor_leaves_no_interaction_to_tell():
    shape = grid.make_grid(10, num_face_donors=1, num_region_donors=9)
    own, templates = planted(shape)
    assert variance.variance_shares(sums_of(shape, templates, own), shape, own) is None
    effects = variance.region_effects(sums_of(shape, templates, own), shape)
    np.testing.assert_allclose(
        effects, templates[0] - templates[0].mean(axis=0), atol=1e-9
    )
