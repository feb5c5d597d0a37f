"""Maps by label: classes, centroids, methods, several networks, and the picture."""

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.figures import save_figure
from facedirs_jax.manifold import classical_mds, distances
from facedirs_jax.map_charts import MARKERS, draw_maps, styles_of
from facedirs_jax.maps import (
    MOST_VALUES,
    RANGES,
    MapSet,
    TemplateMap,
    align_maps,
    centroids_of,
    classes_of,
    make_map,
)
from facedirs_jax.palette import PALETTE


def cloud(count=20, dim=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def shown(dims=2, *, joined=True, ordered=True, networks=2):
    names = tuple("abcde")
    codes = np.arange(5) if joined else np.repeat(np.arange(5), 3)
    points = {f"net{n}": cloud(len(codes), dims, n) for n in range(networks)}
    captions = names if joined else tuple(f"picture {n}" for n in range(15))
    return MapSet(points, captions, names, codes, ordered, joined)


def test_numbers_are_classes_from_low_to_high():
    found = classes_of(np.array([15.0, -30.0, 0.5, 15.0]))
    assert found.names == ("-30", "0.5", "15") and found.ordered
    np.testing.assert_array_equal(found.codes, [2, 0, 1, 2])
    np.testing.assert_array_equal(found.middles, [-30, 0.5, 15])


def test_words_are_classes_without_an_order():
    found = classes_of(np.array(["smile", "anger", "smile"]))
    assert found.names == ("anger", "smile") and not found.ordered
    np.testing.assert_array_equal(found.codes, [1, 0, 1])
    assert np.isnan(found.middles).all()


def test_many_numbers_make_ranges_of_about_equally_many():
    values = np.random.default_rng(0).exponential(size=500)
    found = classes_of(values)
    assert len(found.names) == RANGES and found.ordered
    assert np.ptp(np.bincount(found.codes)) <= 1
    for code, (name, middle) in enumerate(zip(found.names, found.middles, strict=True)):
        part = values[found.codes == code]
        assert name == f"{part.min():.3g} to {part.max():.3g}"
        assert part.min() <= middle <= part.max()
    assert (np.diff(found.middles) > 0).all()
    tied = np.concatenate([np.zeros(900), np.arange(1.0, MOST_VALUES + 1)])
    codes = classes_of(tied).codes
    np.testing.assert_array_equal(np.unique(codes), np.arange(codes.max() + 1))


def test_centroids_are_means_by_class():
    templates, classes = cloud(), classes_of(np.arange(20) % 3 * 1.0)
    expected = [templates[np.arange(20) % 3 == code].mean(axis=0) for code in range(3)]
    np.testing.assert_allclose(
        centroids_of(templates, classes), expected, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ValueError, match="shape"):
        centroids_of(templates[:4], classes)
    with pytest.raises(InputError, match="NaN"):
        centroids_of(np.full_like(templates, np.nan), classes)


@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_classical_maps_tell_their_stress_and_shares(metric):
    found = make_map(cloud(), metric=metric, dims=3)
    expected = classical_mds(distances(cloud(), metric=metric), dims=3)
    np.testing.assert_array_equal(found.points, expected.points)
    assert list(found.numbers) == [
        *("stress", "share_1", "share_2", "share_3", "negative_share"),
    ]
    assert found.numbers["share_1"] > found.numbers["share_2"] > 0


def test_least_squares_has_less_stress_and_tsne_tells_its_divergence():
    least = make_map(cloud(), method="smacof")
    assert least.numbers["stress"] < make_map(cloud()).numbers["stress"]
    near = make_map(cloud(), method="tsne", perplexity=4)
    assert near.points.shape == (20, 2) and list(near.numbers) == ["divergence"]


def test_unknown_methods_and_too_few_points_are_refused():
    with pytest.raises(ValueError, match="not 'pca'"):
        make_map(cloud(), method="pca")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="a map of 2 points"):
        make_map(cloud(2))
    with pytest.raises(InputError, match="perplexity of 30 is out of range"):
        make_map(cloud(), method="tsne")


def test_all_maps_are_laid_on_the_first():
    first = cloud(9, 2)
    turned = -3 * first[:, ::-1] + 1
    found = align_maps(
        {"a": TemplateMap(first, {"stress": 0.1}), "b": TemplateMap(turned, {})}
    )
    np.testing.assert_array_equal(found["a"].points, first)
    assert found["a"].numbers == {"stress": 0.1}
    np.testing.assert_allclose(found["b"].points, first, atol=1e-5)
    assert found["b"].numbers["disparity"] < 1e-6
    with pytest.raises(InputError, match="no map"):
        align_maps({})


def test_no_two_classes_look_alike():
    words = styles_of(len(PALETTE) * len(MARKERS), ordered=False)
    assert len(set(words)) == len(words) and words[0] == (PALETTE[0], 0)
    scale = styles_of(13, ordered=True)
    assert len(set(scale)) == 13 and {marker for _, marker in scale} == {0}
    assert all(len(color) == 7 and color[0] == "#" for color, _ in [*words, *scale])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("joined", [True, False])
def test_every_kind_of_map_is_drawn(tmp_path, dims, joined):
    maps = shown(dims, joined=joined, networks=4)
    figure = draw_maps(maps, notes={"net0": "stress 0.1"})
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["net0\nstress 0.1", "net1", "net2", "net3"]
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    assert texts == (list(maps.captions) if joined else [])
    assert bool(figure.legends) != joined
    save_figure(tmp_path / "map.png", figure)
    assert (tmp_path / "map.png").stat().st_size > 5000


def test_only_numbers_are_joined_by_a_line():
    for ordered in (True, False):
        axis = draw_maps(shown(ordered=ordered), notes={}).axes[0]
        assert len(axis.lines) == ordered
