"""Runs a grid: blends, embeds and sums it, chunk by chunk.

The F * K cells of a grid are taken in row order, in chunks of one static shape. A chunk
of blends is made, embedded and forgotten; the templates of a few chunks, a segment, are
folded into sums on the device, since the second moments are larger than many templates
and must not be touched for each chunk. Nothing of size F * K is ever held. Over a mesh
of devices a chunk is split into equal parts, and every device holds the sums.

Where the device runs out of memory, the segment is done again with chunks cut in half,
and so on down to one blend. Work is queued, so that the failure of a chunk may show
only where its segment's sums are waited for; until then nothing has been added.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from facedirs_jax.backbones import Network
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.devices import REMEDY, out_of_memory
from facedirs_jax.errors import InputError
from facedirs_jax.grid import Grid, GridState, GridSums, empty_sums
from facedirs_jax.grid_embed import (
    Embedder,
    Regional,
    Resident,
    cell_places,
    traced_chunk,
)
from facedirs_jax.templates import template_dim

CHUNK = 64  # blends made and embedded at once
SEGMENT = 16  # chunks summed in float32 on the device before they join the float64 sums


class Segment(NamedTuple):
    """What a few chunks have added.

    Attributes:
        state: the grid after them.
        pairs: [P, 2] int32, the (face donor, region donor) of each blend, rows of the
            faces.
        templates: [P, D] float32 of those blends; None unless they were asked for.
    """

    state: GridState
    pairs: np.ndarray
    templates: np.ndarray | None


class Traced(NamedTuple):
    """What a grid computes, traced and not run.

    Attributes:
        chunk: embeds one chunk of blends.
        segment: adds up the templates of `SEGMENT` chunks.
    """

    chunk: jax.stages.Traced
    segment: jax.stages.Traced


@functools.partial(jax.jit, static_argnames="blocks")
def _summed(
    resident: Resident,
    cells: jax.Array,
    templates: list[jax.Array],
    *,
    blocks: tuple[int, int],
) -> GridSums:
    """Sums over a segment: `cells` [P] and as many templates, in chunks [B, D].

    `blocks` are the numbers of those of face donors and of region donors.
    """
    templates_ = jnp.concatenate(templates)
    row, column = cell_places(resident.grid, cells)
    grid = resident.grid
    weight = (cells >= 0) & (grid.face_donors[row] != grid.region_donors[column])
    x = jnp.where(weight[:, None], templates_ - resident.own[row], 0.0)
    face = _one_hot(row, len(grid.face_donors))
    region = _one_hot(column, len(grid.region_donors))
    face_block = _one_hot(grid.face_blocks[row], blocks[0])
    region_block = _one_hot(grid.region_blocks[column], blocks[1])
    return GridSums(
        by_face=_sum("bg,bf,bd->gfd", region_block, face, x),
        by_region=_sum("bk,bd->kd", region, x),
        face_moments=_sum("bg,bi,bj->gij", face_block, x, x),
        region_moments=_sum("bg,bi,bj->gij", region_block, x, x),
    )


def _one_hot(index: jax.Array, count: int) -> jax.Array:
    """Membership [B, count] float32.

    A matrix product with it is a sum by group that, unlike a scatter, adds in the same
    order on every run on a GPU.
    """
    return jax.nn.one_hot(index, count, dtype=jnp.float32)


_sum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def run_grid(
    network: Network,
    preprocess: Preprocess,
    crops: np.ndarray,
    masks: np.ndarray | jax.Array,
    grid: Grid,
    own: np.ndarray,
    *,
    chunk: int = CHUNK,
    color_transfer: ColorTransfer = "none",
    regional: Regional = "auto",
    mesh: jax.sharding.Mesh | None = None,
    start: GridState | None = None,
    stop: int | None = None,
    with_templates: bool = False,
) -> Iterator[Segment]:
    """Blends, embeds and sums a grid, a segment of about `SEGMENT` chunks at a time.

    The cells of a segment depend on the arguments but `start` alone, so that a run that
    goes on from any state it has handed out ends with the same bits, unless the device
    ran out of memory in one of them: batches of another size differ by rounding.

    Args:
        network: as given by `load_backbone`.
        preprocess: as given by `load_backbone` beside the network.
        crops: [N, S, S, 3] uint8 aligned faces, kept on the device.
        masks: [N, S, S] float32 in [0, 1], the region of each face.
        grid: donors, rows of crops.
        own: [F, D] float32, templates of the face donors themselves.
        chunk: blends made and embedded at once, at most; the one static shape.
        color_transfer: see `blending.blend`.
        regional: whether blends are embedded by what their region can change;
            "auto" where that saves `PAYS` of the area of all maps.
        mesh: of devices that split each chunk; None for one device.
        start: goes on from there; None for the beginning.
        stop: cell to end before, with a row of cells if blends are embedded by
            regions; None for the end.
        with_templates: hands out the templates of every blend.

    Yields:
        One Segment after another; the state of the last has next_cell = stop.

    Raises:
        ValueError: if crops and masks do not agree.
        InputError: if the network's stages are unknown and `regional` is "on", or the
            device has no memory for one blend.
    """
    embedder = Embedder(
        *(network, preprocess, crops, masks, grid, own),
        color_transfer=color_transfer,
        regional=regional,
        mesh=mesh,
    )
    chunks = _Chunks(grid, chunk, embedder.by_row, embedder.parts)
    fitting = chunks.size
    state = start or GridState(0, empty_sums(grid, own.shape[1]))
    last = grid.size if stop is None else stop
    while state.next_cell < last:
        end = min(chunks.segment_end(state.next_cell), last)
        cells = list(chunks.between(state.next_cell, end))
        try:
            sums, templates = _folded(
                *(embedder, state.sums, cells, chunks.pieces),
                with_templates=with_templates,
            )
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            chunks = chunks.halved()
            embedder.forget()
            continue
        if chunks.size < fitting:
            logging.warning(
                "the device has no memory for %d blends at once; goes on with %d at "
                "once, which changes results by rounding alone",
                *(fitting, chunks.size),
            )
            fitting = chunks.size
        pairs, filled = _pairs_of(grid, np.concatenate(cells))
        state = GridState(end, sums)
        yield Segment(
            state,
            pairs[filled],
            np.concatenate(templates)[filled] if with_templates else None,
        )


def _folded(
    embedder: Embedder,
    sums: GridSums,
    chunks: Sequence[np.ndarray],
    parts: int,
    *,
    with_templates: bool,
) -> tuple[GridSums, list[np.ndarray]]:
    """Sums with those of a segment added, in so many parts; [B, D] of its chunks."""
    kept, step = [], -(-len(chunks) // parts)
    blocks = len(sums.face_moments), len(sums.region_moments)
    for first in range(0, len(chunks), step):
        some = chunks[first : first + step]
        templates = [embedder(cells) for cells in some]
        cells = np.concatenate(some)
        added = _summed(embedder.resident, cells, templates, blocks=blocks)
        sums = jax.tree.map(lambda a, b: a + np.asarray(b), sums, added)
        if with_templates:
            kept += map(np.asarray, templates)
    return sums, kept


def traced_grid(
    network: Network,
    preprocess: Preprocess,
    grid: Grid,
    *,
    faces: int,
    chunk: int,
    window: tuple[int, int] | None = None,
) -> Traced:
    """Traces what `run_grid` computes, for an analysis of its cost; computes nothing.

    Args:
        network: as given by `load_backbone`, or of shapes in the place of arrays.
        preprocess: of the network.
        grid: donors, rows of so many faces.
        faces: N, whose crops and masks are on the device.
        chunk: blends embedded at once, the static shape.
        window: rows and columns that a region changes, to embed blends by what it can
            change, of `region_windows`; None to embed whole blends.

    Returns:
        Traced.

    Raises:
        ValueError: if the window does not lie within a crop, or the network does not
            tell its stages.
    """
    shaped: Any = jax.ShapeDtypeStruct
    side, dim = preprocess.size, template_dim(network, preprocess)
    rows = len(grid.face_donors)
    resident = Resident(
        Grid(*(shaped(array.shape, array.dtype) for array in grid)),
        shaped((faces, side, side, 3), jnp.uint8),
        shaped((faces, side, side), jnp.float32),
        shaped((rows, dim), jnp.float32),
        shaped((rows, 2), jnp.int32),
    )
    embed = traced_chunk(network, preprocess, resident, chunk=chunk, window=window)
    blocks = (int(grid.face_blocks.max()) + 1, int(grid.region_blocks.max()) + 1)
    added = _summed.trace(
        resident,
        shaped((SEGMENT * chunk,), jnp.int32),
        [shaped((chunk, dim), jnp.float32)] * SEGMENT,
        blocks=blocks,
    )
    return Traced(embed, added)


def chunk_size(grid: Grid, most: int, *, by_row: bool, parts: int = 1) -> int:
    """Cells of every chunk of a grid.

    Args:
        grid: the grid.
        most: blends in a chunk.
        by_row: whether a chunk has one face donor; rows are then divided evenly.
        parts: a multiple of which the size is.

    Returns:
        Their number.
    """
    columns = len(grid.region_donors)
    even = -(-columns // -(-columns // most)) if by_row else most
    return -(-even // parts) * parts


def part_of(grid: Grid, process: int, processes: int) -> tuple[int, int]:
    """The cells of one of several processes that share a grid: whole rows of it.

    Args:
        grid: the grid.
        process: 0 to processes - 1.
        processes: how many there are.

    Returns:
        First cell, and one after the last; sums over all parts add up to the grid's.

    Raises:
        InputError: if there are more processes than face donors.
    """
    columns, rows = len(grid.region_donors), len(grid.face_donors)
    if processes > rows:
        raise InputError(
            f"{processes} processes cannot share {rows} face donors; start fewer"
        )
    first, stop = (rows * n // processes for n in (process, process + 1))
    return first * columns, stop * columns


class _Chunks(NamedTuple):
    """How the cells of a grid are divided."""

    grid: Grid
    most: int  # blends in a chunk
    by_row: bool  # whether a chunk has one face donor
    parts: int  # a multiple of which its size is
    pieces: int = 1  # into which a chunk is cut

    @property
    def size(self) -> int:
        """Cells of every chunk, or of a piece of it; rows are divided evenly."""
        parts = self.pieces * self.parts
        whole = chunk_size(self.grid, self.most, by_row=self.by_row, parts=parts)
        return whole // self.pieces

    def halved(self) -> "_Chunks":
        """The same segments in chunks of half the size.

        Raises:
            InputError: if a chunk is one blend for each device.
        """
        if self.size == self.parts:
            raise InputError(
                "the device has no memory for one blend beside the network and all "
                f"faces; {REMEDY}"
            )
        return self._replace(pieces=2 * self.pieces)

    def segment_end(self, first: int) -> int:
        """Cell after the last of the segment that begins with `first`."""
        columns = len(self.grid.region_donors)
        cells = SEGMENT * self.most
        if self.by_row:
            cells = max(1, cells // columns) * columns
        return min(first + cells, self.grid.size)

    def between(self, first: int, stop: int) -> Iterator[np.ndarray]:
        """Chunks [B] int32 of the cells from `first` to before `stop`; -1 fills up."""
        columns = len(self.grid.region_donors)
        step = columns if self.by_row else stop - first
        for row in range(first, stop, step):
            for begin in range(row, row + step, self.size):
                cells = np.arange(begin, begin + self.size, dtype=np.int32)
                yield np.where(cells < row + step, cells, -1)


def _pairs_of(grid: Grid, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of donors [C, 2] int32 of cells [C], and which are blends [C] bool."""
    row, column = np.divmod(np.maximum(cells, 0), len(grid.region_donors))
    pairs = np.stack([grid.face_donors[row], grid.region_donors[column]], axis=-1)
    return pairs, (cells >= 0) & (pairs[:, 0] != pairs[:, 1])
