"""Reads PyTorch's .pth and .pt files, in its zip container and in the one before it.

Before PyTorch sees a file, its pickle is read as plain data (`plain_pickle`), which
shows every storage that it will allocate; then `torch.load(weights_only=True)` reads
the values, which stay in the file's own pages where they are float32 in a zip.
"""

import math
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from facedirs_jax.conversion.arrays import (
    Path,
    mapped,
    missing_library,
    wrong_dtype,
)
from facedirs_jax.conversion.plain_pickle import Named, Source, load_plain
from facedirs_jax.errors import InputError

WRAPPERS = ("state_dict", "model", "model_state_dict", "decoder_state_dict")

_REMEDY = (
    "where you trust the file, load it with the code that wrote it (torch.load with "
    "weights_only=False) and save the weights alone: "
    "torch.save(model.state_dict(), 'weights.pth')"
)
_MAGIC = 0x1950A86A20F9469CFC6C  # of the container before the zip, with protocol 1001

# What torch.load raises on damaged files that pass our own reading (by fuzzing).
_BROKEN = (
    AssertionError,
    AttributeError,  # what is no tensor stands for a parameter
    RuntimeError,
    TypeError,
    ValueError,  # and UnicodeDecodeError
    pickle.UnpicklingError,
)
# What zipfile raises (by fuzzing): damage, a codec that it lacks, a password.
_BROKEN_ZIP = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError)


def read_torch(path: Path, *, prefix: str = "") -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict, by itself or inside a checkpoint.

    Args:
        path: the .pth or .pt file; the state dict may lie in it under one of WRAPPERS.
        prefix: what every name must start with, after the `module.` of data-parallel
            training; both are taken off.

    Returns:
        [...] float32 arrays in C order, by name and in the file's order; counters
        (single integers, `num_batches_tracked`) are left out.

    Raises:
        InputError: if the file is no such file, is damaged, or asks for any code; or
            PyTorch of at least 2.10 is not installed.
    """
    name = os.fsdecode(path)
    zipped = _check(name)
    torch = _torch(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd protocols, in damaged files
            found = torch.load(name, map_location="cpu", weights_only=True, mmap=zipped)
    except _BROKEN as error:
        raise InputError(
            f"{name}: PyTorch cannot read it ({error!s:.200}); fetch it again"
        ) from error
    tensors = _state_dict(name, found)
    for start in ("module.", prefix):
        if all(key.startswith(start) for key in tensors):
            tensors = {key.removeprefix(start): tensors[key] for key in tensors}
        elif start == prefix:
            raise InputError(f"{name}: not every name starts with {prefix!r}")
    arrays = {key: _array(f"{name}: {key}", t) for key, t in tensors.items()}
    return {key: array for key, array in arrays.items() if array is not None}


def _torch(name: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise missing_library(name, "PyTorch") from error
    major, minor = torch.__version__.split(".")[:2]
    if (int(major), int(minor)) < (2, 10):
        raise InputError(
            f"{name}: PyTorch {torch.__version__} has known holes in its safe loading; "
            "run: pip install 'facedirs-jax[convert]', which asks for 2.10"
        )
    return torch


def _state_dict(name: str, found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping):
        inside = [w for w in WRAPPERS if isinstance(found.get(w), Mapping)]
        if len(inside) > 1:
            raise InputError(f"{name}: it has several state dicts, {inside}; {_REMEDY}")
        found = found[inside[0]] if inside else found
    if not isinstance(found, Mapping) or not found:
        raise InputError(
            f"{name}: expected a state dict, by itself or under one of "
            f"{', '.join(WRAPPERS)}, got a {type(found).__name__} of none; {_REMEDY}"
        )
    return {str(key): value for key, value in found.items()}


def _array(what: str, tensor: Any) -> np.ndarray | None:
    """A tensor of any shape as float32, None for a counter."""
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise InputError(
            f"{what}: expected a tensor, got a {type(tensor).__name__}; {_REMEDY}"
        )
    floats = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    if tensor.dtype in floats and tensor.layout == torch.strided:
        return tensor.detach().to(torch.float32).contiguous().numpy()
    counter = not (tensor.is_floating_point() or tensor.is_complex() or tensor.ndim)
    if counter and tensor.dtype != torch.bool:
        return None
    raise wrong_dtype(what, str(tensor.dtype), tuple(tensor.shape))


class _Storage(NamedTuple):
    """Stands in for a storage, its class where it has no values."""

    itemsize: int
    numel: int = 0


def _tensor(storage: Any, offset: Any, size: Any, *_: Any) -> None:
    """Stands in for a tensor, whose values must lie in its storage."""
    sides = tuple(size)
    if not all(type(side) is int and side >= 0 for side in sides) or len(sides) > 8:
        raise TypeError("a tensor has no plain shape")
    if offset + math.prod(sides) > storage.numel:
        raise ValueError(f"a tensor {sides} of a storage of {storage.numel} values")


def _whatever(*_: Any) -> None:
    """Stands in for what a checkpoint may hold beside its tensors."""


_SIZES = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2} | {
    **{"Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1},
}
_TABLE = {
    ("collections", "OrderedDict"): Named,
    ("collections", "Counter"): _whatever,
    ("torch", "Size"): _whatever,
    ("torch", "device"): _whatever,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _whatever,
    **{("torch", f"{kind}Storage"): _Storage(size) for kind, size in _SIZES.items()},
}


class _Claims:
    """The storages that a pickle refers to, each once, and their bytes."""

    def __init__(self, name: str):
        self.name = name
        self.bytes: dict[str, int] = {}

    def __call__(self, reference: Any) -> _Storage:
        kind, storage, key, _, numel, *view = reference
        if kind != "storage" or any(view) or type(numel) is not int or numel >> 48:
            raise ValueError("a reference to what is no storage")
        size = numel * storage.itemsize
        if self.bytes.setdefault(str(key), size) != size:
            raise ValueError(f"storage {key} has two sizes")
        return storage._replace(numel=numel)

    def read(self, source: Source) -> Any:
        return load_plain(source, _TABLE, remedy=_REMEDY, storage=self)


def _check(name: str) -> bool:
    """Reads the structure alone; True where the container is the zip."""
    content, claims = mapped(name), _Claims(name)
    if content[:4] == b"PK\x03\x04":
        _check_zip(name, claims)
        return True
    source = Source(content, name)
    if not content[:1] == b"\x80" or claims.read(source) != _MAGIC:
        raise InputError(
            f"{name}: it is no file of torch.save (a .pkl of numpy arrays, as "
            "VGGFace2's, has a reader of its own); take the published .pth or .pt"
        )
    for _ in ("protocol", "system", "structure", "keys"):
        claims.read(source)
    if sum(claims.bytes.values()) + 8 * len(claims.bytes) != source.left:
        raise InputError(
            f"{name}: {source.left} bytes of values are there, "
            f"{sum(claims.bytes.values())} are wanted; fetch it again"
        )
    return False


def _check_zip(name: str, claims: _Claims) -> None:
    try:
        with zipfile.ZipFile(name) as archive:
            members = {info.filename: info for info in archive.infolist()}
            stored = all(
                info.compress_type == zipfile.ZIP_STORED
                and info.compress_size == info.file_size
                for info in members.values()
            )
            if not stored or len(members) != len(archive.infolist()):
                raise zipfile.BadZipFile("a member is compressed, or is there twice")
            damaged = archive.testzip()
            if damaged:
                raise zipfile.BadZipFile(f"the values of {damaged} are damaged")
            folders = [m.rpartition("/")[0] for m in members if m.endswith("/data.pkl")]
            if len(folders) != 1 or f"{folders[0]}/constants.pkl" in members:
                raise InputError(
                    f"{name}: it is a zip, but holds no state dict (a TorchScript "
                    f"module, perhaps); {_REMEDY}"
                )
            program = archive.read(f"{folders[0]}/data.pkl")
    except InputError:
        raise
    except _BROKEN_ZIP as error:
        raise InputError(
            f"{name}: no zip as torch.save writes it: {error!s:.200}; fetch it again"
        ) from error
    claims.read(Source(program, name))
    for key, size in claims.bytes.items():
        member = members.get(f"{folders[0]}/data/{key}")
        if member is None or member.file_size != size:
            raise InputError(
                f"{name}: storage {key} should have {size} bytes; fetch it again"
            )
