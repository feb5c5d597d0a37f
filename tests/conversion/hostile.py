"""Broken and hostile files for the readers, and what every reader must make of them."""

import os
import pathlib
import pickle
import resource

import numpy as np
import pytest

from facedirs_jax.errors import InputError

CLAIM = (10**10).to_bytes(8, "little")  # ten gigabytes


class Canary:
    """An object whose pickle writes a file where it is loaded without care."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def broken(content, seed=0, cases=150):
    """Yields the content cut short, with bytes flipped, claims put in, or both."""
    rng = np.random.default_rng(seed)
    yield from (content[:end] for end in range(1, len(content), len(content) // 60))
    for case in range(cases):
        changed = bytearray(content)
        near = len(content) if case % 2 else min(len(content), 500)
        for at in rng.integers(0, near, size=1 + case % 3):
            changed[at] ^= 1 << rng.integers(8)
        if case % 5 == 0:
            at = rng.integers(0, near)
            changed[at : at + 8] = CLAIM
        yield bytes(changed[: len(changed) - (case % 7 == 0) * rng.integers(1, 90)])


def check_broken_files_are_refused(read, path, seed=0):
    """Each broken form of a file is refused by name, or gives float32 arrays."""
    content, refused = path.read_bytes(), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in broken(content, seed):
        path.unlink()  # arrays that were read may still lie in its pages
        path.write_bytes(case)
        try:
            arrays = read(path)
        except InputError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert all(array.dtype == np.float32 for array in arrays.values())
    assert refused > 60  # all that are cut short, and more
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 1 << 18  # KB: nothing was allocated for a claim


def check_no_weight_files_are_refused(read, folder):
    """What is no weight file at all is refused by name, with a remedy."""
    (folder / "empty").touch()
    (folder / "text").write_text("Hello, I am a text.\n" * 20)
    (folder / "zeros").write_bytes(bytes(1000))
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(1000))
    os.mkfifo(folder / "pipe")
    for name in ("empty", "text", "zeros", "noise", "pipe", "missing", ""):
        with pytest.raises(InputError, match=r"fetch|give|take") as caught:
            read(folder / name)
        assert str(folder / name) in str(caught.value)


def same(found, expected):
    """Whether arrays have these names, in this order, and these float32 values."""
    assert list(found) == list(expected)
    for name, array in found.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous, name
        np.testing.assert_array_equal(array, expected[name], strict=True)


def pickled(function, *arguments):
    """A pickle that calls a function of any name, by its module and arguments."""
    module, name = function.split(":")
    body = b"".join(pickle.dumps(a, protocol=2)[2:-1] for a in arguments)
    return b"\x80\x02c%b\n%b\n(%btR." % (module.encode(), name.encode(), body)
