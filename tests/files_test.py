"""Oracle of the hashes: sha256sum, and hashlib over bytes put together by hand."""

import hashlib
import os
import stat
import subprocess

import numpy as np
import pytest

from facedirs_jax import files


class Killed(BaseException):
    """What `except Exception` does not catch, as a KeyboardInterrupt."""


@pytest.mark.parametrize("old", [None, "old"])
def test_a_block_that_ends_well_puts_the_new_content_in_place(tmp_path, old):
    path = tmp_path / "run.json"
    if old is not None:
        path.write_text(old)
    with files.replaced(path) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert not path.exists() if old is None else path.read_text() == old
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [OSError, Killed])
def test_a_block_that_fails_leaves_everything_as_it_was(tmp_path, old, error):
    path = tmp_path / "run.json"
    if old is not None:
        path.write_text(old)
    with pytest.raises(error), files.replaced(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ([old] if old else [])


def test_a_failed_rename_leaves_no_temporary_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path / "folder", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_the_content_is_on_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, f=function, n=name: (calls.append(n), f(*a))
        )
    files.write_text(tmp_path / "run.json", "text")
    assert calls == ["fsync", "replace"]


def test_only_the_owner_may_read_what_is_written(tmp_path):
    path = tmp_path / "templates"
    path.write_text("open to all")
    path.chmod(0o666)
    files.write_text(path, "of one person")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_without_a_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "gone" / "run.json", "text")


def test_text_comes_back_from_utf_8(tmp_path):
    path = tmp_path / "status.csv"
    files.write_text(path, "Zoë,\n")
    assert path.read_bytes() == "Zoë,\n".encode()


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")  # Latin-1, as old archives unpack to
    files.write_text(tmp_path / "status.csv", name)
    assert (tmp_path / "status.csv").read_text() == r"caf\udce9.jpg"


@pytest.mark.parametrize("size", [0, 1, 3_000_000])  # the last in several blocks
def test_a_files_hash_is_that_of_sha256sum(tmp_path, size):
    path = tmp_path / "weights.dat"
    path.write_bytes(np.random.default_rng(0).bytes(size))
    done = subprocess.run(["sha256sum", path], capture_output=True, check=True)
    assert files.sha256_file(path) == done.stdout.split()[0].decode()


def test_the_hash_of_a_text_is_that_of_its_utf_8_bytes():
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_text("abc") == expected
    assert files.sha256_text("ë") == hashlib.sha256(b"\xc3\xab").hexdigest()


def test_the_hash_of_arrays_is_over_shapes_dtypes_and_values():
    array = np.array([[1, 2], [3, 4]], np.uint8)
    expected = hashlib.sha256(b"((2, 2), '|u1')\1\2\3\4((0,), '<f4')").hexdigest()
    found = files.sha256_arrays([array, np.zeros(0, np.float32)])
    assert found == expected
    assert files.sha256_arrays(iter([np.asfortranarray(array)])) == (
        files.sha256_arrays([array])
    )


def test_different_arrays_have_different_hashes():
    array = np.arange(4, dtype=np.float32)
    others = [
        [array],
        [array.reshape(2, 2)],
        [array.view(np.int32)],
        [-array],
        [array[:2], array[2:]],
        [],
    ]
    assert len({files.sha256_arrays(arrays) for arrays in others}) == len(others)


def test_a_missing_file_has_no_hash(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.sha256_file(tmp_path / "gone.dat")


def test_what_a_killed_process_left_unfinished_is_swept_away(tmp_path):
    (tmp_path / "inner").mkdir()
    target = tmp_path / "inner" / "kept.txt"
    files.write_text(target, "kept")
    with files.replaced(target) as temporary:
        temporary.write_text("kept")
        leftover = temporary
    leftover.write_text("half")  # as a kill would have left it
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept.txt"]
