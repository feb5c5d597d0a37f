"""Networks that an experiment is asked to look at, and what results call them."""

import re
from collections.abc import Sequence

from facedirs_jax import files
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.errors import InputError


def name_of(asked: str, backbone: Backbone) -> str:
    """What results call a network: not by the folder of a checkpoint, which moves.

    Args:
        asked: what the user named it by.
        backbone: what that is.

    Returns:
        A key of `BACKBONES`, or the name in the checkpoint.
    """
    return asked if asked in BACKBONES else backbone.network.weights.name


def load_networks(asked: Sequence[str]) -> dict[str, Backbone]:
    """The networks by names that are safe in paths and unlike each other.

    Raises:
        InputError: if there are none, one cannot be loaded, or one is given twice.
    """
    found: dict[str, Backbone] = {}
    given: dict[str, str] = {}  # by what makes a network that one
    for path in asked:
        backbone = load_backbone(path)
        name = re.sub(r"[^\w.+-]+", "_", name_of(path, backbone))
        weights, preprocess = backbone.network.weights, backbone.preprocess
        whole = f"{name} {weights.sha256} {preprocess.fingerprint}"
        if whole in given:
            raise InputError(
                f"--backbone={path} is the same network as {given[whole]}; give each "
                "once"
            )
        given[whole] = path
        if name in found:
            name += f"-{files.sha256_text(whole)[:6]}"
        found[name] = backbone
    if not found:
        raise InputError("give --backbone, at least one network")
    return found
