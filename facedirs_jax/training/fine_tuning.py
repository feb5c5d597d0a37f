"""Begins a training with a network that is there but has lost its classifier."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from facedirs_jax.blending import unit_range
from facedirs_jax.errors import InputError
from facedirs_jax.templates import embed

from . import normalisation, weights
from .backbone_step import BackboneState, with_weights
from .backbone_training import BackboneTraining
from .recipes import BackboneRecipe

_TEMPERATURES = 2.0 ** np.arange(-2, 11)
_CALIBRATED = 2000  # pictures
_FITTED = 512  # pictures that make normalisations anew


def of_network(
    training: BackboneTraining,
    network: Any,
    recipe: BackboneRecipe,
    crops: np.ndarray,
    identities: np.ndarray,
) -> BackboneState:
    """A beginning with a network's weights and a classifier made of people's templates.

    Args:
        training: that begins.
        network: of the recipe, with its weights.
        recipe: of the training.
        crops: [N, S, S, 3] uint8 RGB, what will be trained on.
        identities: [N] str or int, whose each is.

    Returns:
        BackboneState, arrays of any shape, whose optimiser has seen nothing.

    Raises:
        InputError: if the network is another one than is trained.
    """
    arrays = {n: np.asarray(a) for n, a in weights.arrays_of(network).items()}
    state, plain = training.state, training.task.plain
    for name, shape in weights.shapes_of(plain).items():
        if _shape(arrays.get(name)) != shape:
            raise InputError(
                f"the network to begin with has no {name} of shape {list(shape)}; "
                "begin with one of the same recipe"
            )
    learning = training.task.learning
    if arrays.keys() != weights.shapes_of(learning).keys():
        some = np.random.default_rng(0).permutation(len(crops))[:_FITTED]
        inputs = training.task.preprocess(unit_range(jnp.asarray(crops[np.sort(some)])))
        arrays = normalisation.unfolded(learning, arrays, inputs)
    begun = state._replace(
        network=weights.filled_state(state.network, arrays),
        stats=weights.filled_state(state.stats, arrays),
    )
    return of_others(training, begun, recipe, crops, identities)


def of_others(
    training: BackboneTraining,
    earlier: BackboneState,
    recipe: BackboneRecipe,
    crops: np.ndarray,
    identities: np.ndarray,
) -> BackboneState:
    """The same with the weights of a training on other people.

    Args:
        training: that begins.
        earlier: of the same network, arrays of any shape.
        recipe: of the training.
        crops: [N, S, S, 3] uint8 RGB, what will be trained on.
        identities: [N] str or int, whose each is.

    Returns:
        BackboneState whose optimiser has seen nothing.
    """
    network = training.network_of(earlier)
    head = mean_classifier(
        np.asarray(embed(network, recipe.preprocess(), crops)),
        identities,
        angular=recipe.loss == "arcface",
    )
    begun = earlier._replace(head=head)
    return with_weights(training.state, begun)


def mean_classifier(
    embeddings: np.ndarray, identities: np.ndarray, *, angular: bool
) -> dict[str, jnp.ndarray]:
    """The classifier that compares with the mean of each person's embeddings.

    With softmax that is Bayes' rule for people who are normally distributed around
    their means, alike in all directions (Bishop, "Pattern Recognition and Machine
    Learning", eq. 4.68 to 4.70), of embeddings that are standardised as the loss does.
    Their variance is the one of `_TEMPERATURES` times the measured one under which
    pictures, each compared with the mean of the person's others, are likeliest (Guo et
    al., "On calibration of modern neural networks", 1706.04599, section 4.2):
    dimensions depend on each other, and scores would be far too large without.

    Args:
        embeddings: [N, D] float32.
        identities: [N] str or int, C different ones; classes are in their order.
        angular: for arcface, which compares directions.

    Returns:
        `kernel` [D, C] float32, and `bias` [C] unless `angular`.

    Raises:
        InputError: if nobody has two pictures, so that nothing is known of how far
            pictures of one person lie apart.
    """
    _, labels, counts = np.unique(identities, return_inverse=True, return_counts=True)
    if angular:
        sums = _sums(embeddings, labels, len(counts))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return {"kernel": jnp.asarray((sums / lengths).T, jnp.float32)}
    if counts.max() < 2:
        raise InputError("nobody has two pictures to fine-tune with")
    spread = np.sqrt(embeddings.var(0) + 1e-5)
    x = ((embeddings - embeddings.mean(0)) / spread).astype(np.float32)
    means = _sums(x, labels, len(counts)) / counts[:, None]
    known = counts[labels] > 1
    variance = _variance(x[known], means, labels[known], counts[labels[known]])
    return {
        "kernel": jnp.asarray(means.T / variance, jnp.float32),
        "bias": jnp.asarray(-(means**2).sum(1) / (2 * variance), jnp.float32),
    }


def _sums(x: np.ndarray, labels: np.ndarray, people: int) -> np.ndarray:
    """Of the embeddings [N, D] of each person, [C, D]."""
    sums = np.zeros((people, x.shape[1]), np.float32)
    np.add.at(sums, labels, x)
    return sums


def _variance(
    x: np.ndarray, means: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> float:
    """Under which pictures [N, D] are likeliest; each person has `counts` [N] > 1."""
    chosen = np.random.default_rng(0).permutation(len(x))[:_CALIBRATED]
    x, labels, counts = x[chosen], labels[chosen], counts[chosen]
    rows = np.arange(len(x))
    apart = (means**2).sum(1)[None] - 2 * x @ means.T  # and |x|^2, which is all alike
    others = (counts[:, None] * means[labels] - x) / (counts - 1)[:, None]
    apart[rows, labels] = (others**2).sum(1) - 2 * (x * others).sum(1)
    measured = ((x - others) ** 2).mean()

    def loss(variance: float) -> float:
        scores = -apart / (2 * variance)
        return float((logsumexp(scores, axis=1) - scores[rows, labels]).mean())

    return min((measured * t for t in _TEMPERATURES), key=loss)


def _shape(array: Any) -> tuple[int, ...] | None:
    return None if array is None else tuple(array.shape)
