"""Finds out what a weight file is by its first bytes, and reads its arrays."""

import os
import pathlib
import re
from typing import Literal

import numpy as np

from facedirs_jax.conversion.arrays import Path, mapped
from facedirs_jax.conversion.dlib_dat import read_dlib_network
from facedirs_jax.conversion.keras_h5 import SIGNATURE, read_keras, read_keras_by_order
from facedirs_jax.conversion.numpy_pickle import read_numpy_pickle
from facedirs_jax.conversion.onnx_graph import read_onnx
from facedirs_jax.conversion.safetensors_file import read_safetensors
from facedirs_jax.conversion.torch_file import read_torch
from facedirs_jax.errors import InputError

Container = Literal["torch", "pickle", "safetensors", "keras", "onnx", "dlib"]

# First bytes, in the order in which they are tried.
_STARTS: tuple[tuple[Container, bytes], ...] = (
    ("torch", rb"PK\x03\x04"),
    ("torch", rb"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\."),
    ("keras", re.escape(SIGNATURE)),
    ("safetensors", rb".{8}\{"),
    ("pickle", rb"\x80[\x02-\x05]|\(dp|\}q|ccollections\n"),
    ("dlib", rb"\x01\x01\x01.(?=loss_|[\x00-\xff]{0,4}loss_)"),
    # ir_version, then the field that follows in a ModelProto
    ("onnx", rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42\x72]"),
)
_HARMLESS = (".safetensors", ".onnx", ".h5", ".hdf5", ".dat")  # such files run no code


def find_container(path: Path) -> Container:
    """What kind of weight file this is, by its first bytes.

    Raises:
        InputError: if it is of no known kind; or a pickle, which could run code where
            it is not read with care, under a suffix of files that cannot.
    """
    name, start = os.fsdecode(path), mapped(path)[:64]
    kinds: list[Container] = [
        kind for kind, pattern in _STARTS if re.match(pattern, start, re.DOTALL)
    ]
    if not kinds:
        raise InputError(
            f"{name}: its first bytes {start[:12]!r} are of no known weight file; "
            "expected .pth/.pt, .pkl, .safetensors, .h5, .onnx or dlib's .dat: fetch "
            "it again, and unpack it if it is an archive"
        )
    container = kinds[0]
    suffix = pathlib.PurePath(name).suffix.lower()
    if container in ("torch", "pickle") and suffix in _HARMLESS:
        raise InputError(
            f"{name}: it is a {container} file, which could run code, under the suffix "
            f"{suffix} of files that cannot; do not trust it: fetch the published one"
        )
    return container


def read_arrays(
    path: Path, *, keras_by_order: bool = False
) -> tuple[Container, dict[str, np.ndarray]]:
    """Reads the arrays of a weight file of any known kind.

    Args:
        path: the file; its kind is found by its content.
        keras_by_order: whether layers of Keras files go by number instead of name.

    Returns:
        The kind of file, and [...] float32 arrays in C order, by name and in the file's
        order. They may share the file's pages: leave it in place while they are used.

    Raises:
        InputError: if the file is of no known kind, or its reader refuses it.
    """
    container = find_container(path)
    if container == "dlib":
        return container, read_dlib_network(path)[1]
    readers = {
        "torch": read_torch,
        "pickle": read_numpy_pickle,
        "safetensors": read_safetensors,
        "keras": read_keras_by_order if keras_by_order else read_keras,
        "onnx": read_onnx,
    }
    return container, readers[container](path)
