"""What the readers of weight files share: a file as bytes, and arrays as float32."""

import mmap
import os
import stat

import numpy as np

from facedirs_jax.errors import InputError

Path = str | os.PathLike[str]


def mapped(path: Path) -> mmap.mmap:
    """A file's bytes, read-only; pages are read from the disk as they are looked at.

    Raises:
        InputError: if there is no such file, or it is a folder, a device or empty.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb", opener=_open_at_once) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise InputError(f"{name}: it is no plain file; give the weight file")
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(
            f"{name}: {error.strerror}; give a weight file that can be read"
        ) from error
    except ValueError as error:  # an empty file, or a zero byte in its name
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: {error}; fetch the weight file again") from error


def _open_at_once(name: str, flags: int) -> int:
    """Opens without waiting, as a named pipe would for a writer."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def float32(array: np.ndarray, *, what: str) -> np.ndarray | None:
    """An array of any shape as float32 in C order, or None for a counter.

    Args:
        array: any shape; float16, float32 or float64 of any byte order and layout.
        what: file and name of the array, for the error.

    Returns:
        The values, any shape: the same memory where it is float32 in C order already.
        Values beyond float32 become infinite, which the strict converter refuses. None
        for a single integer, such as PyTorch's `num_batches_tracked`.

    Raises:
        InputError: for any other dtype.
    """
    if array.dtype.kind in "iu" and array.ndim == 0:
        return None
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise wrong_dtype(what, str(array.dtype), array.shape)
    with np.errstate(over="ignore"):
        return np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def widened(bits: np.ndarray) -> np.ndarray:
    """The float32 values whose upper halves are given: bfloat16 read as uint16.

    Args:
        bits: [...] uint16, the bits of bfloat16 values.

    Returns:
        [...] float32.
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def wrong_dtype(what: str, dtype: str, shape: tuple[int, ...]) -> InputError:
    """The error for an array, of any shape, that holds no weights."""
    return InputError(
        f"{what}: expected floating-point weights, got {dtype} {shape}; the file holds "
        "another network or a quantised one: take the published float32 weights"
    )


def missing_library(path: Path, library: str) -> InputError:
    """The error for a container whose library is not installed."""
    return InputError(
        f"{os.fspath(path)}: reading it needs {library}; "
        "run: pip install 'facedirs-jax[convert]'"
    )
