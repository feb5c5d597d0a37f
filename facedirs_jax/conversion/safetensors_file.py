"""Strict reader of safetensors files; the values stay in the file's own pages.

file ::= length of the header (8 bytes, little-endian), header (JSON), values
header ::= {name: {"dtype", "shape", "data_offsets": [start, end]}, ...}, and perhaps
           "__metadata__"; the values' parts must cover them without gap or overlap
"""

import json
import math
import os
from typing import Any

import numpy as np

from facedirs_jax.conversion.arrays import Path, float32, mapped, widened, wrong_dtype
from facedirs_jax.errors import InputError

LONGEST_HEADER = 100_000_000  # bytes, the format's own limit

_DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"},  # BF16 by its bits
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1"},
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file.

    Args:
        path: the .safetensors file.

    Returns:
        [...] float32 arrays in C order, by name and in the header's order; counters
        (single integers) are left out.

    Raises:
        InputError: if the file is no such file, or its header and its values differ.
    """
    name = os.fspath(path)
    content = mapped(path)
    header, start = _header(content, str(name))
    arrays, spans = {}, []
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        what = f"{name}: {key}"
        dtype, shape, span = _entry(what, entry)
        spans.append(span)
        if not span[0] <= span[1] <= len(content) - start:
            raise _damaged(what, f"its values lie at {span}, outside the file")
        count = math.prod(shape)
        if span[1] - span[0] != count * np.dtype(_DTYPES[dtype]).itemsize:
            raise _damaged(what, f"{dtype} {shape} has {span[1] - span[0]} bytes")
        values = np.frombuffer(content, _DTYPES[dtype], count, start + span[0])
        values = widened(values) if dtype == "BF16" else values
        array = float32(values.reshape(shape), what=what)
        if array is not None:
            arrays[key] = array
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise _damaged(str(name), f"values overlap or leave a gap at {end}")
        end = last
    if end != len(content) - start or not arrays:
        raise _damaged(str(name), f"{len(content) - start - end} bytes are nobody's")
    return arrays


def _header(content: Any, name: str) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{" or not 2 <= length <= LONGEST_HEADER:
        raise InputError(
            f"{name}: it is no safetensors file, whatever its name; do not load it as "
            "a pickle either unless you trust it: fetch the published file again"
        )
    if length > len(content) - 8:
        raise _damaged(name, f"its header claims {length} bytes")
    try:
        header = json.loads(
            content[8 : 8 + length].decode(), object_pairs_hook=_without_duplicates
        )
    except (ValueError, RecursionError) as error:  # all that json raises, by fuzzing
        raise _damaged(name, f"its header is wrong, {error!s:.200}") from error
    if not isinstance(header, dict):
        raise _damaged(name, "its header is no table")
    return header, 8 + length


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _entry(what: str, entry: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Dtype, shape and span of one array."""
    if not isinstance(entry, dict) or entry.keys() != {
        *("dtype", "shape", "data_offsets"),
    }:
        raise _damaged(what, "it needs a dtype, a shape and offsets")
    shape, span = entry["shape"], entry["data_offsets"]
    for sizes, most in ((shape, 8), (span, 2)):
        if not isinstance(sizes, list) or len(sizes) > most:
            raise _damaged(what, f"{sizes!s:.80} is no shape or span")
        if not all(type(size) is int and size >= 0 for size in sizes):
            raise _damaged(what, f"{sizes!s:.80} is no shape or span")
    if len(span) != 2:
        raise _damaged(what, f"{span} is no span")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
        raise wrong_dtype(what, f"{entry['dtype']!s:.40}", tuple(shape))
    return entry["dtype"], tuple(shape), (span[0], span[1])


def _damaged(what: str, how: str) -> InputError:
    return InputError(f"{what}: damaged safetensors file: {how}; fetch it again")
