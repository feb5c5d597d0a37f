"""Picture files -> templates, a chunk at a time, kept in a folder as they are made."""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from absl import logging

from facedirs_jax import files
from facedirs_jax.backbones import Backbone
from facedirs_jax.errors import InputError
from facedirs_jax.faces import FaceStatus, load_faces
from facedirs_jax.templates import embed, template_dim

CHUNK = 1000  # pictures whose crops are in memory at once
_SHOWN = 5  # files that an error names


class PictureTemplates(NamedTuple):
    """Templates of N pictures, and what became of each.

    Attributes:
        templates: [N, D] float32; NaN for a picture whose status is not `ok`.
        status: N rows, in the order of the pictures.
    """

    templates: np.ndarray
    status: tuple[FaceStatus, ...]

    @property
    def usable(self) -> np.ndarray:
        """[N] bool, which pictures have a template."""
        return np.array([row.status == "ok" for row in self.status], bool)


def pictures_fingerprint(paths: Sequence[pathlib.Path]) -> str:
    """Hex SHA-256 of the bytes of files, in their order.

    Raises:
        InputError: naming the first few that are not there.
    """
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        more = len(missing) - _SHOWN
        names = ", ".join(missing[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        raise InputError(f"{len(missing)} pictures are not there: {names}")
    return files.sha256_text(" ".join(files.sha256_file(path) for path in paths))


def embed_pictures(
    backbone: Backbone,
    paths: Sequence[pathlib.Path],
    folder: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    processes: int = 1,
    chunk: int = CHUNK,
) -> PictureTemplates:
    """Finds the face in every picture, crops it as the network wants, and embeds it.

    Args:
        backbone: the network of [B, S, S, 3] input, and its preprocessing.
        paths: the pictures; no two the same file.
        folder: keeps the templates of each chunk, so that a second call with the same
            network, pictures and chunk only makes what is missing.
        cache_dir: where landmarks are kept; see `load_faces`.
        processes: worker processes that find faces; see `load_faces`.
        chunk: pictures that are read at once.

    Returns:
        PictureTemplates with [N, D] templates, a row a picture.

    Raises:
        InputError: if a picture is missing or given twice, or the folder cannot be
            made.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from error
    parts = []
    for start in range(0, len(paths), chunk):
        kept = folder / f"{start:07d}.safetensors"
        wanted = paths[start : start + chunk]
        part = _read(kept, len(wanted))
        if part is None:
            end = start + len(wanted)
            logging.info("pictures %d to %d of %d", start + 1, end, len(paths))
            part = _embed_chunk(backbone, wanted, cache_dir, processes)
            _write(kept, part)
        parts.append(part)
    return PictureTemplates(
        np.concatenate([part.templates for part in parts]),
        tuple(row for part in parts for row in part.status),
    )


def _embed_chunk(
    backbone: Backbone,
    paths: Sequence[pathlib.Path],
    cache_dir: str | os.PathLike[str] | None,
    processes: int,
) -> PictureTemplates:
    network, preprocess = backbone
    faces = load_faces(
        paths,
        alignment=preprocess.alignment,
        size=preprocess.size,
        cache_dir=cache_dir,
        processes=processes,
    )
    place = {str(path): number for number, path in enumerate(paths)}
    if len(faces.status) != len(paths) or len(place) != len(paths):
        raise InputError(
            f"{len(paths)} pictures are {len(faces.status)} different files; name each "
            "once"
        )
    templates = np.full((len(paths), template_dim(*backbone)), np.nan, np.float32)
    rows = [place[row.file] for row in faces.status if row.status == "ok"]
    if rows:
        templates[rows] = np.asarray(embed(network, preprocess, faces.crops))
    by_file = {row.file: row for row in faces.status}
    return PictureTemplates(templates, tuple(by_file[str(path)] for path in paths))


def _write(path: pathlib.Path, part: PictureTemplates) -> None:
    metadata = {"status": json.dumps([list(row) for row in part.status])}
    with files.replaced(path) as temporary:
        safetensors.numpy.save_file({"templates": part.templates}, temporary, metadata)


def _read(path: pathlib.Path, count: int) -> PictureTemplates | None:
    """What `_write` wrote; None if it is not there or is damaged."""
    try:
        with safetensors.safe_open(path, framework="numpy") as opened:
            templates = opened.get_tensor("templates")
            rows = json.loads((opened.metadata() or {})["status"])
        status = tuple(FaceStatus(*row) for row in rows)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
        return None
    return PictureTemplates(templates, status) if len(status) == count else None
