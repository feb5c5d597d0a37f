"""Oracle: PyTorch itself, in both of its containers."""

import io
import pickle
import sys
import zipfile

import numpy as np
import pytest

from facedirs_jax.conversion.torch_file import read_torch
from facedirs_jax.errors import InputError
from tests.conversion.hostile import (
    Canary,
    check_broken_files_are_refused,
    check_no_weight_files_are_refused,
    pickled,
    same,
)

torch = pytest.importorskip("torch", reason="PyTorch is in the extra `convert` alone")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.bn = torch.nn.BatchNorm2d(4)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return Net().state_dict()


@pytest.fixture
def arrays(state):
    """What a reader should give: no `num_batches_tracked`."""
    return {n: t.numpy() for n, t in state.items() if "tracked" not in n}


@pytest.fixture(params=["zip", "legacy"])
def save(request, tmp_path):
    """Writes an object as torch.save does, in one of its containers."""

    def write(value):
        torch.save(
            value,
            tmp_path / "net.pth",
            _use_new_zipfile_serialization=request.param == "zip",
        )
        return tmp_path / "net.pth"

    return write


def test_a_state_dict_comes_back_in_order_without_counters(save, state, arrays):
    same(read_torch(save(state)), arrays)
    same(read_torch(str(save(dict(state)))), arrays)


@pytest.mark.parametrize(
    "wrapper", ["state_dict", "model", "model_state_dict", "decoder_state_dict"]
)
def test_a_checkpoint_gives_its_state_dict(save, state, arrays, wrapper):
    network = Net()
    optimizer = torch.optim.Adam(network.parameters())
    network.conv(torch.zeros(1, 3, 3, 3)).sum().backward()
    optimizer.step()
    rest = {
        **{"epoch": 3, "val_loss": 0.5, "optimizer_state_dict": optimizer.state_dict()},
        **{"shape": torch.Size([3]), "device": torch.device("cpu"), "names": ["a"]},
    }
    same(read_torch(save({**rest, wrapper: state})), arrays)


def test_prefixes_are_taken_off(save, state, arrays):
    path = save({f"module.{name}": tensor for name, tensor in state.items()})
    same(read_torch(path), arrays)
    path = save({f"module.net.{name}": tensor for name, tensor in state.items()})
    same(read_torch(path, prefix="net."), arrays)
    assert next(iter(read_torch(path))) == "net.conv.weight"
    with pytest.raises(InputError, match=r"not every name starts with 'head\.'"):
        read_torch(path, prefix="head.")


def test_other_floats_and_layouts_become_float32_in_c_order(save):
    values = torch.arange(24.0).reshape(2, 3, 4)
    found = read_torch(
        save(
            {
                **{"f16": values.half(), "f64": values.double()},
                **{"bf16": values.bfloat16(), "turned": values.permute(2, 0, 1)},
                **{"part": values[1:, ::2], "parameter": torch.nn.Parameter(values)},
                **{"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)},
                **{"nan": torch.tensor([np.nan]), "shared": values},
            }
        )
    )
    whole = values.numpy()
    same(
        found,
        {
            **{"f16": whole, "f64": whole, "bf16": whole},
            **{"turned": whole.transpose(2, 0, 1), "part": whole[1:, ::2]},
            **{"parameter": whole, "scalar": np.array(2.5, "f4")},
            **{"empty": np.zeros((0, 3), "f4"), "nan": np.array([np.nan], "f4")},
            **{"shared": whole},
        },
    )


def test_float32_values_stay_in_the_pages_of_the_file(tmp_path):
    torch.save({"a": torch.ones(1000)}, tmp_path / "net.pth")
    array = read_torch(tmp_path / "net.pth")["a"]
    assert not array.flags.owndata
    array[:] = 2  # in memory alone
    np.testing.assert_array_equal(read_torch(tmp_path / "net.pth")["a"], np.ones(1000))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.arange(3), r"bias: expected floating-point weights, got torch\.int64"),
        (torch.tensor([True]), "got torch.bool"),
        (torch.tensor(True), "got torch.bool"),
        (3, "bias: expected a tensor, got a int"),
        ({"weight": torch.zeros(3)}, "bias: expected a tensor, got a dict"),
        (torch.zeros(1).expand(10**5, 10**5), r"a tensor \(100000, 100000\) of a"),
        (
            torch.zeros(2, dtype=torch.complex64),
            "it asks for torch.ComplexFloatStorage",
        ),
        (torch.zeros(2).to_sparse(), "it asks for torch._utils._rebuild_sparse_tensor"),
    ],
)
def test_anything_else_is_refused_by_name(save, state, value, message):
    with pytest.raises(InputError, match=rf"net\.pth.*{message}"):
        read_torch(save({**state, "bias": value}))


@pytest.mark.parametrize("value", [{}, [], 3, torch.zeros(3), {"state_dict": {}}])
def test_a_file_without_a_state_dict_is_refused(save, value):
    with pytest.raises(InputError, match="expected a state dict, by itself or under"):
        read_torch(save(value))


def test_two_state_dicts_are_one_too_many(save, state):
    with pytest.raises(InputError, match=r"several state dicts, \['model', 'decoder_s"):
        read_torch(save({"model": state, "decoder_state_dict": state}))


class Config:
    """As a training script pickles its settings beside the weights."""


@pytest.mark.parametrize("value", [Net(), {"model": Net()}, {"config": Config()}])
def test_a_pickled_class_is_refused_with_the_way_out(save, state, value):
    message = (
        r"it asks for .*torch_file_test\.(Net|Config), which .* could run code; where "
        r"you trust .* torch\.save\(model\.state_dict\(\), 'weights\.pth'\)"
    )
    value = value if isinstance(value, Net) else {"state_dict": state, **value}
    with pytest.raises(InputError, match=message):
        read_torch(save(value))


def test_a_pickle_that_runs_code_runs_none(save, state, tmp_path):
    canary = tmp_path / "canary"
    path = save({**state, "x": Canary(canary)})
    with pytest.raises(InputError, match=r"it asks for .*could run code"):
        read_torch(path)
    assert not canary.exists()
    torch.load(path, weights_only=False)  # as it would have done
    assert canary.exists()


def zipped(program, members=(), method=zipfile.ZIP_STORED):
    """A file as torch.save writes it, around a pickle of ours."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in [("data.pkl", program), ("version", b"3"), *members]:
            archive.writestr(f"net/{name}", content)
    return written.getvalue()


def tensor(numel, size=b"K\x01\x85", key=b"0"):
    """A pickle of one tensor on a storage of so many values."""
    reference = b"(U\x07storagectorch\nFloatStorage\nU\x01" + key + b"U\x03cpu" + numel
    return (
        b"\x80\x02}U\x01actorch._utils\n_rebuild_tensor_v2\n("
        + (
            reference
            + b"tQK\x00"
            + size
            + b"K\x01\x85\x89ccollections\nOrderedDict\n)R"
        )
        + b"tRs."
    )


TEN_GB = b"\x8a\x05\x00\xe4\x0b\x54\x02"
LEGACY = b"".join(
    pickle.dumps(v, protocol=2) for v in (0x1950A86A20F9469CFC6C, 1001, {})
)
KEYS = pickle.dumps(["0"], protocol=2)
ONE = np.ones(1, "<f4").tobytes()
VALUES = (("data/0", ONE),)


def test_the_files_of_these_tests_are_read_where_nothing_is_wrong(tmp_path):
    (tmp_path / "zip").write_bytes(zipped(tensor(b"K\x01"), VALUES))
    same(read_torch(tmp_path / "zip"), {"a": np.ones(1, "f4")})
    legacy = LEGACY + tensor(b"K\x01N") + KEYS + b"\x01\0\0\0\0\0\0\0" + ONE
    (tmp_path / "legacy").write_bytes(legacy)
    same(read_torch(tmp_path / "legacy"), {"a": np.ones(1, "f4")})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            zipped(tensor(TEN_GB), VALUES),
            "storage 0 should have 40000000000",
        ),
        (zipped(tensor(b"K\x02"), VALUES), "storage 0 should have 8 bytes"),
        (zipped(tensor(b"K\x01")), "storage 0 should have 4 bytes"),
        (zipped(tensor(b"K\x01", TEN_GB + b"\x85"), VALUES), "a tensor"),
        (zipped(tensor(b"J\xff\xff\xff\xff"), VALUES), "no storage"),
        (
            zipped(b"\x80\x02}.", [("x", bytes(10**7))], zipfile.ZIP_DEFLATED),
            "a member is compressed",
        ),
        (zipped(b"\x80\x02}.", [("constants.pkl", b"\x80\x02).")]), "TorchScript"),
        (zipped(b"\x80\x02}.", [("x/data.pkl", b"")]), "holds no state dict"),
        (zipped(pickled("builtins:bytearray", 10**10)), "asks for builtins.bytearray"),
        (zipped(pickled("torch:Tensor", 10**10)), "asks for torch.Tensor"),
        (zipped(pickled("torch._utils:_rebuild_parameter", 1, 2, 3)), "has no attrib"),
        (zipped(pickled("torch:device", "toaster")), "PyTorch cannot read it"),
        (zipped(pickled("torch:Size", "abc")), "PyTorch cannot read it"),
        (zipped(pickled("collections:OrderedDict", 3)), "TypeError"),
        (zipped(b"\x80\x02})" + 60 * b"q\x00h\x00\x86" + b"Ns."), "a tuple is a key"),
        (LEGACY + tensor(TEN_GB + b"N") + KEYS + ONE, "40000000000 are wanted"),
        (LEGACY + tensor(b"K\x01N") + KEYS + bytes(8), "8 bytes of values are there"),
        (LEGACY + tensor(b"K\x01N") + KEYS + bytes(8) + ONE, "PyTorch cannot read it"),
        (
            pickle.dumps({"a": 1}, protocol=2),
            "no file of torch.save .a .pkl of numpy arrays",
        ),
        (b"\x80\x02cnumpy\nndarray\n.", "asks for numpy.ndarray"),
    ],
    ids=lambda value: "a_file" if isinstance(value, bytes) else None,
)
def test_bombs_and_lies_are_refused(tmp_path, content, message):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"net\.pth.*{message}"):
        read_torch(tmp_path / "net.pth")


def test_one_flipped_bit_in_the_values_of_a_zip_is_seen(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"a": torch.ones(1000)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(bytes.fromhex("0000803f") * 9) + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="the values of net/data/0 are damaged"):
        read_torch(path)


def test_broken_files_are_refused(save, state):
    check_broken_files_are_refused(read_torch, save({"state_dict": state}))


def test_what_is_no_weight_file_is_refused(tmp_path):
    check_no_weight_files_are_refused(read_torch, tmp_path)


def test_a_missing_or_old_pytorch_is_said(save, state, monkeypatch):
    path = save(state)
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(InputError, match=r"PyTorch 2\.9\.1.*facedirs-jax\[convert\]"):
        read_torch(path)
    monkeypatch.setitem(sys.modules, "torch", None)
    message = r"reading it needs PyTorch; run: pip install 'facedirs-jax\[convert\]'"
    with pytest.raises(InputError, match=message):
        read_torch(path)
