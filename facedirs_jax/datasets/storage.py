"""Data sets on disk: built whole or not at all, and read at random.

TFDS writes into a folder `incomplete.*` and renames it when all is done; it cannot go
on after a kill and leaves that folder behind. Here one process at a time builds a data
set and sweeps such folders first, and nothing is read before the count of every file of
records has been checked. ArrayRecord itself notices damaged bytes as they are read.
"""

import bisect
import contextlib
import fcntl
import itertools
import json
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from array_record.python import array_record_data_source

from facedirs_jax.datasets.builder import DAMAGED, SUMMARY, FaceDataset
from facedirs_jax.errors import InputError

_LOCK = ".lock"
_INCOMPLETE = "incomplete.*"


class SplitSummary(NamedTuple):
    """How much a split holds."""

    images: int
    identities: int


class Summary(NamedTuple):
    """What was built.

    Attributes:
        folder: where it lies.
        splits: number of images and identities, by split.
        labels: names of the labels.
        left_out: number of files that were not written; status.csv says why.
    """

    folder: pathlib.Path
    splits: dict[str, SplitSummary]
    labels: tuple[str, ...]
    left_out: int


class FaceSplit:
    """One split, for random access; a source for `grain.MapDataset.source`.

    An item is a dict: `image` the encoded bytes, `id`, `identity` and labels of text
    str, numbers float, other labels numpy arrays. Damaged records raise InputError.

    Args:
        builder: of a data set that is complete.
        split: name of the split.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        info = builder.info.splits[split]
        as_source: Any = builder.as_data_source  # its decorator hides its arguments
        self._source: Sequence[Any] = as_source(
            split, decoders={"image": tfds.decode.SkipDecoding()}
        )
        features = builder.info.features
        assert isinstance(features, tfds.features.FeaturesDict)
        self._texts = [
            name
            for name, feature in features.items()
            if isinstance(feature, tfds.features.Text)
        ]
        self._files = [pathlib.Path(path) for path in info.filepaths]
        self._ends = list(itertools.accumulate(info.shard_lengths))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Item of an index in [0, len)."""
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        try:
            item = self._source[index]
        except (RuntimeError, ValueError, OSError) as error:
            file = self._files[bisect.bisect_right(self._ends, index)]
            raise _damaged(file, str(error)) from error
        texts = {name: _text(item[name]) for name in self._texts}
        return {**item, "image": bytes(item["image"]), **texts}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _damaged(file: pathlib.Path, why: str) -> InputError:
    return InputError(
        f"{file}: is damaged ({why}); delete the folder {file.parent} and build the "
        "data set again"
    )


def write(builder: FaceDataset, *, manual_dir: pathlib.Path | None) -> Summary:
    """Builds a data set where its builder says, unless it is there already.

    Args:
        builder: knows data_dir and how to make it.
        manual_dir: folder that it is made from; None where it needs none.

    Returns:
        What is there now.

    Raises:
        InputError: if the folder is missing or not laid out as it should be, a picture
            cannot be read, another process builds it, or it was built from something
            else or is damaged.
    """
    if manual_dir is not None and not manual_dir.is_dir():
        raise InputError(
            f"{manual_dir}: no such folder; name the one that holds\n{builder.TREE}"
        )
    folder = pathlib.Path(builder.data_path)
    with _locked(folder.parent):
        if folder.exists():
            _refuse_other_source(folder, builder.fingerprint(manual_dir))
        else:
            _prepare(builder, folder, manual_dir)
        return summarise(folder)


def _prepare(
    builder: FaceDataset, folder: pathlib.Path, manual_dir: pathlib.Path | None
) -> None:
    downloads = folder.parent / "incomplete.downloads"  # stays empty; TFDS makes it
    try:
        builder.download_and_prepare(
            download_dir=downloads,
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir),
        )
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error}); make room or choose another "
            "data_dir"
        ) from error
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out, and sweeps what a killed one left behind."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(folder / _LOCK, "a", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); choose another data_dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{folder}: another process is building it") from error
        for leftover in folder.glob(_INCOMPLETE):
            shutil.rmtree(leftover)
        yield


def _refuse_other_source(folder: pathlib.Path, fingerprint: str) -> None:
    if _read_summary(folder)[0] != fingerprint:
        raise InputError(
            f"{folder} was built from other files or labels; delete it to build it "
            "again, or choose another data_dir"
        )


def _read_summary(folder: pathlib.Path) -> tuple[str, Summary]:
    """Fingerprint of what a data set was built from, and what it should hold."""
    path = folder / SUMMARY
    if not folder.is_dir():
        half = any(folder.parent.glob(_INCOMPLETE))
        state = "was not finished" if half else "is not built"
        raise InputError(f"{folder}: the data set {state}; build it first")
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        splits = {name: SplitSummary(**of) for name, of in read["splits"].items()}
        summary = Summary(folder, splits, tuple(read["labels"]), read["left_out"])
        return read["fingerprint"], summary
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from error


def summarise(folder: pathlib.Path) -> Summary:
    """Checks that a data set is whole and tells what it holds.

    Args:
        folder: of one version of it, such as data_dir/lfw/1.0.0.

    Returns:
        The summary.

    Raises:
        InputError: if it is not built, or a file is missing, cut short or damaged.
    """
    _, summary = _read_summary(folder)
    written = {
        name: split.num_examples for name, split in _whole(folder).info.splits.items()
    }
    if written != {name: split.images for name, split in summary.splits.items()}:
        raise _damaged(folder / SUMMARY, f"the records hold {written}")
    return summary


def _whole(folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    """Reader of a data set whose files all hold what they should."""
    try:
        builder = tfds.builder_from_directory(folder)
    except DAMAGED as error:
        raise _damaged(folder / "{dataset_info,features}.json", str(error)) from error
    for split in builder.info.splits.values():
        shards = zip(split.filepaths, split.shard_lengths, strict=True)
        for file, expected in shards:
            _check_count(pathlib.Path(file), expected)
    return builder


def _check_count(file: pathlib.Path, expected: int) -> None:
    if not file.is_file():
        raise _damaged(file, "it is missing")
    try:
        with array_record_data_source.ArrayRecordDataSource(str(file)) as reader:
            count = len(reader)
    except (RuntimeError, ValueError) as error:
        raise _damaged(file, str(error) or "it is cut short") from error
    if count != expected:
        raise _damaged(file, f"it holds {count} records, not {expected}")


def open_folder(folder: pathlib.Path, split: str) -> FaceSplit:
    """Opens one split of a data set.

    Args:
        folder: of one version of it, such as data_dir/lfw/1.0.0.
        split: `train`, `validation` or `test`.

    Returns:
        The split.

    Raises:
        InputError: if the data set is not whole, or has no such split.
    """
    _, summary = _read_summary(folder)
    if split not in summary.splits:
        known = ", ".join(summary.splits)
        raise InputError(f"{folder} has no split {split!r}; it has: {known}")
    return FaceSplit(_whole(folder), split)
