"""The grid: every face donor with every region donor, and the sums over their blends.

The grid is rectangular, F face donors x K region donors; a donor is never pasted into
itself. All x all of N faces, N (N - 1) blends, is the paper's (section 3.2).

With t[m, k] the template of region k in face m, and t[m] that of face m itself, all
sums are of x[m, k] = t[m, k] - t[m]: the shift keeps them small, and the covariance of
donor-centred templates does not feel it. Sums are kept apart for a few *blocks* of
donors, so that the same analysis can be made on any half of the blocks.
"""

import hashlib
from typing import NamedTuple

import jax
import numpy as np

from facedirs_jax.errors import InputError

MAX_BLOCKS = 8  # C(8, 4) / 2 = 35 ways to halve the donors
MAX_DIM = 8192  # of a template: its second moment is D x D, in every block


class Grid(NamedTuple):
    """Which faces give the face, which the region, and the blocks they belong to.

    Attributes:
        face_donors: [F] int32, rows of the faces, all different.
        region_donors: [K] int32, rows of the faces, all different.
        face_blocks: [F] int32, block of each face donor, 0 .. number of blocks - 1.
        region_blocks: [K] int32, block of each region donor.
    """

    face_donors: np.ndarray
    region_donors: np.ndarray
    face_blocks: np.ndarray
    region_blocks: np.ndarray

    @property
    def size(self) -> int:
        """Number of cells, F * K, with those of a donor and itself."""
        return len(self.face_donors) * len(self.region_donors)

    @property
    def filled(self) -> np.ndarray:
        """[F, K] bool: True where face donor and region donor differ."""
        return self.face_donors[:, None] != self.region_donors[None, :]

    @property
    def num_blends(self) -> int:
        """Number of cells whose two donors differ."""
        shared = np.intersect1d(self.face_donors, self.region_donors)
        return self.size - len(shared)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of donors and blocks."""
        arrays = [np.asarray(array, np.int32) for array in self]
        text = b"|".join(array.tobytes() for array in arrays)
        return hashlib.sha256(text).hexdigest()


class GridSums(NamedTuple):
    """Sums over blends of x = t[m, k] - t[m]; two of them merge by addition.

    Attributes:
        by_face: [Bk, F, D], sum over the region donors of one block.
        by_region: [K, D], sum over all face donors.
        face_moments: [Bf, D, D], sum of x x^T over the face donors of one block.
        region_moments: [Bk, D, D], the same over the region donors of one block.
    """

    by_face: np.ndarray | jax.Array
    by_region: np.ndarray | jax.Array
    face_moments: np.ndarray | jax.Array
    region_moments: np.ndarray | jax.Array


class GridState(NamedTuple):
    """How far a grid has come.

    Attributes:
        next_cell: number of cells done, 0 .. F * K.
        sums: over those cells, numpy float64.
    """

    next_cell: int
    sums: GridSums


def make_grid(
    num_faces: int,
    *,
    num_face_donors: int | None = None,
    num_region_donors: int | None = None,
    face_rows: np.ndarray | None = None,
    region_rows: np.ndarray | None = None,
    max_blocks: int = MAX_BLOCKS,
    seed: int = 0,
) -> Grid:
    """Draws the donors of a grid, and the blocks they are halved by.

    Args:
        num_faces: number of faces to draw from.
        num_face_donors: F; None for all.
        num_region_donors: K; None for all. The two draws overlap only where there are
            too few faces to keep them apart.
        face_rows: [A] int, rows of the faces that may be donors; None for all.
        region_rows: [B] int, rows that may be region donors, where those come from a
            folder of their own; face_rows are then for face donors alone.
        max_blocks: of donors of either kind, even; see `max_blocks_for`.
        seed: of the draws.

    Returns:
        Grid with [F] and [K] sorted donors.

    Raises:
        InputError: if more donors are asked for than there are, or the grid would have
            fewer than 1 face donor or 3 region donors.
    """
    rng = np.random.default_rng(seed)
    faces = rng.permutation(np.arange(num_faces) if face_rows is None else face_rows)
    regions = faces[::-1] if region_rows is None else rng.permutation(region_rows)
    faces = _take(faces, num_face_donors, "face", at_least=1)
    regions = _take(regions, num_region_donors, "region", at_least=3)
    return Grid(
        faces,
        regions,
        _blocks(len(faces), max_blocks, rng),
        _blocks(len(regions), max_blocks, rng),
    )


def max_blocks_for(dim: int) -> int:
    """How many blocks of donors templates of D dimensions leave memory for.

    Args:
        dim: D. Two kinds of blocks hold [D, D] float64 moments: 134 MB in all at 1024
            dimensions, 268 MB at 2048 and 537 MB at 4096.

    Returns:
        8, 4 or 2.

    Raises:
        InputError: if a single moment would be too large.
    """
    if dim > MAX_DIM:
        raise InputError(
            f"templates of {dim} dimensions are too many for a covariance ({dim} x "
            f"{dim} numbers); choose an embedding of {MAX_DIM} at most, such as a mean "
            "over positions or a later layer"
        )
    return 8 if dim <= 1024 else 4 if dim <= 2048 else 2


def _take(rows: np.ndarray, count: int | None, what: str, at_least: int) -> np.ndarray:
    count = len(rows) if count is None else count
    if count > len(rows):
        raise InputError(
            f"{count} {what} donors were asked for and {len(rows)} usable faces are "
            "there; ask for fewer or add portraits"
        )
    if count < at_least:
        raise InputError(
            f"a grid needs at least {at_least} {what} donors and has {count}; add "
            "portraits that show one frontal face each"
        )
    return np.sort(rows[:count]).astype(np.int32)


def _blocks(count: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Balanced random blocks, an even number of them wherever there are 2 donors."""
    blocks = max(1, min(most, count) // 2 * 2)
    return rng.permutation(np.arange(count) % blocks).astype(np.int32)


def empty_sums(grid: Grid, dim: int) -> GridSums:
    """Sums over no blend yet, float64; shapes as in `GridSums` with D = dim."""
    faces, regions = len(grid.face_donors), len(grid.region_donors)
    face_blocks = int(grid.face_blocks.max()) + 1
    region_blocks = int(grid.region_blocks.max()) + 1
    return GridSums(
        by_face=np.zeros((region_blocks, faces, dim)),
        by_region=np.zeros((regions, dim)),
        face_moments=np.zeros((face_blocks, dim, dim)),
        region_moments=np.zeros((region_blocks, dim, dim)),
    )
