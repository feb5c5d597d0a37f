"""Crops of training pictures: made once for each alignment and size, then mapped."""

import json
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from facedirs_jax import files
from facedirs_jax.errors import InputError
from facedirs_jax.faces import FaceStatus, load_faces
from facedirs_jax.landmarks import DlibLandmarks
from facedirs_jax.picture_templates import pictures_fingerprint

from .composites import composites, draw_donors
from .photos import Photo

_CHUNK = 6000  # pictures whose crops are in memory at once


class CropSet(NamedTuple):
    """Crops of N faces.

    Attributes:
        crops: [M, S, S, 3] uint8 RGB, a row a picture: a memory map where there is a
            cache; rows without a face are black.
        rows: [N] int, those with a face.
        landmarks: [N, 68, 2] float32, theirs, (x, y) in px of the crop.
        identities: [N] str, whose each is.
        groups: [N] str, whose photos each was taken among; see `Photo.group`.
        rendered: [N] bool, whether it shows nobody.
        splits: [N] str, of `factor_table.SPLITS`.
        statuses: how many pictures are ok, and how many were dropped for what.
        fingerprint: hex SHA-256 of pictures, people, splits, alignment and size.
    """

    crops: np.ndarray
    rows: np.ndarray
    landmarks: np.ndarray
    identities: np.ndarray
    groups: np.ndarray
    rendered: np.ndarray
    splits: np.ndarray
    statuses: dict[str, int]
    fingerprint: str

    def of_split(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a split, [n] int, and whose each is, [n] str."""
        chosen = self.splits == split
        return self.rows[chosen], self.identities[chosen]

    def only(self, kept: np.ndarray) -> "CropSet":
        """The set without the faces that `kept` [N] bool leaves out."""
        fields = ("rows", "landmarks", "identities", "groups", "rendered", "splits")
        return self._replace(**{name: getattr(self, name)[kept] for name in fields})


def load_crops(
    photos: Sequence[Photo],
    *,
    alignment: str,
    size: int,
    cache_dir: str | os.PathLike[str],
    processes: int = 1,
) -> CropSet:
    """Crops the one face of every picture, or takes the crops from the cache.

    Args:
        photos: of `find_photos`; no two of one file.
        alignment: how to crop, a key of `alignment.ALIGNMENTS`.
        size: side of the crops, px.
        cache_dir: keeps landmarks of each picture, and the crops of the whole set: a
            file of M * size**2 * 3 bytes, and a small one of their landmarks.
        processes: worker processes that find faces; see `faces.load_faces`.

    Returns:
        CropSet with [M, size, size, 3] crops.

    Raises:
        InputError: if a picture is missing or given twice, the alignment is unknown, or
            the cache cannot be made.
    """
    paths = [photo.path for photo in photos]
    pictures = pictures_fingerprint(paths)
    found_by = DlibLandmarks().fingerprint
    key = files.sha256_text(f"{alignment} {size} {found_by} {pictures}")
    folder = pathlib.Path(cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from error
    array, index = folder / f"crops_{key}.npy", folder / f"crops_{key}.json"
    points = folder / f"crops_{key}_landmarks.npy"
    statuses = _read_index(index, (array, points), len(paths))
    if statuses is None:
        with files.replaced(array) as one, files.replaced(points) as other:
            statuses = _write_crops(
                (one, other), paths, alignment, size, folder, processes
            )
        files.write_text(index, json.dumps(statuses))
    rows = np.flatnonzero(np.array(statuses) == "ok")
    people = "\n".join(f"{photo.identity} {photo.split}" for photo in photos)
    logging.info("pictures: %s", _counted(statuses))
    shown = [photos[int(row)] for row in rows]
    return CropSet(
        np.load(array, mmap_mode="r"),
        rows,
        np.load(points)[rows],
        np.array([photo.identity for photo in shown], str),
        np.array([photo.group for photo in shown], str),
        np.array([photo.rendered for photo in shown], bool),
        np.array([photo.split for photo in shown], str),
        dict(Counter(statuses)),
        files.sha256_text(f"{key} {people}"),
    )


def _counted(statuses: Sequence[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in Counter(statuses).items())


def _write_crops(
    made: tuple[pathlib.Path, pathlib.Path],
    paths: Sequence[pathlib.Path],
    alignment: str,
    size: int,
    cache_dir: pathlib.Path,
    processes: int,
) -> list[str]:
    """Fills .npy files of crops, [M, S, S, 3] uint8, and landmarks; gives statuses."""
    place = {str(path): number for number, path in enumerate(paths)}
    shape = (len(paths), size, size, 3)
    crops = np.lib.format.open_memmap(made[0], mode="w+", dtype=np.uint8, shape=shape)
    landmarks = np.zeros((len(paths), 68, 2), np.float32)
    statuses = [""] * len(paths)
    for start in range(0, len(paths), _CHUNK):
        wanted = paths[start : start + _CHUNK]
        faces = load_faces(
            wanted,
            alignment=alignment,
            size=size,
            cache_dir=cache_dir,
            processes=processes,
        )
        if len(faces.status) != len(wanted) or len(place) != len(paths):
            raise InputError(
                f"{len(wanted)} pictures are {len(faces.status)} different files; name "
                "each once"
            )
        usable: list[FaceStatus] = [row for row in faces.status if row.status == "ok"]
        rows = [place[row.file] for row in usable]
        crops[rows], landmarks[rows] = faces.crops, faces.landmarks
        for row in faces.status:
            statuses[place[row.file]] = row.status
    crops.flush()
    with open(made[1], "wb") as opened:
        np.save(opened, landmarks)
    return statuses


def _read_index(
    index: pathlib.Path, arrays: Sequence[pathlib.Path], count: int
) -> list[str] | None:
    """Statuses of pictures whose crops are cached; None if they are not, or damaged."""
    try:
        statuses = json.loads(index.read_text(encoding="utf-8"))
        lengths = {len(np.load(array, mmap_mode="r")) for array in arrays}
    except (OSError, ValueError):
        return None
    fits = isinstance(statuses, list) and {len(statuses), *lengths} == {count}
    return statuses if fits else None


def with_composites(crops: CropSet, *, count: int, seed: int = 0) -> CropSet:
    """A set enlarged by composites of its training people; see `composites`.

    Args:
        crops: of N faces.
        count: of composites; each counts as the person whose face it started from.
        seed: of the draws.

    Returns:
        CropSet of N + count faces, crops in memory; the same for a count of 0. Faces
        that were rendered give nothing to composites, unless all were.

    Raises:
        InputError: if a training person is alone in their folder.
    """
    if not count:
        return crops
    training = crops.splits == "train"
    photographed = training & ~crops.rendered
    chosen = np.flatnonzero(photographed if photographed.any() else training)
    donors = draw_donors(
        crops.groups[chosen], crops.identities[chosen], count=count, seed=seed
    )
    made = composites(crops.crops[crops.rows[chosen]], crops.landmarks[chosen], donors)
    like = chosen[donors[:, 0]]
    return crops._replace(
        crops=np.concatenate([crops.crops, made]),
        rows=np.append(crops.rows, len(crops.crops) + np.arange(count)),
        **{
            name: np.concatenate([getattr(crops, name), getattr(crops, name)[like]])
            for name in ("landmarks", "identities", "groups", "rendered", "splits")
        },
        fingerprint=enlarged_fingerprint(crops.fingerprint, count=count, seed=seed),
    )


def enlarged_fingerprint(fingerprint: str, *, count: int, seed: int = 0) -> str:
    """The fingerprint that a set would have with composites; see `with_composites`."""
    return files.sha256_text(f"{fingerprint} {count} {seed}") if count else fingerprint
