"""Strict reader of the network files (.dat) that dlib's C++ `serialize` writes.

Grammar, outermost layer first (dlib/dnn/core.h, loss.h, layers.h, input.h):

    network   ::= 1 loss layer
    layer     ::= 1 layer                           a tag or a skip
                | 2 layer details flags tensors     any other
                | 3 input details flags tensors 1   the innermost
    loss      ::= "loss_metric_2" margin threshold
    input     ::= "input_rgb_image_sized" mean_red mean_green mean_blue rows columns
    details   ::= a type name, then what `_DETAILS` reads for it
    flags     ::= flag flag flag
    tensors   ::= tensor tensor tensor              working memory, saved empty

So all versions lie at the start, the last layer's first, and all parameters after them
in execution order. The words in small letters are those of `dlib_stream`.
"""

import math
import os
import pathlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax.conversion.dlib_stream import Stream


class Layer(NamedTuple):
    """One layer of a network: its kind, and the sizes that its details must show."""

    kind: str
    sizes: tuple[int, ...] = ()


def con(channels: int, filters: int, side: int, stride: int) -> Layer:
    """A convolution, padded by half its side unless it strides (dlib's default)."""
    padding = side // 2 if stride == 1 else 0
    return Layer("con", (channels, filters, side, stride, padding))


def affine(channels: int) -> Layer:
    """A scale and a shift for each channel."""
    return Layer("affine", (channels,))


TAG, SKIP, ADD, RELU = Layer("tag"), Layer("skip"), Layer("add_prev"), Layer("relu")
HALVE = Layer("avg_pool", (2, 2, 2, 2, 0, 0))  # rows, columns, strides, paddings
MEAN = Layer("avg_pool", (0, 0, 1, 1, 0, 0))  # 0 rows and columns: all of them


def residual(width: int) -> tuple[Layer, ...]:
    """Two convolutions, added to their own input."""
    first, second = con(width, width, 3, 1), con(width, width, 3, 1)
    return TAG, first, affine(width), RELU, second, affine(width), ADD, RELU


def halving(channels: int, width: int) -> tuple[Layer, ...]:
    """Two convolutions, the first with stride 2, added to their input, pooled."""
    first, second = con(channels, width, 3, 2), con(width, width, 3, 1)
    block = (first, affine(width), RELU, second, affine(width))
    return TAG, *block, TAG, SKIP, HALVE, ADD, RELU


# In execution order: the ResNet of dlib's examples/dnn_face_recognition_ex.cpp.
FACE_RESNET: tuple[Layer, ...] = (
    *(con(3, 32, 7, 2), affine(32), RELU, Layer("max_pool", (3, 3, 2, 2, 0, 0))),
    *(3 * residual(32)),
    *(halving(32, 64) + 3 * residual(64)),
    *(halving(64, 128) + 2 * residual(128)),
    *(halving(128, 256) + 2 * residual(256)),
    *halving(256, 256),
    *(MEAN, Layer("fc", (256, 128))),
)

# Type names, and the switches that newer dlib appends to the details, as they must be.
_TYPES: dict[str, dict[str, tuple[bool, ...]]] = {
    "con": {"con_4": (), "con_5": (True,), "con_6": (True, False)},  # bias; fused relu
    "affine": {"affine_": (), "affine_2": (False,)},  # disabled
    "relu": {"relu_": (), "relu_2": (False,)},  # disabled
    "add_prev": {"add_prev_": ()},
    "max_pool": {"max_pool_2": ()},
    "avg_pool": {"avg_pool_2": ()},
    "fc": {"fc_2": (), "fc_3": (True,)},  # bias, of no effect on a layer without one
}


class DlibHeader(NamedTuple):
    """What a network file says besides its parameters.

    Attributes:
        margin: of the metric loss that the network was trained with.
        distance_threshold: L2 distance below which two embeddings are one person.
        input_mean: RGB in 0..255, subtracted from the input.
        input_size: rows and columns of the input, px.
    """

    margin: float
    distance_threshold: float
    input_mean: tuple[float, float, float]
    input_size: tuple[int, int]


def read_dlib_network(
    path: str | os.PathLike[str], *, layers: Sequence[Layer] = FACE_RESNET
) -> tuple[DlibHeader, dict[str, np.ndarray]]:
    """Reads a network file whose layers are known.

    Args:
        path: the .dat file.
        layers: the network's layers in execution order, innermost first.

    Returns:
        The header, and read-only float32 arrays in execution order, numbered by kind:
        `con_00.filters` [filters, channels, rows, columns], `con_00.biases`,
        `affine_00.gamma`, `affine_00.beta`, ..., `fc_00.weights` [inputs, outputs].

    Raises:
        InputError: if any byte is not what the grammar and the layers ask for.
        OSError: if the file cannot be read.
    """
    stream = Stream(pathlib.Path(path).read_bytes(), os.fspath(path))
    arrays: dict[str, np.ndarray] = {}
    stream.integers("version of the loss layer", 1)
    stream.name("loss", "loss_metric_2")
    margin, threshold = stream.number("margin"), stream.number("threshold")
    mean, size = _read_layers(stream, _labelled(layers), arrays)
    stream.end()
    return DlibHeader(margin, threshold, mean, size), arrays


def _labelled(layers: Sequence[Layer]) -> list[tuple[str, Layer]]:
    seen: Counter[str] = Counter()
    labelled = []
    for layer in layers:
        labelled.append((f"{layer.kind}_{seen[layer.kind]:02d}", layer))
        seen[layer.kind] += 1
    return labelled


Input = tuple[tuple[float, float, float], tuple[int, int]]  # RGB mean; rows, columns


def _read_layers(
    stream: Stream, layers: list[tuple[str, Layer]], arrays: dict[str, np.ndarray]
) -> Input:
    """Reads the last layer around those below it, and adds its arrays after theirs."""
    *below, (label, layer) = layers
    version = f"version of {label}"
    if layer.kind in ("tag", "skip"):
        stream.integers(version, 1)
        return _read_layers(stream, below, arrays)
    stream.integers(version, 2 if below else 3)
    inputs = _read_layers(stream, below, arrays) if below else _read_input(stream)
    switches = _TYPES[layer.kind]
    found = stream.name(f"type of {label}", *switches)
    arrays.update(_DETAILS[layer.kind](stream, label, *layer.sizes))
    for wanted in switches[found]:
        start = stream.at
        if stream.flag(f"switch of {label}") != wanted:
            raise stream.error(
                start, f"switch of {label} to be {wanted}", str(not wanted)
            )
    for _ in range(3):
        stream.flag(f"flag of {label}")
    for _ in range(3):
        stream.tensor(f"working memory of {label}", 0, 0, 0, 0)
    if not below:
        stream.integers("sample expansion factor", 1)
    return inputs


def _read_input(stream: Stream) -> Input:
    stream.name("input", "input_rgb_image_sized")
    red, green, blue = (stream.number(f"mean of {c}") for c in ("red", "green", "blue"))
    return (red, green, blue), (stream.integer("rows"), stream.integer("columns"))


def _read_con(
    stream: Stream,
    label: str,
    channels: int,
    filters: int,
    side: int,
    stride: int,
    padding: int,
) -> dict[str, np.ndarray]:
    shape = (filters, channels, side, side)
    values = stream.tensor(
        f"parameters of {label}", math.prod(shape) + filters, 1, 1, 1
    )
    sizes = (filters, side, side, stride, stride, padding, padding)
    stream.integers(f"filters, sides, strides and paddings of {label}", *sizes)
    stream.alias(f"{label}.filters", *shape)
    stream.alias(f"{label}.biases", 1, filters, 1, 1)
    _read_multipliers(stream, label)
    return {
        f"{label}.filters": values[:-filters].reshape(shape),
        f"{label}.biases": values[-filters:],
    }


def _read_affine(stream: Stream, label: str, channels: int) -> dict[str, np.ndarray]:
    values = stream.tensor(f"parameters of {label}", 2 * channels, 1, 1, 1)
    stream.alias(f"{label}.gamma", 1, channels, 1, 1)
    stream.alias(f"{label}.beta", 1, channels, 1, 1)
    stream.integers(f"mode of {label}, by channel", 0)
    return {
        f"{label}.gamma": values[:channels],
        f"{label}.beta": values[channels:],
    }


def _read_fc(
    stream: Stream, label: str, inputs: int, outputs: int
) -> dict[str, np.ndarray]:
    stream.integers(f"outputs and inputs of {label}", outputs, inputs)
    values = stream.tensor(f"parameters of {label}", inputs, outputs, 1, 1)
    stream.alias(f"{label}.weights", inputs, outputs, 1, 1)
    stream.alias(f"{label}.biases", 0, 0, 0, 0)
    stream.integers(f"bias mode of {label}, without", 1)
    _read_multipliers(stream, label)
    return {f"{label}.weights": values.reshape(inputs, outputs)}


def _read_multipliers(stream: Stream, label: str) -> None:
    for _ in range(4):  # learning rate and weight decay, of weights and of biases
        stream.number(f"training multiplier of {label}")


def _read_sizes(stream: Stream, label: str, *sizes: int) -> dict[str, np.ndarray]:
    if sizes:
        stream.integers(f"window, strides and paddings of {label}", *sizes)
    return {}


_DETAILS: dict[str, Callable[..., dict[str, np.ndarray]]] = {
    "con": _read_con,
    "affine": _read_affine,
    "fc": _read_fc,
    "max_pool": _read_sizes,
    "avg_pool": _read_sizes,
    "relu": _read_sizes,
    "add_prev": _read_sizes,
}
