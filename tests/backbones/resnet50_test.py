"""Oracle: PyTorch's own layers on the same arrays, with Caffe's and Keras's habits."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax.backbones import resnet50
from facedirs_jax.backbones.cards import UNTRAINED
from facedirs_jax.backbones.resnet50 import ResNet50, ResNet50Config
from facedirs_jax.conversion import strict

torch = pytest.importorskip("torch", reason="the oracle is in the extra `convert`")

# float32 sums of up to 576 terms in another order, through 16 convolutions
PARITY = 1e-5
TINY = ResNet50Config.tiny()
KERAS = dataclasses.replace(
    ResNet50Config.keras(), width=TINY.width, image_size=64, blocks=TINY.blocks
)


def norm_arrays(name, channels, rng):
    return {
        f"{name}.weight": rng.uniform(0.5, 1.5, channels),
        f"{name}.bias": 0.2 * rng.normal(size=channels),
        f"{name}.running_mean": 0.2 * rng.normal(size=channels),
        # small enough that 1e-3 in place of 1e-5 shows
        f"{name}.running_var": rng.uniform(0.05, 1.5, channels),
    }


def torchvision_arrays(config, rng):
    """Random arrays of the size of `config` as torchvision names them, with a head."""
    arrays = {}

    def unit(conv, norm, outputs, inputs, side):
        scale = np.sqrt(2 / (inputs * side**2))  # He: values keep their size
        arrays[f"{conv}.weight"] = scale * rng.normal(
            size=(outputs, inputs, side, side)
        )
        arrays.update(norm_arrays(norm, outputs, rng))

    channels = round(64 * config.width)
    unit("conv1", "bn1", channels, 3, 7)
    for stage, count in enumerate(config.blocks, 1):
        planes = round(config.width * 64 * 2 ** (stage - 1))
        for block in range(count):
            name = f"layer{stage}.{block}"
            unit(f"{name}.conv1", f"{name}.bn1", planes, channels, 1)
            unit(f"{name}.conv2", f"{name}.bn2", planes, planes, 3)
            unit(f"{name}.conv3", f"{name}.bn3", 4 * planes, planes, 1)
            if block == 0:
                names = f"{name}.downsample.0", f"{name}.downsample.1"
                unit(*names, 4 * planes, channels, 1)
            channels = 4 * planes
    arrays |= {"fc.weight": rng.normal(size=(9, channels)), "fc.bias": np.zeros(9)}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


CAFFE = {
    "conv1": "1x1_reduce",
    "bn1": "1x1_reduce_bn",
    "conv2": "3x3",
    "bn2": "3x3_bn",
    "conv3": "1x1_increase",
    "bn3": "1x1_increase_bn",
    "downsample.0": "1x1_proj",
    "downsample.1": "1x1_proj_bn",
}


def dag_arrays(arrays):
    """The same arrays under Caffe's names; the classifier is a 1x1 convolution."""
    renamed = {}
    for name, array in arrays.items():
        layer, kind = name.rsplit(".", 1)
        if layer.startswith("layer"):
            stage, block, part = layer.removeprefix("layer").split(".", 2)
            layer = f"conv{int(stage) + 1}_{int(block) + 1}_{CAFFE[part]}"
        top = {"conv1": "conv1_7x7_s2", "bn1": "conv1_7x7_s2_bn", "fc": "classifier"}
        layer = top.get(layer, layer)
        if layer == "classifier" and array.ndim == 2:
            array = array[:, :, np.newaxis, np.newaxis]
        renamed[f"{layer}.{kind}"] = array
    return renamed


KERAS_KINDS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def keras_arrays(arrays):
    """The same arrays as keras-vggface holds them."""
    renamed = {}
    for name, array in dag_arrays(arrays).items():
        layer, kind = name.rsplit(".", 1)
        layer = layer.replace("conv1_7x7", "conv1/7x7")
        if layer.endswith("_bn"):
            layer, kind = f"{layer[:-3]}/bn", KERAS_KINDS[kind]
        elif kind == "weight":
            array, kind = np.moveaxis(array, (2, 3), (0, 1)).swapaxes(2, 3), "kernel"
            array = array.reshape(array.shape[2:]) if layer == "classifier" else array
        renamed[f"{layer}/{kind}"] = array
    return renamed


ARRAYS = {
    "cydonia": lambda arrays: arrays,
    "dag": dag_arrays,
    "oxford": dag_arrays,
    "keras": keras_arrays,
}


def layers_in_torch(inputs, arrays, config, *, keras=False):
    """Output of every stage and block, NHWC, and the embedding, for [B, S, S, 3]."""
    weights = {name: torch.tensor(array) for name, array in arrays.items()}

    def unit(x, conv, norm, **kwargs):
        x = torch.nn.functional.conv2d(x, weights[f"{conv}.weight"], **kwargs)
        return torch.nn.functional.batch_norm(
            x,
            weights[f"{norm}.running_mean"],
            weights[f"{norm}.running_var"],
            weights[f"{norm}.weight"],
            weights[f"{norm}.bias"],
            eps=1e-3 if keras else 1e-5,
        )

    x, outputs = torch.tensor(np.asarray(inputs)).permute(0, 3, 1, 2), {}
    before, after = (2, 3) if keras else (3, 3)
    x = torch.nn.functional.pad(x, (before, after, before, after))
    x = torch.relu(unit(x, "conv1", "bn1", stride=2))
    outputs["conv1"] = x
    x = torch.nn.functional.max_pool2d(x, 3, stride=2, ceil_mode=not keras)
    outputs["pool1"] = x
    for stage, count in enumerate(config.blocks, 1):
        for block in range(count):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = torch.relu(unit(x, f"{name}.conv1", f"{name}.bn1", stride=stride))
            y = torch.relu(unit(y, f"{name}.conv2", f"{name}.bn2", padding=1))
            y = unit(y, f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                names = f"{name}.downsample.0", f"{name}.downsample.1"
                x = unit(x, *names, stride=stride)
            x = torch.relu(x + y)
            outputs[name] = x
    outputs = {name: x.permute(0, 2, 3, 1) for name, x in outputs.items()}
    outputs["embedding"] = x.mean(dim=(2, 3))
    return {name: output.numpy() for name, output in outputs.items()}


def tiny(file):
    """A published recipe, at the tiny size."""
    (found,) = (r for r in resnet50.RECIPES if r.name == f"resnet50_{file}")
    config = KERAS if file == "keras" else TINY
    names: Any = {"cydonia": "torchvision", "keras": "keras"}.get(file, "dag")
    return found._replace(
        config=config,
        rules=resnet50.rules(names, config),
        preprocess=dataclasses.replace(found.preprocess, size=64),
    )


@functools.cache
def abstract(config):
    return nnx.eval_shape(lambda: ResNet50(config, rngs=nnx.Rngs(0)))


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
def arrays():
    return torchvision_arrays(TINY, np.random.default_rng(0))


@pytest.fixture(scope="module")
def crops():
    return jnp.array(np.random.default_rng(1).uniform(size=(2, 64, 64, 3)), "f")


@pytest.mark.parametrize("file", ["cydonia", "keras"])
def test_every_layer_equals_pytorch(file, arrays, crops):
    inputs = 100 * crops - 50
    output, states = captured(filled(tiny(file), ARRAYS[file](arrays)), inputs)
    found = {
        ".".join(map(str, path[:-1])): value[0]
        for path, value in nnx.to_flat_state(states)
    }
    expected = layers_in_torch(inputs, arrays, TINY, keras=file == "keras")
    embedding = expected.pop("embedding")
    assert expected.keys() <= found.keys()
    for name, layer in expected.items():
        assert found[name].shape == layer.shape, name
        assert relative_error(found[name], layer) <= PARITY, name
    assert output.shape == (2, TINY.embedding_dim)
    assert relative_error(output, embedding) <= PARITY


# What each file's own software feeds: order of channels, then mean, from RGB 0..255.
FED = {
    "cydonia": lambda rgb: rgb[..., ::-1] - [91.4953, 103.8827, 131.0912],
    "dag": lambda rgb: rgb - [131.0912, 103.8827, 91.4953],
    "oxford": lambda rgb: rgb - [131.0912, 103.8827, 91.4953],
    "keras": lambda rgb: rgb[..., ::-1] - [91.4953, 103.8827, 131.0912],
}


def expected_of(file, arrays, crops):
    fed = FED[file](255 * np.asarray(crops, float)).astype(np.float32)
    return layers_in_torch(fed, arrays, TINY, keras=file == "keras")["embedding"]


@pytest.mark.parametrize("file", FED)
def test_each_file_gives_what_its_own_software_gives(file, arrays, crops):
    recipe = tiny(file)
    network = filled(recipe, ARRAYS[file](arrays))
    found = forward(network, recipe.preprocess(crops))
    assert relative_error(found, expected_of(file, arrays, crops)) <= PARITY


@pytest.mark.parametrize(
    "change",
    [
        {"colour_order": "RGB"},
        {"mean": (91.4953, 103.8827, 131.0912)},
        {"scale": 256 / 255},
    ],
    ids=["order", "mean", "scale"],
)
def test_other_preprocessing_would_be_seen(change, arrays, crops):
    recipe = tiny("cydonia")
    wrong = dataclasses.replace(recipe.preprocess, **change)
    found = forward(filled(recipe, arrays), wrong(crops))
    expected = expected_of("cydonia", arrays, crops)
    assert relative_error(found, expected) > 100 * PARITY


@pytest.mark.parametrize(
    "change",
    [{"stem_padding": (2, 3)}, {"ceil_pool": False}, {"epsilon": 1e-3}],
    ids=str,
)
def test_each_of_keras_habits_would_be_seen(change, arrays, crops):
    recipe = tiny("cydonia")
    recipe = recipe._replace(config=dataclasses.replace(TINY, **change))
    found = forward(filled(recipe, arrays), recipe.preprocess(crops))
    expected = expected_of("cydonia", arrays, crops)
    assert relative_error(found, expected) > 50 * PARITY


def test_a_stride_on_the_3x3_convolution_would_be_seen(arrays, crops):
    recipe = tiny("cydonia")
    network = filled(recipe, arrays)
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].reduce.conv.strides = (1, 1)
        stage[0].conv.conv.strides = (2, 2)  # as torchvision has it
    found = forward(network, recipe.preprocess(crops))
    expected = expected_of("cydonia", arrays, crops)
    assert relative_error(found, expected) > 1000 * PARITY


@pytest.mark.parametrize("target", ["conv1.conv.kernel", "layer1.1.conv.conv.kernel"])
def test_swapped_rows_and_columns_of_a_kernel_would_be_seen(target, arrays, crops):
    recipe = tiny("cydonia")
    rules = [
        r._replace(layout=lambda a: a.transpose(3, 2, 1, 0))
        if r.target == target
        else r
        for r in recipe.rules
    ]
    assert rules != recipe.rules
    network = filled(recipe._replace(rules=rules), arrays)
    found = forward(network, recipe.preprocess(crops))
    expected = expected_of("cydonia", arrays, crops)
    assert relative_error(found, expected) > 1000 * PARITY


def test_bfloat16_is_close_and_gives_float32(arrays, crops):
    recipe = tiny("cydonia")
    recipe = recipe._replace(config=dataclasses.replace(TINY, dtype="bfloat16"))
    found = forward(filled(recipe, arrays), recipe.preprocess(crops))
    assert found.dtype == jnp.float32
    # 8 bits of mantissa, 16 convolutions: errors of 2**-9 that partly cancel
    error = relative_error(found, expected_of("cydonia", arrays, crops))
    assert PARITY < error < 0.05


def count(network, kind):
    return sum(
        math.prod(v.shape) for _, v in nnx.to_flat_state(nnx.state(network, kind))
    )


@pytest.mark.parametrize("variant", [ResNet50Config.caffe, ResNet50Config.keras])
def test_the_published_sizes_are_those_of_the_fact_sheet(variant):
    network = abstract(variant())
    assert count(network, nnx.Param) == 23_508_032
    assert count(network, nnx.BatchStat) == 53_120
    sides, x = [], jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    for stage in network.trunk:
        x = jax.eval_shape(lambda stage, x: stage(x), stage, x)
        sides.append(x.shape[1])
    pooled = 55 if variant == ResNet50Config.keras else 56
    # conv1, pool1, and the 3, 4, 6 and 3 blocks of the stages
    assert sides == [112, *[pooled] * 4, *[28] * 4, *[14] * 6, *[7] * 3]
    assert x.shape == (1, 7, 7, 2048)


@pytest.mark.parametrize("recipe", resnet50.RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_has_one_rule_for_each_variable(recipe):
    module = abstract(recipe.config)
    targets = [".".join(map(str, p)) for p, _ in nnx.to_flat_state(nnx.state(module))]
    assert sorted(targets) == sorted(rule.target for rule in recipe.rules)
    assert len(targets) == 267 - 2  # fc.weight and fc.bias are left out
    assert recipe.preprocess.size == recipe.config.image_size


def test_names_of_recipes_are_unique():
    names = {recipe.name for recipe in resnet50.RECIPES}
    assert names == {f"resnet50_{file}" for file in ARRAYS}


def test_an_optimiser_of_parameters_leaves_the_statistics_alone(arrays):
    network = filled(tiny("cydonia"), arrays)
    assert len(nnx.to_flat_state(nnx.state(network, nnx.BatchStat))) == 2 * 20
    assert network.conv1.bn is not None
    assert isinstance(network.conv1.bn.mean, nnx.BatchStat)


def test_the_trunk_says_its_kernels_strides_and_pads(arrays):
    trunk: Any = filled(tiny("cydonia"), arrays).trunk
    found = [(s.kernel_size, s.strides, s.padding) for s in trunk[:2]]
    assert found == [
        ((7, 7), (2, 2), ((3, 3), (3, 3))),
        ((3, 3), (2, 2), ((0, 1), (0, 1))),
    ]
    assert [block.reduce.strides[0] for block in trunk[2:]] == [1, 1, 2, 2, 2]
    assert {block.conv.padding for block in trunk[2:]} == {((1, 1), (1, 1))}


def test_the_card_is_static_and_weights_are_arguments(arrays, crops):
    network = filled(tiny("cydonia"), arrays)
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
        ("width", -1.0, "width must be a positive number"),
        ("image_size", 100, "image_size must be a multiple of 16"),
        ("dtype", "float16", "dtype is float32 or bfloat16, not 'float16'"),
    ],
)
def test_a_setting_out_of_range_is_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **{field: value})


def test_a_file_of_another_network_is_refused(arrays):
    with pytest.raises(ValueError, match=r"layer1\.0\.reduce\.conv\.kernel: no array"):
        filled(tiny("dag"), arrays)
    deeper = arrays | {"layer1.2.conv1.weight": arrays["layer1.1.conv1.weight"]}
    with pytest.raises(ValueError, match=r"layer1\.2\.conv1\.weight: 0 rules match"):
        filled(tiny("cydonia"), deeper)
