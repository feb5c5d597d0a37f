"""One probe moved along one direction: templates, decodes, and what they are worth."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import Cycle, cycle_consistency, decode, embed_again


class Walk(NamedTuple):
    """A probe moved along a direction in T steps.

    Attributes:
        templates: [T, D] float32.
        decodes: [T, S, S, 3] float32 RGB in [0, 1], made up by the decoder.
        again: [T, D] float32, templates of the decodes.
        cycle: how well the network finds the templates in the decodes, [T] each; what
            is recovered counts from the probe itself.
    """

    templates: np.ndarray
    decodes: np.ndarray
    again: np.ndarray
    cycle: Cycle


def take_walk(
    decoder: Any,
    backbone: Backbone,
    probe: np.ndarray,
    templates: np.ndarray,
    direction: np.ndarray,
    centre: np.ndarray,
) -> Walk:
    """Decodes a probe's templates along a direction, and embeds the decodes again.

    Args:
        decoder: as given by `load_decoder`, of the backbone's templates.
        backbone: whose templates these are.
        probe: [D] float32, template of the probe.
        templates: [T, D] float32, along the direction; see `traversal`.
        direction: [D] float32.
        centre: [D] float32, mean template, for the centred cosine.

    Returns:
        Walk of T steps.

    Raises:
        ValueError: if the shapes do not agree.
    """
    all_templates = np.concatenate([templates, probe[None]])  # the probe is the last
    decodes = decode(decoder, all_templates)
    again = embed_again(backbone, decodes)
    arrays = map(jnp.asarray, (all_templates, again, direction, centre))
    cycle = cycle_consistency(*arrays, probe=len(templates))
    kept = slice(len(templates))
    told = Cycle(*(values[kept] for values in cycle))
    return Walk(np.asarray(templates), decodes[kept], again[kept], told)
