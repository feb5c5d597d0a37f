"""Oracle: PyTorch's own layers on the same arrays, as each published file lays them."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax.backbones import vgg16
from facedirs_jax.backbones.cards import UNTRAINED
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.conversion import strict

torch = pytest.importorskip("torch", reason="the oracle is in the extra `convert`")

# float32 sums of up to 2304 terms in another order, through 15 layers
PARITY = 1e-5
TINY = VGG16Config.tiny()


def dag_arrays(config, rng):
    """Random arrays of the size of `config` as vgg_face_dag.pth names them."""
    arrays, channels = {}, 3
    for group, (published, count) in enumerate(vgg16.GROUPS, 1):
        for i in range(1, count + 1):
            width = round(config.width * published)
            arrays[f"conv{group}_{i}.weight"] = (width, channels, 3, 3)
            channels = width
    inputs, width = channels * (config.image_size // 32) ** 2, config.width * 4096
    for name, outputs in (("fc6", width), ("fc7", width), ("fc8", 10)):
        arrays[f"{name}.weight"] = (round(outputs), inputs)
        inputs = round(outputs)
    for name, shape in list(arrays.items()):
        scale = np.sqrt(2 / math.prod(shape[1:]))  # He: values keep their size
        arrays[name] = (rng.normal(size=shape) * scale).astype(np.float32)
        bias = name.replace("weight", "bias")
        arrays[bias] = (0.1 * rng.normal(size=shape[0])).astype(np.float32)
    return arrays


def keras_arrays(dag, side):
    """The same network as Keras holds it, by layer: [H, W, I, O], and fc6 over HWC."""
    arrays = {}
    for name, array in dag.items():
        layer, kind = name.split(".")
        if layer == "fc6" and kind == "weight":
            array = array.reshape(len(array), -1, side, side)  # [O, C, H, W]
            array = array.transpose(0, 2, 3, 1).reshape(len(array), -1)
        if array.ndim == 4:
            array = np.moveaxis(array, (2, 3), (0, 1)).swapaxes(2, 3)
        kind = "kernel" if kind == "weight" else kind
        arrays[f"{layer}/{kind}"] = array.T if array.ndim == 2 else array
    return arrays


def deepface_arrays(dag, side):
    """As deepface's file holds it: counted, and fully connected layers as filters."""
    arrays = keras_arrays(dag, side)
    for name, rows in (("fc6", side), ("fc7", 1), ("fc8", 1)):
        kernel = arrays[f"{name}/kernel"]
        arrays[f"{name}/kernel"] = kernel.reshape(rows, rows, -1, kernel.shape[1])
    numbers = {n: f"layer_{i:02d}" for i, n in enumerate((*vgg16.CONVS, *vgg16.DENSE))}
    named = ((name.split("/"), array) for name, array in arrays.items())
    return {f"{numbers[layer]}/{kind}": array for (layer, kind), array in named}


ARRAYS = {
    "dag": lambda dag, side: dag,
    "keras": keras_arrays,
    "deepface": deepface_arrays,
}


def layers_in_torch(inputs, dag):
    """Output of every layer, NHWC, for [B, S, S, 3] input in the file's own order."""
    weights = {name: torch.tensor(array) for name, array in dag.items()}
    x, outputs = torch.tensor(np.asarray(inputs)).permute(0, 3, 1, 2), {}
    for group, (_, count) in enumerate(vgg16.GROUPS, 1):
        for i in range(1, count + 1):
            name = f"conv{group}_{i}"
            x = torch.nn.functional.conv2d(
                x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1
            )
            outputs[f"{name}.conv"] = x.permute(0, 2, 3, 1)
            x = torch.relu(x)
            outputs[name] = x.permute(0, 2, 3, 1)
        x = torch.nn.functional.max_pool2d(x, 2)
        outputs[f"pool{group}"] = x.permute(0, 2, 3, 1)
    outputs["pool5_mean"] = x.mean(dim=(2, 3))
    x = x.flatten(1)  # CHW
    for name in ("fc6", "fc7"):
        x = torch.nn.functional.linear(
            x, weights[f"{name}.weight"], weights[f"{name}.bias"]
        )
        outputs[name] = x
        x = outputs[f"{name}_relu"] = torch.relu(x)
    return {name: output.numpy() for name, output in outputs.items()}


@functools.cache
def abstract(config):
    return nnx.eval_shape(lambda: VGG16(config, rngs=nnx.Rngs(0)))


def filled(recipe, arrays):
    module = abstract(recipe.config)
    return strict.fill(module, arrays, recipe.rules, ignored=recipe.ignored)


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


@pytest.fixture(scope="module")
def dag():
    return dag_arrays(TINY, np.random.default_rng(0))


@pytest.fixture(scope="module")
def crops():
    return jnp.array(np.random.default_rng(1).uniform(size=(2, 64, 64, 3)), "f")


def test_every_layer_equals_pytorch(dag, crops):
    inputs = 100 * crops - 50
    output, states = captured(filled(vgg16.recipe("dag", TINY), dag), inputs)
    found = {
        ".".join(map(str, path[:-1])): value[0]
        for path, value in nnx.to_flat_state(states)
    }
    expected = layers_in_torch(inputs, dag)
    named = set(expected) - {"pool5_mean", "fc6_relu", "fc7_relu"}
    assert named <= set(found)
    for name in named:
        assert found[name].shape == expected[name].shape, name
        assert relative_error(found[name], expected[name]) <= PARITY, name
    assert relative_error(output, expected["fc7"]) <= PARITY


@pytest.mark.parametrize(
    "embedding", ["pool5", "pool5_mean", "fc6", "fc6_relu", "fc7_relu"]
)
def test_the_embedding_is_the_layer_that_the_config_names(dag, crops, embedding):
    config = VGG16Config.tiny(embedding=embedding)
    found = forward(filled(vgg16.recipe("dag", config), dag), crops)
    expected = layers_in_torch(crops, dag)[embedding].reshape(2, -1)
    assert found.shape == (2, config.embedding_dim)
    assert relative_error(found, expected) <= PARITY


# What each file's own software feeds: order of channels, then mean, from RGB 0..255.
FED = {
    "dag": lambda rgb: rgb - [129.186279, 104.762384, 93.593964],
    "keras": lambda rgb: rgb[..., ::-1] - [93.5940, 104.7624, 129.1863],
    "deepface": lambda rgb: rgb[..., ::-1] / 255,
}


@pytest.mark.parametrize("file", FED)
def test_each_file_gives_what_its_own_software_gives(file, dag, crops):
    recipe = vgg16.recipe(file, TINY)
    network = filled(recipe, ARRAYS[file](dag, side=2))
    found = forward(network, recipe.preprocess(crops))
    fed = FED[file](255 * np.asarray(crops, float)).astype(np.float32)
    expected = layers_in_torch(fed, dag)["fc7"]
    assert relative_error(found, expected) <= PARITY


@pytest.mark.parametrize("file", FED)
@pytest.mark.parametrize(
    "change",
    [
        lambda p: {"colour_order": "RGB" if p.colour_order == "BGR" else "BGR"},
        lambda p: {"mean": p.mean[::-1] if any(p.mean) else (93.6, 104.8, 129.2)},
        lambda p: {"scale": tuple(s * 256 / 255 for s in p.scale)},
    ],
    ids=["order", "mean", "scale"],
)
def test_other_preprocessing_would_be_seen(file, change, dag, crops):
    recipe = vgg16.recipe(file, TINY)
    wrong = dataclasses.replace(recipe.preprocess, **change(recipe.preprocess))
    network = filled(recipe, ARRAYS[file](dag, side=2))
    fed = FED[file](255 * np.asarray(crops, float)).astype(np.float32)
    expected = layers_in_torch(fed, dag)["fc7"]
    assert relative_error(forward(network, wrong(crops)), expected) > 50 * PARITY


def flattened_as_it_is(weight):
    return weight.transpose()


def with_rows_and_columns_swapped(filters):
    return filters.transpose(3, 2, 1, 0)


@pytest.mark.parametrize(
    "target, layout",
    [
        ("fc6.kernel", flattened_as_it_is),
        ("conv1_1.conv.kernel", with_rows_and_columns_swapped),
        ("conv5_3.conv.kernel", with_rows_and_columns_swapped),
    ],
)
def test_a_wrong_layout_would_be_seen(target, layout, dag, crops):
    recipe = vgg16.recipe("dag", TINY)
    rules = [
        r._replace(layout=layout) if r.target == target else r for r in recipe.rules
    ]
    assert rules != recipe.rules
    found = forward(filled(recipe._replace(rules=rules), dag), crops)
    assert relative_error(found, layers_in_torch(crops, dag)["fc7"]) > 1000 * PARITY


def test_bfloat16_is_close_and_gives_float32(dag, crops):
    config = dataclasses.replace(TINY, dtype="bfloat16")
    found = forward(filled(vgg16.recipe("dag", config), dag), crops)
    assert found.dtype == jnp.float32
    # 8 bits of mantissa, 15 layers: 15 errors of 2**-9 that partly cancel
    error = relative_error(found, layers_in_torch(crops, dag)["fc7"])
    assert PARITY < error < 0.03


def count(network, kind):
    return sum(
        math.prod(v.shape) for _, v in nnx.to_flat_state(nnx.state(network, kind))
    )


def test_the_published_sizes_are_those_of_the_fact_sheet():
    network: Any = abstract(VGG16Config())
    assert count(network, nnx.Param) == 145_002_878 - 10_742_334  # without fc8
    assert network.fc6.kernel.shape == (25088, 4096)
    assert count(network.fc6, nnx.Param) == 102_764_544
    assert count(network.fc7, nnx.Param) == 16_781_312


@pytest.mark.parametrize("recipe", vgg16.RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_fits_its_network(recipe):
    module = abstract(recipe.config)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    output = jax.eval_shape(lambda network, x: network(x), module, images)
    assert output.shape == (1, recipe.config.embedding_dim)
    assert recipe.embedding.endswith(f"{recipe.config.embedding_dim}-d")
    assert recipe.preprocess.size == recipe.config.image_size
    targets = {".".join(map(str, p)) for p, _ in nnx.to_flat_state(nnx.state(module))}
    assert targets == {rule.target for rule in recipe.rules}


def test_names_of_recipes_are_unique():
    assert len({recipe.name for recipe in vgg16.RECIPES}) == 18


def test_a_file_without_top_fills_the_convolutions(dag):
    config = VGG16Config.tiny(embedding="pool5_mean")
    notop = {n: a for n, a in keras_arrays(dag, 2).items() if n.startswith("conv")}
    network = filled(vgg16.recipe("keras", config), notop)
    assert count(network, nnx.Param) == sum(array.size for array in notop.values())


def test_the_trunk_says_its_kernels_strides_and_pads(dag):
    trunk = filled(vgg16.recipe("dag", TINY), dag).trunk
    ones, twos, none = ((1, 1), (1, 1)), (2, 2), ((0, 0), (0, 0))
    conv, pool = ((3, 3), (1, 1), ones), (twos, twos, none)
    found = [(s.kernel_size, s.strides, s.padding) for s in trunk]
    assert found[:6] == [conv, conv, pool, conv, conv, pool]
    assert found.count(conv) == 13 and found.count(pool) == 5


def test_the_card_is_static_and_weights_are_arguments(dag, crops):
    network = filled(vgg16.recipe("dag", TINY), dag)
    assert network.weights == UNTRAINED
    assert jax.make_jaxpr(lambda network, x: network(x))(network, crops).consts == []


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((64, 64, 3), np.float32),
        np.zeros((1, 96, 64, 3), np.float32),
        np.zeros((1, 64, 64, 1), np.float32),
        np.zeros((1, 64, 64, 3), np.uint8),
    ],
)
def test_takes_only_float_images_of_its_own_size(images):
    network = abstract(TINY)
    with pytest.raises(ValueError, match=r"shape|type"):
        network(jnp.array(images))


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("width", 0.0, "width must be a positive number"),
        ("image_size", 100, "image_size must be a multiple of 32"),
        ("dtype", "float16", "dtype is float32 or bfloat16, not 'float16'"),
        ("embedding", "fc8", "embedding is one of pool5, .*fc7_relu, not 'fc8'"),
    ],
)
def test_a_setting_out_of_range_is_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **{field: value})


def test_a_file_of_another_network_is_refused(dag):
    with pytest.raises(ValueError, match=r"fc7\.kernel: no array fills it"):
        lacking = {n: a for n, a in dag.items() if n != "fc7.weight"}
        filled(vgg16.recipe("dag", TINY), lacking)
    with pytest.raises(ValueError, match="does not suit its rule"):
        filled(
            vgg16.recipe("dag", TINY), dag | {"fc6.weight": dag["fc6.weight"][:, 1:]}
        )
