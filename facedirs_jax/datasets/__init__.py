"""Labelled face data sets that people own, as TFDS data sets without TensorFlow.

    from facedirs_jax import datasets

    datasets.build("lfw", manual_dir="downloads/lfw", data_dir="data")
    faces = datasets.open_split("lfw", "test", data_dir="data")
    faces[0]["identity"], faces[0]["image"]  # encoded bytes, as in the file

Not loaded by `import facedirs_jax`: this package imports tensorflow_datasets.
"""

import os
import pathlib
from typing import Any

from facedirs_jax.datasets import storage
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.diveface import DiveFace
from facedirs_jax.datasets.image_folder import ImageFolder
from facedirs_jax.datasets.labels import SHARES, Face, features, split_of
from facedirs_jax.datasets.lfw import Lfw, Pair, read_pairs
from facedirs_jax.datasets.meds_ii import MedsII
from facedirs_jax.datasets.multi_pie import MultiPie
from facedirs_jax.datasets.rendered import RenderedFaces
from facedirs_jax.datasets.siblingsdb_hqf import SiblingsDbHqf
from facedirs_jax.datasets.storage import FaceSplit, SplitSummary, Summary
from facedirs_jax.errors import InputError

DATASETS: dict[str, type[FaceDataset]] = {
    "image_folder": ImageFolder,
    "siblingsdb_hqf": SiblingsDbHqf,
    "meds_ii": MedsII,
    "multi_pie": MultiPie,
    "diveface": DiveFace,
    "lfw": Lfw,
    "rendered": RenderedFaces,
}

__all__ = [
    "DATASETS",
    "SHARES",
    "Face",
    "FaceDataset",
    "FaceSplit",
    "Pair",
    "SplitSummary",
    "Summary",
    "build",
    "features",
    "open_split",
    "read_pairs",
    "split_of",
]


def build(
    name: str,
    *,
    data_dir: str | os.PathLike[str],
    manual_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Summary:
    """Builds a data set, whole or not at all; checks it if it is there already.

    Args:
        name: a key of `DATASETS`.
        data_dir: folder of data sets; made readable by its owner alone (0700).
        manual_dir: folder that holds the pictures; see the TREE of the class.
        options: of the class, such as skip_unreadable, processes, labels_csv.

    Returns:
        What was built, and where.

    Raises:
        InputError: if the name is unknown, the folder or its files are not as they
            should be, or data_dir holds something else or cannot be written.
    """
    builder = _class(name)(data_dir=data_dir, **options)
    source = None if manual_dir is None else pathlib.Path(manual_dir).resolve()
    return storage.write(builder, manual_dir=source)


def open_split(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str],
    config: str | None = None,
) -> FaceSplit:
    """Opens one split of a data set that was built.

    Args:
        name: a key of `DATASETS`.
        split: `train`, `validation` or `test`.
        data_dir: as given to `build`.
        config: which variant, for data sets that have some.

    Returns:
        The split, with `len` and random access.

    Raises:
        InputError: if it is not built, not whole, or has no such split.
    """
    parts = [name, *([config] if config else []), str(_class(name).VERSION)]
    return storage.open_folder(pathlib.Path(data_dir, *parts), split)


def _class(name: str) -> type[FaceDataset]:
    if name not in DATASETS:
        known = ", ".join(DATASETS)
        raise InputError(f"unknown data set {name!r}; known: {known}")
    return DATASETS[name]
