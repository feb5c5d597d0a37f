"""The values of one ONNX tensor, held against its shape before any allocation."""

import math
import pathlib
from typing import Any

import numpy as np

from facedirs_jax.conversion.arrays import float32, mapped, widened, wrong_dtype
from facedirs_jax.errors import InputError

# By onnx.TensorProto.DataType: the raw values' dtype, and the field of typed values.
_DTYPES = {
    1: ("<f4", "float_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    16: ("<u2", "int32_data"),  # bfloat16, by its bits
}


def tensor_array(tensor: Any, name: str) -> np.ndarray:
    """The values of a TensorProto.

    Args:
        tensor: the onnx.TensorProto.
        name: the file's path; values outside the file must lie in its folder.

    Returns:
        [...] float32 in C order.

    Raises:
        InputError: if it is not floating-point, or shape and values differ.
    """
    what, shape = f"{name}: {tensor.name:.80}", tuple(tensor.dims)
    if tensor.data_type not in _DTYPES:
        raise wrong_dtype(what, f"ONNX type {tensor.data_type}", shape)
    dtype, field = _DTYPES[tensor.data_type]
    if tensor.data_location == 1 or tensor.external_data:
        raw = _external(tensor, name, what)
    elif tensor.HasField("raw_data"):
        raw = tensor.raw_data
    else:
        typed = np.array(getattr(tensor, field))
        bits = typed.astype("<u2") if field == "int32_data" else typed.astype(dtype)
        raw = bits.tobytes()
    wanted = math.prod(shape) * np.dtype(dtype).itemsize
    if len(shape) > 8 or min(shape, default=0) < 0 or len(raw) != wanted:
        raise InputError(
            f"{what}: shape {shape!s:.80} has {len(raw)} bytes; fetch it again"
        )
    values = np.frombuffer(raw, dtype)
    values = widened(values) if tensor.data_type == 16 else values
    array = float32(values.reshape(shape), what=what)
    assert array is not None  # floats all
    return array


def _external(tensor: Any, name: str, what: str) -> memoryview:
    """The bytes of values that lie in another file of the same folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    folder = pathlib.Path(name).resolve().parent
    location = entries.get("location", "")
    try:
        inside = (folder / location).resolve().is_relative_to(folder)
        start, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except (ValueError, OSError, RuntimeError) as error:  # a zero byte; a loop of links
        raise InputError(f"{what}: values in {location!r:.80}: {error}") from error
    if not location or not inside:
        raise InputError(
            f"{what}: its values lie in {location!r:.80}, outside the folder of the "
            "file; put both files into one folder, or export to a single file"
        )
    content = memoryview(mapped(folder / location))
    end = len(content) if length < 0 else start + length
    if not 0 <= start <= end <= len(content):
        raise InputError(f"{what}: {location} is cut short; fetch both files again")
    return content[start:end]
