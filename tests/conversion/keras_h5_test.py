"""Files as Keras wrote them, from its code: attributes of names, groups by slashes."""

import sys

import numpy as np
import pytest

from facedirs_jax.conversion.keras_h5 import read_keras, read_keras_by_order
from facedirs_jax.errors import InputError
from tests.conversion.hostile import (
    check_broken_files_are_refused,
    check_no_weight_files_are_refused,
    same,
)

h5py = pytest.importorskip("h5py", reason="h5py is in the extra `convert` alone")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.h5"


def weights(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("f4")


# As keras-vggface's: a layer's name may be the start of another's.
LAYERS = {
    "input_1": {},
    "conv1/7x7_s2": {"kernel": weights(7, 7, 3, 4)},
    "conv1/7x7_s2/bn": {
        **{"gamma": weights(4), "beta": weights(4)},
        **{"moving_mean": weights(4), "moving_variance": weights(4)},
    },
    "prelu": {"alpha": weights(1, 1, 4)},
    "classifier": {"kernel": weights(4, 2), "bias": weights(2)},
}
EXPECTED = {
    f"{layer}/{role}": array
    for layer, arrays in LAYERS.items()
    for role, array in arrays.items()
}


def write(root, layers, name="{layer}/{role}:0", strings=np.bytes_):
    """Writes layers as `save_weights` does; `name` makes the names of the weights."""
    root.attrs["layer_names"] = np.array([strings(layer) for layer in layers])
    root.attrs["backend"] = b"tensorflow"
    for layer, arrays in layers.items():
        group = root.require_group(layer)
        names = [name.format(layer=layer, role=role) for role in arrays]
        group.attrs["weight_names"] = np.array([strings(n) for n in names], dtype=None)
        for weight, array in zip(names, arrays.values(), strict=True):
            group.create_dataset(weight, data=array)


@pytest.mark.parametrize("group", [None, "model_weights"])
def test_weights_come_back_by_the_names_of_layers(path, group):
    with h5py.File(path, "w") as opened:
        write(opened.create_group(group) if group else opened, LAYERS)
    same(read_keras(path), EXPECTED)


def test_weights_come_back_by_the_order_of_layers_that_have_some(path):
    with h5py.File(path, "w") as opened:
        write(opened, LAYERS)
    found = read_keras_by_order(path)
    numbered = {layer: n for n, layer in enumerate(list(LAYERS)[1:])}
    expected = {
        f"layer_{n:02d}/{role}": array
        for layer, n in numbered.items()
        for role, array in LAYERS[layer].items()
    }
    same(found, expected)
    assert next(iter(found)) == "layer_00/kernel"


@pytest.mark.parametrize(
    "name",
    [
        *("{layer}_{role}_1:0", "{layer}_{role}:0", "{layer}_{role}", "{role}:0"),
        *("model/{layer}/{role}_3:0", "{layer}_1/{role}:0"),
    ],
)
def test_names_of_every_keras_are_known(path, name):
    old = {"kernel": "W", "bias": "b", "gamma": "gamma", "running_std": "running_std"}
    new = ("kernel", "bias", "gamma", "moving_variance")
    layer = {old[role]: weights(n + 1) for n, role in enumerate(old)}
    with h5py.File(path, "w") as opened:
        write(opened, {"conv1_1": layer}, name=name)
    arrays = zip(new, layer.values(), strict=True)
    same(read_keras(path), {f"conv1_1/{role}": array for role, array in arrays})


def test_long_lists_of_names_are_split_over_attributes(path):
    layers = {f"conv_{n}": {"kernel": weights(n + 1)} for n in range(7)}
    with h5py.File(path, "w") as opened:
        write(opened, layers)
        names = opened.attrs["layer_names"]
        del opened.attrs["layer_names"]
        for part, few in enumerate(np.array_split(names, 3)):
            opened.attrs[f"layer_names{part}"] = few
    assert list(read_keras(path)) == [f"conv_{n}/kernel" for n in range(7)]


def test_text_may_be_of_any_kind_of_string(path):
    with h5py.File(path, "w") as opened:
        write(opened, {"a": {"kernel": weights(3)}})
        opened.attrs["layer_names"] = ["a"]  # of variable length
        opened["a"].attrs["weight_names"] = ["a/kernel:0"]
    same(read_keras(path), {"a/kernel": weights(3)})


def test_other_floats_become_float32(path):
    values = weights(2, 3)
    layers = {f"a_{dtype}": {"kernel": values.astype(dtype)} for dtype in ("f8", ">f4")}
    with h5py.File(path, "w") as opened:
        write(opened, layers | {"b": {"kernel": np.array(np.nan, "f4")}})
    found = read_keras(path)
    last = found.pop("b/kernel")
    assert np.isnan(last) and last.shape == ()
    same(found, {"a_f8/kernel": values, "a_>f4/kernel": values})


def test_links_are_refused(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        write(other, {"a": {"kernel": weights(3)}})
    for link in (
        h5py.ExternalLink(tmp_path / "other.h5", "/a"),
        h5py.SoftLink("/elsewhere"),
    ):
        with h5py.File(path, "w") as opened:
            opened.create_group("elsewhere").attrs["weight_names"] = [b"a/kernel:0"]
            opened.attrs["layer_names"] = [b"a"]
            opened["a"] = link
        with pytest.raises(InputError, match=rf"a lies behind a {type(link).__name__}"):
            read_keras(path)


def refused(path, message):
    with pytest.raises(InputError, match=rf"net\.h5.*{message}"):
        read_keras(path)


def test_values_that_lie_elsewhere_or_are_compressed_are_refused(path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(12))
    others = [
        {"external": [(str(tmp_path / "secret"), 0, 12)]},
        {"compression": "gzip"},
        {"chunks": (1,)},
    ]
    for kind in others:
        with h5py.File(path, "w") as opened:
            write(opened, {"a": {}})
            opened["a"].attrs["weight_names"] = [b"kernel:0"]
            opened["a"].create_dataset("kernel:0", (3,), "f4", **kind)
        refused(path, "a/kernel: its values are compressed or lie elsewhere")


def test_a_claim_of_ten_gigabytes_is_refused(path):
    with h5py.File(path, "w") as opened:
        write(opened, {"a": {}})
        opened["a"].attrs["weight_names"] = [b"kernel:0"]
        opened["a"].create_dataset("kernel:0", (10**10,), "f4")
    refused(path, "a/kernel: 0 bytes are there, 40000000000 wanted")


def test_files_that_do_not_suit_are_refused(path):
    def changed(change, layers=LAYERS):
        with h5py.File(path, "w") as opened:
            write(opened, layers)
            change(opened)

    changed(lambda f: f.attrs.pop("layer_names"))
    refused(path, r"names no layers.*save_weights\('model\.weights\.legacy\.h5'\)")
    changed(lambda f: f.attrs.create("layer_names", [b"prelu", b"prelu"]))
    refused(path, "layer prelu is there twice")
    changed(lambda f: f.attrs.create("layer_names", [b"missing"]))
    refused(path, "missing lies behind a NoneType")
    changed(lambda f: f.attrs.create("layer_names", [b"input_1"]))
    refused(path, "no layer in it has weights")
    changed(lambda f: f.attrs.create("layer_names", 3.0))
    refused(path, "3.0 lies behind a NoneType")
    changed(lambda f: f.attrs.create("layer_names", np.zeros((2, 2))))
    refused(path, "layer_names is no list of names")
    changed(lambda f: f["prelu"].attrs.pop("weight_names"))
    refused(path, "a layer has no weight_names")
    changed(lambda f: None, {"a": {"recurrent_kernel": weights(2)}})
    refused(path, "a has an array 'a/recurrent_kernel:0', of a kind that no known")
    changed(lambda f: None, {"a": {"b": weights(2), "bias": weights(2)}})
    refused(path, "a has two arrays called bias")
    changed(lambda f: None, {"a": {"kernel": np.arange(3)}})
    refused(path, r"a/kernel: expected floating-point weights, got int64 \(3,\)")
    changed(lambda f: f["a"].create_group("a/bias:0"), {"a": {"kernel": weights(1)}})
    with h5py.File(path, "r+") as opened:
        opened["a"].attrs["weight_names"] = [b"a/bias:0"]
    refused(path, "a/bias: it is no array")


def test_broken_files_are_refused(path):
    with h5py.File(path, "w", libver="earliest") as opened:
        write(opened, LAYERS)
    check_broken_files_are_refused(read_keras, path)


def test_what_is_no_weight_file_is_refused(tmp_path):
    check_no_weight_files_are_refused(read_keras, tmp_path)


def test_a_missing_h5py_is_said(path, monkeypatch):
    with h5py.File(path, "w") as opened:
        write(opened, LAYERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    message = r"reading it needs h5py; run: pip install 'facedirs-jax\[convert\]'"
    refused(path, message)
