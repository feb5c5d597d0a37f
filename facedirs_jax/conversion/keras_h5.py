"""Strict reader of Keras's HDF5 weights (.h5), of Keras 1 to tf.keras 2.

The attribute `layer_names` of the root, or of its group `model_weights`, lists the
layers in order; the attribute `weight_names` of each layer's group lists its arrays.
Names hold slashes, which HDF5 takes for nested groups. No other path is looked at.
"""

import itertools
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from facedirs_jax.conversion.arrays import (
    Path,
    float32,
    mapped,
    missing_library,
    wrong_dtype,
)
from facedirs_jax.errors import InputError

SIGNATURE = b"\x89HDF\r\n\x1a\n"

# Names of a layer's arrays, the last of each row as today's Keras calls them.
_ROLES = {
    **{"W": "kernel", "kernel": "kernel", "b": "bias", "bias": "bias"},
    **{"gamma": "gamma", "beta": "beta", "alphas": "alpha", "alpha": "alpha"},
    **{"running_mean": "moving_mean", "moving_mean": "moving_mean"},
    **{"running_std": "moving_variance", "moving_variance": "moving_variance"},
}
_LONGEST_LIST = 1 << 24  # bytes; the names of a ResNet-50's layers take 4,000

# What h5py raises on damaged files (by fuzzing).
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Reads the weights of a Keras file by the names of its layers.

    Args:
        path: the .h5 file, of weights alone or of a whole model.

    Returns:
        [...] float32 arrays in C order, in the file's order, named `<layer>/<role>`,
        where the role is kernel, bias, gamma, beta, moving_mean, moving_variance or
        alpha; a layer's own name may hold slashes.

    Raises:
        InputError: if the file is no such file, or is damaged; or h5py is missing.
    """
    return {
        f"{layer}/{role}": array
        for layer, arrays in _layers(os.fsdecode(path))
        for role, array in arrays.items()
    }


def read_keras_by_order(path: Path) -> dict[str, np.ndarray]:
    """Reads the weights of a Keras file whose layers are named by chance.

    Args:
        path: the .h5 file, of weights alone or of a whole model.

    Returns:
        [...] float32 arrays as of `read_keras`, where the layers that have weights are
        called `layer_00`, `layer_01`, ... in the file's order.

    Raises:
        InputError: if the file is no such file, or is damaged; or h5py is missing.
    """
    layers = _layers(os.fsdecode(path))
    return {
        f"layer_{index:02d}/{role}": array
        for index, (_, arrays) in enumerate(layers)
        for role, array in arrays.items()
    }


def _layers(name: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Layers that have weights, in order: their names, and their arrays by role."""
    content = mapped(name)
    if content[:8] != SIGNATURE:
        raise InputError(f"{name}: it is no HDF5 file; fetch the .h5 file again")
    try:
        import h5py
    except ImportError as error:
        raise missing_library(name, "h5py") from error
    try:
        with h5py.File(name, "r") as opened:
            layers = list(_read(name, opened, h5py.HardLink))
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{name}: damaged HDF5 file: {error!s:.200}; fetch it again"
        ) from error
    if not layers:
        raise InputError(f"{name}: no layer in it has weights; fetch the full file")
    return layers


def _read(
    name: str, opened: Any, hard: type
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    root = opened
    if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
        if "model_weights" not in root:
            raise InputError(
                f"{name}: it names no layers, so Keras before 3 did not write it; load "
                "it where its model is, and save_weights('model.weights.legacy.h5')"
            )
        root = _follow(name, root, "model_weights", hard)
    seen = set()
    for layer in _names(name, root, "layer_names"):
        if layer in seen:
            raise InputError(f"{name}: layer {layer} is there twice; fetch it again")
        seen.add(layer)
        group = _follow(name, root, layer, hard)
        arrays = {}
        for weight in _names(name, group, "weight_names"):
            role = _role(name, layer, weight)
            if role in arrays:
                raise InputError(f"{name}: {layer} has two arrays called {role}")
            dataset = _follow(name, group, weight, hard)
            arrays[role] = _array(f"{name}: {layer}/{role}", dataset, name)
        if arrays:
            yield layer, arrays


def _follow(name: str, group: Any, path: str, hard: type) -> Any:
    """What lies under a path of nested groups in the same file."""
    for step in path.split("/"):
        link = group.get(step, getlink=True)
        if not isinstance(link, hard):
            raise InputError(
                f"{name}: {path} lies behind a {type(link).__name__}, outside the file "
                "perhaps; fetch the published file, which has none"
            )
        group = group[step]
    return group


def _names(name: str, group: Any, attribute: str) -> list[str]:
    """A list of names, which Keras splits over several attributes where it is long."""
    numbered = (f"{attribute}{n}" for n in itertools.count())
    parts = list(itertools.takewhile(group.attrs.__contains__, numbered))
    if attribute in group.attrs:
        parts = [attribute]
    if not parts:
        raise InputError(f"{name}: a layer has no {attribute}; fetch the file again")
    names = []
    for part in parts:
        held = group.attrs.get_id(part)
        size = math.prod(held.shape) * held.dtype.itemsize
        if size > _LONGEST_LIST or len(held.shape) > 1:
            raise InputError(f"{name}: {part} is no list of names; fetch it again")
        names += np.atleast_1d(group.attrs[part]).tolist()
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def _role(name: str, layer: str, weight: str) -> str:
    """The role of `conv1/kernel:0`, of `conv1_W_1:0`, and so on."""
    last = weight.rpartition("/")[2].removeprefix(f"{layer}_")
    role = _ROLES.get(re.sub(r"(_\d+)?(:\d+)?$", "", last))
    if role is None:
        raise InputError(
            f"{name}: {layer} has an array {weight!r:.80}, of a kind that no known "
            "network has; take a file of the network that you ask for"
        )
    return role


def _array(what: str, dataset: Any, name: str) -> np.ndarray:
    """Values of one dataset of any shape, which must lie in the file as they are."""
    if not hasattr(dataset, "dtype"):
        raise InputError(f"{what}: it is no array; fetch the file again")
    wanted = dataset.size * dataset.dtype.itemsize
    if dataset.chunks or dataset.external or dataset.is_virtual:
        raise InputError(
            f"{what}: its values are compressed or lie elsewhere, as Keras does not "
            "write them; fetch the published file"
        )
    stored = dataset.id.get_storage_size()
    if wanted != stored or wanted > os.path.getsize(name):
        raise InputError(
            f"{what}: {stored} bytes are there, {wanted} wanted; fetch the file again"
        )
    array = float32(dataset[()], what=what)
    if array is None:
        raise wrong_dtype(what, str(dataset.dtype), dataset.shape)
    return array
