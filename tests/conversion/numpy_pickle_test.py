"""Oracle: numpy's own pickles, of each protocol, and one as Python 2 wrote them."""

import collections
import pickle
import struct

import numpy as np
import pytest

from facedirs_jax.conversion.numpy_pickle import read_numpy_pickle
from facedirs_jax.errors import InputError
from tests.conversion.hostile import (
    Canary,
    check_broken_files_are_refused,
    check_no_weight_files_are_refused,
    pickled,
    same,
)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = {"conv1.weight": (4, 3, 7, 7), "bn1.running_var": (4,), "scale": ()}
    return {name: rng.normal(size=s).astype("f4") for name, s in shapes.items()}


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a pickle."""

    def read_bytes(content):
        (tmp_path / "net.pkl").write_bytes(content)
        return read_numpy_pickle(tmp_path / "net.pkl")

    return read_bytes


def text(value):
    return b"U" + bytes([len(value)]) + value  # a byte string of Python 2


def python2_array(array):
    """As cPickle of Python 2 wrote it, protocol 2: bytes are its plain strings."""
    raw, shape = array.tobytes(), b"".join(b"K" + bytes([n]) for n in array.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + (b"(K\x01(" + shape + b"tcnumpy\ndtype\n" + text(b"f4") + b"K\x00K\x01\x87R")
        + (b"(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
        + (b"T" + struct.pack("<I", len(raw)) + raw + b"tb")
    )


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("mapping", [dict, collections.OrderedDict])
def test_arrays_come_back_in_order(arrays, read, protocol, mapping):
    same(read(pickle.dumps(mapping(arrays), protocol=protocol)), arrays)


def test_a_pickle_of_python_2_comes_back(arrays, read):
    del arrays["scale"]
    items = b"".join(text(n.encode()) + python2_array(a) for n, a in arrays.items())
    content = b"\x80\x02}(" + items + b"u."
    same(pickle.loads(content, encoding="latin1"), arrays)  # the oracle reads it too
    same(read(content), arrays)


@pytest.mark.parametrize("protocol", [2, 5])
def test_other_floats_orders_and_layouts_become_float32_in_c_order(read, protocol):
    values = np.arange(6.0).reshape(2, 3)
    others = {
        **{"f2": values.astype("f2"), "f8": values, "big": values.astype(">f4")},
        **{"columns": np.asfortranarray(values), "scalar": np.float64(2.5)},
        **{"empty": np.zeros((0, 3)), "huge": np.array([1e300])},
    }
    found = read(pickle.dumps(others, protocol=protocol))
    assert found.pop("huge") == np.inf
    same(found, {name: np.asarray(others[name], "f4") for name in list(others)[:-1]})


def test_counters_are_left_out_and_nan_is_left_to_the_converter(arrays, read):
    counted = {"bn1.num_batches_tracked": np.array(7), **arrays}
    counted["scale"] = np.array(np.nan, "f4")
    found = read(pickle.dumps(counted))
    assert list(found) == list(arrays) and np.isnan(found["scale"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.arange(3), r"bias: expected floating-point weights, got int64 \(3,\)"),
        (np.array([True]), "got bool"),
        (np.array([object], object), "'O8' are no weights"),
        (np.array([1j]), "'c16' are no weights"),
        (np.array([(1, 2.0)], "i4,f4"), "'V8' are no weights"),
        ([1.0, 2.0], "'bias' holds a list; expected numpy arrays by name"),
        ({"weight": np.zeros(2)}, "'bias' holds a dict"),
        (range(3), "it asks for builtins.range, which is no part of plain weights"),
    ],
)
def test_anything_else_is_refused_by_name(arrays, read, value, message):
    with pytest.raises(InputError, match=rf"net\.pkl.*{message}"):
        read(pickle.dumps(arrays | {"bias": value}))


@pytest.mark.parametrize("value", [[], {}, 3, None, [np.zeros(3)]])
def test_a_pickle_of_no_dict_is_refused(read, value):
    with pytest.raises(InputError, match="expected a dict of arrays by name"):
        read(pickle.dumps(value))


def test_trailing_bytes_are_refused(arrays, read):
    with pytest.raises(InputError, match="3 bytes follow the pickle"):
        read(pickle.dumps(arrays) + b"abc")


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_runs_none(arrays, read, tmp_path, protocol):
    canary = tmp_path / "canary"
    content = pickle.dumps(arrays | {"x": Canary(canary)}, protocol=protocol)
    with pytest.raises(InputError, match=r"it asks for .*could run code; where you"):
        read(content)
    assert not canary.exists()
    pickle.loads(content)  # as it would have done
    assert canary.exists()


@pytest.mark.parametrize(
    "function",
    [
        *(
            "os:system",
            "builtins:eval",
            "builtins:getattr",
            "numpy:load",
            "numpy:zeros",
        ),
        *("builtins:bytearray", "numpy.core.multiarray:_reconstruct.__globals__"),
        *("numpy._core.numerictypes:os", "torch._utils:_rebuild_tensor_v2"),
    ],
)
def test_only_the_names_in_the_table_are_known(read, function):
    with pytest.raises(InputError, match="it asks for"):
        read(pickled(function, "touch canary"))


DTYPE = b"cnumpy\ndtype\n" + text(b"f4") + b"\x85R"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n)R"


def state(shape, raw, dtype=DTYPE, order=b"\x89"):
    return b"\x80\x02" + EMPTY + b"(K\x01" + shape + dtype + order + raw + b"tb."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02T\x00\xe4\x0b\x54.", "bytes are wanted, 1 are left"),  # 1.4 GB
        (b"\x80\x04\x8e" + 6 * b"\xff" + b"\0\0.", "is|wanted"),  # a string of 2**48
        (b"\x80\x04\x8a\x00.", "expected a dict"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "got a NoneType"),  # place 2**31 of the memo
        (b"\x80\x02" + 1_000_001 * b"N" + b".", "more instructions than weights need"),
        (b"\x80\x02)" + 50_000 * b"\x85" + b"}q\x00h\x00N\x87.", "got a tuple"),
        (b"\x80\x02}" + b")" + 50_000 * b"\x85" + b"Ns.", "a tuple is a key"),
        (b"\x80\x02})" + 60 * b"q\x00h\x00\x86" + b"Ns.", "a tuple is a key"),
        (b"\x80\x02(" + 100_000 * b"]" + b"l.", "got a list"),
        (b"\x80\x02}\x8a\x09" + 9 * b"\x7f" + b"Ns.", "a int is a key"),
        (b"\x80\x02cnumpy\ndtype\n}N\x86b.", "stands for a Call"),  # state of a class
        (b"\x80\x02U\x01a)R.", "what is no function is called"),
        (b"\x80\x02\x82\x01.", "weights need no EXT1"),
        (b"\x80\x02\x8f.", "weights need no EMPTY_SET"),
        (b"\x80\x02NQ.", "weights need no BINPERSID"),
        (b"\x80\x02a.", "the stack is empty"),
        (state(b"J\x00\xe4\x0b\x54\x85", text(b"1234")), "has 4 bytes"),  # 1.4e9 values
        (state(b"J\xff\xff\xff\xff\x85", text(b"")), "no plain shape"),
        (state(b"U\x02ab\x85", text(b"")), "no plain shape"),
        (state(b"K\x01\x85", b"K\x04"), "TypeError"),
        (state(b"K\x01\x85", text(b"1234"), dtype=text(b"O8")), "no known dtype"),
    ],
    ids=lambda value: "a_file" if isinstance(value, bytes) else None,
)
def test_bombs_are_refused(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


def test_broken_files_are_refused(arrays, tmp_path):
    for protocol in (0, 2, 5):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(arrays, protocol=protocol))
        check_broken_files_are_refused(read_numpy_pickle, path, seed=protocol)


def test_what_is_no_weight_file_is_refused(tmp_path):
    check_no_weight_files_are_refused(read_numpy_pickle, tmp_path)
