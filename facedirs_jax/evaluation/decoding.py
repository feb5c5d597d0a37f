"""How like their originals decoded faces are: to the eye, and to the network.

Pictures are [N, S, S, 3] float32 RGB in [0, 1]. A decoder is worth something only where
it beats pictures that know less: the mean face of its training, and the training face
nearest to the template.
"""

from collections.abc import Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.errors import InputError

from .bootstrap import (
    RESAMPLES,
    Estimate,
    estimate,
    identity_weights,
    sums_by_identity,
)
from .image_quality import psnr, ssim

_CHUNK = 512  # templates that are compared with all others at once


class Likeness(NamedTuple):
    """How like some pictures are to the faces that they stand for.

    Attributes:
        psnr: mean peak signal-to-noise ratio, dB.
        ssim: mean structural similarity, 1 at most.
        cosine: mean cosine of the picture's template to that of the face, -1 to 1.
        centred_cosine: the same after the mean template of training is taken off both.
        distance: mean Euclidean distance of the picture's template to that of the face,
            in the network's own unit; the less, the more like.
        rank1: share of pictures of gallery faces whose nearest gallery face, by the
            cosine of templates, is their own; a gallery has one face of each person.
        rank1_other: share of pictures of the other faces whose nearest gallery face is
            of the same person: NaN where there are no others.
    """

    psnr: Estimate
    ssim: Estimate
    cosine: Estimate
    centred_cosine: Estimate
    distance: Estimate
    rank1: Estimate
    rank1_other: Estimate


class Pictures(NamedTuple):
    """Pictures that stand for N faces.

    Attributes:
        images: [N, S, S, 3] float32 RGB in [0, 1].
        templates: [N, D] float32, what the network gives for these pictures.
    """

    images: np.ndarray
    templates: np.ndarray


class Originals(NamedTuple):
    """The N faces themselves.

    Attributes:
        images: [N, S, S, 3] float32 RGB in [0, 1].
        templates: [N, D] float32, what was decoded.
        identities: [N] str or int, whose each is.
    """

    images: np.ndarray
    templates: np.ndarray
    identities: np.ndarray


class DecodingReport(NamedTuple):
    """Decodes of faces, and what they are worth.

    Attributes:
        faces: N.
        identities: people in them, who are resampled for the intervals.
        decodes: likeness of the decodes.
        baselines: that of each baseline, by its name.
        gains: likeness of the decodes less that of each baseline, on the same people:
            an interval above 0, of `distance` one below, tells that decodes are better.
    """

    faces: int
    identities: int
    decodes: Likeness
    baselines: dict[str, Likeness]
    gains: dict[str, Likeness]


@jax.jit
def cosines(first: jax.Array, second: jax.Array) -> jax.Array:
    """Cosine of each row to the same row of another array.

    Args:
        first: [N, D] float32.
        second: [N, D] float32.

    Returns:
        [N] float32; 0 where a row is zero.

    Raises:
        ValueError: if the shapes differ (when traced).
    """
    chex.assert_rank(first, 2, exception_type=ValueError)
    chex.assert_equal_shape([first, second], exception_type=ValueError)
    return jnp.sum(_unit(first) * _unit(second), axis=1)


def _unit(vectors: jax.Array) -> jax.Array:
    norms = jnp.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / jnp.where(norms > 0, norms, 1.0)


@jax.jit
def nearest_rows(templates: jax.Array, others: jax.Array) -> jax.Array:
    """The nearest of other templates to each one, by Euclidean distance.

    Args:
        templates: [N, D] float32.
        others: [M, D] float32.

    Returns:
        [N] int32 rows of `others`; the first of equals.

    Raises:
        ValueError: if they have different dimensions (when traced).
    """
    chex.assert_shape(others, (None, templates.shape[1]), exception_type=ValueError)
    lengths = (others**2).sum(axis=1)

    def nearest(template: jax.Array) -> jax.Array:
        products = jnp.matmul(others, template, precision="highest")
        return jnp.argmin(lengths - 2 * products).astype(jnp.int32)

    return jax.lax.map(nearest, templates, batch_size=_CHUNK)


def likeness_of_each(
    faces: Originals, pictures: Pictures, *, centre: np.ndarray
) -> dict[str, np.ndarray]:
    """The numbers of `Likeness` for every face.

    Args:
        faces: N faces; the first one of each person makes the gallery.
        pictures: that stand for them.
        centre: [D] float32, mean template of training.

    Returns:
        By the fields of `Likeness`: [N] float64, NaN for faces that a rank leaves out.

    Raises:
        InputError: if a picture or a template is not finite.
        ValueError: if the shapes do not agree.
    """
    chex.assert_equal_shape([faces.templates, pictures.templates])
    for name, array in (("picture", pictures.images), ("template", pictures.templates)):
        if not np.isfinite(array).all():
            raise InputError(f"a decoded {name} is not finite; train with a lower rate")
    centre = centre[None].astype(np.float32)
    shifted = faces.templates - centre, pictures.templates - centre
    _, gallery = np.unique(faces.identities, return_index=True)
    gallery = np.sort(gallery)
    unit = _unit(jnp.asarray(pictures.templates))
    found = nearest_rows(unit, _unit(jnp.asarray(faces.templates[gallery])))
    nearest = faces.identities[gallery][np.asarray(found)]
    hits = (nearest == faces.identities).astype(np.float64)
    own = np.isin(np.arange(len(hits)), gallery)
    measured = {
        "psnr": psnr(faces.images, pictures.images),
        "ssim": ssim(faces.images, pictures.images),
        "cosine": cosines(faces.templates, pictures.templates),
        "centred_cosine": cosines(*shifted),
        "distance": np.linalg.norm(faces.templates - pictures.templates, axis=1),
        "rank1": np.where(own, hits, np.nan),
        "rank1_other": np.where(own, np.nan, hits),
    }
    return {name: np.asarray(array, np.float64) for name, array in measured.items()}


def measure_decodes(
    faces: Originals,
    decodes: Pictures,
    *,
    baselines: Mapping[str, Pictures],
    centre: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> DecodingReport:
    """Compares decodes with their originals, and with baselines, with intervals.

    Args:
        faces: N faces of people that were not trained on.
        decodes: what their templates were decoded to.
        baselines: other pictures that stand for them, by name.
        centre: [D] float32, mean template of training.
        resamples: draws of people.
        seed: of the draws.

    Returns:
        DecodingReport.

    Raises:
        InputError: if there are fewer than 2 people, or something is not finite.
        ValueError: if the shapes do not agree.
    """
    names, numbers = np.unique(faces.identities, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"decodes of {len(names)} people cannot be told apart; give 2 people or "
            "more that are held out"
        )
    draws = identity_weights(len(names), resamples=resamples, seed=seed)
    ours = likeness_of_each(faces, decodes, centre=centre)
    theirs = {
        name: likeness_of_each(faces, pictures, centre=centre)
        for name, pictures in baselines.items()
    }

    def summed(values: Mapping[str, np.ndarray]) -> Likeness:
        return Likeness(**{n: _mean(v, numbers, draws) for n, v in values.items()})

    gains = {
        name: {field: ours[field] - values[field] for field in ours}
        for name, values in theirs.items()
    }
    return DecodingReport(
        faces=len(numbers),
        identities=len(names),
        decodes=summed(ours),
        baselines={name: summed(values) for name, values in theirs.items()},
        gains={name: summed(values) for name, values in gains.items()},
    )


def _mean(values: np.ndarray, numbers: np.ndarray, draws: np.ndarray) -> Estimate:
    """Mean of what is not NaN, over faces, and its interval over people."""
    there = ~np.isnan(values)
    if not there.any():
        return Estimate(np.nan, np.nan, np.nan)
    columns = np.stack([np.where(there, values, 0.0), there], axis=1)
    sums, counts = sums_by_identity(numbers, columns).T
    drawn = draws @ counts
    replicates = np.divide(
        draws @ sums, drawn, out=np.full(len(draws), np.nan), where=drawn > 0
    )
    return estimate(values[there].mean(), replicates)
