"""The files of a checkpoint's folder: written whole, hashed, and read only if sound.

The JSON file lists the SHA-256 of every other file, and its own: orbax and safetensors
take no notice of a flipped bit, and orbax casts a wrong dtype without a word. Kernels
that float16 holds exactly are stored in it; they come back as the same float32.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from absl import logging

from facedirs_jax import files
from facedirs_jax.errors import InputError

Format = Literal["orbax", "safetensors"]

FORMAT = "facedirs checkpoint 1"
MANIFESTS: dict[Format, str] = {"orbax": "manifest.json", "safetensors": "config.json"}
REMEDY = "restore it, or make it again with python -m experiments.convert_checkpoint"
_ARRAYS, _MODEL = "arrays", "model.safetensors"  # where the two formats keep them


@contextlib.contextmanager
def new_folder(path: pathlib.Path, *, size: int) -> Iterator[pathlib.Path]:
    """Gives a folder that becomes `path` only if the block ends well.

    It lies beside `path`, as `.NAME.partial`; one that a killed process left behind is
    cleared and used again. Readable by its owner alone (0700).

    Args:
        path: folder to make; there must be nothing yet.
        size: bytes that will be written, about.

    Yields:
        An empty folder to write to.

    Raises:
        InputError: if there is something at `path`, it cannot be written, there is too
            little space, or another process is writing it.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; choose another --out_dir")
    partial = path.absolute().with_name(f".{path.absolute().name}.partial")
    try:
        partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        free, handle = shutil.disk_usage(partial).free, os.open(partial, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise InputError(f"{path}: another process is writing it") from error
    try:
        if free < 1.2 * size + 1e6:
            raise InputError(
                f"{path}: it needs {1.2 * size / 1e6:.0f} MB and {free / 1e6:.0f} MB "
                "are free there; make room, or choose another --out_dir"
            )
        for entry in partial.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield partial
        for file in _files(partial).values():
            with open(file, "rb") as written:
                os.fsync(written.fileno())
        partial.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(handle)


def write_arrays(
    folder: pathlib.Path, arrays: Mapping[str, jax.Array], *, format: Format
) -> None:
    """Writes [...] arrays by name into a checkpoint's folder."""
    arrays = {name: _compact(array) for name, array in arrays.items()}
    if format == "safetensors":
        write_tensors(folder / _MODEL, arrays)
        return
    from orbax.checkpoint import v1 as ocp  # takes a second

    with _without_its_log():
        ocp.save(str(folder.absolute() / _ARRAYS), arrays)


def _compact(array: jax.Array) -> jax.Array:
    """A float32 kernel in float16, half the space, if that loses nothing."""
    half = array.astype(jnp.float16)
    fits = array.ndim > 1 and array.dtype == jnp.float32
    return half if fits and jnp.array_equal(half.astype(jnp.float32), array) else array


def write_manifest(
    folder: pathlib.Path, manifest: Mapping[str, Any], *, format: Format
) -> dict[str, Any]:
    """Adds the files of a folder and the hash of it all to a manifest, and writes it.

    Args:
        folder: of a checkpoint, all of whose other files are written.
        manifest: plain JSON values.
        format: of the checkpoint.

    Returns:
        What was written.
    """
    listed = {
        name: {"sha256": files.sha256_file(file), "bytes": file.stat().st_size}
        for name, file in _files(folder).items()
    }
    whole = {"format": FORMAT, **manifest, "files": listed}
    whole = json.loads(json.dumps(whole, allow_nan=False))  # as it will be read
    whole["sha256"] = _sha256(whole)
    files.write_text(folder / MANIFESTS[format], json.dumps(whole, indent=1) + "\n")
    return whole


def read_manifest(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, Any]]:
    """Reads the JSON file of a checkpoint and hashes every other file of the folder.

    Args:
        folder: of a checkpoint.

    Returns:
        The JSON file and its content.

    Raises:
        InputError: naming every file that is missing, superfluous or damaged.
    """
    found = [folder / name for name in MANIFESTS.values() if (folder / name).exists()]
    if len(found) != 1:
        raise InputError(
            f"{folder}: no checkpoint: it should hold either manifest.json or "
            "config.json; make one with python -m experiments.convert_checkpoint"
        )
    (file,) = found
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}; {REMEDY}") from error
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT:
        raise InputError(
            f"{file}: expected format {FORMAT!r}, got {version!r}; it is of no "
            "checkpoint, or of another version: use that, or convert the source again"
        )
    if manifest.pop("sha256", None) != _sha256(manifest):
        raise InputError(f"{file}: damaged, or edited by hand; {REMEDY}")
    problems = list(_damages(folder, file.name, manifest.get("files", {})))
    if problems:
        raise InputError(
            f"{folder}: not as it was written; {REMEDY}:\n  " + "\n  ".join(problems)
        )
    return file, manifest


def _damages(
    folder: pathlib.Path, own_name: str, listed: Mapping[str, Any]
) -> Iterator[str]:
    there = _files(folder)
    there.pop(own_name)
    for name in sorted(there.keys() - listed.keys()):
        yield f"{folder / name}: it does not belong to the checkpoint; take it out"
    for name, entry in listed.items():
        if name not in there:
            yield f"{folder / name}: missing"
        elif there[name].stat().st_size != entry["bytes"]:
            size = there[name].stat().st_size
            yield f"{folder / name}: {size} bytes, expected {entry['bytes']}"
        elif files.sha256_file(there[name]) != entry["sha256"]:
            yield f"{folder / name}: damaged, its SHA-256 is not {entry['sha256']}"


def described(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of arrays by name, or of what stands for them, of any shape."""
    return {
        name: {"dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in arrays.items()
    }


def compare(
    where: pathlib.Path, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuses arrays that are not those of a network.

    Args:
        where: file or folder that they are in, for the error.
        found: dtype and shape of arrays by name, as by `described`.
        wanted: those that the network has.

    Raises:
        InputError: naming every array that is missing, unknown or differs.
    """
    problems = [
        f"{name}: expected {wanted.get(name)}, got {found.get(name)}"
        for name in dict.fromkeys([*wanted, *found])
        if wanted.get(name) != found.get(name)
    ]
    if problems:
        raise InputError(
            f"{where}: its arrays are not those of the network; {REMEDY}:\n  "
            + "\n  ".join(problems)
        )


def read_arrays(
    folder: pathlib.Path, wanted: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """Reads the arrays of a checkpoint, whose files are sound.

    Args:
        folder: of the checkpoint.
        wanted: the arrays of the network by name, or what stands for them, any shape.

    Returns:
        [...] arrays by name, on the default device.

    Raises:
        InputError: if one is missing, unknown, or has another shape or dtype.
    """
    if (folder / _MODEL).exists():
        with safetensors.safe_open(folder / _MODEL, framework="numpy") as opened:
            arrays = {n: jnp.array(opened.get_tensor(n)) for n in opened.keys()}
        compare(folder / _MODEL, _in_memory(arrays), described(wanted))
        return {n: array.astype(wanted[n].dtype) for n, array in arrays.items()}
    from orbax.checkpoint import v1 as ocp

    path = folder / _ARRAYS
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)
        for name, array in wanted.items()
    }
    try:
        with _without_its_log():
            stored: Any = ocp.metadata(str(path.absolute())).metadata
            compare(path, _in_memory(stored), described(wanted))  # orbax casts
            return ocp.load(str(path.absolute()), abstract)
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: orbax cannot read it: {error}; {REMEDY}") from error


def _in_memory(stored: Mapping[str, Any]) -> dict[str, Any]:
    """As `described`, where a kernel stored in float16 is float32."""
    found = described(stored)
    for entry in found.values():
        if entry["dtype"] == "float16" and len(entry["shape"]) > 1:
            entry["dtype"] = "float32"
    return found


@contextlib.contextmanager
def _without_its_log() -> Iterator[None]:
    """Keeps to itself what orbax tells of every step, fifty lines a checkpoint."""
    before = logging.get_verbosity()
    logging.set_verbosity(min(before, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(before)


def write_tensors(file: pathlib.Path, arrays: Mapping[str, Any]) -> None:
    """Writes [...] arrays by name into a safetensors file."""
    # safetensors would write an array of another order with its values mixed up.
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    safetensors.numpy.save_file(content, file)


def read_tensors(file: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads [...] arrays by name from a safetensors file that is sound."""
    try:
        return safetensors.numpy.load_file(file)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{file}: cannot be read: {error}; {REMEDY}") from error


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Every file below a folder, by its name from there."""
    below = (file for file in sorted(folder.rglob("*")) if not file.is_dir())
    return {file.relative_to(folder).as_posix(): file for file in below}


def _sha256(manifest: Mapping[str, Any]) -> str:
    return files.sha256_text(json.dumps(manifest, sort_keys=True))
