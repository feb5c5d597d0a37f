"""What a frozen network sees in pictures: feature maps at some depths, and templates.

Pictures are [B, S, S, 3] float32 RGB in [0, 1] of any side; they are resized to what
the network takes and go through its own preprocessing.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.decoding import resized
from facedirs_jax.errors import InputError


def central_crop(images: jax.Array, share: float) -> jax.Array:
    """The middle of pictures.

    Args:
        images: [B, S, S, 3] float32.
        share: of the side that is kept, above 0 and at most 1.

    Returns:
        [B, C, C, 3] float32, C = share * S, rounded to the parity of S.
    """
    edge = round(images.shape[1] * (1 - share) / 2)
    middle = slice(edge, images.shape[1] - edge)
    return images[:, middle, middle]


def feature_paths(
    network: Any, preprocess: Preprocess, depths: Sequence[int]
) -> tuple[str, ...]:
    """Where a network's last map of each resolution is.

    Args:
        network: with its stages in order, as `trunk`; may be abstract.
        preprocess: of the network.
        depths: numbers of resolutions, the first being 0 and coarser ones following.

    Returns:
        Dotted paths of modules, one a depth.

    Raises:
        InputError: if the network has no stages or fewer resolutions.
    """
    stages = getattr(network, "trunk", None)
    if stages is None:
        kind = type(network).__name__
        raise InputError(f"{kind} has no stages to compare; set the feature term to 0")
    paths = {id(module): path for path, module in nnx.iter_modules(network)}
    size = preprocess.size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    graphdef, state = nnx.split(network)

    def maps_of(state: Any, images: jax.Array) -> dict[str, jax.Array]:
        return _outputs(nnx.merge(graphdef, state), preprocess, images)[1]

    maps = jax.eval_shape(maps_of, state, image)
    last: dict[int, str] = {}
    for stage in stages:
        path = _dotted(paths[id(stage)])
        last[maps[path].shape[1]] = path
    ordered = list(last.values())
    if not 0 <= min(depths) <= max(depths) < len(ordered):
        raise InputError(
            f"depths {list(depths)} are not all within 0 and {len(ordered) - 1}, the "
            f"resolutions of {type(network).__name__}"
        )
    return tuple(ordered[depth] for depth in depths)


def features_and_templates(
    network: Any, preprocess: Preprocess, images: jax.Array, paths: Sequence[str]
) -> tuple[list[jax.Array], jax.Array]:
    """Feature maps and templates of pictures, in one pass.

    Args:
        network: frozen.
        preprocess: of the network.
        images: [B, S, S, 3] float32 in [0, 1].
        paths: of `feature_paths`.

    Returns:
        [B, H, W, C] float32 maps, one a path, and [B, D] float32 templates.
    """
    embeddings, maps = _outputs(network, preprocess, resized(images, preprocess.size))
    chosen = [maps[path].astype(jnp.float32) for path in paths]
    return chosen, preprocess.normalise(embeddings)


def _outputs(
    network: Any, preprocess: Preprocess, images: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Embeddings, and the output of every module by its path."""
    # A copy of this trace, since capturing leaves its notes in the module.
    own = nnx.merge(*nnx.split(network), copy=True)
    watched = nnx.capture(own, nnx.Intermediate, method_outputs=nnx.Intermediate)
    embeddings, found = watched(preprocess(images))
    outputs = {
        _dotted(path[:-1]): variable.get_value()[0]
        for path, variable in nnx.to_flat_state(found)
        if path[-1] == "__call__"
    }
    return embeddings, outputs


def _dotted(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))
