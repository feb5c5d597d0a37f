"""Oracle: the safetensors library, which writes the files and refuses the same ones."""

import json
import pickle

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from facedirs_jax.conversion.safetensors_file import read_safetensors
from facedirs_jax.errors import InputError
from tests.conversion.hostile import (
    Canary,
    check_broken_files_are_refused,
    check_no_weight_files_are_refused,
    same,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def written(header, values=b"", length=None):
    """A file of a header, as text or to become JSON, and of values."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    return size.to_bytes(8, "little") + text + values


def entry(dtype="F32", shape=(1,), span=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}


def test_arrays_come_back(path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4))
    sources = {
        **{"f4": values.astype("f4"), "f8": values, "f2": values.astype("f2")},
        **{"bf16": values.astype(ml_dtypes.bfloat16), "scalar": np.array(2.5, "f4")},
        **{"empty": np.zeros((0, 3), "f4"), "nan": np.array([np.nan, np.inf], "f4")},
    }
    counted = sources | {"bn.num_batches_tracked": np.array(3)}
    safetensors.numpy.save_file(counted, path, metadata={"format": "pt"})
    found = read_safetensors(path)
    same(found, {name: sources[name].astype("f4") for name in found})
    assert found.keys() == sources.keys()
    assert not found["f4"].flags.owndata  # it lies in the file's pages


def test_arrays_come_in_the_order_of_the_header(path):
    header = {"b": entry(span=(4, 8)), "a": entry(span=(0, 4))}
    path.write_bytes(written(header, np.array([1, 2], "<f4").tobytes()))
    same(read_safetensors(path), {"b": np.full(1, 2, "f4"), "a": np.ones(1, "f4")})


def test_values_at_any_byte_are_read(path):
    for spaces in range(4):
        header = json.dumps({"a": entry()}).encode() + spaces * b" "
        path.unlink(missing_ok=True)
        path.write_bytes(written(header, np.float32(1.5).tobytes()))
        array = read_safetensors(path)["a"]
        assert array.flags.aligned and array == [1.5]


@pytest.mark.parametrize("dtype", ["I64", "I8", "U8", "U32"])
def test_integers_are_refused_by_name(path, dtype):
    size = int(dtype[1:]) // 8 * 2
    path.write_bytes(written({"a": entry(dtype, (2,), (0, size))}, bytes(size)))
    with pytest.raises(InputError, match=r"safetensors: a: expected floating.*\(2,\)"):
        read_safetensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (written({"a": entry()}, bytes(5)), "1 bytes are nobody's"),
        (written({"a": entry()}, bytes(3)), r"a: .* at \(0, 4\), outside the file"),
        (written({"a": entry(span=(4, 0))}, bytes(4)), "outside the file"),
        (written({"a": entry(span=(0, 8))}, bytes(8)), r"F32 \(1,\) has 8 bytes"),
        (written({"a": entry(), "b": entry()}, bytes(4)), "overlap or leave a gap"),
        (written({"a": entry(span=(4, 8))}, bytes(8)), "overlap or leave a gap at 0"),
        (
            written({"a": entry(shape=(10**10,), span=(0, 4 * 10**10))}, bytes(4)),
            "outside the file",
        ),
        (written({"a": entry(shape=(2**62, 4))}, bytes(4)), "has 4 bytes"),
        (written({"a": entry(shape=[1] * 9)}, bytes(4)), "is no shape or span"),
        (written({"a": entry(shape=(-1,))}, bytes(4)), "is no shape or span"),
        (written({"a": entry(shape=(1.0,))}, bytes(4)), "is no shape or span"),
        (written({"a": entry(shape=(True,))}, bytes(4)), "is no shape or span"),
        (written({"a": entry(span=(0,))}, bytes(4)), "is no span"),
        (written({"a": entry("F8_E4M3", (4,))}, bytes(4)), "got F8_E4M3"),
        (
            written({"a": entry() | {"dtype": ["F32"]}}, bytes(4)),
            r"a: expected .* got \['F32'\]",
        ),
        (written({"a": {"dtype": "F32"}}), "it needs a dtype, a shape and offsets"),
        (written({"a": 3}), "it needs a dtype, a shape and offsets"),
        (written({}), "0 bytes are nobody's"),
        (written({"__metadata__": {}}), "0 bytes are nobody's"),
        (
            written(b'{"a":%b,"a":%b}' % (2 * (json.dumps(entry()).encode(),))),
            "a name is there twice",
        ),
        (
            written(
                b'{"a":{"dtype":"F32","dtype":"F64","shape":[],"data_offsets":[]}}'
            ),
            "a name is there twice",
        ),
        (written({"a": entry()}, length=10**10), "it is no safetensors file"),
        (written({"a": entry()}, length=10**8), "its header claims 100000000 bytes"),
        (written({"a": entry()}, length=20), "its header is wrong"),
        (written(b'{"a\xff":3}'), "its header is wrong"),
        (written(b'{"a":' + 100_000 * b"["), "its header is wrong"),
        (written(b'{"a":' + 5000 * b"9" + b"}"), "its header is wrong"),
    ],
    ids=lambda value: "a_file" if isinstance(value, bytes) else None,
)
def test_headers_that_lie_are_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"net\.safetensors.*{message}"):
        read_safetensors(path)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_under_this_name_is_refused_and_not_run(path, tmp_path, protocol):
    path.write_bytes(pickle.dumps(Canary(tmp_path / "canary"), protocol=protocol))
    with pytest.raises(InputError, match="it is no safetensors file, whatever its"):
        read_safetensors(path)
    assert not (tmp_path / "canary").exists()


def test_broken_files_are_refused_where_the_library_refuses_them_too(path):
    rng = np.random.default_rng(0)
    arrays = {f"layer.{n}": rng.normal(size=(4, 5)).astype("f4") for n in range(3)}
    safetensors.numpy.save_file(arrays, path)

    def read_by_both(file):
        arrays = read_safetensors(file)
        # raises where the library finds what we miss
        assert arrays.keys() <= safetensors.numpy.load_file(file).keys()
        return arrays

    check_broken_files_are_refused(read_by_both, path)


def test_what_is_no_weight_file_is_refused(tmp_path):
    check_no_weight_files_are_refused(read_safetensors, tmp_path)
