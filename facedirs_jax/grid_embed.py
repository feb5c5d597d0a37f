"""Embeds the blends of a grid's cells, many at once, on one device or several.

Where it pays, blends are embedded by what their region can change (`regional`); all
cells of a call then have one face donor. Over a mesh of devices the cells are split
into equal parts.
"""

import functools
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
from facedirs_jax.devices import copied
from facedirs_jax.errors import InputError
from facedirs_jax.grid import Grid
from facedirs_jax.regional import (
    Plan,
    Staged,
    donor_maps,
    make_plan,
    region_windows,
    window_templates,
)
from facedirs_jax.templates import templates_of

PAYS = 0.1  # of the area of all maps: to save less is not worth the copies

Regional = Literal["auto", "on", "off"]


class Resident(NamedTuple):
    """What stays on the device while a grid runs.

    Attributes:
        grid: of device arrays.
        crops: [N, S, S, 3] uint8.
        masks: [N, S, S] float32.
        own: [F, D] float32, templates of the face donors themselves.
        places: [F, 2] int32, where the windows of the face donors lie.
    """

    grid: Grid
    crops: jax.Array
    masks: jax.Array
    own: jax.Array
    places: jax.Array


@functools.partial(jax.jit, static_argnames=("preprocess", "color_transfer"))
def _embed_chunk(
    network: Network,
    resident: Resident,
    cells: jax.Array,
    *,
    preprocess: Preprocess,
    color_transfer: ColorTransfer,
) -> jax.Array:
    """Templates [B, D] of the blends of `cells` [B] int32; cells < 0 are padding."""
    row, column = cell_places(resident.grid, cells)
    grid = resident.grid
    pairs = jnp.stack([grid.face_donors[row], grid.region_donors[column]], axis=-1)
    blends = blend_pairs(
        resident.crops, resident.masks, pairs, color_transfer=color_transfer
    )
    return templates_of(network, preprocess, blends)


@functools.partial(jax.jit, static_argnames=("preprocess", "plan", "color_transfer"))
def _embed_windows(
    network: Staged,
    resident: Resident,
    maps: list[jax.Array],
    cells: jax.Array,
    *,
    preprocess: Preprocess,
    plan: Plan,
    color_transfer: ColorTransfer,
) -> jax.Array:
    """The same where all `cells` are of one face donor, whose `maps` these are."""
    row, column = cell_places(resident.grid, cells)
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
    resident: Resident,
    row: jax.Array,
    *,
    preprocess: Preprocess,
    plan: Plan,
) -> list[jax.Array]:
    crop = unit_range(resident.crops[resident.grid.face_donors[row]])
    return donor_maps(network, preprocess, plan, crop)


def traced_chunk(
    network: Network,
    preprocess: Preprocess,
    resident: Resident,
    *,
    chunk: int,
    window: tuple[int, int] | None = None,
) -> jax.stages.Traced:
    """Traces the embedding of one chunk of blends; computes nothing.

    Args:
        network: as given by `load_backbone`, or of shapes in the place of arrays.
        preprocess: of the network.
        resident: of shapes.
        chunk: blends embedded at once.
        window: rows and columns that a region changes; None to embed whole blends.

    Returns:
        [chunk, D] templates, traced.

    Raises:
        ValueError: if the window does not lie within a crop, or the network does not
            tell its stages.
    """
    shaped: Any = jax.ShapeDtypeStruct
    cells = shaped((chunk,), jnp.int32)
    options: dict[str, Any] = {"preprocess": preprocess, "color_transfer": "none"}
    if window is None:
        return _embed_chunk.trace(network, resident, cells, **options)
    if not isinstance(network, Staged):
        raise ValueError(f"{type(network).__name__} does not tell its stages")
    plan = make_plan(network, preprocess, window)
    of_donor = functools.partial(_donor_maps, preprocess=preprocess, plan=plan)
    maps = jax.eval_shape(of_donor, network, resident, shaped((), jnp.int32))
    return _embed_windows.trace(network, resident, maps, cells, plan=plan, **options)


def cell_places(grid: Grid, cells: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows of the face donors and columns of the region donors, [B] int32 each.

    Args:
        grid: the donors.
        cells: [B] int32; those < 0, padding, count as the first.

    Returns:
        Two arrays [B] int32.
    """
    return jnp.divmod(jnp.maximum(cells, 0), len(grid.region_donors))


class Embedder:
    """Gives templates of blends by their cells; faces and network are on the device.

    Args:
        network: as given by `load_backbone`.
        preprocess: as given by `load_backbone` beside the network.
        crops: [N, S, S, 3] uint8 aligned faces.
        masks: [N, S, S] float32 in [0, 1], the region of each face.
        grid: donors, rows of crops.
        own: [F, D] float32, templates of the face donors themselves.
        color_transfer: see `blending.blend`.
        regional: whether blends are embedded by what their region can change; "auto"
            where that saves `PAYS` of the area of all maps.
        mesh: of devices that split the cells; None for one device.

    Raises:
        ValueError: if crops and masks do not agree.
        InputError: if the network's stages are unknown and `regional` is "on", or the
            device has no memory for the faces.
    """

    def __init__(
        self,
        network: Network,
        preprocess: Preprocess,
        crops: np.ndarray,
        masks: np.ndarray | jax.Array,
        grid: Grid,
        own: np.ndarray,
        *,
        color_transfer: ColorTransfer = "none",
        regional: Regional = "auto",
        mesh: jax.sharding.Mesh | None = None,
    ):
        chex.assert_shape(crops, (*masks.shape, 3), exception_type=ValueError)
        self.plan, places = _planned(network, preprocess, masks, grid, regional)
        self._split = (
            None if mesh is None else jax.NamedSharding(mesh, jax.P(mesh.axis_names))
        )
        arrays: Any = (crops, masks, own, places)
        self.resident = copied(Resident(grid, *arrays), mesh)
        self.network: Any = network if mesh is None else copied(network, mesh)
        self.parts = 1 if mesh is None else mesh.size
        self._columns = len(grid.region_donors)
        self._options: dict[str, Any] = {
            "preprocess": preprocess,
            "color_transfer": color_transfer,
        }
        self._maps: tuple[int, list[jax.Array]] | None = None

    @property
    def by_row(self) -> bool:
        """Whether all cells of a call must have one face donor."""
        return self.plan is not None

    def __call__(self, cells: np.ndarray) -> jax.Array:
        """Templates [B, D] float32 of `cells` [B] int32; cells < 0 are padding."""
        placed = jax.device_put(cells, self._split)
        if self.plan is None:
            return _embed_chunk(self.network, self.resident, placed, **self._options)
        maps = self._maps_of(int(cells[0]) // self._columns, self.plan)
        return _embed_windows(
            *(self.network, self.resident, maps, placed),
            plan=self.plan,
            **self._options,
        )

    def forget(self) -> None:
        """Lets go of what it keeps of a face donor, which may have failed."""
        self._maps = None

    def _maps_of(self, row: int, plan: Plan) -> list[jax.Array]:
        if self._maps is None or self._maps[0] != row:
            self._maps = None  # before there are others
            found = _donor_maps(
                *(self.network, self.resident, jnp.int32(row)),
                preprocess=self._options["preprocess"],
                plan=plan,
            )
            self._maps = row, found
        return self._maps[1]


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
