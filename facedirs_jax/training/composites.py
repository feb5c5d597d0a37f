"""New faces for training out of few: each region of a face from another person.

A decoder of a network that was trained on real people needs more faces than a folder of
portraits has. A composite is one person's photo with nose, eyes and lower face, each
with probability `SHARE`, pasted from other people, recoloured to fit (region blends of
Plesh et al. 2024, section 3.2, several at once).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.blending import blend, unit_range
from facedirs_jax.errors import InputError
from facedirs_jax.progress import Progress
from facedirs_jax.regions import REGIONS, region_masks

SHARE = 2 / 3  # of the regions that come from somebody else
_CHUNK = 64  # composites made at once


def draw_donors(groups: np.ndarray, people: np.ndarray, *, count: int, seed: int = 0):
    """Draws whose face each composite is, and who gives each of its regions.

    Args:
        groups: [N] str or int; a region comes from a face of the same group, such as a
            set of photos under one light.
        people: [N] str or int, whose each face is; regions come from other people.
        count: C, of composites.
        seed: of the draws.

    Returns:
        [C, 1 + R] int rows of faces: the face, then the donor of each of `REGIONS`; a
        region that is left as it is has the face itself.

    Raises:
        InputError: if a group shows one person only.
    """
    draws = np.random.default_rng(seed)
    faces = draws.integers(len(groups), size=count)
    own = draws.random((count, len(REGIONS))) >= SHARE
    picked = draws.random((count, len(REGIONS)))
    donors = np.empty((count, len(REGIONS)), int)
    for face in np.unique(faces):
        others = np.flatnonzero((groups == groups[face]) & (people != people[face]))
        if not len(others):
            raise InputError(
                f"composites need two people of a kind; {people[face]} is alone in "
                "their folder"
            )
        of_face = faces == face
        donors[of_face] = others[(picked[of_face] * len(others)).astype(int)]
    donors = np.where(own, faces[:, None], donors)
    return np.concatenate([faces[:, None], donors], axis=1)


def composites(
    crops: np.ndarray, landmarks: np.ndarray, donors: np.ndarray
) -> np.ndarray:
    """Makes composites.

    Args:
        crops: [N, S, S, 3] uint8 RGB.
        landmarks: [N, 68, 2] float32, (x, y) in px of the crop.
        donors: [C, 1 + R] int, of `draw_donors`.

    Returns:
        [C, S, S, 3] uint8 RGB.

    Raises:
        ValueError: if the shapes do not agree.
    """
    chex.assert_shape(donors, (None, 1 + len(REGIONS)), exception_type=ValueError)
    side = crops.shape[1]
    masks = np.stack(
        [region_masks(landmarks, region, side=side) for region in REGIONS.values()],
        axis=1,
    )  # [N, R, S, S]
    made = np.empty((len(donors), *crops.shape[1:]), np.uint8)
    with Progress("composites", total=len(donors), unit="face") as progress:
        for start in range(0, len(donors), _CHUNK):
            some = donors[start : start + _CHUNK]
            padded = np.resize(some, (_CHUNK, some.shape[1]))
            done = _pasted_all(crops[padded], masks[padded[:, 0]])
            made[start : start + len(some)] = np.asarray(done)[: len(some)]
            progress.advance_to(start + len(some))
    return made


def _pasted(crops: jax.Array, masks: jax.Array) -> jax.Array:
    """One composite, [S, S, 3] uint8, of [1 + R, S, S, 3] uint8 and [R, S, S]."""
    face, *others = unit_range(crops)
    for donor, mask in zip(others, masks, strict=True):
        face = blend(face, donor, mask, color_transfer="lab")
    return jnp.round(255.0 * jnp.clip(face, 0.0, 1.0)).astype(jnp.uint8)


_pasted_all = jax.jit(jax.vmap(_pasted))
