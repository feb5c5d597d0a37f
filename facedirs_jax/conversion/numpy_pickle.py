"""Reads pickled dicts of numpy arrays, such as VGGFace2's .pkl, and runs nothing."""

import math
import os
from typing import Any

import numpy as np

from facedirs_jax.conversion.arrays import Path, float32, mapped
from facedirs_jax.conversion.plain_pickle import Call, Named, Source, load_plain
from facedirs_jax.errors import InputError

_REMEDY = (
    "where you trust the file, load it with the code that wrote it, and pickle the "
    "dict of float32 arrays alone"
)


def read_numpy_pickle(path: Path) -> dict[str, np.ndarray]:
    """Reads a pickle, of Python 2 or 3, of a dict of numpy arrays by name.

    Nothing that the pickle names is imported or called: see `plain_pickle`.

    Args:
        path: the .pkl file.

    Returns:
        [...] float32 arrays in C order, by their names and in the file's order;
        counters (single integers) are left out.

    Raises:
        InputError: if it is no such pickle, is damaged, or asks for anything else.
    """
    name = os.fspath(path)
    source = Source(mapped(path), name)
    found = load_plain(source, _TABLE, remedy=_REMEDY)
    if source.left:
        raise InputError(
            f"{name}: {source.left} bytes follow the pickle; fetch it again"
        )
    if not isinstance(found, dict) or not found:
        raise InputError(
            f"{name}: expected a dict of arrays by name, got a "
            f"{type(found).__name__} of none; it holds no network"
        )
    arrays = {}
    for key, value in found.items():
        if not isinstance(value, _Array) or not isinstance(key, str):
            raise InputError(
                f"{name}: {key!r:.80} holds a {type(value).__name__}; expected numpy "
                f"arrays by name: {_REMEDY}"
            )
        array = float32(value.array, what=f"{name}: {key}")
        if array is not None:
            arrays[key] = array
    return arrays


class _Dtype(Call):
    """Stands in for numpy.dtype: a kind and a size, then a byte order as its state."""

    def __init__(self, code: str, *_: Any):
        if not isinstance(code, str) or code not in _CODES:
            raise ValueError(f"arrays of dtype {code!r:.40} are no weights")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|"):
            raise TypeError("an unknown byte order")
        self.dtype = self.dtype.newbyteorder("<" if order == "=" else order)


class _Array(Call):
    """Stands in for numpy.ndarray: empty, then its values as its state."""

    def __init__(self, *_: Any):
        self.array = np.zeros(0, np.float32)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, columns_first, raw = state
        self.array = _values(shape, dtype, raw, "F" if columns_first else "C")


def _values(shape: Any, dtype: Any, raw: Any, order: Any) -> np.ndarray:
    """The array that a pickle describes, if its values have as many bytes."""
    if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
        raise TypeError("an array has no known dtype or order")
    if isinstance(raw, str):
        raw = raw.encode("latin1")  # as Python 2 wrote it
    sides = tuple(shape)
    if not all(type(side) is int and side >= 0 for side in sides) or len(sides) > 8:
        raise TypeError("an array has no plain shape")
    if math.prod(sides) * dtype.dtype.itemsize != len(raw):
        raise ValueError(f"an array {sides} of {dtype.dtype} has {len(raw)} bytes")
    return np.frombuffer(raw, dtype.dtype).reshape(sides, order=order)


def _scalar(dtype: Any, raw: Any) -> _Array:
    found = _Array()
    found.array = _values((), dtype, raw, "C")
    return found


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.array = _values(shape, dtype, raw, order)
    return found


def _encode(text: Any, encoding: Any) -> bytes:
    """Stands in for _codecs.encode: how protocol 2 writes bytes under Python 3."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("text in another encoding")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stands in for bytes, by which protocol 2 writes the values of an empty array."""
    return b""


_CODES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {
    *("f2", "f4", "f8", "b1"),
}
_TABLE = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): Named,
    **{  # under numpy 1 and numpy 2
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
