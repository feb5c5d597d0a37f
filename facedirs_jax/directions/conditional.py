"""Conditional directions: what is left of some once others are taken out of them.

Moving along one then changes nothing that the others stand for, as far as they stand
for it (Shen et al. 2020, Interpreting the latent space of GANs for semantic face
editing, section 2.3 "Conditional manipulation").
"""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.labelled import as_templates, record_of, unit_rows
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError

MIN_LEFT = 0.01  # of a direction's length; less is rounding and chance
_DEPENDENT = 1e-5  # singular value of unit rows that only rounding keeps from 0


def conditional_directions(
    directions: Directions,
    others: Any,
    templates: Any,
    *,
    names: Sequence[str] = (),
) -> Directions:
    """Takes other directions out of each of a set.

    Args:
        directions: K of them.
        others: [M, D] float32, directions to stay clear of, of any length but zero.
        templates: [N, D] float32, over which alpha counts standard deviations.
        names: of the others, for the record; none or M.

    Returns:
        Directions with [K, D] unit rows at right angles to all others, and the readings
        of before. `about` also has `without`, the names, and `left`, the share of each
        direction's length that is left; `lengths`, if there are any, shrink by it.

    Raises:
        ValueError: if the shapes do not agree, another is zero, or M names are not M.
        InputError: if next to nothing is left of a direction, or a template is not
            finite.
    """
    others = np.asarray(others, np.float32)
    if names and len(names) != len(others):
        raise ValueError(f"{len(names)} names for {len(others)} directions")
    if others.ndim != 2 or not others.any(axis=1).all():
        raise ValueError("others must be [M, D], and none of them zero")
    on_device = as_templates(templates)
    chex.assert_equal_shape_suffix(
        [directions.directions, others, on_device], 1, exception_type=ValueError
    )
    rows = project_out(jnp.asarray(directions.directions), jnp.asarray(others))
    left = np.linalg.norm(rows, axis=1)
    labels = directions.about.get("labels") or list(range(1, len(left) + 1))
    worst = int(np.argmin(left))
    if left[worst] < MIN_LEFT:
        taken = ", ".join(names) or f"{len(others)} other directions"
        raise InputError(
            f"direction {labels[worst]}: {left[worst]:.2%} is left without {taken}; it "
            "means the same as they do. Take out fewer directions"
        )
    about = directions.about | {
        "without": list(names),
        "left": [round(float(share), 4) for share in left],
    }
    if "lengths" in about:
        lengths = np.asarray(about["lengths"]) * left
        about["lengths"] = lengths.tolist()
    return record_of(
        *(on_device, unit_rows(np.asarray(rows), labels), about),
        weights=directions.weights,
        intercepts=directions.intercepts,
    )


@jax.jit
def project_out(directions: jax.Array, others: jax.Array) -> jax.Array:
    """Takes the part that lies in the span of others out of directions.

    Args:
        directions: [K, D] float32.
        others: [M, D] float32, none zero; they may depend on each other.

    Returns:
        [K, D] float32, shorter than before; not scaled.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank([directions, others], 2, exception_type=ValueError)
    chex.assert_equal_shape_suffix([directions, others], 1, exception_type=ValueError)
    others = others / jnp.linalg.norm(others, axis=1, keepdims=True)
    with jax.default_matmul_precision("highest"):
        # Not QR, of which a dependent row would make an axis out of rounding.
        _, spread, axes = jnp.linalg.svd(others, full_matrices=False)
        axes = axes * (spread > _DEPENDENT * spread[0])[:, None].astype(axes.dtype)
        once = directions - (directions @ axes.T) @ axes
        return once - (once @ axes.T) @ axes  # again, for what rounding left
