"""Whether a training that is done again logs the losses of the first time."""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from facedirs_jax import checkpoint_files
from facedirs_jax.errors import InputError

from .metrics import read_log

STEPS = 100  # whose losses a checkpoint keeps


class Agreement(NamedTuple):
    """Two logs of losses, compared.

    Attributes:
        steps: that both have.
        largest_difference: of two losses of one step, relative to the first time's.
    """

    steps: int
    largest_difference: float


def first_losses(log: str | os.PathLike[str]) -> list[float]:
    """Losses of the first steps of a training, at most `STEPS` of them.

    Args:
        log: metrics.jsonl of its run.

    Returns:
        The losses.

    Raises:
        InputError: if the log cannot be read.
    """
    losses = [record["loss"] for record in read_log(log) if "loss" in record]
    return losses[:STEPS]


def compare_losses(
    checkpoint: str | os.PathLike[str], log: str | os.PathLike[str]
) -> Agreement:
    """Compares a new training with the one that made a checkpoint.

    Args:
        checkpoint: its folder.
        log: metrics.jsonl of the new run.

    Returns:
        Agreement.

    Raises:
        InputError: if one of them cannot be read, or has no losses.
    """
    file, manifest = checkpoint_files.read_manifest(pathlib.Path(checkpoint))
    about = manifest.get("about")
    kept = about.get("losses") if isinstance(about, dict) else None
    if not kept:
        raise InputError(f"{file}: keeps no losses of its training")
    again = first_losses(log)
    steps = min(len(kept), len(again))
    if not steps:
        raise InputError(
            f"{os.fspath(log)}: holds no losses yet; train some steps first"
        )
    first, second = np.array(kept[:steps]), np.array(again[:steps])
    return Agreement(steps, float((np.abs(second - first) / np.abs(first)).max()))
