"""Facial regions: landmarks -> soft masks.

A region is the union of convex hulls of landmarks, in 0-based iBUG numbering: 0-16 jaw,
17-21 and 22-26 brows, 27-35 nose, 36-41 and 42-47 eyes, 48-67 mouth.

A mask weighs the region donor: 1 well inside the region, falling off as a Gaussian of
standard deviation s = feather * side, and exactly 0 farther than `SUPPORT` * s from
the hulls, so that a blend leaves every pixel out there as it was.
"""

import os
import pathlib
import tomllib
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.errors import InputError

FEATHER = 0.03  # standard deviation of the feathered edge, as a share of the crop side
SUPPORT = 4.0  # reach of a mask beyond its hulls, in standard deviations
_TAIL = 3.0  # where the Gaussian is cut, in standard deviations
_ANGLES = 720  # off a corner, a distance is short by 1 - cos(pi / 720) = 1e-5 at most


class Region(NamedTuple):
    """A part of the face.

    Attributes:
        name: what tables, files and figures call it.
        hulls: landmark numbers (0-67), one tuple for each convex hull; the region is
            their union.
    """

    name: str
    hulls: tuple[tuple[int, ...], ...]


# The sets are not given in the paper. Eyes include the brows, since its eye components
# are about them; the lower face reaches from the nose base to the jaw.
REGIONS: dict[str, Region] = {
    "nose": Region("nose", (tuple(range(27, 36)),)),
    "eyes": Region("eyes", ((*range(17, 27), *range(36, 48)),)),
    "lower_face": Region("lower_face", ((*range(3, 14), *range(48, 68)),)),
}


def region_mask(
    landmarks: jax.Array, region: Region, *, side: int, feather: float = FEATHER
) -> jax.Array:
    """Weighs each pixel of a crop by how much of it the region donor gives.

    With d the signed distance in px to the region's hulls (negative inside) and
    s = feather * side, the weight is Phi(1 - d/s), cut to [-3, 3] and rescaled to
    [0, 1]: the region grown by s and blurred by a Gaussian of standard deviation s.

    Args:
        landmarks: [68, 2] float32, (x, y) in px of the crop.
        region: the landmarks that bound it.
        side: width and height of the crop, px.
        feather: s as a share of the side, above 0.

    Returns:
        [side, side] float32 in [0, 1]; exactly 0 where d >= SUPPORT * s.

    Raises:
        ValueError: if landmarks are not [68, 2], feather is not above 0, or the region
            has no landmarks or others than 0-67.
    """
    chex.assert_shape(landmarks, (68, 2), exception_type=ValueError)
    numbers = {number for hull in region.hulls for number in hull}
    if not numbers or not numbers.issubset(range(68)):
        raise ValueError(f"a region needs landmarks from 0 to 67, got {region}")
    if not feather > 0:
        raise ValueError(f"feather must be above 0, got {feather}")
    distance = _distance_to_hulls(landmarks, region, side)  # [side, side]
    z = 1.0 - distance / (feather * side)
    low, high = jax.scipy.stats.norm.cdf(jnp.array([-_TAIL, _TAIL]))
    weight = (jax.scipy.stats.norm.cdf(z) - low) / (high - low)
    return jnp.where(z <= 1.0 - SUPPORT, 0.0, jnp.clip(weight, 0.0, 1.0))


def _distance_to_hulls(landmarks: jax.Array, region: Region, side: int) -> jax.Array:
    """Signed distance in px of each pixel to the nearest hull, [side, side]."""
    hulls = [
        _distance_to_hull(landmarks[np.array(hull), :], side) for hull in region.hulls
    ]
    return jnp.min(jnp.stack(hulls), axis=0)


def _distance_to_hull(points: jax.Array, side: int) -> jax.Array:
    """Signed distance to a convex hull: max over directions u of u.p - max_i u.x_i.

    The directions are those normal to any chord, so that every edge is met exactly, and
    a full turn of others for the corners.
    """
    pixels = jnp.arange(side, dtype=jnp.float32)
    x, y = points[:, 0], points[:, 1]
    normals = jnp.arctan2(x[:, None] - x[None, :], y[None, :] - y[:, None])  # [P, P]
    turn = jnp.arange(_ANGLES, dtype=jnp.float32) * (2.0 * np.pi / _ANGLES)
    angles = jnp.concatenate([turn, normals.ravel()])

    def beyond(farthest: jax.Array, angle: jax.Array) -> tuple[jax.Array, None]:
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        edge = jnp.max(x * cos + y * sin)
        here = (pixels * cos)[None, :] + (pixels * sin)[:, None] - edge
        return jnp.maximum(farthest, here), None

    start = jnp.full((side, side), -jnp.inf)
    return jax.lax.scan(beyond, start, angles)[0]


def region_masks(
    landmarks: np.ndarray, region: Region, *, side: int, feather: float = FEATHER
) -> jax.Array:
    """Masks of one region for many faces, jitted; see `region_mask`.

    Args:
        landmarks: [N, 68, 2] float32, (x, y) in px of the crop.
        region: the region.
        side: of the crops, px.
        feather: softness of the edge, as a share of the side.

    Returns:
        [N, side, side] float32 in [0, 1].

    Raises:
        ValueError: if landmarks are not [N, 68, 2], or for what `region_mask` refuses.
    """
    if np.ndim(landmarks) != 3:
        raise ValueError(f"landmarks must be [N, 68, 2], got {np.shape(landmarks)}")
    return _region_masks(jnp.asarray(landmarks, jnp.float32), region, side, feather)


def _region_masks_of(
    landmarks: jax.Array, region: Region, side: int, feather: float
) -> jax.Array:
    def one(points: jax.Array) -> jax.Array:
        return region_mask(points, region, side=side, feather=feather)

    return jax.lax.map(one, landmarks, batch_size=64)


_region_masks = jax.jit(_region_masks_of, static_argnums=(1, 2, 3))


def find_region(region: str | Region) -> Region:
    """Looks up a region by name; gives a `Region` back as it is.

    Args:
        region: a key of `REGIONS`, or a region.

    Returns:
        Region with landmark numbers 0-67.

    Raises:
        InputError: if the name is unknown.
    """
    return region if isinstance(region, Region) else _look_up(region, REGIONS)


def _look_up(name: str, known: dict[str, Region]) -> Region:
    if name not in known:
        raise InputError(f"unknown region {name!r}; known: {', '.join(known)}")
    return known[name]


def choose_regions(
    names: Sequence[str], path: str | os.PathLike[str] | None
) -> dict[str, Region]:
    """Regions by name: built-in ones, and those of a file, which come first.

    Args:
        names: which; none for all of the file, or all of `REGIONS` without one.
        path: TOML file of regions with landmark numbers 0-67, or None.

    Returns:
        Regions by name, in the order asked for.

    Raises:
        InputError: if a name is in neither, or the file is not right.
    """
    own = load_regions(path) if path else {}
    return {name: _look_up(name, REGIONS | own) for name in names or own or REGIONS}


def load_regions(path: str | os.PathLike[str]) -> dict[str, Region]:
    """Reads a user's own regions from a TOML file.

    One table for each region, with the landmark numbers (0-67) of one hull or several:

        [left_eye]
        landmarks = [36, 37, 38, 39, 40, 41]

        [cheeks]
        landmarks = [[1, 2, 3, 4, 31, 48], [12, 13, 14, 15, 35, 54]]

    Args:
        path: the TOML file.

    Returns:
        Regions by name, in the order of the file.

    Raises:
        InputError: if the file cannot be read, holds no region, or one that is not as
            above.
    """
    try:
        tables = tomllib.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a readable TOML file: {error}") from error
    if not tables:
        raise InputError(f"{path}: holds no region; write a table [name] for each")
    return {name: _parse_region(name, table, path) for name, table in tables.items()}


def _parse_region(name: str, table: Any, path: str | os.PathLike[str]) -> Region:
    alone = isinstance(table, dict) and table.keys() == {"landmarks"}
    hulls: Any = table["landmarks"] if alone else None
    if not (isinstance(hulls, list) and any(isinstance(hull, list) for hull in hulls)):
        hulls = [hulls]
    if not (name.isidentifier() and all(_is_hull(hull) for hull in hulls)):
        raise InputError(
            f"{path}: region [{name}] needs a plain name and nothing but `landmarks`, "
            "a list of at least 3 different whole numbers from 0 to 67, or a list of "
            "such lists"
        )
    return Region(name, tuple(tuple(hull) for hull in hulls))


def _is_hull(hull: Any) -> bool:
    return (
        isinstance(hull, list)
        and all(type(number) is int and 0 <= number < 68 for number in hull)
        and len(set(hull)) == len(hull) >= 3
    )
