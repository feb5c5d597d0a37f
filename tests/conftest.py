"""Strict settings for every test: no silent promotion, two CPU devices."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astronaut import portrait
from browser import open_browser
from flax import nnx
from PIL import Image

from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.cards import UNTRAINED
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.faces import Faces, FaceStatus

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


@pytest.fixture(scope="session")
def portraits(tmp_path_factory) -> pathlib.Path:
    """Folder of ten portraits, PNG and JPEG in turn, one face in each."""
    folder = tmp_path_factory.mktemp("portraits")
    for number in range(10):
        name = f"sitter_{number}.{('png', 'jpg')[number % 2]}"
        Image.fromarray(portrait(number)).save(folder / name, quality=95)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """Variables of child processes, which share caches of landmarks and of code."""
    folder = tmp_path_factory.mktemp("caches")
    return os.environ | {
        "XDG_CACHE_HOME": str(folder),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium; skips where there is none."""
    yield from open_browser(tmp_path_factory.mktemp("profile"))


SIDE = 24  # px, crops of the toy network


class ToyNetwork(nnx.Module):
    """Random projection of a coarse picture through tanh: quick, and not linear."""

    def __init__(self, dim: int = 12):
        self.weights = UNTRAINED
        kernel = np.random.default_rng(0).normal(size=(8 * 8 * 3, dim))
        self.kernel = nnx.Param(jnp.asarray(kernel, jnp.float32))

    def __call__(self, images: jax.Array) -> jax.Array:
        cells = images.reshape(-1, 8, 3, 8, 3, 3).mean(axis=(2, 4))
        return jnp.tanh(cells.reshape(len(images), -1) @ self.kernel[...])


@pytest.fixture(scope="session")
def toy() -> Backbone:
    """A toy network on crops of `SIDE` px, templates of 12 dimensions."""
    preprocess = Preprocess(
        alignment="dlib_chip",
        size=SIDE,
        mean=(127.5, 127.5, 127.5),
        scale=127.5,
        colour_order="RGB",
        unit_norm=False,
    )
    return Backbone(ToyNetwork(), preprocess)


@pytest.fixture(scope="session")
def toy_faces() -> Faces:
    """Twenty smooth random crops with landmarks spread over them."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0, 255, (20, 6, 6, 3)).astype(np.uint8)
    crops = coarse.repeat(SIDE // 6, axis=1).repeat(SIDE // 6, axis=2)
    landmarks = rng.uniform(6, 18, (20, 68, 2)).astype(np.float32)
    status = tuple(FaceStatus(f"{i:02d}.png", "ok") for i in range(20))
    return Faces(crops, landmarks, status, "dlib_chip")
