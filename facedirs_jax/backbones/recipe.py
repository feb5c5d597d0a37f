"""How one published kind of weight file becomes one network."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from flax import nnx

from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.conversion.strict import Rule

# "keras" and "keras_by_order" are one kind of file, its arrays named by layer, as in
# `conv1_1/kernel`, or counted, as in `layer_00/kernel`, where names differ by version.
Container = Literal[
    "torch", "pickle", "safetensors", "keras", "keras_by_order", "onnx", "dlib"
]


class Recipe(NamedTuple):
    """What to build, and where each array of the file goes.

    Attributes:
        name: what command lines call it, such as "resnet50_vggface2_caffe".
        containers: kinds of file that it may come in.
        build: (config, rngs=...) -> module; the module's class.
        config: frozen dataclass of sizes and variant, as published.
        rules: of the strict converter; every array must match one, or be ignored.
        ignored: regular expressions of arrays that are left out on purpose.
        preprocess: what the network was trained to be fed.
        embedding: what a template is, for people: layer, dimension.
        licence: of the published weights, or "unknown".
        commercial_use: whether that allows it.
        source: where people get the file.
    """

    name: str
    containers: tuple[Container, ...]
    build: Callable[..., nnx.Module]
    config: Any
    rules: Sequence[Rule]
    ignored: Sequence[str]
    preprocess: Preprocess
    embedding: str
    licence: str
    commercial_use: bool
    source: str
