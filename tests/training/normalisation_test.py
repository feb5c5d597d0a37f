"""Normalisation that learns: against PyTorch's formula, and folded away again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import arrays_of, filled
from flax import nnx

from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.layers import FrozenBatchNorm
from facedirs_jax.backbones.resnet50 import ResNet50, ResNet50Config
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.training import normalisation, weights

TINY = [
    (VGG16, VGG16Config.tiny()),
    (VGG16, VGG16Config.tiny(embedding="pool5_mean")),
    (ResNet50, ResNet50Config.tiny()),
    (IResNet, IResNetConfig.tiny()),
]


def learning(build, config):
    return weights.abstract_network(
        lambda: normalisation.trainable(build(config, rngs=nnx.Rngs(0)))
    )


def randomised(network, seed=0):
    """An abstract network of random arrays, variances positive."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in weights.shapes_of(network).items():
        spread = (2 / max(np.prod(shape[:-1]), 1)) ** 0.5 if len(shape) > 1 else 0.1
        arrays[name] = rng.normal(0, spread, shape).astype(np.float32)
        if name.rpartition(".")[2] in ("var", "scale"):
            arrays[name] = 1 + abs(arrays[name])
    return weights.filled(network, arrays)


def test_a_batch_is_normalised_by_its_own_mean_and_variance():
    x = np.random.default_rng(0).normal(3, 2, (8, 5, 5, 4)).astype(np.float32)
    norm: Any = normalisation.BatchNorm(4, epsilon=1e-3)
    norm.scale[...], norm.bias[...] = jnp.arange(1.0, 5.0), jnp.arange(4.0)
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    expected = (x - mean) / np.sqrt(var + 1e-3) * np.arange(1, 5) + np.arange(4)
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, atol=1e-4)
    np.testing.assert_allclose(norm.mean[...], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * var, rtol=1e-4)


def test_statistics_settle_and_then_the_frozen_layer_does_the_same():
    x = jax.random.normal(jax.random.key(0), (16, 3, 3, 6)) * 2 + 1
    norm = normalisation.BatchNorm(6)
    trained = [norm(x) for _ in range(200)][-1]
    frozen = FrozenBatchNorm(6, epsilon=norm.epsilon)
    for name in ("scale", "bias", "mean", "var"):
        getattr(frozen, name)[...] = getattr(norm, name)[...]
    np.testing.assert_allclose(frozen(x), trained, atol=1e-4)


def test_a_layer_without_scale_has_none_and_computes_in_its_dtype():
    norm = normalisation.BatchNorm(3, use_scale=False, dtype="bfloat16")
    assert norm.scale is None
    assert norm(jnp.ones((4, 3))).dtype == jnp.bfloat16
    assert norm.mean[...].dtype == jnp.float32


@pytest.mark.parametrize(("build", "config"), TINY[2:])
def test_a_network_with_normalisations_keeps_its_arrays_and_gets_no_others(
    build, config
):
    plain = weights.abstract_network(lambda: build(config, rngs=nnx.Rngs(0)))
    assert weights.shapes_of(learning(build, config)) == weights.shapes_of(plain)
    arrays = arrays_of(randomised(plain))
    assert normalisation.folded(arrays).keys() == arrays.keys()


@pytest.mark.parametrize(("build", "config"), TINY[:2])
def test_added_normalisations_fold_into_the_plain_network(build, config):
    """The oracle: the network with those layers, by stored statistics."""
    trained = randomised(learning(build, config))
    plain = weights.abstract_network(lambda: build(config, rngs=nnx.Rngs(0)))
    images = jax.random.normal(jax.random.key(1), (2, 64, 64, 3))
    for _, module in list(nnx.iter_modules(trained)):
        for name, part in list(vars(module).items()):
            if isinstance(part, normalisation.BatchNorm):
                frozen = FrozenBatchNorm(len(part.bias[...]), epsilon=part.epsilon)
                for array in ("scale", "bias", "mean", "var"):
                    getattr(frozen, array)[...] = getattr(part, array)[...]
                setattr(module, name, frozen)
    folded = weights.filled(plain, normalisation.folded(arrays_of(trained)))
    assert type(folded) is build
    found, expected = folded(images), trained(images)
    scale = np.abs(np.asarray(expected)).max()
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


@pytest.mark.parametrize(("build", "config"), TINY)
def test_a_new_network_keeps_the_scale_of_its_input(build, config):
    network = weights.initialise(jax.random.key(0), learning(build, config))
    side = config.image_size
    embeddings = network(jax.random.normal(jax.random.key(1), (8, side, side, 3)))
    assert np.isfinite(embeddings).all()
    assert 0.1 < float(embeddings.std()) < 10


def test_kernels_start_as_he_et_al_have_it_and_the_rest_as_the_identity():
    network = weights.initialise(jax.random.key(0), learning(*TINY[3]))
    arrays = arrays_of(network)
    kernel = arrays["fc.kernel"]
    assert abs(kernel.std() / np.sqrt(2 / len(kernel)) - 1) < 0.1
    starts = {"scale": 1, "bias": 0, "mean": 0, "var": 1, "slope": 0.25}
    for name, array in arrays.items():
        if array.ndim == 1:
            assert (array == starts[name.rpartition(".")[2]]).all(), name
    other = arrays_of(weights.initialise(jax.random.key(1), learning(*TINY[3])))
    assert not np.array_equal(other["fc.kernel"], kernel)


def test_arrays_of_another_network_are_refused():
    network = filled(*TINY[3])
    arrays = arrays_of(network)
    del arrays["fc.bias"]
    arrays["fc.kernel"] = arrays["fc.kernel"][:, :4]
    with pytest.raises(ValueError, match=r"fc\.bias.*fc\.kernel"):
        weights.filled(network, arrays)
