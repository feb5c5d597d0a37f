"""What the skin's texture shows where: points of the base head, and random fields.

The texture covers `UV_WINDOW`; row 0 lies at the lowest v, column 0 at the lowest u.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.head_model import UV_WINDOW, load_head_model
from facedirs_jax.rendering.surface import SKIN, head_surface

SCALES = (1, 2)  # texels of scale 1 along a texel
FILL = 3  # texels by which the skin is continued beyond its edge

FIELD_STEPS = 31  # of a stored random field per standard deviation
CLOUDS = ((3, 0.16), (4, 0.045))  # number of fields and their blur, dm
GRAIN_SIDE = 512  # texels of scale 1, period of the grain
PORE_BLUR, SPOT_BLUR = 0.7, 1.2  # texels of scale 1
_VOLUME_SIDE, _VOLUME_BLUR = 48, 2.0  # voxels
_SEED = 20240


class Texels(NamedTuple):
    """Where each texel lies on the base head.

    Attributes:
        positions: [H, W, 3] float32, dm; beyond the skin, of its nearest texel.
        inside: [H, W] bool, whether the texel shows skin.
        painted: [H, 2] int32, first column and end of what a picture can show of a row.
        edge_distance: [H, W] float32, to the edge of the skin, texels of scale 1.
        edge_positions: [H, W, 3] float32, dm, of the nearest edge.
    """

    positions: np.ndarray
    inside: np.ndarray
    painted: np.ndarray
    edge_distance: np.ndarray
    edge_positions: np.ndarray


def texture_shape(scale: int) -> tuple[int, int]:
    """Height and width of the skin's texture.

    Raises:
        ValueError: if the scale is not 1 or 2.
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale}; it must be one of {SCALES}")
    height, width = load_head_model().masks["lips"].shape
    return height // scale, width // scale


@functools.cache
def head_texels(scale: int) -> Texels:
    """Texels of the head model that ships with the package.

    Args:
        scale: 1, or 2 for a texture of half the size.

    Returns:
        The texels.

    Raises:
        ValueError: for another scale.
    """
    shape = texture_shape(scale)
    surface = head_surface()
    skin = surface.materials == SKIN
    places = texel_places(surface.uvs[skin], shape)
    corners = surface.base[surface.triangles[skin]].astype(np.float64)
    positions = np.zeros((*shape, 3), np.float32)
    inside = np.zeros(shape, np.bool_)
    _rasterise(places, corners, positions, inside)
    outwards, nearest = _distances(~inside)
    positions = np.ascontiguousarray(positions[nearest])
    inwards, edge = _distances(inside)
    near = outwards <= FILL
    first = near.argmax(axis=1)
    end = shape[1] - near[:, ::-1].argmax(axis=1)
    end[~near.any(axis=1)] = 0
    return Texels(
        positions=positions,
        inside=inside,
        painted=np.stack([first, end], axis=1).astype(np.int32),
        edge_distance=(inwards * scale).astype(np.float32),
        edge_positions=positions[edge],
    )


def texel_places(uvs: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Texture coordinates -> column and row, where texel i reaches from i to i + 1.

    Args:
        uvs: [..., 2], u and v.
        shape: height and width of the texture.

    Returns:
        [..., 2] float64.
    """
    low_u, high_u, low_v, high_v = UV_WINDOW
    column = (uvs[..., 0].astype(np.float64) - low_u) / (high_u - low_u) * shape[1]
    row = (uvs[..., 1].astype(np.float64) - low_v) / (high_v - low_v) * shape[0]
    return np.stack([column, row], axis=-1)


def head_mask(name: str, scale: int) -> np.ndarray:
    """A mask of the head model at a scale: [H, W] float32 in [0, 1]."""
    mask = load_head_model().masks[name]
    if scale == 1:
        return mask
    return _shrink(mask, texture_shape(scale))


@functools.cache
def cloud_fields(scale: int) -> np.ndarray:
    """Smooth random fields over the head, alike on both sides of a texture's seam.

    Returns:
        [F, H, W] int8, normal deviates in `FIELD_STEPS`; the F fields are those of
        the first blur in `CLOUDS`, then those of the next.
    """
    rng = np.random.default_rng(_SEED)
    volume = ndimage.gaussian_filter(
        rng.standard_normal((_VOLUME_SIDE,) * 3), _VOLUME_BLUR, mode="wrap"
    )
    volume /= volume.std()
    positions = head_texels(scale).positions
    fields = []
    for count, blur in CLOUDS:
        shifts = rng.uniform(0, _VOLUME_SIDE, (count, 3))
        for k, shift in enumerate(shifts):
            turned = np.ascontiguousarray(np.roll(positions, k, axis=-1))
            fields.append(_sample(volume, turned, _VOLUME_BLUR / blur, shift))
    return _pack(np.stack(fields))


@functools.cache
def grain(scale: int) -> np.ndarray:
    """Fine random fields that repeat every [S, S] texels, S = `GRAIN_SIDE` / scale.

    Returns:
        [2, S, S + W] int8, normal deviates in `FIELD_STEPS` (of less spread at scale
        2, as a texel there is a mean): pores and spots. The last W columns repeat the
        first, so that W columns can be taken from anywhere.
    """
    rng = np.random.default_rng(_SEED + 1)
    side = GRAIN_SIDE // scale
    fields = []
    for blur in (PORE_BLUR, SPOT_BLUR):
        white = rng.standard_normal((GRAIN_SIDE, GRAIN_SIDE))
        smooth = ndimage.gaussian_filter(white, blur, mode="wrap")
        smooth /= smooth.std()
        fields.append(smooth.reshape(side, scale, side, scale).mean(axis=(1, 3)))
    fields = _pack(np.stack(fields))
    return np.concatenate([fields, fields[..., : texture_shape(scale)[1]]], axis=-1)


def _pack(field: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(field * FIELD_STEPS), -127, 127).astype(np.int8)


def _distances(inside: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """How far each texel inside is from the nearest outside, and that texel's place."""
    distance = np.empty(inside.shape)
    place = np.empty((2, *inside.shape), np.int32)
    ndimage.distance_transform_edt(
        inside, return_indices=True, distances=distance, indices=place
    )
    return distance, (place[0], place[1])


@njit()
def _rasterise(
    places: np.ndarray, corners: np.ndarray, values: np.ndarray, inside: np.ndarray
) -> None:
    """Interpolates corners [T, 3, 3] over triangles [T, 3, 2] of columns and rows."""
    height, width = inside.shape
    for t in range(len(places)):
        x0, y0 = places[t, 0]
        x1, y1 = places[t, 1]
        x2, y2 = places[t, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0:
            continue
        top = max(int(min(y0, y1, y2) - 0.5), 0)
        left = max(int(min(x0, x1, x2) - 0.5), 0)
        for row in range(top, min(int(max(y0, y1, y2)) + 1, height)):
            y = row + 0.5
            for column in range(left, min(int(max(x0, x1, x2)) + 1, width)):
                x = column + 0.5
                a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                c = 1.0 - a - b
                if a >= 0.0 and b >= 0.0 and c >= 0.0:
                    inside[row, column] = True
                    for k in range(3):
                        values[row, column, k] = (
                            a * corners[t, 0, k]
                            + b * corners[t, 1, k]
                            + c * corners[t, 2, k]
                        )


@njit()
def _shrink(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Samples a mask bilinearly at the middles of a coarser grid's texels."""
    height, width = mask.shape
    small = np.empty(shape, np.float32)
    for row in range(shape[0]):
        y = (row + 0.5) * height / shape[0] - 0.5
        j = min(int(y), height - 2)
        for column in range(shape[1]):
            x = (column + 0.5) * width / shape[1] - 0.5
            i = min(int(x), width - 2)
            low = mask[j, i] + (x - i) * (mask[j, i + 1] - mask[j, i])
            high = mask[j + 1, i] + (x - i) * (mask[j + 1, i + 1] - mask[j + 1, i])
            small[row, column] = low + (y - j) * (high - low)
    return small


@njit()
def _sample(
    volume: np.ndarray, positions: np.ndarray, voxels: float, shift: np.ndarray
) -> np.ndarray:
    """Values of a periodic volume at positions times `voxels` plus a shift."""
    height, width, _ = positions.shape
    side = len(volume)
    found = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            # Whole periods more, so that cutting a fraction off rounds down.
            x = positions[row, column, 0] * voxels + shift[0] + 8 * side
            y = positions[row, column, 1] * voxels + shift[1] + 8 * side
            z = positions[row, column, 2] * voxels + shift[2] + 8 * side
            i, j, k = int(x), int(y), int(z)
            near = _sample_plane(volume[i % side], j, k, y - j, z - k)
            far = _sample_plane(volume[(i + 1) % side], j, k, y - j, z - k)
            found[row, column] = near + (x - i) * (far - near)
    return found


@njit(inline="always")
def _sample_plane(
    plane: np.ndarray, j: int, k: int, down: float, along: float
) -> float:
    side = len(plane)
    j0, j1, k0, k1 = j % side, (j + 1) % side, k % side, (k + 1) % side
    low = plane[j0, k0] + along * (plane[j0, k1] - plane[j0, k0])
    high = plane[j1, k0] + along * (plane[j1, k1] - plane[j1, k0])
    return low + down * (high - low)
