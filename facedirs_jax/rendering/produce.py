"""Renders a list of shots into a folder: in parallel, and only what is missing.

Every picture is written whole or not at all, under a name that its place in the list
gives it, so that a folder whose work was stopped can be finished later.
"""

import concurrent.futures
import errno
import functools
import io
import itertools
import multiprocessing
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image, PngImagePlugin

from facedirs_jax import files
from facedirs_jax.errors import InputError
from facedirs_jax.progress import Progress

from .factor_table import MEASURE_SUFFIX, FactorTable
from .factors import Face, Person, factor_values
from .measures import measure
from .morphs import neutral_shape
from .presets import Shot
from .render import Studio, check_size

FOLDER = "images"
_BATCH = 24  # pictures of one person that a worker renders in a row
_MARK = "rendered by facedirs_jax; no person"  # written into every picture


def file_names(count: int) -> list[str]:
    """Names of pictures below the folder they are rendered to, with /."""
    return [f"{FOLDER}/{number:06d}.png" for number in range(count)]


def render_shots(
    shots: Sequence[Shot],
    folder: str | os.PathLike[str],
    *,
    size: int = 128,
    processes: int = 1,
) -> int:
    """Renders those shots that the folder does not hold yet.

    Args:
        shots: what to render; the same list in every call for one folder.
        folder: where to write `file_names`; must exist.
        size: side of the pictures, px.
        processes: worker processes; more than 1 only from a script whose main part is
            guarded by `if __name__ == "__main__"`.

    Returns:
        How many were rendered by this call.

    Raises:
        InputError: if the size cannot be had, numba is absent, the disk is full or the
            folder cannot be written.
    """
    check_size(size)
    images = pathlib.Path(folder, FOLDER)
    images.mkdir(mode=0o700, exist_ok=True)
    paths = [pathlib.Path(folder, name) for name in file_names(len(shots))]
    missing = [(number, path) for number, path in enumerate(paths) if not path.exists()]
    batches = [
        ([shots[number].face for number, _ in batch], [path for _, path in batch])
        for batch in _batches(missing, shots)
    ]
    done = len(shots) - len(missing)
    work = functools.partial(_render_batch, size=size)
    label = "rendering faces"
    with Progress(label, total=len(shots), unit="picture", done=done) as progress:
        for count in _run(work, batches, processes):
            done += count
            progress.advance_to(done)
    return len(missing)


def _batches(
    missing: Iterable[tuple[int, pathlib.Path]], shots: Sequence[Shot]
) -> Iterator[list[tuple[int, pathlib.Path]]]:
    people = itertools.groupby(missing, key=lambda item: shots[item[0]].identity)
    for _, items in people:
        while batch := list(itertools.islice(items, _BATCH)):
            yield batch


def _run(
    work: functools.partial[int],
    batches: Sequence[tuple[list[Face], list[pathlib.Path]]],
    processes: int,
) -> Iterator[int]:
    """How many pictures each batch made, as they are finished."""
    if processes <= 1:
        yield from map(work, batches)
        return
    # spawn: a fork would copy the threads and locks of JAX in an unknown state.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context) as pool:
        try:
            yield from pool.map(work, batches)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise InputError(
                "a worker process died, most likely out of memory; go on with fewer "
                "processes"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _render_batch(batch: tuple[list[Face], list[pathlib.Path]], *, size: int) -> int:
    faces, paths = batch
    studio = Studio(size=size)
    for face, path in zip(faces, paths, strict=True):
        _write_png(path, studio.render(face))
    return len(paths)


def _write_png(path: pathlib.Path, image: np.ndarray) -> None:
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Source", _MARK)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG", pnginfo=mark)
    try:
        with files.replaced(path) as temporary:
            temporary.write_bytes(encoded.getvalue())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some room and go on" if full else "choose another folder"
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); {remedy}"
        ) from error


def table_of(shots: Sequence[Shot]) -> FactorTable:
    """What is known of each shot: its factors, seeds, and lengths on the mesh."""
    rows = [factor_values(shot.face) for shot in shots]
    seeds = {
        f"{part}_detail": [getattr(shot.face, part).detail for shot in shots]
        for part in ("person", "look", "photo")
    }
    measures = [_measures(shot.face.person) for shot in shots]
    return FactorTable(
        files=tuple(file_names(len(shots))),
        identities=np.array([shot.identity for shot in shots], np.int64),
        conditions=np.array([shot.condition for shot in shots]),
        splits=np.array([shot.split for shot in shots]),
        columns={name: _column([row[name] for row in rows]) for name in rows[0]}
        | {name: np.array(values, str) for name, values in seeds.items()}
        | {
            f"{name}{MEASURE_SUFFIX}": _column([row[name] for row in measures])
            for name in measures[0]
        },
    )


def _column(values: Sequence[float | str]) -> np.ndarray:
    return np.array(values, str if isinstance(values[0], str) else np.float32)


@functools.lru_cache(maxsize=4096)
def _measures(person: Person) -> dict[str, float]:
    return measure(neutral_shape(person))
