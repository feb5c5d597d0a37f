"""Oracle: PyTorch's own parameters, and its forward pass, of small exported nets."""

import sys
import warnings

import numpy as np
import pytest

from facedirs_jax.conversion.onnx_graph import read_onnx, read_onnx_graph
from facedirs_jax.errors import InputError
from tests.conversion.hostile import (
    check_broken_files_are_refused,
    check_no_weight_files_are_refused,
    same,
)

reason = "onnx and PyTorch are in the extra `convert` alone"
onnx = pytest.importorskip("onnx", reason=reason)
torch = pytest.importorskip("torch", reason=reason)
helper, numpy_helper, nn = onnx.helper, onnx.numpy_helper, torch.nn


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


class Block(nn.Module):
    """As of iresnet: the first norm cannot be folded, the others can."""

    def __init__(self):
        super().__init__()
        self.stem, self.prelu = nn.Conv2d(3, 4, 3, bias=False), nn.PReLU(4)
        self.stem_bn, self.bn = nn.BatchNorm2d(4), nn.BatchNorm2d(4, eps=2e-5)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.conv_bn = nn.BatchNorm2d(4)
        self.fc, self.features = nn.Linear(4 * 36, 5), nn.BatchNorm1d(5)

    def forward(self, x):
        x = self.prelu(self.stem_bn(self.stem(x)))
        x = x + self.conv_bn(self.conv(self.bn(x)))
        return self.features(self.fc(torch.flatten(x, 1)))


def randomised(net):
    torch.manual_seed(0)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return net.eval()


def export(net, path, *shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that people used is deprecated
        inputs = (torch.zeros(*shape),)
        torch.onnx.export(net, inputs, path, dynamo=False, opset_version=11)


def folded(conv, bn):
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    weight = conv.weight * scale[:, None, None, None]
    return weight.detach().numpy(), (bn.bias - bn.running_mean * scale).detach().numpy()


def norm(label, bn):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{label}.{p}": getattr(bn, p).detach().numpy() for p in parts}


def test_an_exported_network_comes_back_in_execution_order(path):
    net = randomised(Block())
    export(net, path, 1, 3, 8, 8)
    graph, found = read_onnx_graph(path)
    (stem, stem_bias), (conv, conv_bias) = (
        folded(net.stem, net.stem_bn),
        folded(net.conv, net.conv_bn),
    )
    expected = {
        **{"conv_00.weight": stem, "conv_00.bias": stem_bias},
        **{"prelu_00.weight": net.prelu.weight.detach().numpy()},
        **norm("bn_00", net.bn),
        **{"conv_01.weight": conv, "conv_01.bias": conv_bias},
        **{f"gemm_00.{n}": p.detach().numpy() for n, p in net.fc.named_parameters()},
        **norm("bn_01", net.features),
    }
    assert list(found) == list(expected)
    for name, array in found.items():  # folding rounds in another order
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, err_msg=name)
        assert array.dtype == np.float32 and array.flags.c_contiguous
    assert graph.normalisation == () and graph.epsilons == (1e-5, 2e-5)


def test_what_was_not_folded_comes_back_to_the_bit(path):
    net = randomised(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.PReLU(4)))
    export(net, path, 1, 3, 8, 8)
    expected = {
        **norm("bn_00", net[0]),
        **{f"conv_00.{n}": p.detach().numpy() for n, p in net[1].named_parameters()},
        "prelu_00.weight": net[2].weight.detach().numpy(),
    }
    same(read_onnx(path), expected)


def test_a_decoder_comes_back(path):
    net = randomised(nn.Sequential(nn.ConvTranspose2d(6, 4, 3), nn.PReLU(), nn.Tanh()))
    export(net, path, 1, 6, 1, 1)
    found = read_onnx(path)
    expected = {
        "conv_transpose_00.weight": net[0].weight.detach().numpy(),
        "conv_transpose_00.bias": net[0].bias.detach().numpy(),
        "prelu_00.weight": net[1].weight.detach().numpy(),
    }
    same(found, expected)


def save(path, nodes, arrays, *, opset=13, inputs=("x",), external=False, **settings):
    """Writes a graph of nodes: (kind, inputs, output, attributes)."""
    made = [
        helper.make_node(kind, sources, [output], name=f"n_{output}", **attributes)
        for kind, sources, output, attributes in nodes
    ]
    values = [
        value
        if isinstance(value, onnx.TensorProto)
        else numpy_helper.from_array(np.asarray(value), name)
        for name, value in arrays.items()
    ]
    sources = [helper.make_tensor_value_info(n, 1, None) for n in inputs]
    graph = helper.make_graph(made, "net", sources, [], values)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path, **settings)


def ones(*shape, value=1.0):
    return np.full(shape, value, np.float32)


def test_matrices_are_out_by_in_however_they_are_multiplied(path):
    a, b, c = np.random.default_rng(0).normal(size=(3, 3, 3)).astype("f4")
    nodes = [
        ("Gemm", ["x", "a", "bias"], "1", {"transB": 1}),
        ("Gemm", ["1", "b"], "2", {}),
        ("MatMul", ["2", "c"], "3", {}),
        ("Add", ["bias2", "3"], "4", {}),
        ("MatMul", ["4", "a"], "5", {}),
        ("MatMul", ["4", "5"], "6", {}),  # of two activations
    ]
    bias = {"bias": ones(3), "bias2": ones(1, 3, value=2)}
    save(path, nodes, {"a": a, "b": b, "c": c, **bias})
    expected = {
        **{"gemm_00.weight": a, "gemm_00.bias": ones(3), "gemm_01.weight": b.T},
        **{"gemm_02.weight": c.T, "gemm_02.bias": ones(3, value=2)},
        **{"gemm_03.weight": a.T},
    }
    same(read_onnx(path), expected)


def test_shared_and_constant_values_are_resolved(path):
    nodes = [
        ("Identity", ["w"], "w2", {}),
        ("Constant", [], "b", {"value": numpy_helper.from_array(ones(2, value=5))}),
        ("Identity", ["x"], "x2", {}),
        ("Conv", ["x2", "w", "b"], "1", {}),
        ("Conv", ["1", "w2"], "2", {}),
        (
            "Constant",
            [],
            "shape",
            {"value": numpy_helper.from_array(np.array([1, -1]))},
        ),
        ("Reshape", ["2", "shape"], "3", {}),
        ("Clip", ["3", "low"], "4", {}),
        ("Mul", ["4", "low"], "5", {}),  # by one number
    ]
    save(path, nodes, {"w": ones(2, 2, 1, 1), "low": ones(value=0.17)})
    weight = ones(2, 2, 1, 1)
    expected = {"conv_00.weight": weight, "conv_00.bias": ones(2, value=5)}
    same(read_onnx(path), {**expected, "conv_01.weight": weight})


@pytest.mark.parametrize("dtype", ["DOUBLE", "FLOAT16", "BFLOAT16"])
@pytest.mark.parametrize("raw", [True, False])
def test_other_floats_become_float32(path, dtype, raw):
    values = [0.5, -2.0, np.nan]
    code = getattr(onnx.TensorProto, dtype)
    tensor = helper.make_tensor("w", code, [3, 1, 1], values)
    if raw:
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), "w")
    save(path, [("PRelu", ["x", "w"], "1", {})], {"w": tensor})
    same(read_onnx(path), {"prelu_00.weight": np.array(values, "f4")})


def test_normalisation_inside_the_graph_is_reported_and_not_passed_over(path):
    nodes = [
        ("Sub", ["data", "mean"], "1", {}),
        ("Mul", ["1", "scale"], "2", {}),
        ("Conv", ["2", "w"], "3", {}),
    ]
    arrays = {"mean": ones(value=127.5), "scale": ones(3, 1, 1, value=0.0078125)}
    save(path, nodes, arrays | {"w": ones(4, 3, 1, 1)}, inputs=["data", "w"])
    graph, found = read_onnx_graph(path)
    assert [kind for kind, _ in graph.normalisation] == ["Sub", "Mul"]
    np.testing.assert_array_equal(graph.normalisation[0][1], ones(value=127.5))
    assert graph.normalisation[1][1].shape == (3, 1, 1)
    same(found, {"conv_00.weight": ones(4, 3, 1, 1)})
    with pytest.raises(InputError, match=r"normalises the picture itself \(Sub 127\.5"):
        read_onnx(path)


W = {"w": ones(3, 3)}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("LSTM", ["x", "w"], "1", {})], r"'n_1' \(LSTM\) holds parameters in 'w'"),
        ([("Relu", ["x"], "0", {}), ("Mul", ["0", "w"], "1", {})], "Mul. holds param"),
        ([("Relu", ["x"], "0", {}), ("Add", ["0", "w"], "1", {})], "Add. holds param"),
        ([("Gather", ["w", "x"], "1", {})], r"\(Gather\) holds parameters"),
        ([("Conv", ["x", "x"], "1", {})], "has parameters that are no constants"),
        ([("Conv", ["w", "w"], "1", {})], "has another number of parameters"),
        ([("Conv", ["x"], "1", {})], "has another number of parameters"),
        ([("Conv", [], "1", {})], "has no input"),
        ([("Gemm", ["x", "w"], "1", {"alpha": 0.5})], "scales its product"),
        ([("Gemm", ["x", "w"], "1", {"transA": 1})], "transposes its input"),
        ([("Relu", ["y"], "1", {})], r"runs before \['y'\]"),
        ([("Relu", ["x"], "1", {"domain": "com.other"})], "of domain 'com.other'"),
        ([("Sub", ["w", "x"], "1", {})], "takes the picture from a constant"),
        ([("Relu", ["x"], "1", {})], "the graph holds no parameters"),
    ],
)
def test_what_the_reader_does_not_know_is_refused_by_name(path, nodes, message):
    save(path, nodes, W)
    with pytest.raises(InputError, match=rf"net\.onnx.*{message}"):
        read_onnx(path)


def test_graphs_inside_the_graph_are_refused(path):
    inner = helper.make_graph([], "inner", [], [], [])
    save(path, [("Loop", ["x"], "1", {"body": inner})], W)
    with pytest.raises(InputError, match=r"\(Loop\) holds a graph inside the graph"):
        read_onnx(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": [10**10]}, r"w: shape \(10000000000,\) has 36 bytes"),
        ({"dims": [-3, -3]}, r"w: shape \(-3, -3\) has 36 bytes"),
        ({"dims": [2**62, 4]}, "has 36 bytes"),
        ({"dims": [1] * 90}, "has 36 bytes"),
        ({"raw_data": b"123"}, "has 3 bytes"),
        ({"data_type": 7}, r"w: expected floating-point weights, got ONNX type 7"),
        ({"data_type": 2}, "got ONNX type 2"),
    ],
)
def test_values_that_do_not_suit_their_shape_are_refused(path, change, message):
    tensor = numpy_helper.from_array(ones(3, 3), "w")
    for field, value in change.items():
        tensor.ClearField(field)
        if field == "dims":
            tensor.dims.extend(value)
        else:
            setattr(tensor, field, value)
    save(path, [("Gemm", ["x", "w"], "1", {})], {"w": tensor})
    with pytest.raises(InputError, match=message):
        read_onnx(path)


def test_values_in_the_same_folder_are_read(path):
    nodes = [("Gemm", ["x", "w"], "1", {}), ("Gemm", ["x", "v"], "2", {})]
    arrays = {"w": ones(3, 3), "v": ones(2, 2, value=2)}
    save(
        path, nodes, arrays, save_as_external_data=True, size_threshold=0, location="w"
    )
    assert path.stat().st_size < 500 and (path.parent / "w").exists()
    expected = {"gemm_00.weight": ones(3, 3), "gemm_01.weight": ones(2, 2, value=2)}
    same(read_onnx(path), expected)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../secret"}, r"'\.\./secret', outside the folder"),
        ({"location": "{outside}/secret"}, "outside the folder of the file; put both"),
        ({"location": "link"}, "'link', outside the folder"),
        ({"location": ""}, "outside the folder"),
        ({}, "outside the folder"),
        ({"location": "a\0b"}, "null"),
        ({"location": "loop"}, "loop"),
        ({"location": "."}, "Is a directory"),
        ({"location": "missing"}, "missing: No such file"),
        ({"location": "w", "offset": "1"}, r"shape \(3, 3\) has 35 bytes"),
        ({"location": "w", "offset": "40"}, "w is cut short"),
        ({"location": "w", "offset": "-4"}, "w is cut short"),
        ({"location": "w", "length": "10000000000"}, "w is cut short"),
        ({"location": "w", "offset": "zero"}, "invalid literal"),
    ],
)
def test_values_elsewhere_are_refused(tmp_path, entries, message):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(ones(3, 3).tobytes())
    (folder / "w").write_bytes(ones(3, 3).tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder / "loop")
    tensor = onnx.TensorProto(name="w", dims=[3, 3], data_type=1, data_location=1)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value.format(outside=tmp_path))
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["1"])],
        *("net", [helper.make_tensor_value_info("x", 1, None)], [], [tensor]),
    )
    content = helper.make_model(graph).SerializeToString()
    (folder / "net.onnx").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_onnx(folder / "net.onnx")


def test_broken_files_are_refused(path):
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.PReLU(4))
    export(randomised(net), path, 1, 3, 8, 8)
    check_broken_files_are_refused(read_onnx, path)


def test_what_is_no_weight_file_is_refused(tmp_path):
    check_no_weight_files_are_refused(read_onnx, tmp_path)


def test_a_missing_onnx_is_said(path, monkeypatch):
    save(path, [("Gemm", ["x", "w"], "1", {})], W)
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = r"reading it needs onnx; run: pip install 'facedirs-jax\[convert\]'"
    with pytest.raises(InputError, match=message):
        read_onnx(path)
