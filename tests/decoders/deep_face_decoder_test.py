"""The decoder that is trained here: its shapes, and properties that hold untrained."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax.decoders.deep_face_decoder import (
    DeepFaceDecoder,
    DeepFaceDecoderConfig,
)

TINY = DeepFaceDecoderConfig.tiny()


def random_network(config):
    """Random parameters; quicker than the initialisers, which compile one by one."""
    graphdef, state = nnx.split(abstract(config))
    rng = np.random.default_rng(0)

    def draw(leaf):
        scale = 1 / np.sqrt(np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.5
        return jnp.array(scale * rng.normal(size=leaf.shape), jnp.float32)

    return nnx.merge(graphdef, jax.tree.map(draw, state))


@jax.jit
def forward(network, templates):
    return network(templates)


@pytest.fixture(scope="module")
def network():
    return random_network(TINY)


@pytest.fixture(scope="module")
def templates():
    return jax.random.normal(jax.random.key(1), (3, 8))


def abstract(config):
    return nnx.eval_shape(lambda: DeepFaceDecoder(config, rngs=nnx.Rngs(0)))


def picture_shape(config):
    templates = jnp.zeros((2, config.template_dim))
    return nnx.eval_shape(lambda m, x: m(x), abstract(config), templates).shape


def test_its_convolutions_are_those_of_vgg16_in_reverse():
    network = abstract(DeepFaceDecoderConfig())
    kernels = [conv.conv.kernel.shape for stage in network.stages for conv in stage]
    kernels.append(network.to_rgb.kernel.shape)
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    vgg16 = [(3, 3, i, o) for i, o in zip([3, *widths], widths, strict=False)]
    assert kernels == [(h, w, o, i) for h, w, i, o in reversed(vgg16)]
    assert network.stem.kernel.shape == (512, 7 * 7 * 512)


@pytest.mark.parametrize("size", [224, 150, 112, 160, 33])
@pytest.mark.parametrize("dim", [128, 2048])
def test_gives_pictures_of_any_side_from_templates_of_any_size(size, dim):
    config = DeepFaceDecoderConfig(template_dim=dim, image_size=size, width=1 / 64)
    assert picture_shape(config) == (2, size, size, 3)


def test_a_larger_map_is_cropped_in_the_middle(network, templates):
    smaller = dataclasses.replace(TINY, image_size=20)  # of the same 24 px map
    graphdef = nnx.split(abstract(smaller))[0]
    cropped = forward(nnx.merge(graphdef, nnx.state(network)), templates)
    # two compilations of the same sums
    whole = forward(network, templates)
    np.testing.assert_allclose(cropped, whole[:, 2:22, 2:22], atol=1e-6)


def test_pictures_are_float32_in_0_to_1_with_and_without_jit(network, templates):
    plain = network(100 * templates)
    assert plain.dtype == jnp.float32 and plain.shape == (3, 24, 24, 3)
    assert 0 <= plain.min() < plain.max() <= 1
    jitted = forward(network, 100 * templates)
    np.testing.assert_allclose(jitted, plain, atol=1e-5)  # XLA fuses otherwise


@pytest.mark.parametrize("groups", [0, 2])
def test_a_train_step_is_pure_and_reaches_every_parameter(groups, templates):
    config = dataclasses.replace(TINY, groups=groups)
    network = random_network(config)
    graphdef, params = nnx.split(network)
    assert not jax.tree.leaves(nnx.state(network, nnx.Not(nnx.Param)))

    def loss(params):
        pictures = nnx.merge(graphdef, params)(templates)
        return jnp.mean((pictures - 0.3) ** 2)

    before = jax.tree.map(jnp.array, params)
    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    for leaf in jax.tree.leaves(gradient):
        assert jnp.isfinite(leaf).all() and jnp.abs(leaf).max() > 0
    stepped = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    assert loss(stepped) < value
    assert jax.tree.all(jax.tree.map(jnp.array_equal, params, before))


def test_it_starts_from_the_random_key_that_it_is_given(templates):
    config = dataclasses.replace(TINY, widths=(4,), convs=(1,), image_size=8)
    first, again, other = (
        jax.jit(lambda key: DeepFaceDecoder(config, rngs=nnx.Rngs(key))(templates))(key)
        for key in map(jax.random.key, (0, 0, 1))
    )
    assert jnp.array_equal(first, again) and not jnp.array_equal(first, other)


def test_a_picture_depends_on_its_own_template_alone(network, templates):
    together, alone = forward(network, templates), forward(network, templates[1:2])
    # the sums are in other blocks
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)
    assert jnp.abs(together[0] - together[1]).max() > 1e-3


def test_computes_in_bfloat16_and_stays_close(network, templates):
    config = dataclasses.replace(TINY, dtype="bfloat16")
    half = nnx.merge(nnx.split(abstract(config))[0], nnx.state(network))
    found, expected = forward(half, templates), forward(network, templates)
    assert found.dtype == jnp.float32
    error = jnp.abs(found - expected)
    assert 1e-5 < error.max() < 0.05  # 8 bits of mantissa through 6 layers


@pytest.mark.parametrize(
    "templates",
    [np.zeros(8, np.float32), np.zeros((2, 9), np.float32), np.zeros((2, 8), np.int32)],
)
def test_takes_only_float_templates_of_its_own_size(network, templates):
    with pytest.raises(ValueError, match=r"shape|type"):
        network(jnp.array(templates))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"convs": (1, 1)}, "each width needs"),
        ({"convs": (1, 0, 1)}, "each width needs"),
        ({"template_dim": 0}, "template_dim"),
        ({"groups": -1}, "groups"),
        ({"image_size": 0}, "image_size"),
        ({"width": -1.0}, "width"),
        ({"dtype": "int8"}, "dtype"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **setting)
