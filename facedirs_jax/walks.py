"""Probes moved along directions: templates, decodes, and what they are worth."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import Cycle, cycle_consistency, decode, embed_again


class Walks(NamedTuple):
    """W walks of T steps, each a probe moved along a direction.

    Attributes:
        templates: [W, T, D] float32.
        decodes: [W, T, S, S, 3] float32 RGB in [0, 1], made up by the decoder.
        again: [W, T, D] float32, templates of the decodes.
        cycle: how well the network finds the templates in the decodes, [W, T] each;
            what is recovered counts from the probe itself.
    """

    templates: np.ndarray
    decodes: np.ndarray
    again: np.ndarray
    cycle: Cycle

    def take(self, place: int) -> "Walks":
        """One walk: the same arrays without the first axis."""
        cycle = Cycle(*(values[place] for values in self.cycle))
        return Walks(
            self.templates[place], self.decodes[place], self.again[place], cycle
        )


def take_walks(
    decoder: Any,
    backbone: Backbone,
    probes: np.ndarray,
    templates: np.ndarray,
    directions: np.ndarray,
    centres: np.ndarray,
) -> Walks:
    """Decodes probes' templates along directions, and embeds the decodes again.

    Args:
        decoder: as given by `load_decoder`, of the backbone's templates.
        backbone: whose templates these are.
        probes: [W, D] float32, template of each walk's probe.
        templates: [W, T, D] float32, along the direction; see `traversal`.
        directions: [W, D] float32.
        centres: [W, D] float32, mean templates, for the centred cosine.

    Returns:
        Walks.

    Raises:
        ValueError: if the shapes do not agree.
    """
    whole = np.concatenate([templates, probes[:, None]], axis=1)  # the probe is last
    flat = decode(decoder, whole.reshape(-1, whole.shape[-1]))
    again = embed_again(backbone, flat).reshape(whole.shape)
    steps = whole.shape[1] - 1
    cycle = _cycles(whole, again, directions, centres, steps)
    decodes = flat.reshape(*whole.shape[:2], *flat.shape[1:])
    return Walks(
        np.asarray(templates),
        decodes[:, :steps],
        again[:, :steps],
        Cycle(*(values[:, :steps] for values in cycle)),
    )


def _cycles_of(
    templates: jax.Array,
    found: jax.Array,
    directions: jax.Array,
    centres: jax.Array,
    probe: int,
) -> Cycle:
    def one(*walk: jax.Array) -> Cycle:
        return cycle_consistency(*walk, probe=probe)

    return jax.vmap(one)(*map(jnp.asarray, (templates, found, directions, centres)))


_cycles = jax.jit(_cycles_of, static_argnums=4)
