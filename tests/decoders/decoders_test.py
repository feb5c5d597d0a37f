"""Oracle: the published decoders of PyTorch's own layers, in float64, random arrays."""

import dataclasses
import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax import decoders
from facedirs_jax.backbones.layers import transposed
from facedirs_jax.conversion import onnx_graph, strict
from facedirs_jax.decoders import ceia_decoder, idiap, rbh24
from facedirs_jax.decoders.layers import ConvTranspose, spread_kernel

torch: Any = pytest.importorskip("torch", reason="torch is in the extra `convert` only")
F: Any = torch.nn.functional

PARITY = 1e-6  # absolute, of pictures in [0, 1]: float32 rounding (2e-7 measured)


class Ceia(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.widths, self.side = config.channels, config.image_size // 32
        cells = self.widths[0] * self.side**2
        self.fc = torch.nn.Sequential(
            torch.nn.Linear(config.template_dim, cells),
            torch.nn.BatchNorm1d(cells),
            torch.nn.ReLU(),
        )
        units = []
        for n in range(5):
            ins, outs = self.widths[n : n + 2]
            units += [torch.nn.ConvTranspose2d(ins, outs, 4, stride=2, padding=1)]
            units += [torch.nn.BatchNorm2d(outs), torch.nn.ReLU()]
        units += [torch.nn.Conv2d(self.widths[-1], 3, 3, padding=1)]
        self.decoder = torch.nn.Sequential(*units, torch.nn.Sigmoid())

    def forward(self, x):
        x = self.fc(x).view(-1, self.widths[0], self.side, self.side)
        return self.decoder(x)


class Rbh24Unit(torch.nn.Module):
    def __init__(self, ins, outs):
        super().__init__()
        up = torch.nn.ConvTranspose2d(
            ins, outs, 3, stride=2, padding=1, output_padding=1
        )
        self.block = torch.nn.Sequential(
            up, torch.nn.BatchNorm2d(outs), torch.nn.PReLU()
        )

    def forward(self, x):
        return self.block(x)


class Rbh24(torch.nn.Module):
    """Gives normalised pictures, as the source does."""

    def __init__(self, config):
        super().__init__()
        self.dim = config.template_dim
        widths = [max(1, round(config.width * width)) for width in config.widths]
        ends = [config.template_dim, *widths]
        self.decoder = torch.nn.Sequential(
            *(Rbh24Unit(ends[n], ends[n + 1]) for n in range(len(widths)))
        )
        last, (side, padding, output_padding) = widths[-1], config.last
        self.final_layer = torch.nn.Sequential(
            torch.nn.ConvTranspose2d(
                last,
                last,
                side,
                stride=2,
                padding=padding,
                output_padding=output_padding,
            ),
            torch.nn.BatchNorm2d(last),
            torch.nn.PReLU(),
            torch.nn.Conv2d(last, 3, 3),
        )

    def forward(self, x):
        return self.final_layer(self.decoder(x.view(-1, self.dim, 1, 1)))


class IdiapUnit(torch.nn.Module):
    def __init__(self, ins, outs, stride, padding):
        super().__init__()
        norm = torch.nn.BatchNorm2d
        up = torch.nn.ConvTranspose2d(ins, outs, 4, stride, padding, bias=False)
        self.dconv = torch.nn.Sequential(up, norm(outs), torch.nn.ReLU())
        skip = []
        for _ in range(3):
            skip += [torch.nn.Conv2d(outs, outs, 3, padding=1, bias=False)]
            skip += [norm(outs), torch.nn.ReLU()]
        self.skip = torch.nn.Sequential(*skip)

    def forward(self, x):
        x = self.dconv(x)
        return x + self.skip(x)


class Idiap(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        ins = config.template_dim
        sizes = ((512, 1, 0), (256, 2, 1), (128, 2, 1), (64, 2, 2), (32, 2, 2))
        for n, (width, stride, padding) in enumerate((*sizes, (16, 2, 3)), 1):
            outs = max(1, round(config.width * width))
            setattr(self, f"decode{n}", IdiapUnit(ins, outs, stride, padding))
            ins = outs
        final = torch.nn.Conv2d(ins, 3, 3, padding=1), torch.nn.Sigmoid()
        self.final = torch.nn.Sequential(*final)

    def forward(self, x):
        x = x.view(*x.shape, 1, 1)
        for n in range(1, 7):
            x = getattr(self, f"decode{n}")(x)
        return self.final(x)


TINY = {
    "ceia": (Ceia, ceia_decoder.CeiaDecoderConfig.tiny()),
    "idiap": (Idiap, idiap.IdiapDecoderConfig.tiny()),
} | {
    f"rbh24_{name}": (Rbh24, dataclasses.replace(config, template_dim=8, width=1 / 64))
    for name, config in {
        "large": rbh24.Rbh24Config.large(),
        "v2": rbh24.Rbh24Config.v2(),
    }.items()
}
BUILD = {
    Ceia: (ceia_decoder.CeiaDecoder, ceia_decoder._ceia_rules),
    Rbh24: (rbh24.Rbh24Decoder, rbh24._torch_rules),
    Idiap: (idiap.IdiapDecoder, lambda _: idiap._rules()),
}


def state_of(module, seed):
    """Random arrays that keep activations near 1; slopes and statistics differ."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        shape = tuple(tensor.shape)
        if name.endswith("running_var"):
            array = rng.uniform(0.1, 1, shape)
        elif len(shape) == 4:
            array = rng.normal(size=shape) * 2 / np.sqrt(np.prod(shape[1:]))
        else:
            array = rng.normal(size=shape) / 2
        arrays[name] = array.astype(np.float32)
    return arrays


def reference_of(module, arrays):
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    _, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected
    return module.eval().double()


def run(module, templates):
    """[B, S, S, 3] of PyTorch, in float64."""
    with torch.no_grad():
        return module(torch.tensor(templates).double()).permute(0, 2, 3, 1).numpy()


@functools.cache
def case(name):
    """Config, arrays, templates, and the right pictures."""
    kind, config = TINY[name]
    arrays = state_of(kind(config), 0)
    templates = np.random.default_rng(1).normal(size=(2, config.template_dim))
    templates = templates.astype(np.float32)
    expected = run(reference_of(kind(config), arrays), templates)
    if kind is Rbh24:
        mean = np.array([0.485, 0.456, 0.406])
        std = np.array([0.229, 0.224, 0.225]) if "large" in name else 0.5
        expected = np.clip(expected * std + mean, 0, 1)
    return config, arrays, templates, expected


def filled(name, arrays, *, rules=None, config=None):
    kind, tiny = TINY[name]
    build, rules_of = BUILD[kind]
    config = config or tiny
    network = nnx.eval_shape(lambda: build(config, rngs=nnx.Rngs(0)))
    return strict.fill(network, arrays, rules or rules_of(config))


@jax.jit
def forward(network, templates):
    with jax.default_matmul_precision("highest"):
        return network(templates)


@pytest.mark.parametrize("name", TINY)
def test_pictures_equal_pytorch(name):
    _, arrays, templates, expected = case(name)
    found = forward(filled(name, arrays), templates)
    assert found.dtype == jnp.float32 and found.shape == expected.shape
    assert expected.std() > 0.05  # the pictures are not flat
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)


@pytest.mark.parametrize("name", ["ceia", "idiap", "rbh24_v2"])
def test_every_stage_equals_pytorch(name):
    _, arrays, templates, _ = case(name)
    kind, config = TINY[name]
    reference, expected = reference_of(kind(config), arrays), []
    modules = {
        "ceia": lambda r: [r.decoder[3 * n + 2] for n in range(5)],
        "idiap": lambda r: [getattr(r, f"decode{n}") for n in range(1, 7)],
        "rbh24_v2": lambda r: [*r.decoder, r.final_layer[2]],
    }[name](reference)
    for module in modules:
        keep = functools.partial(append_output, expected)
        module.register_forward_hook(keep)
    run(reference, templates)

    @jax.jit
    def captured(network, x):
        capture = nnx.capture(
            network, nnx.Intermediate, method_outputs=nnx.Intermediate
        )
        with jax.default_matmul_precision("highest"):
            return capture(x)[1]

    found = captured(filled(name, arrays), templates)["stages"]
    assert len(expected) == len(modules)
    for n, layer in enumerate(expected):
        layer = layer.permute(0, 2, 3, 1).numpy()
        (ours,) = found[n]["__call__"]
        assert ours.shape == layer.shape
        # float32 rounding: a few ulps of the largest value (2e-7 measured)
        assert np.abs(ours - layer).max() < 1e-5 * np.abs(layer).max(), n


def append_output(outputs, _module, _inputs, output):
    outputs.append(output)


@pytest.mark.parametrize(
    ("side", "stride", "padding", "output_padding"),
    [
        (3, 2, 1, 1),
        (5, 2, 1, 1),
        (4, 2, 8, 0),
        (4, 1, 0, 0),
        (4, 2, 3, 0),
        (3, 3, 0, 2),
    ],
)
def test_a_transposed_convolution_equals_pytorch(side, stride, padding, output_padding):
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(2, 13, 11, 3)).astype(np.float32)
    weight = rng.normal(size=(3, 4, side, side)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)

    def ours(kernel):
        layer = nnx.eval_shape(
            lambda: ConvTranspose(
                3,
                4,
                side,
                stride=stride,
                padding=padding,
                output_padding=output_padding,
                rngs=nnx.Rngs(0),
            )
        )
        rules = [strict.Rule("weight", "kernel"), strict.Rule("bias", "bias")]
        layer = strict.fill(layer, {"weight": kernel, "bias": bias}, rules)
        return np.asarray(forward(layer, inputs))

    expected = F.conv_transpose2d(
        torch.tensor(inputs).double().permute(0, 3, 1, 2),
        torch.tensor(weight).double(),
        torch.tensor(bias).double(),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
    )
    expected = expected.permute(0, 2, 3, 1).numpy()
    found = ours(spread_kernel(weight))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)  # sums of 75 terms
    unflipped, sideways = (
        ours(weight.transpose(axes)) for axes in ((2, 3, 0, 1), (3, 2, 0, 1))
    )
    assert np.abs(unflipped - expected).max() > 0.1
    assert np.abs(sideways - expected).max() > 0.1


def test_wrong_layouts_of_the_stem_would_be_seen():
    _, arrays, templates, expected = case("ceia")
    rules = ceia_decoder._ceia_rules(ceia_decoder.CeiaDecoderConfig.tiny())
    for target, layout in (
        ("stem.kernel", transposed),
        ("stem.bias", strict.unchanged),
        ("stem_bn.mean", strict.unchanged),
    ):
        changed = [
            r._replace(layout=layout) if r.target == target else r for r in rules
        ]
        wrong = forward(filled("ceia", arrays, rules=changed), templates)
        assert np.abs(wrong - expected).max() > 100 * PARITY, target


def test_another_normalisation_of_the_picture_would_be_seen():
    config, arrays, templates, expected = case("rbh24_v2")
    imagenet = dataclasses.replace(config, std=rbh24.IMAGENET_STD)
    wrong = forward(filled("rbh24_v2", arrays, config=imagenet), templates)
    assert np.abs(wrong - expected).max() > 100 * PARITY


def test_an_onnx_export_of_rbh24_gives_its_pictures(tmp_path):
    pytest.importorskip("onnx", reason="onnx is in the extra `convert` only")
    config, arrays, templates, expected = case("rbh24_v2")
    reference = reference_of(Rbh24(config), arrays).float()
    path = tmp_path / "decoder.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, and says so
        torch.onnx.export(
            reference, torch.zeros(1, 8), path, dynamo=False, opset_version=11
        )
    rules = rbh24._onnx_rules(config)
    network = filled("rbh24_v2", onnx_graph.read_onnx(path), rules=rules)
    found = forward(network, templates)
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)


PUBLISHED = {
    "ceia_decoder": (19_903_747, 224),
    "rbh24_large": (24_659_978, 128),
    "rbh24_small": (7_054_346, 128),
    "rbh24_v2": (6_906_890, 112),
    "idiap_arcface": (16_431_155, 112),
}


def sizes_of(build, config):
    """Parameters and shape of the picture."""
    network = nnx.eval_shape(lambda: build(config, rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(network, nnx.Param))
    templates = jnp.zeros((2, config.template_dim))
    picture = nnx.eval_shape(lambda network, x: network(x), network, templates)
    return sum(leaf.size for leaf in leaves), picture.shape


@pytest.mark.parametrize("name", PUBLISHED)
def test_has_as_many_parameters_as_the_published_decoder(name):
    parameters, side = PUBLISHED[name]
    assert sizes_of(*decoders.DECODERS[name]) == (parameters, (2, side, side, 3))


@pytest.mark.parametrize(
    ("dim", "parameters"), [(2048, 58_438_915), (4096, 109_819_139)]
)
def test_the_ceia_decoder_takes_templates_of_other_sizes(dim, parameters):
    config = ceia_decoder.CeiaDecoderConfig(template_dim=dim)
    assert sizes_of(ceia_decoder.CeiaDecoder, config)[0] == parameters


def test_recipes_have_one_name_each_and_build_what_they_say():
    names = [recipe.name for recipe in decoders.RECIPES]
    assert len(set(names)) == len(names) == 10
    built = {recipe.build for recipe in decoders.RECIPES}
    assert built == {build for build, _ in BUILD.values()}


@pytest.mark.parametrize("name", ["ceia", "rbh24_v2"])
def test_computes_in_bfloat16_and_stays_close(name):
    config, arrays, templates, expected = case(name)
    config = dataclasses.replace(config, dtype="bfloat16")
    found = forward(filled(name, arrays, config=config), templates)
    assert found.dtype == jnp.float32
    error = np.abs(found - expected)
    assert 1e-4 < error.max() and error.mean() < 0.03  # 8 bits of mantissa a layer


@pytest.mark.parametrize("name", ["ceia", "idiap", "rbh24_large"])
@pytest.mark.parametrize(
    "templates",
    [np.zeros(8, np.float32), np.zeros((2, 9), np.float32), np.zeros((2, 8), np.int32)],
)
def test_takes_only_float_templates_of_its_own_size(name, templates):
    kind, config = TINY[name]
    with pytest.raises(ValueError, match=r"shape|type"):
        nnx.eval_shape(
            lambda: BUILD[kind][0](config, rngs=nnx.Rngs(0))(jnp.array(templates))
        )


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="multiple of 32"):
        ceia_decoder.CeiaDecoderConfig(image_size=112)
    with pytest.raises(ValueError, match="dtype"):
        idiap.IdiapDecoderConfig(dtype="float16")
    with pytest.raises(ValueError, match="image_size"):
        rbh24.Rbh24Config(widths=(8, 8), last=(4, 8, 0))


def test_a_file_of_another_decoder_is_refused():
    _, arrays, _, _ = case("idiap")
    with pytest.raises(ValueError, match=r"decode1\.dconv\.0\.weight: 0 rules"):
        filled("ceia", arrays)
