"""Centroids of classes, and how far their distances are wrong when people are drawn."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.labelled import sums_by_code
from facedirs_jax.evaluation.bootstrap import identity_weights
from facedirs_jax.manifold import Metric

# Fewer leave p-values near 0.025 wrong by a third, and alike in all that is judged.
DRAWS = 1000


class DrawnCentroids(NamedTuple):
    """K centroids and what R draws of people do to their distances.

    If a and b lie d apart, u the unit vector between them, and a draw's errors are e,
    the squared distance comes out as |d u + e_a - e_b|^2 = d^2 + 2 d u.(e_a - e_b) +
    |e_a - e_b|^2. On the sphere, these are distances through it.

    Where all centroids are truly the same, what is seen of their distances is noise
    alone. Drawing few people again gives it a longer tail than it has; so it is made
    by turning the sign of each person's deviations or not, at random.

    Attributes:
        squared: [K, K], as they are.
        along: [R, K, K], u.(e_a - e_b).
        noise: [R, K, K], |e_a - e_b|^2.
        signed: [R, K, K], |e_a - e_b|^2 of signs instead of draws.
        metric: of what goes in and out.
    """

    squared: np.ndarray
    along: np.ndarray
    noise: np.ndarray
    signed: np.ndarray
    metric: Metric

    @property
    def seen(self) -> np.ndarray:
        """[K, K] distances as they are."""
        return self._told(self.squared)

    @property
    def true(self) -> np.ndarray:
        """[K, K] distances without what the noise adds to them."""
        return self._told(self.squared - self.noise.mean(axis=0))

    @property
    def noise_alone(self) -> np.ndarray:
        """[R, K, K] distances that would be seen if all centroids were the same."""
        return self._told(self.signed)

    def drawn(self, lengths: np.ndarray, *, excess: bool = True) -> np.ndarray:
        """[R, K, K] distances that would be seen if [K, K] `lengths` were true.

        Without `excess`, without what the noise adds to them on average.
        """
        straight = 2 * np.sin(lengths / 2) if self.metric == "angular" else lengths
        moved = straight[None] ** 2 + 2 * straight[None] * self.along + self.noise
        return self._told(moved if excess else moved - self.noise.mean(axis=0))

    def _told(self, squared: np.ndarray) -> np.ndarray:
        straight = np.sqrt(np.maximum(squared, 0.0))
        if self.metric == "euclidean":
            return straight
        return 2 * np.arcsin(np.minimum(straight / 2, 1.0))


def people_counts(places: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Counts the people of each class.

    Args:
        places: [N] int, 0 to K - 1, the class of each template.
        identities: [N], whose each is.

    Returns:
        [K] int.
    """
    return _presence(places, identities).sum(axis=0).astype(int)


def _presence(places: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """[people, K] float64, 1 where a person is in a class."""
    people, codes = np.unique(identities, return_inverse=True)
    present = np.zeros((len(people), places.max() + 1))
    present[codes, places] = 1
    return present


def draw_centroids(
    templates: jax.Array,
    places: np.ndarray,
    identities: np.ndarray,
    *,
    metric: Metric = "euclidean",
    draws: int = DRAWS,
    seed: int = 0,
) -> DrawnCentroids:
    """Finds centroids, and their errors by drawing people with replacement.

    All templates of a person are drawn together, so that what makes a person's
    centroids err alike does not count. The errors of drawn means are too small by
    1 - 1 / people; that is undone. Draws that leave a class empty are left out.

    Args:
        templates: [N, D] float32.
        places: [N] int, 0 to K - 1, the class of each.
        identities: [N], whose each is; at least 2 in each class.
        metric: of distances, see `manifold.distances`.
        draws: R at most.
        seed: of the draws.

    Returns:
        DrawnCentroids of [K, K] distances.
    """
    present = _presence(places, identities)
    counts = present.sum(axis=0)
    weights = identity_weights(len(present), resamples=draws, seed=seed)
    weights = weights[(weights @ present > 0).all(axis=1)]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=weights.shape)
    codes = np.unique(identities, return_inverse=True)[1]
    found = _draw(
        *(templates, jnp.asarray(places, jnp.int32), jnp.asarray(codes, jnp.int32)),
        *(jnp.asarray(weights, jnp.float32), jnp.asarray(signs, jnp.float32)),
        jnp.asarray(np.sqrt(counts / (counts - 1)), jnp.float32),
        metric == "angular",
    )
    parts = (np.asarray(part, np.float64) for part in found)
    squared, along, noise, signed = parts
    return DrawnCentroids(squared, along, noise, signed, metric)


@functools.partial(jax.jit, static_argnums=6)
def _draw(
    templates: jax.Array,
    places: jax.Array,
    codes: jax.Array,
    weights: jax.Array,
    signs: jax.Array,
    widen: jax.Array,
    on_sphere: bool,
) -> tuple[jax.Array, ...]:
    """Squared distances [K, K]; `along`, `noise` and `signed` [R, K, K]."""
    if not on_sphere:
        templates = _centred(templates)

    def means(rows: jax.Array, weight: jax.Array) -> jax.Array:
        sums = sums_by_code(weight[:, None] * rows, places, len(widen))
        return sums / sums_by_code(jnp.abs(weight[:, None]), places, len(widen))

    with jax.default_matmul_precision("highest"):
        middle = means(templates, jnp.ones(len(codes)))
        whole = _projected(middle, on_sphere)
        squared = _squared(whole)
        lengths = jnp.sqrt(jnp.where(squared > 0, squared, 1.0))

        def drawn(weight: jax.Array) -> tuple[jax.Array, jax.Array]:
            again = _projected(means(templates, weight[codes]), on_sphere)
            error = widen[:, None] * (again - whole)
            cross = error @ whole.T
            own = jnp.diagonal(cross)
            along = own[:, None] + own[None, :] - cross - cross.T
            return along / lengths, _squared(_centred(error))

        def signed(sign: jax.Array) -> jax.Array:
            error = means(templates - middle[places], sign[codes])
            error = widen[:, None] * (_projected(middle + error, on_sphere) - whole)
            return _squared(_centred(error))

        along, noise = jax.lax.map(drawn, weights)
        return squared, along, noise, jax.lax.map(signed, signs)


def _projected(means: jax.Array, on_sphere: bool) -> jax.Array:
    """Centred, since only differences count."""
    if on_sphere:
        means = means / jnp.linalg.norm(means, axis=1, keepdims=True)
    return _centred(means)


def _centred(rows: jax.Array) -> jax.Array:
    return rows - rows.mean(axis=0, keepdims=True)


def _squared(rows: jax.Array) -> jax.Array:
    """Squared distances of centred rows, [K, K]."""
    products = rows @ rows.T
    own = jnp.diagonal(products)
    return jnp.maximum(own[:, None] + own[None, :] - 2 * products, 0.0)
