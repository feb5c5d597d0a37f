"""From a trained network to a checkpoint folder, with a card that tells its story."""

import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from facedirs_jax import checkpoint_files, files
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.checkpoint_files import Format
from facedirs_jax.checkpoints import Parity, save_checkpoint
from facedirs_jax.errors import InputError
from facedirs_jax.templates import embed

from . import weights


def halved(network: Any) -> Any:
    """The network with kernels rounded to what float16 holds; they stay float32.

    A checkpoint then stores them in half the space and gives back the same bits.
    Vectors (biases, normalisations, slopes), which weigh nothing, are left alone.

    Raises:
        InputError: if a kernel holds values beyond the range of float16.
    """
    arrays = {n: np.asarray(a) for n, a in weights.arrays_of(network).items()}
    for name, array in arrays.items():
        if array.ndim < 2:
            continue
        if not np.abs(array).max() <= np.finfo(np.float16).max:
            raise InputError(f"{name}: holds values that float16 cannot; store float32")
        arrays[name] = array.astype(np.float16).astype(np.float32)
    return weights.filled(network, arrays)


def template_difference(
    first: Any, second: Any, preprocess: Preprocess, crops: np.ndarray
) -> float:
    """Largest relative difference of two networks' templates.

    Args:
        first: a network.
        second: one that should be the same.
        preprocess: of both.
        crops: [N, S, S, 3] uint8 RGB.

    Returns:
        Largest of the N distances, each relative to the length of the first template.
    """
    ours, theirs = (np.asarray(embed(n, preprocess, crops)) for n in (first, second))
    lengths = np.linalg.norm(ours, axis=1)
    return float((np.linalg.norm(ours - theirs, axis=1) / lengths).max())


def export_backbone(
    path: str | os.PathLike[str],
    network: Any,
    preprocess: Preprocess,
    crops: np.ndarray,
    *,
    about: Mapping[str, Any],
    readme: str,
    half: bool = True,
    format: Format = "safetensors",
) -> dict[str, Any]:
    """Writes a checkpoint that `load_backbone` opens: whole, or not at all.

    Args:
        path: folder to make; there must be nothing yet.
        network: trained, of float32 arrays, with its card.
        preprocess: of the network.
        crops: [N, S, S, 3] uint8 RGB faces that show what halving does to templates.
        about: the card, plain JSON values; `about` in the manifest.
        readme: the card for people, Markdown; README.md, which the manifest hashes.
        half: whether kernels are rounded to float16.
        format: see `checkpoints.save_checkpoint`.

    Returns:
        The manifest.

    Raises:
        InputError: if there is something at `path`, or it cannot be written.
    """
    path = pathlib.Path(path)
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; choose another")
    stored, parity = network, Parity(None, "trained here, stored as it was trained")
    if half:
        stored = halved(network)
        gap = template_difference(network, stored, preprocess, crops)
        parity = Parity(
            gap,
            f"largest distance of templates of {len(crops)} faces from those before "
            "kernels were rounded to float16, relative to their length",
        )
    partial = path.with_name(f".{path.name}.exporting")
    shutil.rmtree(partial, ignore_errors=True)
    dim = network.config.embedding_dim
    save_checkpoint(
        partial,
        stored,
        preprocess=preprocess,
        templates=f"embedding, {dim}-d",
        parity=parity,
        format=format,
    )
    manifest = _with_card(partial, about, readme, format)
    partial.rename(path)
    return manifest


def _with_card(
    folder: pathlib.Path, about: Mapping[str, Any], readme: str, format: Format
) -> dict[str, Any]:
    file, manifest = checkpoint_files.read_manifest(folder)
    file.unlink()
    files.write_text(folder / "README.md", readme)
    return checkpoint_files.write_manifest(
        folder, manifest | {"about": dict(about)}, format=format
    )
