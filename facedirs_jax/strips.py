"""What directions look like: probes moved along them and decoded, with numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Backbone
from facedirs_jax.directions.record import Directions
from facedirs_jax.evaluation.isolation import spatial_isolation
from facedirs_jax.evaluation.stability import LEADING
from facedirs_jax.traversal import traverse
from facedirs_jax.walks import take_walks

_isolations = jax.jit(jax.vmap(spatial_isolation))
_NUMBERS = ("cosine", "centred_cosine", "recovered", "isolation")


class Probes(NamedTuple):
    """Faces that are moved along directions.

    Attributes:
        rows: [P] int, among the usable faces.
        crops: [P, S, S, 3] uint8 RGB.
        templates: [P, D] float32.
    """

    rows: np.ndarray
    crops: np.ndarray
    templates: np.ndarray


class Strips(NamedTuple):
    """Probes moved along the first directions of a region: P probes, C components.

    Attributes:
        probes: the faces.
        alphas: [T] float32, steps in standard deviations; 0 is in the middle.
        decodes: [P, C, T, S, S, 3] float32 RGB in [0, 1], made up by the decoder.
        cosine: [P, C] float32, mean of the row's `Cycle.cosine`.
        centred_cosine: [P, C] float32, mean of the row's `Cycle.centred_cosine`.
        recovered: [P, C] float32, mean of the row's `Cycle.recovered` over all steps
            but the probe's own; NaN where the direction has no length.
        isolation: [P, C] float32, `spatial_isolation` of the change between both ends.
    """

    probes: Probes
    alphas: np.ndarray
    decodes: np.ndarray
    cosine: np.ndarray
    centred_cosine: np.ndarray
    recovered: np.ndarray
    isolation: np.ndarray

    @property
    def rows(self) -> list[dict[str, int | float | None]]:
        """One row of numbers for each probe and component, plain JSON values.

        `face` is the probe's row among the usable faces, `component` counts from 1;
        None is what cannot be measured, as where the decodes do not change.
        """
        return [
            {
                "face": int(face),
                "component": component + 1,
                **{n: _plain(getattr(self, n)[place, component]) for n in _NUMBERS},
            }
            for place, face in enumerate(self.probes.rows)
            for component in range(self.cosine.shape[1])
        ]


def make_strips(
    decoder: Any,
    backbone: Backbone,
    directions: Directions,
    probes: Probes,
    masks: np.ndarray,
    alphas: np.ndarray,
    *,
    components: int = LEADING,
) -> Strips:
    """Moves probes along the first directions, decodes them, and embeds them again.

    Args:
        decoder: as given by `load_decoder`, of the backbone's templates.
        backbone: whose templates these are.
        directions: [K, D].
        probes: P faces.
        masks: [P, S, S] float32 in [0, 1], the region in each of them.
        alphas: [T] float32, steps in standard deviations, T odd, 0 in the middle.
        components: how many directions; fewer if there are no more.

    Returns:
        Strips of P probes and min(components, K) directions.

    Raises:
        ValueError: if the shapes do not agree, or alpha is not 0 in the middle.
    """
    middle = len(alphas) // 2
    if len(alphas) % 2 == 0 or alphas[middle] != 0:
        raise ValueError(f"alphas must be 0 in the middle, got {alphas}")
    kept = directions._replace(
        directions=directions.directions[:components],
        eigenvalues=directions.eigenvalues[:components],
    )
    count, shown = len(probes.templates), len(kept.directions)
    moved = _moved(kept, probes.templates, alphas, backbone.preprocess.unit_norm)
    walks = take_walks(
        *(decoder, backbone, probes.templates.repeat(shown, axis=0), moved),
        np.tile(kept.directions, (count, 1)),
        np.tile(kept.mean, (count * shown, 1)),
    )
    decodes, cycle = walks.decodes, walks.cycle
    ends = jnp.asarray(decodes[:, 0]), jnp.asarray(decodes[:, -1])
    isolation = _isolations(*ends, jnp.asarray(masks.repeat(shown, axis=0)))
    steps = np.arange(len(alphas)) != middle
    numbers = {
        "cosine": np.asarray(cycle.cosine).mean(axis=1),
        "centred_cosine": np.asarray(cycle.centred_cosine).mean(axis=1),
        "recovered": np.asarray(cycle.recovered)[:, steps].mean(axis=1),
        "isolation": np.asarray(isolation),
    }
    return Strips(
        probes,
        np.asarray(alphas, np.float32),
        decodes.reshape(count, shown, *decodes.shape[1:]),
        **{name: values.reshape(count, shown) for name, values in numbers.items()},
    )


def _moved(
    directions: Directions, templates: np.ndarray, alphas: np.ndarray, unit_norm: bool
) -> np.ndarray:
    """[P * C, T, D] float32: each of P templates along each of C directions."""
    ways = list(zip(directions.directions, directions.scales, strict=True))
    return np.stack(
        [
            traverse(template, vector, scale, alphas, unit_norm=unit_norm)
            for template in templates
            for vector, scale in ways
        ]
    )


def with_strips(
    directions: Directions, strips: Strips, made_by: Mapping[str, Any]
) -> Directions:
    """Writes the numbers of strips into the record of their directions.

    Args:
        directions: [K, D].
        strips: [P, C] numbers.
        made_by: what is known of the decoder, plain JSON values.

    Returns:
        The directions, with `traversals` in what is said about them.
    """
    told = {
        "decoder": dict(made_by),
        "alphas": [_plain(alpha) for alpha in strips.alphas],
        "strips": strips.rows,
    }
    return directions._replace(about=directions.about | {"traversals": told})


def _plain(number: float) -> float | None:
    return round(float(number), 4) if np.isfinite(number) else None
