"""Targeted facial-region blending: the region of one face pasted into another.

Everything is written for one pair of aligned faces, [S, S, 3] float32 RGB in [0, 1]
(sRGB), and vmapped over pairs by `blend_pairs`.
"""

from collections.abc import Sequence
from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

ColorTransfer = Literal["none", "lab"]

# Linear sRGB to CIE XYZ as a share of the D65 white point (IEC 61966-2-1).
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_RGB_TO_XYZ = _RGB_TO_XYZ / _RGB_TO_XYZ.sum(axis=1, keepdims=True)
_XYZ_TO_RGB = np.linalg.inv(_RGB_TO_XYZ)
_MAX_SPREAD_RATIO = 2.0  # a flat donor's noise is not stretched beyond this


def blend(
    face: jax.Array,
    donor: jax.Array,
    mask: jax.Array,
    *,
    color_transfer: ColorTransfer = "none",
) -> jax.Array:
    """Pastes the donor's region into the face: face + mask * (donor - face).

    Where the mask is 0 the result equals the face bit for bit (Plesh et al. 2024,
    section 3.2).

    Args:
        face: [S, S, 3] float32 in [0, 1], the face donor.
        donor: [S, S, 3] float32 in [0, 1], the region donor.
        mask: [S, S] float32 in [0, 1], the weight of the region donor.
        color_transfer: "none" is the paper; "lab" first gives the donor the mean and
            spread that the face has around the region (`match_surroundings`).

    Returns:
        [S, S, 3] float32 in [0, 1].

    Raises:
        ValueError: if the shapes do not agree, a dtype is not of floats (uint8 would
            wrap around), or color_transfer is unknown.
    """
    chex.assert_shape(face, (None, None, 3), exception_type=ValueError)
    chex.assert_equal_shape([face, donor], exception_type=ValueError)
    chex.assert_shape(mask, face.shape[:2], exception_type=ValueError)
    chex.assert_type([face, donor, mask], float, exception_type=ValueError)
    if color_transfer not in ("none", "lab"):
        raise ValueError(f"color_transfer must be none or lab, got {color_transfer!r}")
    if color_transfer == "lab":
        donor = match_surroundings(donor, face, mask)
    return face + mask[:, :, None] * (donor - face)


def blend_pairs(
    crops: jax.Array,
    masks: jax.Array,
    pairs: jax.Array | Sequence[Sequence[int]],
    *,
    color_transfer: ColorTransfer = "none",
) -> jax.Array:
    """Blends many pairs of resident faces.

    Args:
        crops: [N, S, S, 3] uint8 aligned faces.
        masks: [N, S, S] float32 in [0, 1], the region of each face.
        pairs: [B, 2] int32, (face donor, region donor), rows of crops. The face donor's
            mask is used.
        color_transfer: see `blend`.

    Returns:
        [B, S, S, 3] float32 in [0, 1].

    Raises:
        ValueError: if crops are not uint8 or the shapes do not agree.
    """
    pairs = jnp.asarray(pairs)
    chex.assert_shape(crops, (*masks.shape, 3), exception_type=ValueError)
    chex.assert_shape(pairs, (None, 2), exception_type=ValueError)
    if crops.dtype != jnp.uint8:
        raise ValueError(f"crops must be uint8, got {crops.dtype}")

    def one(pair: jax.Array) -> jax.Array:
        face, donor = unit_range(crops[pair[0]]), unit_range(crops[pair[1]])
        return blend(face, donor, masks[pair[0]], color_transfer=color_transfer)

    return jax.vmap(one)(pairs)


def blend_windows(
    crops: jax.Array,
    mask: jax.Array,
    face: jax.Array,
    donors: jax.Array,
    place: tuple[jax.Array, jax.Array],
    window: tuple[int, int],
    *,
    color_transfer: ColorTransfer = "none",
) -> jax.Array:
    """The same for one face donor, and only where its mask reaches.

    Args:
        crops: [N, S, S, 3] uint8 aligned faces.
        mask: [S, S] float32 in [0, 1], the face donor's, 0 outside of the window.
        face: [] int32, row of the face donor.
        donors: [B] int32, rows of the region donors.
        place: first row and column of the window, [] int32 each.
        window: its rows and columns, h and w.
        color_transfer: see `blend`.

    Returns:
        [B, h, w, 3] float32 in [0, 1]: that part of each blend.
    """

    def cut(image: jax.Array) -> jax.Array:
        sizes = (*window, *image.shape[2:])
        return jax.lax.dynamic_slice(image, (*place, 0)[: image.ndim], sizes)

    face_window, mask_window = unit_range(cut(crops[face])), cut(mask)

    def one(donor: jax.Array) -> jax.Array:
        return blend(
            face_window,
            unit_range(cut(crops[donor])),
            mask_window,
            color_transfer=color_transfer,
        )

    return jax.vmap(one)(donors)


def unit_range(image: jax.Array) -> jax.Array:
    """Turns uint8 values 0..255 into float32 in [0, 1]; any shape."""
    return image.astype(jnp.float32) / 255.0


def match_surroundings(donor: jax.Array, face: jax.Array, mask: jax.Array) -> jax.Array:
    """Gives the donor the colours that the face has around the region.

    Mean and spread of L*, a* and b* are matched over the seam, where pixels are weighed
    by mask * (1 - mask) (Reinhard et al. 2001, in CIELAB). Spreads change by a factor
    of 2 at most; without a seam, nothing changes.

    Args:
        donor: [S, S, 3] float32 in [0, 1].
        face: [S, S, 3] float32 in [0, 1].
        mask: [S, S] float32 in [0, 1] with a soft edge.

    Returns:
        [S, S, 3] float32 in [0, 1], the donor recoloured.
    """
    seam = mask * (1.0 - mask)
    total = seam.sum()
    seam = seam / jnp.where(total > 0, total, 1.0)
    donor_lab, face_lab = rgb_to_lab(donor), rgb_to_lab(face)
    donor_mean, donor_spread = _weighed_moments(donor_lab, seam)
    face_mean, face_spread = _weighed_moments(face_lab, seam)
    ratio = face_spread / jnp.maximum(donor_spread, 1e-3)
    ratio = jnp.clip(ratio, 1.0 / _MAX_SPREAD_RATIO, _MAX_SPREAD_RATIO)
    matched = lab_to_rgb((donor_lab - donor_mean) * ratio + face_mean)
    return jnp.where(total > 0, matched, donor)


def _weighed_moments(image: jax.Array, weight: jax.Array) -> tuple[jax.Array, ...]:
    """Weighed mean and standard deviation of each channel, both [1, 1, 3]."""
    weight = weight[:, :, None]
    mean = (weight * image).sum(axis=(0, 1), keepdims=True)
    variance = (weight * (image - mean) ** 2).sum(axis=(0, 1), keepdims=True)
    return mean, jnp.sqrt(variance)


def rgb_to_lab(image: jax.Array) -> jax.Array:
    """Converts sRGB to CIELAB under D65.

    Args:
        image: [..., 3] float32 in [0, 1].

    Returns:
        [..., 3] float32, L* in [0, 100], a* and b* in about [-110, 110].
    """
    linear = jnp.where(
        image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4
    )
    xyz = _mix(linear, _RGB_TO_XYZ)
    f = jnp.where(
        xyz > (6 / 29) ** 3, jnp.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29
    )
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: jax.Array) -> jax.Array:
    """Converts CIELAB under D65 to sRGB, clipped to the gamut; undoes `rgb_to_lab`.

    Args:
        lab: [..., 3] float32.

    Returns:
        [..., 3] float32 in [0, 1].
    """
    y = (lab[..., 0] + 16) / 116
    f = jnp.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = jnp.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear = jnp.clip(_mix(xyz, _XYZ_TO_RGB), 0.0, 1.0)
    encoded = 1.055 * jnp.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    return jnp.where(linear <= 0.0031308, 12.92 * linear, encoded)


def _mix(image: jax.Array, matrix: np.ndarray) -> jax.Array:
    """Mixes the last axis by a [3, 3] matrix, in full float32 on every device."""
    weights = jnp.asarray(matrix, jnp.float32)
    return jnp.matmul(image, weights.T, precision=jax.lax.Precision.HIGHEST)
