"""States of a training on disk, written by orbax: whole, hashed, the last one kept."""

import contextlib
import json
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from facedirs_jax import files
from facedirs_jax.errors import InputError

_NAME = "step_{:09d}"
_PATTERN = re.compile(r"step_\d{9}")
_REMEDY = "delete the run and start it anew"


class Saved(NamedTuple):
    """What a folder held.

    Attributes:
        state: a pytree of arrays of any shape.
        about: plain JSON values that were kept with it.
    """

    state: Any
    about: dict[str, Any]


def save_state(
    folder: pathlib.Path, state: Any, *, step: int, about: Mapping[str, Any]
) -> None:
    """Writes a state, then deletes the ones before; a kill leaves one of both whole.

    Args:
        folder: of states; made if need be, readable by its owner alone (0700).
        state: a pytree of arrays of any shape.
        step: that it belongs to.
        about: plain JSON values to keep with it.
    """
    from orbax.checkpoint import v1 as ocp  # takes a second

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    arrays = _named(state)
    path = folder / _NAME.format(step)
    metadata: Any = {"about": json.dumps(about), "sha256": _sha256(arrays)}
    with _quiet():
        ocp.save(str(path.absolute()), arrays, custom_metadata=metadata, overwrite=True)
    for entry in sorted(folder.iterdir()):
        if entry != path:
            shutil.rmtree(entry, ignore_errors=True)


def load_state(
    folder: pathlib.Path, like: Any, *, remedy: str = _REMEDY
) -> Saved | None:
    """Reads the last state of a folder; None where there is none.

    Args:
        folder: of states.
        like: a pytree of the same structure, whose arrays may have any value; each
            array comes back with its sharding.
        remedy: what to do about a state that cannot be used, for the error.

    Returns:
        The state and what was kept with it, or None.

    Raises:
        InputError: if it is damaged, or of another structure.
    """
    from orbax.checkpoint import v1 as ocp

    found = sorted(folder.glob("step_*")) if folder.is_dir() else []
    found = [entry for entry in found if _PATTERN.fullmatch(entry.name)]
    if not found:
        return None
    path = str(found[-1].absolute())
    wanted = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)
        for name, array in _named(like).items()
    }
    try:
        with _quiet():
            stored: Any = ocp.metadata(path)
            shapes = {n: (tuple(a.shape), a.dtype) for n, a in stored.metadata.items()}
            if shapes != {n: (a.shape, a.dtype) for n, a in wanted.items()}:
                raise InputError(f"{path}: the state of another training; {remedy}")
            arrays = ocp.load(path, wanted)
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read: {error}; {remedy}") from error
    if stored.custom_metadata["sha256"] != _sha256(arrays):
        raise InputError(f"{path}: damaged (its arrays changed); {remedy}")
    structure = jax.tree.structure(like)
    leaves = [arrays[name] for name in _named(like)]
    about = json.loads(stored.custom_metadata["about"])
    return Saved(jax.tree.unflatten(structure, leaves), about)


def _named(state: Any) -> dict[str, jax.Array]:
    """Arrays of a pytree by their paths, in the order of its leaves."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _sha256(arrays: Mapping[str, jax.Array]) -> str:
    return files.sha256_arrays(np.asarray(arrays[name]) for name in sorted(arrays))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps to itself what orbax tells of every step."""
    before = logging.get_verbosity()
    logging.set_verbosity(min(before, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(before)
