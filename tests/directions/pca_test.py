import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.decomposition

from facedirs_jax.directions import pca
from tests.planted import GRIDS, planted, sums_of


def centred_by_hand(shape, templates, faces=None, regions=None):
    """Rows of donor-centred templates over some donors, [P, D]."""
    filled = shape.filled.copy()
    if faces is not None:
        filled[~faces] = False
    if regions is not None:
        filled[:, ~regions] = False
    rows = [
        t[kept] - t[kept].mean(axis=0)
        for t, kept in zip(templates, filled, strict=True)
        if kept.any()
    ]
    return np.concatenate(rows), len(rows)


@pytest.mark.parametrize("shape", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("mode", ["paper", "corrected"])
def test_the_covariance_is_that_of_equations_1_to_3(shape, mode):
    own, templates = planted(shape)
    rows, num_means = centred_by_hand(shape, templates)
    divisor = len(rows) - (1 if mode == "paper" else num_means)
    found = pca.donor_centred_scatter(sums_of(shape, templates, own), shape)
    assert (found.num_blends, found.num_means) == (len(rows), num_means)
    np.testing.assert_allclose(found.covariance(mode), rows.T @ rows / divisor)
    assert np.abs(rows.mean(axis=0)).max() < 1e-12  # centring once more does nothing


def test_the_corrected_divisor_of_n_by_n_is_n_times_n_minus_2():
    own, templates = planted(GRIDS["all x all"])
    sums = sums_of(GRIDS["all x all"], templates, own)
    found = pca.donor_centred_scatter(sums, GRIDS["all x all"])
    ratio = found.covariance("paper") / found.covariance("corrected")
    np.testing.assert_allclose(ratio, 17 * 15 / (17 * 16 - 1))


@pytest.mark.parametrize("shape", GRIDS.values(), ids=GRIDS)
def test_some_blocks_give_what_their_donors_alone_would(shape):
    own, templates = planted(shape)
    sums = sums_of(shape, templates, own)
    regions = np.isin(shape.region_blocks, (0, 2))
    rows, num_means = centred_by_hand(shape, templates, regions=regions)
    found = pca.donor_centred_scatter(sums, shape, region_blocks=(0, 2))
    assert (found.num_blends, found.num_means) == (len(rows), num_means)
    np.testing.assert_allclose(found.matrix, rows.T @ rows, atol=1e-9)
    faces = np.isin(shape.face_blocks, (1, 3))
    rows, num_means = centred_by_hand(shape, templates, faces=faces)
    found = pca.donor_centred_scatter(sums, shape, face_blocks=(1, 3))
    assert (found.num_blends, found.num_means) == (len(rows), num_means)
    np.testing.assert_allclose(found.matrix, rows.T @ rows, atol=1e-9)


def test_both_kinds_of_blocks_at_once_are_refused():
    own, templates = planted(GRIDS["rectangular"])
    with pytest.raises(ValueError, match="not both"):
        pca.donor_centred_scatter(
            sums_of(GRIDS["rectangular"], templates, own),
            GRIDS["rectangular"],
            face_blocks=(0,),
            region_blocks=(0,),
        )


def test_components_match_scikit_learn_up_to_its_signs():
    data = np.random.default_rng(0).normal(size=(300, 16)) * np.geomspace(4, 0.3, 16)
    expected = sklearn.decomposition.PCA().fit(data)
    found = pca.principal_components(jnp.asarray(np.cov(data.T), jnp.float32))
    np.testing.assert_allclose(
        found.eigenvalues, expected.explained_variance_, rtol=1e-4
    )
    cosines = np.abs(np.sum(found.directions * expected.components_, axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    with jax.disable_jit():
        plain = pca.principal_components(jnp.asarray(np.cov(data.T), jnp.float32))
    np.testing.assert_allclose(plain.directions, found.directions, atol=1e-5)


def test_the_entry_of_largest_size_is_positive():
    rows = jnp.array([[0.1, -0.9, 0.2], [0.5, 0.3, -0.4]])
    expected = [[-0.1, 0.9, -0.2], [0.5, 0.3, -0.4]]
    np.testing.assert_allclose(pca.with_fixed_signs(rows), expected)
    np.testing.assert_allclose(pca.with_fixed_signs(-rows), expected)


def test_directions_are_orthonormal_and_eigenvalues_never_negative():
    rows = np.random.default_rng(0).normal(size=(5, 20)).astype(np.float32)  # rank 5
    found = pca.principal_components(jnp.asarray(rows.T @ rows))
    np.testing.assert_allclose(
        found.directions @ found.directions.T, np.eye(20), atol=1e-5
    )
    assert (np.diff(found.eigenvalues) <= 0).all() and found.eigenvalues.min() >= 0


def test_a_covariance_must_be_square():
    with pytest.raises(ValueError, match="shape"):
        pca.principal_components(jnp.zeros((3, 4)))


def test_templates_in_memory_give_what_the_sums_give():
    shape = GRIDS["rectangular"]
    own, templates = planted(shape)
    covariance = pca.donor_centred_scatter(
        sums_of(shape, templates, own), shape
    ).covariance("corrected")
    streamed = pca.principal_components(jnp.asarray(covariance, jnp.float32))
    plain = pca.components_of_templates(jnp.asarray(templates, jnp.float32))
    np.testing.assert_allclose(plain.eigenvalues, streamed.eigenvalues, rtol=1e-4)
    np.testing.assert_allclose(plain.directions, streamed.directions, atol=1e-3)


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ([6.0, 3.0, 1.0, 0.0], 3),  # 2 hold 90 %, and 3 are the least
        ([4.0, 3.0, 1.0, 1.0, 1.0], 4),
        ([1.0], 1),
        ([1.0] * 20, 18),
    ],
)
def test_the_count_by_share_is_the_smallest_that_holds_90_percent(
    eigenvalues, expected
):
    assert pca.count_by_share(np.array(eigenvalues)) == expected


def test_noise_has_no_component_above_noise_and_a_planted_one_is_found():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 30))
    with_one = noise + 3 * rng.normal(size=(60, 1)) * np.eye(30)[:1]
    for data, expected in ((noise, 0), (with_one, 1)):
        # The planted axis carries its variance in one dimension; turn it away.
        data = data @ np.linalg.qr(np.random.default_rng(1).normal(size=(30, 30)))[0]
        covariance = np.cov(data.T)
        null = pca.null_eigenvalues(
            jax.random.key(0),
            jnp.asarray(np.diag(covariance), jnp.float32),
            num_donors=60,
        )
        eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
        assert pca.count_by_parallel_analysis(eigenvalues, np.asarray(null)) == expected


@pytest.mark.parametrize("num_donors", [12, 50])
def test_null_eigenvalues_are_those_of_numpys_noise(num_donors):
    variances = np.geomspace(2, 0.5, 20)
    rng = np.random.default_rng(0)
    drawn = [
        np.linalg.eigvalsh(
            np.cov((rng.normal(size=(num_donors, 20)) * np.sqrt(variances)).T)
        )[::-1]
        for _ in range(400)
    ]
    expected = np.quantile(drawn, 0.95, axis=0)[: min(num_donors, 20) - 1]
    found = pca.null_eigenvalues(
        jax.random.key(0),
        jnp.asarray(variances, jnp.float32),
        num_donors=num_donors,
        draws=400,
    )
    assert len(found) == min(num_donors, 20)
    # 6 %: the sampling error of a 95th percentile of 400 draws, twice.
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=0.06, atol=1e-3)


def test_variances_must_be_a_row():
    with pytest.raises(ValueError, match="rank"):
        pca.null_eigenvalues(jax.random.key(0), jnp.ones((2, 2)), num_donors=5)


@pytest.mark.parametrize(
    ("eigenvalues", "null", "expected"),
    [([3, 2, 1], [2, 1, 2], 2), ([3, 2, 3], [2, 2.5, 1], 1), ([1, 1], [2, 2], 0),
     ([3, 3, 3], [1, 1], 2)],
)  # fmt: skip
def test_counting_stops_at_the_first_component_below_noise(eigenvalues, null, expected):
    assert (
        pca.count_by_parallel_analysis(np.array(eigenvalues), np.array(null))
        == expected
    )
