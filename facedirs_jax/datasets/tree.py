"""Folders as they are unpacked: which pictures are there, and can they be read."""

import concurrent.futures
import multiprocessing
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from facedirs_jax import images
from facedirs_jax.datasets.labels import Face, Found
from facedirs_jax.errors import InputError
from facedirs_jax.faces import FaceStatus
from facedirs_jax.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def picture_root(folder: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
    """The one of some sub-folders that is there, or the folder itself.

    Args:
        folder: what the user named.
        names: relative paths at which the pictures may begin.

    Returns:
        The folder that ids are relative to.

    Raises:
        InputError: if several are there.
    """
    there = [name for name in names if (folder / name).is_dir()]
    if len(there) > 1:
        raise InputError(
            f"{folder} holds {' and '.join(there)}; name one of them as manual_dir"
        )
    return folder / there[0] if there else folder


def pictures(root: pathlib.Path) -> tuple[dict[str, pathlib.Path], list[FaceStatus]]:
    """Every picture below a folder by its id, and a `skipped` row for other files.

    Raises:
        InputError: if there is no picture, or a folder cannot be read.
    """
    found, others = {}, []
    for path, is_picture in images.find_images(root):
        if is_picture:
            found[path.relative_to(root).as_posix()] = path
        else:
            reason = f"{path.suffix or 'no suffix'}: not the name of a picture"
            others.append(
                FaceStatus(path.relative_to(root).as_posix(), "skipped", reason)
            )
    return found, others


def match(
    root: pathlib.Path,
    pattern: str,
    face: Callable[[re.Match[str], pathlib.Path], Face],
    *,
    expected: str,
) -> Found:
    """Faces of a folder whose names follow a rule.

    Args:
        root: folder that ids are relative to.
        pattern: regular expression for whole ids.
        face: makes the face of a match and its path.
        expected: an id that fits, to show in an error.

    Returns:
        The faces, and rows of status `skipped` for what has another name.

    Raises:
        InputError: if no picture fits.
    """
    found, others = pictures(root)
    faces = []
    for name, path in found.items():
        fits = re.fullmatch(pattern, name)
        if fits:
            faces.append(face(fits, path))
        else:
            others.append(FaceStatus(name, "skipped", f"not named like {expected}"))
    if not faces:
        raise InputError(
            f"{root}: no picture is named as it should be; expected {expected}, found "
            f"{', '.join(list(found)[:3])}. Unpack the data set anew, or name the "
            "folder that holds this tree"
        )
    return Found(faces, others)


def in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    label: str,
    unit: str,
    processes: int = 1,
) -> Iterator[Result]:
    """Results of `work` in the order of the items, with progress.

    Args:
        work: of one item; can be pickled if there are several processes.
        items: what to work on.
        label: what is being done.
        unit: what an item is called.
        processes: worker processes; more than 1 only from a script whose main part is
            guarded by `if __name__ == "__main__"`.

    Yields:
        One result an item.

    Raises:
        InputError: if a worker dies.
    """
    with Progress(label, total=len(items), unit=unit) as progress:
        results = _results(work, items, processes)
        for done, result in enumerate(results, 1):
            progress.advance_to(done)
            yield result


def _results(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterable[Result]:
    if processes <= 1:
        yield from map(work, items)
        return
    # spawn: a fork would copy the threads and locks of JAX in an unknown state.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context) as pool:
        try:
            yield from pool.map(work, items, chunksize=16)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise InputError(
                "a worker process died, most likely out of memory; use fewer processes"
            ) from error


def status_of(face: Face) -> FaceStatus:
    """Whether a picture can be read and its name written: `ok` or `unreadable`."""
    try:
        face.id.encode()
    except UnicodeEncodeError:
        shown = face.id.encode("utf-8", "backslashreplace").decode()
        return FaceStatus(shown, "unreadable", "its name is no UTF-8 text; rename it")
    try:
        height, width = images.read_image(face.path).shape[:2]
    except images.ImageError as error:
        return FaceStatus(face.id, "unreadable", str(error))
    return FaceStatus(face.id, "ok", width=width, height=height)


def check(faces: Sequence[Face], *, processes: int = 1) -> list[FaceStatus]:
    """Reads every picture once; a row for each, in their order."""
    label, unit = "checking pictures", "picture"
    return list(in_order(status_of, faces, label=label, unit=unit, processes=processes))
