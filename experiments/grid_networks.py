"""The networks on which the grid is timed and predicted, at their published sizes."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
from flax import nnx

from facedirs_jax.backbones import Backbone, dlib_resnet, resnet50, vgg16
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.errors import InputError
from facedirs_jax.training import weights

NETWORKS = ("vgg16", "resnet50", "iresnet50", "dlib_resnet")


def check_names(names: Iterable[str]) -> None:
    """Refuses networks that are not among `NETWORKS`.

    Raises:
        InputError: naming the first of them.
    """
    unknown = set(names) - set(NETWORKS)
    if unknown:
        known = ", ".join(NETWORKS)
        raise InputError(f"unknown network {min(unknown)!r}; known: {known}")


def filled_backbone(name: str) -> Backbone:
    """A network with weights: dlib's own, the others' random ones."""
    if name == "dlib_resnet":
        return Backbone(dlib_resnet.load_dlib_resnet(), dlib_resnet.PREPROCESS)
    network, preprocess = abstract_backbone(name)
    return Backbone(weights.initialise(jax.random.key(0), network), preprocess)


def backbone_of(name: str) -> Backbone:
    """One of `NETWORKS`, filled, or what `load_backbone` knows by this name.

    Raises:
        InputError: if there is no such network.
    """
    return filled_backbone(name) if name in NETWORKS else load_backbone(name)


def abstract_backbone(name: str, *, dtype: str = "float32") -> Backbone:
    """The same with shapes in the place of arrays.

    Args:
        name: one of `NETWORKS`.
        dtype: "float32" or "bfloat16", of the computation.

    Returns:
        Network and preprocessing.

    Raises:
        InputError: if the network does not compute in that dtype.
    """
    build: Any
    build, config, preprocess = {
        "vgg16": (vgg16.VGG16, vgg16.VGG16Config(), _preprocess("vggface2_box", 224)),
        "resnet50": (
            *(resnet50.ResNet50, resnet50.ResNet50Config()),
            _preprocess("vggface2_box", 224),
        ),
        "iresnet50": (
            *(IResNet, IResNetConfig.iresnet50()),
            _preprocess("arcface_112", 112),
        ),
        "dlib_resnet": (
            *(dlib_resnet.DlibResNet, dlib_resnet.DlibResNetConfig()),
            dlib_resnet.PREPROCESS,
        ),
    }[name]
    if dtype != "float32":
        if not hasattr(config, "dtype"):
            raise InputError(f"{name} computes in float32 alone, not in {dtype}")
        config = dataclasses.replace(config, dtype=dtype)
    network = weights.abstract_network(lambda: build(config, rngs=nnx.Rngs(0)))
    return Backbone(network, preprocess)


def dtypes_of(name: str) -> tuple[str, ...]:
    """What a network can compute in."""
    return ("float32",) if name == "dlib_resnet" else ("float32", "bfloat16")


def _preprocess(alignment: str, size: int) -> Preprocess:
    mean = (127.5, 127.5, 127.5)
    return Preprocess(alignment, size, mean, 127.5, "RGB", False)
