"""Checkpoints: a network's weights with all that is needed to trust and to use them.

A folder. `format="orbax"`: `manifest.json`, `golden.safetensors` and orbax's `arrays/`;
`format="safetensors"`, for publishing: `config.json`, `golden.safetensors` and
`model.safetensors`. The JSON file names the network with its config, preprocessing,
origin and licence, the parity reached, the shape and dtype of every array, and the
SHA-256 of every file.
"""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from facedirs_jax import checkpoint_files, files, golden
from facedirs_jax.backbones import (
    BACKBONES,
    Backbone,
    dlib_resnet,
    facenet,
    iresnet,
    resnet50,
    vgg16,
)
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.checkpoint_files import REMEDY, Format, described
from facedirs_jax.decoders import ceia_decoder, deep_face_decoder, idiap, rbh24
from facedirs_jax.errors import InputError
from facedirs_jax.shipped import shipped_folders

NETWORKS: dict[str, tuple[Callable[..., nnx.Module], Callable[..., Any]]] = {
    "dlib_resnet": (dlib_resnet.DlibResNet, dlib_resnet.DlibResNetConfig),
    "vgg16": (vgg16.VGG16, vgg16.VGG16Config),
    "resnet50": (resnet50.ResNet50, resnet50.ResNet50Config),
    "iresnet": (iresnet.IResNet, iresnet.IResNetConfig),
    "facenet": (facenet.FaceNet, facenet.FaceNetConfig),
    "deep_face_decoder": (
        deep_face_decoder.DeepFaceDecoder,
        deep_face_decoder.DeepFaceDecoderConfig,
    ),
    "ceia_decoder": (ceia_decoder.CeiaDecoder, ceia_decoder.CeiaDecoderConfig),
    "rbh24": (rbh24.Rbh24Decoder, rbh24.Rbh24Config),
    "idiap": (idiap.IdiapDecoder, idiap.IdiapDecoderConfig),
}
_GOLDEN = "golden.safetensors"


class Parity(NamedTuple):
    """How near a network is to the original that its weights come from.

    Attributes:
        largest_difference: of two outputs, or None if it was not measured.
        how: against what and in which unit, or why it was not measured.
    """

    largest_difference: float | None
    how: str


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        network: with its weights and their card.
        preprocess: a backbone's; None for a decoder.
        manifest: content of the JSON file.
    """

    network: Any
    preprocess: Preprocess | None
    manifest: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str],
    network: Any,
    *,
    preprocess: Preprocess | None = None,
    templates: str = "",
    parity: Parity | None = None,
    format: Format = "orbax",
) -> dict[str, Any]:
    """Writes a checkpoint: whole, or not at all.

    Args:
        path: folder to make; there must be nothing yet.
        network: an instance of one of NETWORKS, of float32 arrays; a network that no
            file was converted to gets the hash of its arrays into its card.
        preprocess: what a backbone is fed; None for a decoder.
        templates: what a template is, for people: the layer that a backbone gives, or
            the network that a decoder inverts.
        parity: how near it is to the original; None if there is none.
        format: "orbax", or "safetensors" for publishing.

    Returns:
        What the JSON file says.

    Raises:
        InputError: if there is something at `path` already, it cannot be written, or
            the network gives no sensible outputs.
    """
    path = pathlib.Path(path)
    names = [name for name, (build, _) in NETWORKS.items() if type(network) is build]
    if not names:
        raise InputError(f"{path}: {type(network).__name__} is none of {[*NETWORKS]}")
    arrays = {name: variable[...] for name, variable in _variables(network).items()}
    card = network.weights
    wanted = described(_variables(_abstract(type(network), network.config, card)))
    checkpoint_files.compare(path, described(arrays), wanted)
    if not card.sha256:
        hashed = files.sha256_arrays(np.asarray(array) for array in arrays.values())
        card = dataclasses.replace(card, sha256=hashed)
    manifest = {
        "kind": "decoder" if preprocess is None else "backbone",
        "network": names[0],
        "config": dataclasses.asdict(network.config),
        "preprocess": preprocess and dataclasses.asdict(preprocess),
        "weights": dataclasses.asdict(card),
        "templates": templates,
        "parity": (parity or Parity(None, "there is no original"))._asdict(),
        "arrays": wanted,
    }
    size = sum(array.nbytes for array in arrays.values())
    with checkpoint_files.new_folder(path, size=size) as folder:
        pair = golden.make_golden(network, preprocess)
        checkpoint_files.write_tensors(folder / _GOLDEN, pair)
        checkpoint_files.write_arrays(folder, arrays, format=format)
        return checkpoint_files.write_manifest(folder, manifest, format=format)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a checkpoint of either form, and makes sure of it.

    Every file is hashed, the shape and dtype of every array compared with those that
    the network of this config has, and the network run on its golden input.

    Args:
        path: the folder.

    Returns:
        Checkpoint.

    Raises:
        InputError: naming the file, if anything is missing, damaged or superfluous, or
            the golden output is not reached.
    """
    folder = pathlib.Path(path)
    file, manifest = checkpoint_files.read_manifest(folder)
    try:
        build, config_of = NETWORKS[manifest["network"]]
        config = config_of(**{k: _frozen(v) for k, v in manifest["config"].items()})
        card, fields = WeightCard(**manifest["weights"]), manifest["preprocess"]
        preprocess = None if fields is None else Preprocess(**fields)
        listed, dtype = manifest["arrays"], getattr(config, "dtype", "float32")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: this version cannot build what it describes ({error!r}); {REMEDY}"
        ) from error
    abstract = _abstract(build, config, card)
    wanted = _variables(abstract)
    checkpoint_files.compare(file, listed, described(wanted))
    network = _filled(abstract, checkpoint_files.read_arrays(folder, wanted))
    pair = checkpoint_files.read_tensors(folder / _GOLDEN)
    difference = golden.golden_difference(network, preprocess, pair)
    if not difference <= golden.TOLERANCE[dtype]:
        raise InputError(
            f"{folder}: the network does not give its golden output: it is off by "
            f"{difference:.1e} of its norm, where {golden.TOLERANCE[dtype]:.0e} is "
            "allowed. The weights, the preprocessing or the network's code are not "
            f"those of the day it was made; {REMEDY}"
        )
    return Checkpoint(network, preprocess, manifest)


def _abstract(build: Callable[..., Any], config: Any, card: WeightCard) -> Any:
    """The module without its values."""
    return nnx.eval_shape(lambda: build(config, card, rngs=nnx.Rngs(0)))


def _variables(module: Any) -> dict[str, nnx.Variable]:
    """The variables of a module by their dotted paths."""
    state = nnx.to_flat_state(nnx.state(module))
    return {".".join(map(str, path)): variable for path, variable in state}


def _filled(abstract: Any, arrays: Mapping[str, jax.Array]) -> Any:
    graphdef, state = nnx.split(abstract)
    flat = [
        (path, variable.replace(arrays[".".join(map(str, path))]))
        for path, variable in nnx.to_flat_state(state)
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(flat))


def _frozen(value: Any) -> Any:
    """Tuples for the lists of JSON."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def load_backbone(path_or_name: str | os.PathLike[str]) -> Backbone:
    """Loads a network with its weights.

    Args:
        path_or_name: a key of `BACKBONES`, the folder of a checkpoint, or the name of
            one that ships (`shipped.shipped_folders`).

    Returns:
        `network, preprocess`.

    Raises:
        InputError: if there is no such backbone, or its weights are not as they were
            published or stored.
    """
    name = os.fspath(path_or_name)
    if name in BACKBONES:
        load, preprocess = BACKBONES[name]
        return Backbone(load(), preprocess)
    found = open_backbone(name)
    assert found.preprocess is not None
    return Backbone(found.network, found.preprocess)


def open_backbone(path_or_name: str | os.PathLike[str]) -> Checkpoint:
    """Loads what `load_backbone` does, with all that the checkpoint says of it.

    Args:
        path_or_name: the folder, or the name of one that ships.

    Returns:
        Checkpoint of a backbone; one that was trained here tells how in `about`, an
        entry of the manifest.

    Raises:
        InputError: if it is no sound checkpoint of a backbone.
    """
    name = os.fspath(path_or_name)
    checkpoint = load_checkpoint(_folder_of(name, [*BACKBONES]))
    if checkpoint.preprocess is None:
        raise InputError(f"{name}: it holds a decoder; give a backbone's")
    return checkpoint


def _folder_of(name: str, others: Sequence[str] = ()) -> pathlib.Path:
    """The folder of a checkpoint by its path, or by its name if it ships."""
    if os.path.isdir(name):
        return pathlib.Path(name)
    shipped = shipped_folders()
    if name in shipped:
        return shipped[name]
    known = sorted([*shipped, *others])
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    if os.path.exists(name):
        hint = f"; convert it: python -m experiments.convert_checkpoint --source={name}"
    raise InputError(
        f"no network {name!r}: give the folder of a checkpoint, or a name; known are: "
        f"{', '.join(known)}{hint}"
    )


def load_decoder(path_or_name: str | os.PathLike[str]) -> nnx.Module:
    """Loads a decoder, [B, D] templates -> [B, S, S, 3] pictures, from a checkpoint.

    Args:
        path_or_name: the folder, or the name of one that ships.

    Returns:
        The network.

    Raises:
        InputError: if it is no sound checkpoint of a decoder.
    """
    return open_decoder(path_or_name).network


def open_decoder(path_or_name: str | os.PathLike[str]) -> Checkpoint:
    """Loads what `load_decoder` does, with all that the checkpoint says of it.

    Args:
        path_or_name: the folder, or the name of one that ships.

    Returns:
        Checkpoint of a decoder; one that was trained here names in `about`, an entry of
        the manifest, the network that it inverts.

    Raises:
        InputError: if it is no sound checkpoint of a decoder.
    """
    checkpoint = load_checkpoint(_folder_of(os.fspath(path_or_name)))
    if checkpoint.preprocess is not None:
        raise InputError(
            f"{os.fspath(path_or_name)}: it holds a backbone; give a decoder's"
        )
    return checkpoint
