"""t-SNE: groups stay apart, a seed repeats itself, and what cannot be is refused."""

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.manifold import distances
from facedirs_jax.neighbour_maps import tsne


@pytest.fixture(scope="module")
def groups():
    """Distances of three groups of 12, far apart, and the group of each."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(3), 12)
    points = 20 * np.eye(3)[of] + rng.normal(size=(36, 3))
    return np.asarray(distances(points)), of


@pytest.mark.parametrize(("dims", "start"), [(2, "mds"), (3, "random")])
def test_the_nearest_of_a_point_is_of_its_group(groups, dims, start):
    found, of = groups
    made = tsne(found, dims=dims, perplexity=6, start=start)
    assert made.points.shape == (36, dims) and made.divergence > 0
    near = np.asarray(distances(made.points)) + 1e9 * np.eye(36)
    assert np.mean(of[near.argmin(axis=1)] == of) > 0.9


def test_a_seed_gives_the_same_bits_and_another_seed_another_map(groups):
    maps = [
        np.asarray(tsne(groups[0], perplexity=5, start="random", seed=seed).points)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 0.1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"perplexity": 12},
            "perplexity of 12 .* allow 1 to less than 11.66",
        ),
        ({"perplexity": 0.5}, "perplexity of 0.5 is out of range"),
        ({"perplexity": np.nan}, "perplexity of nan is out of range"),
        ({"dims": 4, "perplexity": 5}, "2 or 3 dimensions, not of 4"),
        ({"dims": 1, "perplexity": 5}, "2 or 3 dimensions, not of 1"),
    ],
)
def test_settings_out_of_range_are_refused(groups, changes, told):
    with pytest.raises(InputError, match=told):
        tsne(groups[0], **changes)


def test_what_are_no_distances_is_refused(groups):
    wrong = groups[0].copy()
    wrong[0, 1] = wrong[1, 0] = np.nan
    with pytest.raises(InputError, match="2 distances are negative, NaN"):
        tsne(wrong, perplexity=5)
    with pytest.raises(ValueError, match=r"\[36, 3\]"):
        tsne(groups[0][:, :3], perplexity=5)
