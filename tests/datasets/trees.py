"""Miniature data sets, laid out like the real ones."""

import io
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from facedirs_jax import datasets


def picture(seed: int, suffix: str = ".png") -> bytes:
    """An encoded picture of noise, 12 px high and 10 wide."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 10, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, {".png": "PNG", ".jpg": "JPEG"}[suffix])
    return encoded.getvalue()


def plant(root: pathlib.Path, names: Iterable[str]) -> pathlib.Path:
    """Writes pictures of these names below a folder."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed, path.suffix))
    return root


def read_all(
    name: str, summary: datasets.Summary, data_dir: pathlib.Path
) -> dict[str, dict]:
    """Every item by its id, with the name of its split added."""
    found = {}
    for split, counts in summary.splits.items():
        faces = datasets.open_split(name, split, data_dir=data_dir)
        assert len(faces) == counts.images
        assert len({face["identity"] for face in faces}) == counts.identities
        found |= {face["id"]: {**face, "split": split} for face in faces}
    return found
