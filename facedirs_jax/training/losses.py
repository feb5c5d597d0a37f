"""What networks are trained to make small: softmax, angular margin and triplet losses.

Embeddings are [B, D] float32, labels [B] int32 from 0 to C - 1, one a person.
"""

from typing import Literal

import chex
import jax
import jax.numpy as jnp

Mining = Literal["semi_hard", "hard"]


def softmax_cross_entropy(
    logits: jax.Array, labels: jax.Array, *, smoothing: float = 0.0
) -> jax.Array:
    """Cross-entropy of softmax(logits) to the labels, of each face.

    Args:
        logits: [B, C] float32.
        labels: [B] int32, 0 to C - 1.
        smoothing: share of the target that is spread evenly over all C people (Szegedy
            et al., 1512.00567, section 7), 0 to 1.

    Returns:
        [B] float32, nats.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank(logits, 2, exception_type=ValueError)
    chex.assert_shape(labels, (len(logits),), exception_type=ValueError)
    scores = jax.nn.log_softmax(logits)
    right = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    return -(1.0 - smoothing) * right - smoothing * scores.mean(axis=1)


def unit(vectors: jax.Array, *, axis: int = -1) -> jax.Array:
    """Vectors of any shape [..., D, ...] at length 1 along an axis; zeros stay zero."""
    squares = jnp.sum(vectors**2, axis=axis, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))


def class_cosines(embeddings: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cosines of embeddings with the weight vectors of C people.

    Args:
        embeddings: [B, D] float32.
        kernel: [D, C] float32.

    Returns:
        [B, C] float32, -1 to 1.
    """
    return jnp.clip(unit(embeddings) @ unit(kernel, axis=0), -1.0, 1.0)


def add_angular_margin(
    cosines: jax.Array, labels: jax.Array, margin: jax.Array | float
) -> jax.Array:
    """ArcFace's logits before scaling: cos(theta + m) for the face's own person.

    Deng et al., "ArcFace" (1801.07698), eq. 3. Where theta + m would pass pi, beyond
    which the cosine grows again, it is cos(theta) - m sin(m), as in the authors' code:
    the loss keeps pulling towards the person.

    Args:
        cosines: [B, C] float32, -1 to 1, as by `class_cosines`.
        labels: [B] int32, 0 to C - 1.
        margin: m, radians, 0 to pi; a number or [] float32.

    Returns:
        [B, C] float32.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank(cosines, 2, exception_type=ValueError)
    chex.assert_shape(labels, (len(cosines),), exception_type=ValueError)
    own = jnp.take_along_axis(cosines, labels[:, None], axis=1)  # [B, 1]
    margin = jnp.asarray(margin, jnp.float32).reshape(1, 1)
    sines = jnp.sqrt(jnp.maximum(1.0 - own**2, 1e-9))  # no infinite slope at 0 and pi
    added = own * jnp.cos(margin) - sines * jnp.sin(margin)
    moved = jnp.where(own > -jnp.cos(margin), added, own - margin * jnp.sin(margin))
    is_own = labels[:, None] == jnp.arange(cosines.shape[1], dtype=labels.dtype)[None]
    return jnp.where(is_own, moved, cosines)


def triplet_loss(
    embeddings: jax.Array,
    labels: jax.Array,
    *,
    margin: float = 0.2,
    mining: Mining = "semi_hard",
) -> jax.Array:
    """Triplet loss with negatives found in the batch, on embeddings scaled to length 1.

    Mean of max(0, d(a, p) - d(a, n) + margin) over triplets of an anchor, another face
    of that person and one of somebody else; d is the squared Euclidean distance, 0 to
    4. `semi_hard` (Schroff et al., "FaceNet", 1503.03832, section 3.2) takes every pair
    (a, p), and of the negatives farther than the positive the nearest, or the farthest
    of all where there is none; `hard` (Hermans et al., 1703.07737, "batch hard") takes
    every anchor with its farthest positive and nearest negative.

    Args:
        embeddings: [B, D] float32, of any length.
        labels: [B] int32.
        margin: alpha of the paper.
        mining: how triplets are chosen.

    Returns:
        [] float32; 0 where the batch holds no triplet.

    Raises:
        ValueError: if the shapes do not agree (when traced).
    """
    chex.assert_rank(embeddings, 2, exception_type=ValueError)
    chex.assert_shape(labels, (len(embeddings),), exception_type=ValueError)
    templates = unit(embeddings)
    distances = 2.0 - 2.0 * templates @ templates.T  # [B, B]
    same = labels[:, None] == labels[None]
    other = ~same
    positive = same & ~jnp.eye(len(labels), dtype=bool)
    if mining == "hard":
        farthest = jnp.where(positive, distances, -jnp.inf).max(axis=1)
        nearest = jnp.where(other, distances, jnp.inf).min(axis=1)
        there = positive.any(axis=1) & other.any(axis=1)
        return _mean_hinge(farthest, nearest, margin, there)
    farther = other[:, None] & (distances[:, None] > distances[:, :, None])  # [a, p, n]
    outside = jnp.where(farther, distances[:, None], jnp.inf).min(axis=2)
    inside = jnp.where(other, distances, -jnp.inf).max(axis=1, keepdims=True)
    negative = jnp.where(jnp.isfinite(outside), outside, inside)
    return _mean_hinge(distances, negative, margin, positive & other.any(1)[:, None])


def _mean_hinge(
    positive: jax.Array, negative: jax.Array, margin: float, there: jax.Array
) -> jax.Array:
    gap = jnp.where(there, positive, 0.0) - jnp.where(there, negative, 0.0)
    losses = jnp.where(there, jnp.maximum(gap + margin, 0.0), 0.0)
    return losses.sum() / jnp.maximum(there.sum(), 1).astype(jnp.float32)
