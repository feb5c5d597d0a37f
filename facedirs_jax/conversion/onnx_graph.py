"""Reads the parameters of an ONNX graph by their place in it, not by their names.

Exporters rename what they fold and share what is equal, so the nodes are walked in the
order in which they run, and each array is named after its node's kind and number.
"""

import os
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from facedirs_jax.conversion.arrays import Path, mapped, missing_library
from facedirs_jax.conversion.onnx_tensor import tensor_array
from facedirs_jax.errors import InputError

# Names of the inputs that hold parameters, after the first, which is the picture.
_PARAMETERS = {
    "Conv": ("conv", ("weight", "bias")),
    "ConvTranspose": ("conv_transpose", ("weight", "bias")),
    "BatchNormalization": ("bn", ("weight", "bias", "running_mean", "running_var")),
    "PRelu": ("prelu", ("weight",)),
    "Gemm": ("gemm", ("weight", "bias")),
    "MatMul": ("gemm", ("weight",)),
}
_ARITHMETIC = ("Sub", "Mul", "Add", "Div")
_SETTINGS = ("Clip", "Dropout", "Pad", "Resize", "Upsample")  # constants set them up


class OnnxGraph(NamedTuple):
    """What a graph says besides its parameters.

    Attributes:
        normalisation: what it does to the picture first, in order: kind of the node
            ("Sub", "Mul", "Add" or "Div") and its constant, [] or [C, 1, 1] float32.
        epsilons: of its batch normalisations, each once, ascending.
    """

    normalisation: tuple[tuple[str, np.ndarray], ...]
    epsilons: tuple[float, ...]


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Reads the parameters of an ONNX graph; see `read_onnx_graph`.

    Returns:
        [...] float32 arrays in C order, in execution order.

    Raises:
        InputError: as of `read_onnx_graph`; and if the graph normalises its input, as
            the network would be fed pictures that are normalised twice or not at all.
    """
    graph, arrays = read_onnx_graph(path)
    if graph.normalisation:
        steps = ", ".join(f"{kind} {value}" for kind, value in graph.normalisation)
        raise InputError(
            f"{os.fspath(path)}: the graph normalises the picture itself ({steps:.200}"
            "); take an export without, or read it by read_onnx_graph and feed the "
            "network as that says"
        )
    return arrays


def read_onnx_graph(path: Path) -> tuple[OnnxGraph, dict[str, np.ndarray]]:
    """Reads the parameters of an ONNX graph, named by kind in execution order.

    Args:
        path: the .onnx file; values outside it must lie in its folder.

    Returns:
        What the graph says besides, and [...] float32 arrays in C order:
        `conv_00.weight` [out, in, rows, columns], `conv_00.bias`,
        `conv_transpose_00.weight` [in, out, rows, columns], `bn_00.weight`,
        `bn_00.bias`, `bn_00.running_mean`, `bn_00.running_var`, `prelu_00.weight` [C]
        and `gemm_00.weight` [out, in], `gemm_00.bias`, of Gemm and of MatMul alike.

    Raises:
        InputError: if the file is no such file or is damaged, if parameters lie in
            nodes of another kind, or onnx is missing.
    """
    name = os.fsdecode(path)
    content = mapped(name)
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise missing_library(name, "onnx") from error
    try:
        model = onnx.ModelProto.FromString(content[:])
    except DecodeError as error:  # the only one that it raises, by fuzzing
        raise InputError(f"{name}: no ONNX file, or damaged; fetch it again") from error
    if not model.graph.node or model.functions:
        raise InputError(f"{name}: it holds no plain graph; export it by torch.onnx")
    walk = _Walk(name, model.graph)
    for node in model.graph.node:
        walk.step(node)
    if not walk.arrays:
        raise InputError(f"{name}: the graph holds no parameters; fetch it again")
    graph = OnnxGraph(tuple(walk.normalisation), tuple(sorted(walk.epsilons)))
    return graph, walk.arrays


class _Walk:
    """The state of a walk along a graph's nodes."""

    def __init__(self, name: str, graph: Any):
        self.name = name
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.known = {"", *self.constants, *(value.name for value in graph.input)}
        self.picture = {v.name for v in graph.input if v.name not in self.constants}
        self.products: dict[str, str] = {}  # labels of MatMuls, by their outputs
        self.numbers: Counter[str] = Counter()
        self.arrays: dict[str, np.ndarray] = {}
        self.normalisation: list[tuple[str, np.ndarray]] = []
        self.epsilons: set[float] = set()

    def step(self, node: Any) -> None:
        """Takes what one node holds."""
        late = [source for source in node.input if source not in self.known]
        if late or not node.output or node.domain not in ("", "ai.onnx"):
            raise self.error(node, f"of domain {node.domain!r}, runs before {late}")
        if not node.input and node.op_type in ("Identity", *_PARAMETERS):
            raise self.error(node, "has no input")
        self.known.update(node.output)
        attributes = {a.name: a for a in node.attribute}
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise self.error(node, "holds a graph inside the graph")
        if node.op_type == "Constant":
            if "value" in attributes:
                self.constants[node.output[0]] = attributes["value"].t
        elif node.op_type == "Identity":
            self._alias(node)
        elif node.op_type in _PARAMETERS:
            self._parameters(node, attributes)
        elif node.op_type in _ARITHMETIC and self._arithmetic(node):
            pass
        elif node.op_type not in _SETTINGS:
            for source in node.input:
                if source in self.constants and self.floats(source) > 1:
                    raise self.error(node, f"holds parameters in {source!r}")

    def error(self, node: Any, problem: str) -> InputError:
        return InputError(
            f"{self.name}: node {node.name!r} ({node.op_type}) {problem:.200}; the "
            "reader knows Conv, ConvTranspose, BatchNormalization, PRelu, Gemm and "
            "MatMul: take a plain export of the network, by torch.onnx"
        )

    def floats(self, source: str) -> int:
        """How many floating-point values a constant has: none if it sets up a node."""
        tensor = self.constants[source]
        return int(np.prod(tensor.dims)) if tensor.data_type in (1, 10, 11, 16) else 0

    def value(self, source: str) -> np.ndarray:
        return tensor_array(self.constants[source], self.name)

    def _alias(self, node: Any) -> None:
        source, target = node.input[0], node.output[0]
        for known in (self.constants, self.products):
            if source in known:
                known[target] = known[source]
        if source in self.picture:
            self.picture.add(target)

    def _arithmetic(self, node: Any) -> bool:
        """True for what is done to the picture, and for the bias after a MatMul."""
        constants = [s for s in node.input if s in self.constants]
        others = [s for s in node.input if s not in self.constants]
        if len(constants) != 1 or len(others) != 1:
            return False
        if others[0] in self.picture:
            if node.op_type in ("Sub", "Div") and node.input[1] != constants[0]:
                raise self.error(node, "takes the picture from a constant")
            self.normalisation.append((node.op_type, self.value(constants[0])))
            self.picture.add(node.output[0])
            return True
        label = self.products.pop(others[0], None)
        if node.op_type != "Add" or label is None:
            return False
        self.arrays[f"{label}.bias"] = _flat(self.value(constants[0]))
        return True

    def _parameters(self, node: Any, attributes: dict[str, Any]) -> None:
        kind, names = _PARAMETERS[node.op_type]
        sources = [source for source in node.input[1:] if source]
        if node.op_type == "MatMul" and not set(node.input) & self.constants.keys():
            return  # a product of two activations
        if not all(source in self.constants for source in sources):
            raise self.error(node, "has parameters that are no constants")
        if node.input[0] in self.constants or not 0 < len(sources) <= len(names):
            raise self.error(node, "has another number of parameters")
        label = f"{kind}_{self.numbers[kind]:02d}"
        self.numbers[kind] += 1
        values = [self.value(source) for source in sources]
        if kind == "gemm":
            values[0] = self._weights(node, attributes, values[0])
            self.products.update({node.output[0]: label} if len(values) == 1 else {})
        if kind == "bn":
            epsilon = attributes["epsilon"].f if "epsilon" in attributes else 1e-5
            self.epsilons.add(float(f"{epsilon:.6g}"))  # as it was written, in float32
        for part, value in zip(names, values, strict=False):
            flat = kind == "prelu" or part == "bias"
            self.arrays[f"{label}.{part}"] = _flat(value) if flat else value

    def _weights(
        self, node: Any, attributes: dict[str, Any], weights: np.ndarray
    ) -> np.ndarray:
        """[out, in] weights of a Gemm or a MatMul."""
        scaled = [k for k in ("alpha", "beta") if k in attributes]
        if any(attributes[k].f != 1 for k in scaled) or weights.ndim != 2:
            raise self.error(node, "scales its product, or is no matrix")
        if "transA" in attributes and attributes["transA"].i:
            raise self.error(node, "transposes its input")
        if "transB" in attributes and attributes["transB"].i:
            return weights
        return np.ascontiguousarray(weights.T)


def _flat(value: np.ndarray) -> np.ndarray:
    """[C] of [C], [C, 1, 1] or [1, C]; anything else as it is, for the converter."""
    return value.reshape(-1) if value.size == max(value.shape, default=1) else value
