"""Strict settings for every test: no silent promotion, two CPU devices."""

import pathlib

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

SHARED_FACES = pathlib.Path(__file__).parents[2] / "shared" / "faces"


@pytest.fixture(scope="session")
def congress() -> pathlib.Path:
    """Folder of real portraits, one person each."""
    folder = SHARED_FACES / "congress" / "images"
    if not folder.is_dir():
        pytest.skip(f"the real portraits are not on this machine: no {folder}")
    return folder


@pytest.fixture(scope="session")
def cmu() -> pathlib.Path:
    """Folder of grey PGM faces, some of which dlib does not find."""
    folder = SHARED_FACES / "cmu" / "images"
    if not folder.is_dir():
        pytest.skip(f"the real portraits are not on this machine: no {folder}")
    return folder
