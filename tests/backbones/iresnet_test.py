"""Oracle: the same network of PyTorch's own layers, in float64, on random arrays."""

import dataclasses
import functools
import itertools
import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax.backbones import iresnet_recipes, layers
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.conversion import onnx_graph, strict

torch: Any = pytest.importorskip("torch", reason="torch is in the extra `convert` only")

TINY = IResNetConfig.tiny()
# float32 rounding over 12 convolutions: a few ulps of the largest value (3e-7 measured)
PARITY = 1e-5
UNIT_PARITY = 1e-6  # absolute, of an element of a unit vector


class Block(torch.nn.Module):
    def __init__(self, channels, width, *, first, epsilon, mistake):
        super().__init__()
        norm = functools.partial(torch.nn.BatchNorm2d, eps=epsilon)
        conv = functools.partial(torch.nn.Conv2d, bias=False)
        self.mistake = mistake
        strides = (1, 2) if first else (1, 1)
        if mistake == "stride of the first convolution":
            strides = strides[::-1]
        self.bn1 = norm(channels)
        self.conv1 = conv(channels, width, 3, stride=strides[0], padding=1)
        self.bn2 = norm(width)
        self.prelu = torch.nn.PReLU(width)
        self.conv2 = conv(width, width, 3, stride=strides[1], padding=1)
        self.bn3 = norm(width)
        self.downsample = None
        if first:
            shortcut = conv(channels, width, 1, stride=2), norm(width)
            self.downsample = torch.nn.Sequential(*shortcut)

    def forward(self, x):
        normed = self.bn1(x)
        inner = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(normed)))))
        if self.downsample is not None:
            wrong = self.mistake == "shortcut of the normalised input"
            x = self.downsample(normed if wrong else x)
        wrong = self.mistake == "activation after the sum"
        return torch.relu(inner + x) if wrong else inner + x


class Reference(torch.nn.Module):
    """State dict of arcface_torch's names; `rows_first` flattens as Keras does."""

    def __init__(self, config, *, epsilon=1e-5, rows_first=False, mistake=""):
        super().__init__()
        channels = config.channels[0]
        self.rows_first = rows_first
        self.conv1 = torch.nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(channels, eps=epsilon)
        self.prelu = torch.nn.PReLU(channels)
        self.depth = len(config.blocks)
        for stage, (width, count) in enumerate(
            zip(config.channels, config.blocks, strict=True), 1
        ):
            blocks = []
            for i in range(count):
                blocks.append(
                    Block(
                        channels,
                        width,
                        first=i == 0,
                        epsilon=epsilon,
                        mistake=mistake,
                    )
                )
                channels = width
            setattr(self, f"layer{stage}", torch.nn.Sequential(*blocks))
        self.bn2 = torch.nn.BatchNorm2d(channels, eps=epsilon)
        inputs = channels * (config.image_size // 2**self.depth) ** 2
        self.fc = torch.nn.Linear(inputs, config.embedding_dim)
        self.features = torch.nn.BatchNorm1d(config.embedding_dim, eps=epsilon)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        for stage in range(self.depth):
            x = getattr(self, f"layer{stage + 1}")(x)
        x = self.bn2(x)
        x = x.permute(0, 2, 3, 1) if self.rows_first else x
        return self.features(self.fc(x.flatten(1)))


def state_of(module, seed):
    """Random arrays; variances down to 1e-3, so that epsilons matter."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        shape = tuple(tensor.shape)
        if name.endswith("running_var"):
            array = 10 ** rng.uniform(-3, 0, shape)
        elif len(shape) > 1:
            array = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        else:
            array = rng.normal(size=shape) / 4
        arrays[name] = array.astype(np.float32)
    for name in arrays:  # activations stay near 1 through any depth
        if name.endswith("running_var"):
            scale = rng.uniform(0.5, 1.5, arrays[name].shape) * np.sqrt(arrays[name])
            layer = name.removesuffix("running_var")
            arrays[layer + "weight"] = scale.astype(np.float32)
            arrays[layer + "running_mean"] *= np.sqrt(arrays[name])
    return arrays


def reference_of(config, arrays, **options):
    module = Reference(config, **options).eval()
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return module.double()


def run(module, images):
    """What PyTorch gives for [B, H, W, C] images, in float64."""
    with torch.no_grad():
        return module(torch.tensor(images).double().permute(0, 3, 1, 2)).numpy()


@functools.cache
def abstract(config):
    return nnx.eval_shape(lambda: IResNet(config, rngs=nnx.Rngs(0)))


def filled(config, arrays, *, rules=iresnet_recipes._torch_rules):
    return strict.fill(abstract(config), arrays, rules(config))


@jax.jit
def forward(network, images):
    with jax.default_matmul_precision("highest"):
        return network(images)


def images_of(config, seed=0):
    side = config.image_size
    images = np.random.default_rng(seed).uniform(-1, 1, (3, side, side, 3))
    return images.astype(np.float32)


def relative_error(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


@functools.cache
def tiny():
    """Arrays, inputs and the right embeddings."""
    arrays, images = state_of(Reference(TINY), 0), images_of(TINY)
    return arrays, images, run(reference_of(TINY, arrays), images)


def our_path(name):
    """Where the output of a module of the reference is found in ours."""
    path = re.sub(r"layer(\d)", lambda match: f"stages.{int(match[1]) - 1}", name)
    if path == "bn1":
        return "conv1"
    path = re.sub(r"(stages\.\d\.\d\.)bn2", r"\1conv1", path)
    path = re.sub(r"(stages\.\d\.\d\.)bn3", r"\1conv2", path)
    return path.replace("downsample", "shortcut")


def keep_output(outputs, path, _module, _inputs, output):
    outputs[path] = output


def test_every_layer_equals_pytorch():
    arrays, images, _ = tiny()
    reference, expected = reference_of(TINY, arrays), {}
    for name, module in reference.named_modules():
        if not re.search(r"(conv\d|layer\d|downsample\.\d)$", name):  # ours hold a BN
            keep = functools.partial(keep_output, expected, our_path(name))
            module.register_forward_hook(keep)
    run(reference, images)

    @jax.jit
    def captured(network, x):
        capture = nnx.capture(
            network, nnx.Intermediate, method_outputs=nnx.Intermediate
        )
        with jax.default_matmul_precision("highest"):
            return capture(x)[1]

    state = nnx.to_flat_state(captured(filled(TINY, arrays), images))
    found = {".".join(map(str, path[:-1])): value[0] for path, value in state}
    assert len(expected) == 1 + 2 + 6 * 5 + 4 + 3
    for path, layer in expected.items():
        layer = layer.numpy()
        layer = layer.transpose(0, 2, 3, 1) if layer.ndim == 4 else layer
        assert found[path].shape == layer.shape, path
        assert relative_error(found[path], layer) < PARITY, path


def test_embeddings_and_templates_equal_pytorch():
    arrays, images, expected = tiny()
    network = filled(TINY, arrays)
    found = forward(network, images)
    assert found.dtype == jnp.float32
    assert relative_error(found, expected) < PARITY
    templates = iresnet_recipes.PREPROCESS.normalise(found)
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(templates, expected, rtol=0, atol=UNIT_PARITY)


def test_gives_the_same_with_and_without_jit():
    config = dataclasses.replace(TINY, blocks=(1,), widths=(64,))
    network = filled(config, state_of(Reference(config), 3))
    images = images_of(config)
    plain = network(jnp.array(images))
    assert relative_error(forward(network, images), plain) < PARITY


@pytest.mark.parametrize("blocks", [(1, 1, 3, 1)])
def test_other_depths_equal_pytorch(blocks):
    config = dataclasses.replace(TINY, blocks=blocks)
    arrays, images = state_of(Reference(config), 1), images_of(config, 1)
    found = forward(filled(config, arrays), images)
    assert relative_error(found, run(reference_of(config, arrays), images)) < PARITY


@pytest.mark.parametrize(
    "mistake",
    [
        "stride of the first convolution",
        "shortcut of the normalised input",
        "activation after the sum",
    ],
)
def test_a_block_of_another_kind_would_be_seen(mistake):
    arrays, images, expected = tiny()
    wrong = run(reference_of(TINY, arrays, mistake=mistake), images)
    assert relative_error(wrong, expected) > 100 * PARITY


def test_wrong_layouts_would_be_seen():
    arrays, images, expected = tiny()
    rules = iresnet_recipes._torch_rules(TINY)

    def error(changed_arrays, changed_rules):
        network = strict.fill(abstract(TINY), changed_arrays, changed_rules)
        return relative_error(forward(network, images), expected)

    def with_layout(target, layout):
        return [
            rule._replace(layout=layout) if target in rule.target else rule
            for rule in rules
        ]

    assert error(arrays, rules) < PARITY
    assert error(arrays, with_layout("fc.kernel", layers.transposed)) > 100 * PARITY
    sideways = with_layout("conv.kernel", lambda a: a.transpose(3, 2, 1, 0))
    assert error(arrays, sideways) > 100 * PARITY
    one_slope = {
        name: np.full_like(a, a.mean()) if name.endswith("prelu.weight") else a
        for name, a in arrays.items()
    }
    assert error(one_slope, rules) > 100 * PARITY


def test_another_epsilon_would_be_seen():
    arrays, images, expected = tiny()
    wrong = filled(dataclasses.replace(TINY, epsilon=2e-5), arrays)
    assert relative_error(forward(wrong, images), expected) > 10 * PARITY


def test_another_preprocessing_would_be_seen():
    arrays, _, _ = tiny()
    right = dataclasses.replace(iresnet_recipes.PREPROCESS, size=TINY.image_size)
    crops = np.random.default_rng(4).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)
    network = filled(TINY, arrays)
    # the source's own formula, on uint8's range: (x / 255 - 0.5) / 0.5
    expected = run(reference_of(TINY, arrays), (crops.astype(float) - 0.5) / 0.5)
    found = forward(network, right(jnp.array(crops)))
    assert relative_error(found, expected) < PARITY
    for change in ({"scale": 128.0}, {"colour_order": "BGR"}):
        inputs = dataclasses.replace(right, **change)(jnp.array(crops))
        assert relative_error(forward(network, inputs), expected) > 10 * PARITY, change


def test_every_stage_halves_the_sides_from_the_first_on():
    def outputs(x):
        layers_ = IResNet(IResNetConfig.iresnet18(), rngs=nnx.Rngs(0)).trunk
        return list(itertools.accumulate(layers_, lambda y, f: f(y), initial=x))

    shapes = jax.eval_shape(outputs, jnp.zeros((1, 112, 112, 3)))
    sides = [shape.shape[1] for shape in shapes]
    assert sides == [112] * 3 + [56] * 2 + [28] * 2 + [14] * 2 + [7] * 3


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [
        (18, 24_025_600),
        (34, 34_139_328),
        (50, 43_590_848),
        (100, 65_156_160),
        (200, 118_833_920),
    ],
)
def test_has_as_many_parameters_as_the_published_network(depth, parameters):
    config = getattr(IResNetConfig, f"iresnet{depth}")()
    leaves = jax.tree.leaves(nnx.state(abstract(config), nnx.Param))
    assert sum(leaf.size for leaf in leaves) == parameters


def targets_of(recipe, names):
    """Where the rules of a recipe send these names, each of which one must match."""
    targets = []
    for name in names:
        matches = [(re.fullmatch(r.source, name), r.target) for r in recipe.rules]
        (target,) = [match.expand(target) for match, target in matches if match]
        targets.append(target)
    return sorted(targets)


def paths_of(config):
    state = nnx.to_flat_state(nnx.state(abstract(config)))
    return sorted(".".join(map(str, path)) for path, _ in state)


RECIPES = {recipe.name: recipe for recipe in iresnet_recipes.RECIPES}


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_the_recipe_of_a_state_dict_leaves_nothing_out(depth):
    recipe = RECIPES[f"iresnet{depth}_arcface_torch"]
    with torch.device("meta"):
        names = Reference(recipe.config).state_dict()
    names = [name for name in names if not name.endswith("num_batches_tracked")]
    assert len(names) == {18: 156, 34: 276, 50: 396}[depth]
    assert targets_of(recipe, names) == paths_of(recipe.config)


def test_the_recipe_of_buffalo_l_leaves_nothing_out():
    recipe = RECIPES["iresnet50_insightface_onnx"]
    kinds = {"conv": (53, ("weight", "bias")), "prelu": (25, ("weight",))}
    kinds["gemm"] = (1, ("weight", "bias"))
    kinds["bn"] = (26, ("weight", "bias", "running_mean", "running_var"))
    names = [
        f"{kind}_{n:02d}.{part}"
        for kind, (count, parts) in kinds.items()
        for n in range(count)
        for part in parts
    ]
    assert targets_of(recipe, names) == paths_of(recipe.config)
    assert recipe.config.folded and recipe.preprocess.scale == (127.5,) * 3


def exported(module, inputs, path):
    """An ONNX file by the exporter that folds batch normalisations."""
    pytest.importorskip("onnx", reason="onnx is in the extra `convert` only")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, and says so
        torch.onnx.export(module, inputs, path, dynamo=False, opset_version=11)


def test_an_onnx_export_gives_the_embeddings_of_the_network_it_is_of(tmp_path):
    arrays, images, expected = tiny()
    path = tmp_path / "w600k.onnx"
    exported(reference_of(TINY, arrays).float(), torch.zeros(1, 3, 32, 32), path)
    found = onnx_graph.read_onnx(path)
    config = dataclasses.replace(TINY, folded=True)
    network = filled(config, found, rules=iresnet_recipes._onnx_rules)
    assert relative_error(forward(network, images), expected) < PARITY
    with pytest.raises(ValueError, match=r"conv_00\.bias"):
        filled(TINY, found, rules=iresnet_recipes._torch_rules)


# Layers of a small network of deepface's that have arrays, in the order of the depth in
# Keras's graph, by the names of the reference's layers.
KERAS_BLOCK = {
    "1_bn": "bn1",
    "1_conv": "conv1",
    "2_bn": "bn2",
    "1_prelu": "prelu",
    "0_conv": "downsample.0",
    "2_conv": "conv2",
    "0_bn": "downsample.1",
    "3_bn": "bn3",
}
KERAS_ROLES = {
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
    "weight": "gamma",
    "bias": "beta",
}


def keras_arrays(config, arrays):
    """The arrays as Keras names and lays them out."""
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1", "conv1_prelu": "prelu"}
    for stage, count in enumerate(config.blocks, 1):
        for i in range(count):
            for theirs, ours in KERAS_BLOCK.items():
                if i == 0 or "downsample" not in ours:
                    name = f"conv{stage + 1}_block{i + 1}_{theirs}"
                    names[name] = f"layer{stage}.{i}.{ours}"
    names |= {"batch_normalization": "bn2", "dense": "fc", "embedding": "features"}
    renamed = {}
    for theirs, ours in names.items():
        for name, array in arrays.items():
            layer, _, role = name.rpartition(".")
            if layer == ours and "prelu" in theirs:
                renamed[f"{theirs}/alpha"] = array.reshape(1, 1, -1)
            elif layer == ours and array.ndim == 4:
                renamed[f"{theirs}/kernel"] = array.transpose(2, 3, 1, 0)
            elif layer == ours and theirs == "dense":
                role = "kernel" if role == "weight" else "bias"
                renamed[f"{theirs}/{role}"] = array.transpose()
            elif layer == ours:
                renamed[f"{theirs}/{KERAS_ROLES[role]}"] = array
    return renamed


def test_a_file_of_deepface_gives_the_embeddings_of_its_own_network():
    config = dataclasses.replace(TINY, epsilon=IResNetConfig.deepface().epsilon)
    arrays, images = state_of(Reference(config), 5), images_of(config, 5)
    keras = reference_of(config, arrays, epsilon=2e-5, rows_first=True)
    expected = run(keras, images)
    named = keras_arrays(config, arrays)
    layers_ = list(dict.fromkeys(name.split("/")[0] for name in named))
    counted = {
        f"layer_{layers_.index(layer):02d}/{role}": array
        for (layer, role), array in zip(
            (name.split("/") for name in named), named.values(), strict=True
        )
    }
    assert len(named) == len(counted) == len(arrays)
    for form in (named, counted):
        network = filled(config, form, rules=iresnet_recipes._keras_rules)
        assert relative_error(forward(network, images), expected) < PARITY
    arcface = dataclasses.replace(config, epsilon=1e-5)
    wrong = filled(arcface, named, rules=iresnet_recipes._keras_rules)
    assert relative_error(forward(wrong, images), expected) > 10 * PARITY


def test_the_recipe_of_deepface_leaves_nothing_out():
    recipe = RECIPES["iresnet34_deepface"]
    narrow = dataclasses.replace(recipe.config, width=1 / 64)
    names = keras_arrays(narrow, state_of(Reference(narrow), 7))
    assert targets_of(recipe, names) == paths_of(recipe.config)
    assert recipe.config.epsilon == 2e-5 and recipe.preprocess.scale == (128.0,) * 3


def test_computes_in_bfloat16_and_stays_close():
    config = dataclasses.replace(TINY, blocks=(1, 1, 1, 1))
    arrays, images = state_of(Reference(config), 6), images_of(config)
    expected = run(reference_of(config, arrays), images)
    config = dataclasses.replace(config, dtype="bfloat16")
    found = forward(filled(config, arrays), images)
    assert found.dtype == jnp.float32
    found, right = (
        a / np.linalg.norm(a, axis=1, keepdims=True)
        for a in (np.asarray(found), expected)
    )
    cosines = (found * right).sum(axis=1)
    assert cosines.min() > 0.995  # 8 bits of mantissa through 9 convolutions
    assert cosines.max() < 1 - 1e-7  # and they are not float32's


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((32, 32, 3), np.float32),
        np.zeros((1, 112, 112, 3), np.float32),
        np.zeros((1, 32, 32, 1), np.float32),
        np.zeros((1, 32, 32, 3), np.uint8),
    ],
)
def test_takes_only_float_images_of_its_own_size(images):
    with pytest.raises(ValueError, match=r"shape|type"):
        nnx.eval_shape(lambda: IResNet(TINY, rngs=nnx.Rngs(0))(jnp.array(images)))


@pytest.mark.parametrize(
    "setting", [{"image_size": 100}, {"width": 0.0}, {"dtype": "float16"}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        dataclasses.replace(TINY, **setting)


def test_a_file_of_another_depth_is_refused():
    arrays, _, _ = tiny()
    config = dataclasses.replace(TINY, blocks=(1, 1, 1, 2))
    with pytest.raises(ValueError, match=r"layer1\.1\.bn1\.weight: the module has no"):
        filled(config, arrays)
