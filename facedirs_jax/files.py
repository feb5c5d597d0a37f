"""Atomic writes and content hashes: what every file that leaves a run goes through."""

import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np

_UNFINISHED = ".unfinished"


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives a temporary path that becomes `path` only if the block ends well.

    The file is flushed to disk before the rename, so that after a crash `path` holds
    either its old content or the whole new one. Readable by its owner alone (0600).

    Args:
        path: file to write or replace; its folder must exist.

    Yields:
        Path in the same folder to write to.
    """
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: str | os.PathLike[str]) -> None:
    """Deletes what `replaced` left unfinished in a folder when its process was killed.

    Only where no other process writes.
    """
    for path in pathlib.Path(folder).rglob(f".*{_UNFINISHED}"):
        path.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically; see `replaced`.

    Bytes of a file's name that are no text come out as escapes.
    """
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sha256_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Hex SHA-256 of arrays of any shape and dtype: of both, and of the values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def sha256_text(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
