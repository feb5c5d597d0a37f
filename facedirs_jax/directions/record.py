"""The direction file: directions of one model, with what is needed to trust them.

A safetensors file. For each set, such as a region, it holds `<name>/directions`
[K, D], `<name>/eigenvalues` [K] and `<name>/mean` [D], all float32; a set that reads
labels also holds `<name>/weights` [K, D], float32, and `<name>/intercepts` [K],
float64. Its metadata has one key, `facedirs`, a JSON text with `model`, `data` and each
set's `about`, and a hash over all of the file, since safetensors takes no notice of a
flipped bit.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from facedirs_jax import files
from facedirs_jax.backbones import Backbone
from facedirs_jax.errors import InputError

FORMAT = "facedirs directions 1"
_ARRAYS = {"directions": np.float32, "eigenvalues": np.float32, "mean": np.float32}
_READING = {"weights": np.float32, "intercepts": np.float64}
_AGAIN = "discover_ssi or discover_labelled"


class Directions(NamedTuple):
    """Directions of one kind in the template space of one model.

    Attributes:
        directions: [K, D] float32, unit rows.
        eigenvalues: [K] float32, variance along each over the data they come from, in
            squared template units; alpha is counted in their square roots.
        mean: [D] float32, mean template of those data.
        about: what they are and how sure: kind, region or label, mode, explained
            variance, numbers of components, stability; plain JSON values.
        weights: [K, D] float32, what reads a label from a template t: it is
            t . weights + intercepts, one label a direction; None if none is read.
        intercepts: [K] float64, since they and t . weights may nearly cancel; None
            without weights.
    """

    directions: np.ndarray
    eigenvalues: np.ndarray
    mean: np.ndarray
    about: dict[str, Any]
    weights: np.ndarray | None = None
    intercepts: np.ndarray | None = None

    @property
    def scales(self) -> np.ndarray:
        """[K] float32, one standard deviation along each direction."""
        return np.sqrt(self.eigenvalues)

    def reading(self, row: int) -> tuple[np.ndarray, float]:
        """Weights [D] float64 and intercept that read the label of one direction.

        Raises:
            InputError: if they read none.
        """
        if self.weights is None or self.intercepts is None:
            raise InputError(
                "these directions read no label; take those of a regression or a "
                "boundary, or move along them by standard deviations"
            )
        return np.asarray(self.weights[row], np.float64), float(self.intercepts[row])


class DirectionFile(NamedTuple):
    """What a direction file holds.

    Attributes:
        sets: directions by name.
        model: the model they belong to: `backbone`, `weights_sha256`,
            `preprocess_sha256`, `licence`, `commercial_use`.
        data: where they come from: fingerprint and counts.
    """

    sets: dict[str, Directions]
    model: dict[str, Any]
    data: dict[str, Any]


def model_of(name: str, backbone: Backbone) -> dict[str, Any]:
    """What a direction file says of its model; see `DirectionFile.model`.

    Args:
        name: of the backbone, a key of `backbones.BACKBONES`.
        backbone: the network of [B, S, S, 3] input, and its preprocessing.

    Returns:
        Plain JSON values by name.
    """
    weights = backbone.network.weights
    return {
        "backbone": name,
        "weights_sha256": weights.sha256,
        "preprocess_sha256": backbone.preprocess.fingerprint,
        "licence": weights.licence,
        "commercial_use": weights.commercial_use,
    }


def save_directions(path: str | os.PathLike[str], content: DirectionFile) -> None:
    """Writes a direction file atomically; the same content gives the same bytes.

    Args:
        path: file to write or replace.
        content: [K, D] directions and so on, by name.

    Raises:
        ValueError: if the arrays of a set do not agree in shape, it has weights without
            intercepts, or a number that is not in them is NaN or infinite.
        TypeError: if a value is not plain JSON.
    """
    arrays = {}
    for name, found in content.sets.items():
        dtypes = _ARRAYS if found.weights is None else _ARRAYS | _READING
        _check_shapes(name, found)
        for array, dtype in dtypes.items():
            values = np.asarray(getattr(found, array), dtype)
            arrays[f"{name}/{array}"] = np.ascontiguousarray(values)
    about = {
        "format": FORMAT,
        "model": content.model,
        "data": content.data,
        "sets": {name: found.about for name, found in content.sets.items()},
    }
    about = json.loads(json.dumps(about, allow_nan=False))  # as it will be read
    about["sha256"] = _sha256(about, arrays)
    # One key: safetensors writes several in no fixed order.
    metadata = {"facedirs": json.dumps(about, sort_keys=True)}
    with files.replaced(path) as temporary:
        safetensors.numpy.save_file(arrays, temporary, metadata)


def load_directions(
    path: str | os.PathLike[str], *, model: Mapping[str, Any] | None = None
) -> DirectionFile:
    """Reads a direction file, for one model if `model` is given.

    Args:
        path: the file.
        model: as `DirectionFile.model`; refuses directions of another network, other
            weights or another preprocessing.

    Returns:
        DirectionFile with [K, D] directions and so on, by name.

    Raises:
        InputError: if it is not a direction file, is damaged, or belongs to another
            model.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as opened:
            text = (opened.metadata() or {}).get("facedirs", "{}")
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}
        about = json.loads(text)
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a readable direction file: {error}") from error
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: not a direction file of this version ({FORMAT!r}); found "
            f"{found!r}. Make it again with {_AGAIN}."
        )
    if about.pop("sha256", None) != _sha256(about, arrays):
        raise InputError(
            f"{path}: damaged, its content is not what was written. Restore it, or "
            f"make it again with {_AGAIN}."
        )
    if model is not None:
        _check_model(path, about["model"], model)
    sets = {
        name: Directions(
            arrays[f"{name}/directions"],
            arrays[f"{name}/eigenvalues"],
            arrays[f"{name}/mean"],
            what,
            weights=arrays.get(f"{name}/weights"),
            intercepts=arrays.get(f"{name}/intercepts"),
        )
        for name, what in about["sets"].items()
    }
    return DirectionFile(sets, about["model"], about["data"])


def _check_shapes(name: str, found: Directions) -> None:
    whole, *parts = (getattr(found, array).shape for array in _ARRAYS)
    if len(whole) != 2 or parts != [whole[:1], whole[1:]]:
        raise ValueError(
            f"{name}: directions {whole}, eigenvalues {parts[0]} and mean "
            f"{parts[1]} do not agree"
        )
    reading = [getattr(found, array) for array in _READING]
    shapes = [None if array is None else array.shape for array in reading]
    if shapes not in ([None, None], [whole, whole[:1]]):
        raise ValueError(
            f"{name}: directions {whole}, weights {shapes[0]} and intercepts "
            f"{shapes[1]} do not agree"
        )


def _sha256(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Hex SHA-256 of all that a file says."""
    hashes = {name: files.sha256_arrays([array]) for name, array in arrays.items()}
    return files.sha256_text(json.dumps([about, hashes], sort_keys=True))


def _check_model(
    path: str | os.PathLike[str], found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    for key in ("backbone", "weights_sha256", "preprocess_sha256"):
        if found[key] != wanted[key]:
            raise InputError(
                f"{path} belongs to {found['backbone']} ({key} {found[key]}), not to "
                f"{wanted['backbone']} ({key} {wanted[key]}); directions of one model "
                "mean nothing in another. Discover them anew for this model."
            )
