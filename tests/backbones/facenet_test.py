"""Oracle: PyTorch's own layers on the same arrays, written from the fact sheet."""

import dataclasses
import functools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax.backbones import facenet_recipes
from facedirs_jax.backbones.cards import UNTRAINED
from facedirs_jax.backbones.facenet import FaceNet, FaceNetConfig
from facedirs_jax.conversion import strict

torch = pytest.importorskip("torch", reason="the oracle is in the extra `convert`")

# float32 sums in another order through some 40 convolutions, on unit vectors
PARITY = 1e-6
LAYERS = 1e-5  # the same, relative to the largest value of a layer
TINY = FaceNetConfig.tiny()
KERAS = dataclasses.replace(
    TINY, use_scale=False, unit_output=False, embedding_dim=TINY.embedding_dim
)

# Width, kernel, stride and pads (rows, columns), by facenet-pytorch's names.
VALID, SAME, HALVE = (1, 0, 0), (1, 1, 1), (2, 0, 0)
SHAPES = {
    "conv2d_1a": (32, 3, 3, HALVE),
    "conv2d_2a": (32, 3, 3, VALID),
    "conv2d_2b": (64, 3, 3, SAME),
    "conv2d_3b": (80, 1, 1, VALID),
    "conv2d_4a": (192, 3, 3, VALID),
    "conv2d_4b": (256, 3, 3, HALVE),
    "block35.branch0": (32, 1, 1, VALID),
    "block35.branch1.0": (32, 1, 1, VALID),
    "block35.branch1.1": (32, 3, 3, SAME),
    "block35.branch2.0": (32, 1, 1, VALID),
    "block35.branch2.1": (32, 3, 3, SAME),
    "block35.branch2.2": (32, 3, 3, SAME),
    "mixed_6a.branch0": (384, 3, 3, HALVE),
    "mixed_6a.branch1.0": (192, 1, 1, VALID),
    "mixed_6a.branch1.1": (192, 3, 3, SAME),
    "mixed_6a.branch1.2": (256, 3, 3, HALVE),
    "block17.branch0": (128, 1, 1, VALID),
    "block17.branch1.0": (128, 1, 1, VALID),
    "block17.branch1.1": (128, 1, 7, (1, 0, 3)),
    "block17.branch1.2": (128, 7, 1, (1, 3, 0)),
    "mixed_7a.branch0.0": (256, 1, 1, VALID),
    "mixed_7a.branch0.1": (384, 3, 3, HALVE),
    "mixed_7a.branch1.0": (256, 1, 1, VALID),
    "mixed_7a.branch1.1": (256, 3, 3, HALVE),
    "mixed_7a.branch2.0": (256, 1, 1, VALID),
    "mixed_7a.branch2.1": (256, 3, 3, SAME),
    "mixed_7a.branch2.2": (256, 3, 3, HALVE),
    "block8.branch0": (192, 1, 1, VALID),
    "block8.branch1.0": (192, 1, 1, VALID),
    "block8.branch1.1": (192, 1, 3, (1, 0, 1)),
    "block8.branch1.2": (192, 3, 1, (1, 1, 0)),
}


class Reference:
    """The network on torch tensors; makes random arrays for names it has not met."""

    def __init__(self, *, epsilon=1e-3, scales=(0.17, 0.1, 0.2), repeats=True):
        self.width, self.embedding_dim = TINY.width, TINY.embedding_dim
        self.repeats = repeats
        self.epsilon, self.scales = epsilon, scales
        self.arrays, self.outputs = {}, {}
        self.rng = np.random.default_rng(0)

    def tensor(self, name, make):
        if name not in self.arrays:
            self.arrays[name] = make().astype(np.float32)
        return torch.tensor(self.arrays[name])

    def normalised(self, x, name):
        count, rng = x.shape[1], self.rng
        gamma = self.tensor(f"{name}.weight", lambda: rng.uniform(0.5, 1.5, count))
        beta = self.tensor(f"{name}.bias", lambda: 0.2 * rng.normal(size=count))
        mean = self.tensor(f"{name}.running_mean", lambda: 0.2 * rng.normal(size=count))
        # small enough that 1e-5 in place of 1e-3 shows
        var = self.tensor(f"{name}.running_var", lambda: rng.uniform(0.05, 1.5, count))
        return torch.nn.functional.batch_norm(
            x, mean, var, gamma, beta, eps=self.epsilon
        )

    def filters(self, name, *shape):
        scale = np.sqrt(2 / math.prod(shape[1:]))  # He: values keep their size
        return self.tensor(name, lambda: scale * self.rng.normal(size=shape))

    def conv(self, x, name, kind=""):
        path = f"{name}.{kind.partition('.')[2]}" if kind else name
        width, rows, columns, (stride, *pads) = SHAPES[kind or name]
        shape = round(self.width * width), x.shape[1], rows, columns
        weight = self.filters(f"{path}.conv.weight", *shape)
        x = torch.nn.functional.conv2d(x, weight, stride=stride, padding=tuple(pads))
        return torch.relu(self.normalised(x, f"{path}.bn"))

    def branches(self, x, name, kind):
        outputs = {}
        for key in SHAPES:
            found = re.fullmatch(rf"{kind}\.branch(\d)(\.\d)?", key)
            if found:
                outputs[found[1]] = self.conv(outputs.get(found[1], x), name, key)
        return list(outputs.values())

    def residual(self, x, name, kind, scale, *, relu=True):
        if name.startswith("repeat") and not self.repeats:
            return x
        y = torch.cat(self.branches(x, name, kind), dim=1)
        weight = self.filters(f"{name}.conv2d.weight", x.shape[1], y.shape[1], 1, 1)
        bias = self.tensor(
            f"{name}.conv2d.bias", lambda: self.rng.normal(size=len(x[0]))
        )
        x = scale * torch.nn.functional.conv2d(y, weight, bias) + x
        x = self.outputs[name] = torch.relu(x) if relu else x
        return x

    def reduction(self, x, name):
        pooled = torch.nn.functional.max_pool2d(x, 3, stride=2)
        x = torch.cat([*self.branches(x, name, name), pooled], dim=1)
        self.outputs[name] = x
        return x

    def __call__(self, inputs):
        """Embeddings before their scaling to unit norm, for [B, S, S, 3] input."""
        x = torch.tensor(np.asarray(inputs)).permute(0, 3, 1, 2)
        for name in list(SHAPES)[:6]:
            if name == "conv2d_3b":
                x = torch.nn.functional.max_pool2d(x, 3, stride=2)
            x = self.outputs[name] = self.conv(x, name)
        first, second, third = self.scales
        x = self.residual(x, "repeat_1.0", "block35", first)
        x = self.reduction(x, "mixed_6a")
        x = self.residual(x, "repeat_2.0", "block17", second)
        x = self.reduction(x, "mixed_7a")
        x = self.residual(x, "repeat_3.0", "block8", third)
        x = self.residual(x, "block8", "block8", 1.0, relu=False)
        x = x.mean(dim=(2, 3))
        weight = self.filters("last_linear.weight", self.embedding_dim, x.shape[1])
        x = self.normalised(torch.nn.functional.linear(x, weight), "last_bn")
        self.outputs["last_bn"] = x
        return x.numpy()


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def crops():
    return jnp.array(np.random.default_rng(1).uniform(size=(2, 107, 107, 3)), "f")


@pytest.fixture(scope="module")
def arrays(crops):
    reference = Reference()
    reference(crops)
    heads = {"logits.weight": np.ones((9, 16), "f"), "logits.bias": np.ones(9, "f")}
    return reference.arrays | heads


def reference_of(arrays, **kwargs):
    found = Reference(**kwargs)
    found.arrays = arrays
    return found


# deepface's names, as its Keras model gives them, of facenet-pytorch's.
KERAS_NAMES = {
    "conv2d_1a": "Conv2d_1a_3x3",
    "conv2d_2a": "Conv2d_2a_3x3",
    "conv2d_2b": "Conv2d_2b_3x3",
    "conv2d_3b": "Conv2d_3b_1x1",
    "conv2d_4a": "Conv2d_4a_3x3",
    "conv2d_4b": "Conv2d_4b_3x3",
    "repeat_1.0.branch0": "Block35_1_Branch_0_Conv2d_1x1",
    "repeat_1.0.branch1.0": "Block35_1_Branch_1_Conv2d_0a_1x1",
    "repeat_1.0.branch1.1": "Block35_1_Branch_1_Conv2d_0b_3x3",
    "repeat_1.0.branch2.0": "Block35_1_Branch_2_Conv2d_0a_1x1",
    "repeat_1.0.branch2.1": "Block35_1_Branch_2_Conv2d_0b_3x3",
    "repeat_1.0.branch2.2": "Block35_1_Branch_2_Conv2d_0c_3x3",
    "repeat_1.0.conv2d": "Block35_1_Conv2d_1x1",
    "mixed_6a.branch0": "Mixed_6a_Branch_0_Conv2d_1a_3x3",
    "mixed_6a.branch1.0": "Mixed_6a_Branch_1_Conv2d_0a_1x1",
    "mixed_6a.branch1.1": "Mixed_6a_Branch_1_Conv2d_0b_3x3",
    "mixed_6a.branch1.2": "Mixed_6a_Branch_1_Conv2d_1a_3x3",
    "repeat_2.0.branch0": "Block17_1_Branch_0_Conv2d_1x1",
    "repeat_2.0.branch1.0": "Block17_1_Branch_1_Conv2d_0a_1x1",
    "repeat_2.0.branch1.1": "Block17_1_Branch_1_Conv2d_0b_1x7",
    "repeat_2.0.branch1.2": "Block17_1_Branch_1_Conv2d_0c_7x1",
    "repeat_2.0.conv2d": "Block17_1_Conv2d_1x1",
    "mixed_7a.branch0.0": "Mixed_7a_Branch_0_Conv2d_0a_1x1",
    "mixed_7a.branch0.1": "Mixed_7a_Branch_0_Conv2d_1a_3x3",
    "mixed_7a.branch1.0": "Mixed_7a_Branch_1_Conv2d_0a_1x1",
    "mixed_7a.branch1.1": "Mixed_7a_Branch_1_Conv2d_1a_3x3",
    "mixed_7a.branch2.0": "Mixed_7a_Branch_2_Conv2d_0a_1x1",
    "mixed_7a.branch2.1": "Mixed_7a_Branch_2_Conv2d_0b_3x3",
    "mixed_7a.branch2.2": "Mixed_7a_Branch_2_Conv2d_1a_3x3",
    "repeat_3.0.branch0": "Block8_1_Branch_0_Conv2d_1x1",
    "repeat_3.0.branch1.0": "Block8_1_Branch_1_Conv2d_0a_1x1",
    "repeat_3.0.branch1.1": "Block8_1_Branch_1_Conv2d_0b_1x3",
    "repeat_3.0.branch1.2": "Block8_1_Branch_1_Conv2d_0c_3x1",
    "repeat_3.0.conv2d": "Block8_1_Conv2d_1x1",
    "block8.branch0": "Block8_2_Branch_0_Conv2d_1x1",
    "block8.branch1.0": "Block8_2_Branch_1_Conv2d_0a_1x1",
    "block8.branch1.1": "Block8_2_Branch_1_Conv2d_0b_1x3",
    "block8.branch1.2": "Block8_2_Branch_1_Conv2d_0c_3x1",
    "block8.conv2d": "Block8_2_Conv2d_1x1",
    "last_linear": "Bottleneck",
    "last": "Bottleneck",
}
KERAS_KINDS = {
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def keras_arrays(arrays):
    """The same network as deepface's files hold it; its gammas must be ones."""
    renamed = {}
    for name, array in arrays.items():
        layer, kind = name.rsplit(".", 1)
        layer = layer.removesuffix(".conv")
        if layer == "logits" or (kind == "weight" and layer.endswith("bn")):
            continue
        if layer.endswith("bn"):
            layer, kind = KERAS_NAMES[layer[:-3]] + "_BatchNorm", KERAS_KINDS[kind]
        else:
            layer, kind = KERAS_NAMES[layer], kind.replace("weight", "kernel")
        if array.ndim == 4:
            array = np.moveaxis(array, (2, 3), (0, 1)).swapaxes(2, 3)
        renamed[f"{layer}/{kind}"] = array.T if array.ndim == 2 else array
    return renamed


def recipe_of(config):
    torch_recipe, *_, keras_recipe = facenet_recipes.RECIPES
    if config.use_scale:
        found = torch_recipe._replace(config=config)
    else:
        rules = facenet_recipes.keras_rules(config)
        found = keras_recipe._replace(config=config, rules=rules)
    size = config.image_size
    return found._replace(preprocess=dataclasses.replace(found.preprocess, size=size))


@functools.cache
def abstract(config):
    return nnx.eval_shape(lambda: FaceNet(config, rngs=nnx.Rngs(0)))


def filled(config, arrays, *, rules=None):
    recipe = recipe_of(config)
    module = abstract(config)
    return strict.fill(module, arrays, rules or recipe.rules, ignored=recipe.ignored)


@jax.jit
def forward(network, inputs):
    with jax.default_matmul_precision("highest"):
        return network(inputs)


@jax.jit
def captured(network, inputs):
    with jax.default_matmul_precision("highest"):
        return nnx.capture(network, nnx.Intermediate, method_outputs=nnx.Intermediate)(
            inputs
        )


def relative_error(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


def fed_by_facenet(crops):
    return ((255 * np.asarray(crops, float) - 127.5) / 128).astype(np.float32)


def test_every_layer_equals_pytorch(arrays, crops):
    inputs = 2 * crops - 1
    output, states = captured(filled(TINY, arrays), inputs)
    found = {
        ".".join(map(str, path[:-1])): value[0]
        for path, value in nnx.to_flat_state(states)
    }
    reference = reference_of(arrays)
    expected = reference(inputs)
    assert len(reference.outputs) == 13
    for name, layer in reference.outputs.items():
        layer = layer.permute(0, 2, 3, 1) if layer.ndim == 4 else layer
        assert found[name].shape == tuple(layer.shape), name
        assert relative_error(found[name], layer.numpy()) <= LAYERS, name
    np.testing.assert_allclose(output, unit(expected), rtol=0, atol=PARITY)


def test_the_recipe_gives_what_facenet_pytorch_gives(arrays, crops):
    found = forward(filled(TINY, arrays), recipe_of(TINY).preprocess(crops))
    expected = unit(reference_of(arrays)(fed_by_facenet(crops)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)
    np.testing.assert_allclose(recipe_of(TINY).preprocess.normalise(found), found, 1e-6)


def test_the_keras_recipe_gives_what_deepface_gives(arrays, crops):
    gammas = {n: np.ones_like(a) for n, a in arrays.items() if n.endswith("bn.weight")}
    network = filled(KERAS, keras_arrays(arrays | gammas))
    found = forward(network, recipe_of(KERAS).preprocess(crops))
    expected = reference_of(arrays | gammas)(np.asarray(crops)[..., ::-1].copy())
    assert relative_error(found, expected) <= LAYERS


@pytest.mark.parametrize(
    "change",
    [{"scale": 127.5}, {"scale": 255.0}, {"mean": (0.0,) * 3}, {"colour_order": "BGR"}],
    ids=str,
)
def test_other_preprocessing_would_be_seen(change, arrays, crops):
    wrong = dataclasses.replace(recipe_of(TINY).preprocess, **change)
    found = forward(filled(TINY, arrays), wrong(crops))
    expected = unit(reference_of(arrays)(fed_by_facenet(crops)))
    assert np.abs(found - expected).max() > 100 * PARITY


@pytest.mark.parametrize(
    "change", [{"epsilon": 1e-5}, {"scales": (0.17, 0.2, 0.1)}], ids=str
)
def test_another_epsilon_or_scale_would_be_seen(change, arrays, crops):
    found = forward(filled(TINY, arrays), recipe_of(TINY).preprocess(crops))
    wrong = unit(reference_of(arrays, **change)(fed_by_facenet(crops)))
    assert np.abs(found - wrong).max() > 1000 * PARITY


def test_swapped_rows_and_columns_of_square_kernels_would_be_seen(arrays, crops):
    swapped = {
        name: a.swapaxes(2, 3) if a.ndim == 4 and a.shape[2] == a.shape[3] else a
        for name, a in arrays.items()
    }
    found = forward(filled(TINY, swapped), recipe_of(TINY).preprocess(crops))
    expected = unit(reference_of(arrays)(fed_by_facenet(crops)))
    assert np.abs(found - expected).max() > 1000 * PARITY


def test_swapped_rows_and_columns_of_long_kernels_are_refused(arrays):
    name = "repeat_2.0.branch1.1.conv.weight"
    with pytest.raises(ValueError, match=r"expected float32 \(1, 7, 16, 16\)"):
        filled(TINY, arrays | {name: arrays[name].swapaxes(2, 3)})


def test_bfloat16_is_close_and_gives_float32(arrays, crops):
    config = dataclasses.replace(TINY, dtype="bfloat16", blocks=(0, 0, 0))
    fewer = {name: a for name, a in arrays.items() if not name.startswith("repeat")}
    found = forward(filled(config, fewer), recipe_of(TINY).preprocess(crops))
    expected = unit(reference_of(fewer, repeats=False)(fed_by_facenet(crops)))
    assert found.dtype == jnp.float32
    # 8 bits of mantissa, 12 layers deep: errors of 2**-9 that partly cancel
    assert PARITY < np.abs(found - expected).max() < 0.03


def count(network, kind):
    return sum(
        math.prod(v.shape) for _, v in nnx.to_flat_state(nnx.state(network, kind))
    )


def test_the_published_sizes_are_those_of_the_fact_sheet():
    network = abstract(FaceNetConfig())
    assert count(network, nnx.Param) == 23_482_624
    assert len(nnx.to_flat_state(nnx.state(network))) == 604 - 2  # without logits
    sides, x = [], jax.ShapeDtypeStruct((1, 160, 160, 3), jnp.float32)
    for stage in network.trunk:
        x = jax.eval_shape(lambda stage, x: stage(x), stage, x)
        sides.append(x.shape[1])
    assert sides == [79, 77, 77, 38, 38, 36, *[17] * 6, *[8] * 11, *[3] * 7]
    assert x.shape == (1, 3, 3, 1792)
    assert network.mixed_6a.channels == 896


# Of each kind, since a network of full size takes long to outline.
@pytest.mark.parametrize(
    "recipe", facenet_recipes.RECIPES[1:3], ids=lambda recipe: recipe.name
)
def test_a_recipe_gives_its_embedding(recipe):
    module = abstract(recipe.config)
    images = jax.ShapeDtypeStruct((1, 160, 160, 3), jnp.float32)
    output = jax.eval_shape(lambda network, x: network(x), module, images)
    assert output.shape == (1, recipe.config.embedding_dim)
    assert recipe.embedding.endswith(f"{recipe.config.embedding_dim}-d")
    assert recipe.preprocess.size == recipe.config.image_size
    if not recipe.config.use_scale:
        paths = (p for p, _ in nnx.to_flat_state(nnx.state(module)))
        targets = [".".join(map(str, path)) for path in paths]
        written = [rule.target.replace(r"\1", "bias") for rule in recipe.rules]
        assert set(written) < set(targets)


def test_names_of_recipes_are_unique():
    names = {recipe.name for recipe in facenet_recipes.RECIPES}
    data = ("vggface2", "casia", "deepface128", "deepface512")
    assert names == {f"facenet_{name}" for name in data}


def test_the_trunk_says_its_kernels_strides_and_pads(arrays):
    trunk: Any = filled(TINY, arrays).trunk
    none, ones = ((0, 0), (0, 0)), ((1, 1), (1, 1))
    assert [(s.kernel_size[0], s.strides[0], s.padding) for s in trunk[:7]] == [
        (3, 2, none),
        (3, 1, none),
        (3, 1, ones),
        (3, 2, none),  # the maximum
        (1, 1, none),
        (3, 1, none),
        (3, 2, none),
    ]


def test_the_card_is_static_and_weights_are_arguments(arrays, crops):
    network = filled(TINY, arrays)
    assert network.weights == UNTRAINED
    assert jax.make_jaxpr(lambda network, x: network(x))(network, crops).consts == []


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((107, 107, 3), np.float32),
        np.zeros((1, 160, 107, 3), np.float32),
        np.zeros((1, 107, 107, 1), np.float32),
        np.zeros((1, 107, 107, 3), np.uint8),
    ],
)
def test_takes_only_float_images_of_its_own_size(images):
    network = abstract(TINY)
    with pytest.raises(ValueError, match=r"shape|type"):
        network(jnp.array(images))


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("width", float("nan"), "width must be a positive number"),
        ("image_size", 74, "image_size must be .* at least 75, got 74"),
        ("dtype", "float64", "dtype is float32 or bfloat16, not 'float64'"),
    ],
)
def test_a_setting_out_of_range_is_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **{field: value})


def test_a_file_of_another_network_is_refused(arrays):
    with pytest.raises(ValueError, match=r"conv2d_1a\.conv\.kernel: no array fills it"):
        filled(TINY, {n: a for n, a in arrays.items() if n != "conv2d_1a.conv.weight"})
    with pytest.raises(
        ValueError, match=r"repeat_1\.1\.conv2d\.bias: the module has no"
    ):
        filled(TINY, arrays | {"repeat_1.1.conv2d.bias": np.ones(32, "f")})
