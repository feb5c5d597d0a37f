"""What a face-recognition network is trained to do, and how far a batch is from it."""

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from facedirs_jax.errors import InputError

from . import losses

Loss = Literal["softmax", "softmax_triplet", "arcface"]
LOSSES = get_args(Loss)


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a network is trained to do.

    Attributes:
        loss: "softmax" (cross-entropy over people), "softmax_triplet" (the same, and
            after `triplet_from` steps the triplet loss, as VGG-Face), or "arcface".
        people: C, number of people to tell apart.
        smoothing: of the labels, with softmax and arcface.
        dropout: share of the embedding that the classifier does not see.
        scale: arcface's s.
        margin: arcface's m, radians.
        margin_steps: in which m rises from 0: a new network cannot bear all of it.
        triplet_margin: alpha of the triplet loss.
        mining: of triplets.
        triplet_from: step at which triplets follow.

    Raises:
        InputError: if a field is out of its range.
    """

    loss: Loss
    people: int
    smoothing: float = 0.0
    dropout: float = 0.0
    scale: float = 32.0
    margin: float = 0.4
    margin_steps: int = 0
    triplet_margin: float = 0.2
    mining: losses.Mining = "semi_hard"
    triplet_from: int = 0

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise InputError(f"loss is one of {', '.join(LOSSES)}, not {self.loss!r}")
        if self.people < 2:
            raise InputError(
                f"{self.people} identities are there to train with; telling people "
                "apart takes 2 or more"
            )
        if not (0 <= self.smoothing < 1 and 0 <= self.dropout < 1):
            raise InputError(
                "smoothing and dropout lie within 0 and 1, got "
                f"{self.smoothing} and {self.dropout}"
            )


def loss_and_accuracy(
    key: jax.Array,
    embeddings: jax.Array,
    head: Mapping[str, jax.Array],
    labels: jax.Array,
    objective: Objective,
    step: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The objective on one batch.

    Args:
        key: of the dropout, consumed.
        embeddings: [B, D] float32.
        head: the classifier's `kernel` [D, C], and `bias` [C] unless it is arcface's.
        labels: [B] int32, 0 to C - 1.
        objective: which loss, and its settings.
        step: [] int32, steps done before this one.

    Returns:
        Loss and accuracy, [] float32 each.
    """
    seen = embeddings
    if objective.dropout:
        kept = jax.random.bernoulli(key, 1 - objective.dropout, embeddings.shape)
        seen = jnp.where(kept, embeddings / (1 - objective.dropout), 0.0)
    if objective.loss == "arcface":
        scores = losses.class_cosines(seen, head["kernel"])
        rising = objective.margin_steps
        grown = jnp.minimum((step + 1) / rising, 1.0) if rising else 1.0
        margin = objective.margin * grown
        logits = objective.scale * losses.add_angular_margin(scores, labels, margin)
    else:
        logits = scores = _standardised(seen) @ head["kernel"] + head["bias"][None]

    def softmax() -> jax.Array:
        smoothing = objective.smoothing
        return losses.softmax_cross_entropy(logits, labels, smoothing=smoothing).mean()

    def triplet() -> jax.Array:
        return losses.triplet_loss(
            embeddings,
            labels,
            margin=objective.triplet_margin,
            mining=objective.mining,
        )

    accuracy = (scores.argmax(axis=1) == labels).mean(dtype=jnp.float32)
    if objective.loss != "softmax_triplet":
        return softmax(), accuracy
    later = step >= objective.triplet_from
    return jax.lax.cond(later, triplet, softmax), accuracy


def _standardised(embeddings: jax.Array) -> jax.Array:
    """Embeddings [B, D] with mean 0 and variance 1 in each dimension of the batch.

    A classifier of embeddings that all point one way, as those after a ReLU do, hardly
    learns; batch normalisation before it mends that and belongs to the classifier, so
    that templates stay what the network gives (Luo et al., "BNNeck", 1903.07071).
    """
    mean = embeddings.mean(axis=0, keepdims=True)
    variance = ((embeddings - mean) ** 2).mean(axis=0, keepdims=True)
    return (embeddings - mean) * jax.lax.rsqrt(variance + 1e-5)
