"""Files -> aligned faces: reads, finds and crops every picture, in parallel, cached.

One status row stands for every file, whatever became of it; the rows that are `ok`, in
order, are the faces.
"""

import concurrent.futures
import csv
import functools
import io
import json
import multiprocessing
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from facedirs_jax import files, images
from facedirs_jax.alignment import ALIGNMENTS, Crop
from facedirs_jax.errors import InputError
from facedirs_jax.landmarks import DlibLandmarks, LandmarkDetector
from facedirs_jax.progress import Progress

Status = Literal["ok", "no_face", "many_faces", "too_small", "unreadable", "skipped"]
MIN_SIDE = 40  # px; dlib's detector sees no face below 40 px, enlarged twice


class FaceStatus(NamedTuple):
    """What became of one file.

    Attributes:
        file: its path as given or found.
        status: `ok`, or why it is not among the faces: `no_face`, `many_faces`,
            `too_small`, `unreadable`, `skipped` (its name is not that of a picture).
        reason: the same in a sentence, with the remedy; empty for most `ok` rows.
        sha256: hash of the decoded pixels, hex; empty where there are none.
        width: of the picture, px, upright; 0 where unknown.
        height: of the picture, px.
        source_side: side of the crop in the picture, px, before it was scaled to the
            crop's size; 0 where there is no crop.
    """

    file: str
    status: Status
    reason: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    source_side: float = 0.0


class Faces(NamedTuple):
    """Aligned faces, and what became of every file.

    Attributes:
        crops: [N, S, S, 3] uint8 RGB.
        landmarks: [N, 68, 2] float32, (x, y) in px of the crop.
        status: one row a file, in the order of the files; N of them are `ok`.
        alignment: name of the crop, a key of `alignment.ALIGNMENTS`.
    """

    crops: np.ndarray
    landmarks: np.ndarray
    status: tuple[FaceStatus, ...]
    alignment: str

    @property
    def distinct(self) -> np.ndarray:
        """[N] int, for each face the row of the first face of the same picture."""
        usable = [row for row in self.status if row.status == "ok"]
        first: dict[str, int] = {}
        return np.array(
            [
                first.setdefault(face.sha256 or str(i), i)
                for i, face in enumerate(usable)
            ],
            int,
        )

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of crops and landmarks: the data set as a network sees it."""
        arrays = files.sha256_arrays([self.crops, self.landmarks])
        return files.sha256_text(f"{self.alignment} {arrays}")


def join_faces(first: Faces, second: Faces) -> Faces:
    """Puts the faces of two loads, [N, S, S, 3] and [M, S, S, 3], in one row.

    Raises:
        ValueError: if they are cropped in different ways.
    """
    if first.alignment != second.alignment:
        raise ValueError(f"cannot join {first.alignment} and {second.alignment} crops")
    return Faces(
        np.concatenate([first.crops, second.crops]),
        np.concatenate([first.landmarks, second.landmarks]),
        first.status + second.status,
        first.alignment,
    )


def status_table(status: Sequence[FaceStatus]) -> str:
    """CSV text, one row a file; its column `face` numbers the `ok` rows from 0."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["face", *FaceStatus._fields])
    usable = 0
    for row in status:
        writer.writerow([usable if row.status == "ok" else "", *row])
        usable += row.status == "ok"
    return text.getvalue()


def load_faces(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    alignment: str = "dlib_chip",
    size: int = 150,
    limit: int | None = None,
    detector: LandmarkDetector | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    processes: int = 1,
) -> Faces:
    """Reads every picture and crops the one face in it.

    Args:
        sources: a folder (read recursively), a file, or a list of them.
        alignment: how to crop, a key of `alignment.ALIGNMENTS`.
        size: side of the crops, px.
        limit: reads only the first `limit` pictures; None for all.
        detector: finds landmarks; None for `DlibLandmarks()`.
        cache_dir: keeps landmarks there by content hash, so that a second run need not
            find them again; None for no cache.
        processes: worker processes; more than 1 only from a script whose main part is
            guarded by `if __name__ == "__main__"`.

    Returns:
        Faces with [N, size, size, 3] uint8 crops; N may be 0.

    Raises:
        InputError: if a source is missing, holds no picture or cannot be entered, the
            alignment is unknown, the limit below 1, or cache_dir cannot be made.
    """
    if alignment not in ALIGNMENTS:
        known = ", ".join(ALIGNMENTS)
        raise InputError(f"unknown alignment {alignment!r}; known: {known}")
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}; it must be at least 1, or None for all")
    found = images.find_images(sources)
    pictures = [file.path for file in found if file.is_picture][:limit]
    if cache_dir is not None:
        try:
            pathlib.Path(cache_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(
                f"{cache_dir}: cannot be made ({error.strerror}); choose another "
                "cache_dir"
            ) from error
    work = functools.partial(
        _load_face,
        detector=DlibLandmarks() if detector is None else detector,
        cache_dir=cache_dir,
        alignment=alignment,
        size=size,
    )
    results = dict(zip(pictures, _map(work, pictures, processes), strict=True))
    rows, crops, first_with = [], [], {}
    for path, is_picture in found:
        if not is_picture:
            reason = f"{path.suffix or 'no suffix'}: not the name of a picture"
            rows.append(FaceStatus(str(path), "skipped", reason))
        if path not in results:  # beyond the limit, or no picture
            continue
        row, crop = results[path]
        if crop is not None:
            twin = first_with.setdefault(row.sha256, path)
            if twin != path:
                row = row._replace(reason=f"the same picture as {twin}")
            crops.append(crop)
        rows.append(row)
    return Faces(
        crops=np.array([c.image for c in crops], np.uint8).reshape(-1, size, size, 3),
        landmarks=np.array([c.landmarks for c in crops], np.float32).reshape(-1, 68, 2),
        status=tuple(rows),
        alignment=alignment,
    )


def _map(
    work: functools.partial[tuple[FaceStatus, Crop | None]],
    paths: list[pathlib.Path],
    processes: int,
) -> list[tuple[FaceStatus, Crop | None]]:
    """Results of `work` in the order of `paths`, with progress."""
    results = []
    with Progress("finding faces", total=len(paths), unit="picture") as progress:
        if processes <= 1:
            for path in paths:
                results.append(work(path))
                progress.advance_to(len(results))
            return results
        # spawn: a fork would copy the threads and locks of JAX in an unknown state.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(processes, context) as pool:
            try:
                for result in pool.map(work, paths, chunksize=4):
                    results.append(result)
                    progress.advance_to(len(results))
            except concurrent.futures.process.BrokenProcessPool as error:
                raise InputError(
                    "a worker process died, most likely out of memory, near "
                    f"{paths[len(results)]}; use fewer processes"
                ) from error
    return results


def _load_face(
    path: pathlib.Path,
    *,
    detector: LandmarkDetector,
    cache_dir: str | os.PathLike[str] | None,
    alignment: str,
    size: int,
) -> tuple[FaceStatus, Crop | None]:
    """Status row of one picture, and its crop where the row is `ok`."""
    try:
        image = images.read_image(path)
    except images.ImageError as error:
        return FaceStatus(str(path), "unreadable", str(error)), None
    height, width = image.shape[:2]
    sha256 = files.sha256_arrays([image])
    row = FaceStatus(str(path), "ok", "", sha256, width, height)
    if min(width, height) < MIN_SIDE:
        reason = f"{width} x {height} px; a face needs at least {MIN_SIDE} px a side"
        return row._replace(status="too_small", reason=reason), None
    found = _find_landmarks(image, row.sha256, detector, cache_dir)
    if not found:
        reason = "no face was found; use a frontal portrait"
        return row._replace(status="no_face", reason=reason), None
    if len(found) > 1:
        reason = f"{len(found)} faces were found; crop the picture to one person"
        return row._replace(status="many_faces", reason=reason), None
    crop = ALIGNMENTS[alignment](image, found[0], size=size)
    return row._replace(source_side=round(crop.source_side, 1)), crop


def _find_landmarks(
    image: np.ndarray,
    sha256: str,
    detector: LandmarkDetector,
    cache_dir: str | os.PathLike[str] | None,
) -> list[np.ndarray]:
    """Landmarks of every face in the picture, from the cache where it holds them."""
    if cache_dir is None:
        return _detect(image, detector)
    key = files.sha256_text(f"{sha256} {detector.fingerprint}")
    path = pathlib.Path(cache_dir) / f"{key}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return list(np.array(found, np.float32).reshape(-1, 68, 2))
    except (OSError, ValueError, TypeError):  # absent, or not ours
        found = _detect(image, detector)
    files.write_text(path, json.dumps([points.tolist() for points in found]))
    return found


def _detect(image: np.ndarray, detector: LandmarkDetector) -> list[np.ndarray]:
    """Landmarks in float32, as the cache gives them back."""
    return [np.asarray(points, np.float32) for points in detector(image)]
