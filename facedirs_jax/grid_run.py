"""Runs a grid: blends, embeds and sums it, chunk by chunk.

The F * K cells of a grid are taken in row order, in chunks of one static shape. A chunk
of blends is made, embedded and forgotten; the templates of a few chunks, a segment, are
folded into sums on the device, since the second moments are larger than many templates
and must not be touched for each chunk. Nothing of size F * K is ever held.

Where it pays, blends are embedded by what their region can change (`regional`); all
blends of a chunk then have one face donor. Over a mesh of devices a chunk is split
into equal parts, and every device holds the sums.
"""

import functools
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones import Network
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import (
    ColorTransfer,
    blend_pairs,
    blend_windows,
    unit_range,
)
from facedirs_jax.errors import InputError
from facedirs_jax.grid import Grid, GridState, GridSums, empty_sums
from facedirs_jax.regional import (
    Plan,
    Staged,
    donor_maps,
    make_plan,
    region_windows,
    window_templates,
)
from facedirs_jax.templates import template_dim, templates_of

CHUNK = 64  # blends made and embedded at once
SEGMENT = 16  # chunks summed in float32 on the device before they join the float64 sums
PAYS = 0.1  # of the area of all maps: to save less is not worth the copies

Regional = Literal["auto", "on", "off"]


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


class _Resident(NamedTuple):
    """What stays on the device while a grid runs."""

    grid: Grid  # of device arrays
    crops: jax.Array  # [N, S, S, 3] uint8
    masks: jax.Array  # [N, S, S] float32
    own: jax.Array  # [F, D] float32, templates of the face donors themselves
    places: jax.Array  # [F, 2] int32, where the windows of the face donors lie


@functools.partial(jax.jit, static_argnames=("preprocess", "color_transfer"))
def _embed_chunk(
    network: Network,
    resident: _Resident,
    cells: jax.Array,
    *,
    preprocess: Preprocess,
    color_transfer: ColorTransfer,
) -> jax.Array:
    """Templates [B, D] of the blends of `cells` [B] int32; cells < 0 are padding."""
    row, column = _cell_places(resident.grid, cells)
    grid = resident.grid
    pairs = jnp.stack([grid.face_donors[row], grid.region_donors[column]], axis=-1)
    blends = blend_pairs(
        resident.crops, resident.masks, pairs, color_transfer=color_transfer
    )
    return templates_of(network, preprocess, blends)


@functools.partial(jax.jit, static_argnames=("preprocess", "plan", "color_transfer"))
def _embed_windows(
    network: Staged,
    resident: _Resident,
    maps: list[jax.Array],
    cells: jax.Array,
    *,
    preprocess: Preprocess,
    plan: Plan,
    color_transfer: ColorTransfer,
) -> jax.Array:
    """The same where all `cells` are of one face donor, whose `maps` these are."""
    row, column = _cell_places(resident.grid, cells)
    face = resident.grid.face_donors[row[0]]
    place = resident.places[row[0], 0], resident.places[row[0], 1]
    windows = blend_windows(
        *(resident.crops, resident.masks[face], face),
        resident.grid.region_donors[column],
        *(place, plan.window),
        color_transfer=color_transfer,
    )
    return window_templates(network, preprocess, plan, maps, windows, place)


@functools.partial(jax.jit, static_argnames=("preprocess", "plan"))
def _donor_maps(
    network: Staged,
    resident: _Resident,
    row: jax.Array,
    *,
    preprocess: Preprocess,
    plan: Plan,
) -> list[jax.Array]:
    crop = unit_range(resident.crops[resident.grid.face_donors[row]])
    return donor_maps(network, preprocess, plan, crop)


def _cell_places(grid: Grid, cells: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows of the face donors and columns of the region donors, [B] each."""
    return jnp.divmod(jnp.maximum(cells, 0), len(grid.region_donors))


@functools.partial(jax.jit, static_argnames="blocks")
def _summed(
    resident: _Resident,
    cells: jax.Array,
    templates: list[jax.Array],
    *,
    blocks: tuple[int, int],
) -> GridSums:
    """Sums over a segment: `cells` [P] and as many templates, in chunks [B, D].

    `blocks` are the numbers of those of face donors and of region donors.
    """
    templates_ = jnp.concatenate(templates)
    row, column = _cell_places(resident.grid, cells)
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
    goes on from any state it has handed out ends with the same bits.

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
        InputError: if the network's stages are unknown and `regional` is "on".
    """
    chex.assert_shape(crops, (*masks.shape, 3), exception_type=ValueError)
    plan, places = _planned(network, preprocess, masks, grid, regional)
    everywhere, split = _placements(mesh)
    arrays = [jnp.asarray(array) for array in (crops, masks, own, places)]
    resident = jax.device_put(_Resident(grid, *arrays), everywhere)
    network = network if mesh is None else jax.device_put(network, everywhere)
    chunks = _Chunks(grid, chunk, plan is not None, 1 if mesh is None else mesh.size)
    options: dict[str, Any] = {
        "preprocess": preprocess,
        "color_transfer": color_transfer,
    }
    state = start or GridState(0, empty_sums(grid, own.shape[1]))
    blocks = len(state.sums.face_moments), len(state.sums.region_moments)
    maps, mapped = [], -1
    last = grid.size if stop is None else stop
    while state.next_cell < last:
        end = min(chunks.segment_end(state.next_cell), last)
        templates: list[jax.Array] = []
        segment = list(chunks.between(state.next_cell, end))
        for cells in segment:
            placed = jax.device_put(cells, split)
            if plan is None:
                found = _embed_chunk(network, resident, placed, **options)
            else:
                row = int(cells[0]) // len(grid.region_donors)
                if row != mapped:
                    mapped, at = row, jnp.int32(row)
                    maps = _donor_maps(
                        network, resident, at, preprocess=preprocess, plan=plan
                    )
                found = _embed_windows(
                    *(network, resident, maps, placed), plan=plan, **options
                )
            templates.append(found)
        cells = np.concatenate(segment)
        added = _summed(resident, cells, templates, blocks=blocks)
        pairs, filled = _pairs_of(grid, cells)
        sums = jax.tree.map(lambda a, b: a + np.asarray(b), state.sums, added)
        state = GridState(end, sums)
        yield Segment(
            state,
            pairs[filled],
            np.concatenate(templates)[filled] if with_templates else None,
        )


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
    resident = _Resident(
        Grid(*(shaped(array.shape, array.dtype) for array in grid)),
        shaped((faces, side, side, 3), jnp.uint8),
        shaped((faces, side, side), jnp.float32),
        shaped((rows, dim), jnp.float32),
        shaped((rows, 2), jnp.int32),
    )
    cells = shaped((chunk,), jnp.int32)
    options: dict[str, Any] = {"preprocess": preprocess, "color_transfer": "none"}
    if window is None:
        embed = _embed_chunk.trace(network, resident, cells, **options)
    elif isinstance(network, Staged):
        plan = make_plan(network, preprocess, window)
        of_donor = functools.partial(_donor_maps, preprocess=preprocess, plan=plan)
        maps = jax.eval_shape(of_donor, network, resident, shaped((), jnp.int32))
        embed = _embed_windows.trace(
            *(network, resident, maps, cells), plan=plan, **options
        )
    else:
        raise ValueError(f"{type(network).__name__} does not tell its stages")
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


def _planned(
    network: Network,
    preprocess: Preprocess,
    masks: np.ndarray | jax.Array,
    grid: Grid,
    mode: Regional,
) -> tuple[Plan | None, np.ndarray]:
    """How to embed by regions, None for whole blends; places [F, 2] of the windows."""
    window, places = region_windows(np.asarray(masks)[grid.face_donors])
    if mode == "off":
        return None, places
    if not isinstance(network, Staged):
        if mode == "on":
            raise InputError(
                f"{type(network).__name__} does not tell its stages, so blends cannot "
                "be embedded by regions; choose regional=off"
            )
        return None, places
    plan = make_plan(network, preprocess, window)
    return (plan if mode == "on" or plan.saved >= PAYS else None), places


def _placements(mesh: jax.sharding.Mesh | None) -> tuple[Any, Any]:
    """Of what every device holds, and of what is split; None for one device."""
    if mesh is None:
        return None, None
    spec = jax.sharding.PartitionSpec
    return (
        jax.sharding.NamedSharding(mesh, spec()),
        jax.sharding.NamedSharding(mesh, spec(mesh.axis_names)),
    )


class _Chunks(NamedTuple):
    """How the cells of a grid are divided."""

    grid: Grid
    most: int  # blends in a chunk
    by_row: bool  # whether a chunk has one face donor
    parts: int  # a multiple of which its size is

    @property
    def size(self) -> int:
        """Cells of every chunk."""
        return chunk_size(self.grid, self.most, by_row=self.by_row, parts=self.parts)

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
