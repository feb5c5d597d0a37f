"""The processes that `grid_scale` measures: each loads, compiles, and waits its turn.

A process runs a part of the N x N grid: rows from the first of its part on, as many as
hold the blends asked for after the first segment. It does so once unasked, which
compiles, and again each time that it is told to. The clock starts when the first
segment is done, since copying the faces to the device belongs to a whole run and not to
a blend, and stops with the last.
"""

import contextlib
import os
import pathlib
import re
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import NamedTuple

import jax
import numpy as np

from facedirs_jax import runs
from facedirs_jax.devices import data_mesh
from facedirs_jax.directions.pca import donor_centred_scatter
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces
from facedirs_jax.grid import (
    Grid,
    GridState,
    GridSums,
    empty_sums,
    make_grid,
    max_blocks_for,
)
from facedirs_jax.grid_run import SEGMENT, Segment, part_of, run_grid
from facedirs_jax.regions import find_region, region_masks
from facedirs_jax.templates import embed

from . import inputs
from .grid_networks import backbone_of
from .talking import telling_errors

_BRIGHTER = 6  # of 255: what tells one copy of a face from the next


class Machine(NamedTuple):
    """Where processes run: JAX's platform, its kind of device, and how many."""

    platform: str
    kind: str
    devices: int


class Work(NamedTuple):
    """What one process does.

    Attributes:
        folder: that `prepare` has filled.
        network: a name that `backbone_of` knows.
        faces: N, the first so many of the folder.
        blends: timed in a round, at least, if the part has so many.
        chunk: blends made and embedded at once.
        devices: that split each chunk; virtual ones on a CPU.
        part: of the grid, as (process, processes).
        one_core: on one thread of the CPU, pinned to a core where the system can.
    """

    folder: str
    network: str
    faces: int
    blends: int
    chunk: int
    devices: int = 1
    part: tuple[int, int] = (0, 1)
    one_core: bool = False


class Round(NamedTuple):
    """One run over the cells.

    Attributes:
        start: when the first segment was done, s; one clock for all processes.
        end: when the last was.
        blends: made between the two.
        early_peak: most memory the process had held by `start`, bytes.
        peak: by `end`.
    """

    start: float
    end: float
    blends: int
    early_peak: int
    peak: int

    @property
    def ms_a_blend(self) -> float:
        """Milliseconds."""
        return 1e3 * (self.end - self.start) / self.blends


class First(NamedTuple):
    """What the first, unasked round tells.

    Attributes:
        round: with the compilation in it, so that its times mean nothing.
        covariance: [D, D] float64 of the donor-centred templates of its rows.
        resident: bytes of crops, masks, the donors' own templates and the sums.
    """

    round: Round
    covariance: np.ndarray
    resident: int


def cells_needed(blends: int, faces: int, chunk: int) -> int:
    """Cells of whole rows that hold so many blends besides the first segment."""
    return -(-(blends + segment_cells(faces, chunk)) // faces) * faces


def segment_cells(faces: int, chunk: int) -> int:
    """Cells of a segment of an N x N grid, at most."""
    return max(SEGMENT * chunk, faces)


def prepare(
    pipe: Connection,
    folder: str,
    source: inputs.Source,
    network: str,
    region: str,
    faces: int,
) -> None:
    """Loads faces, repeats them up to N, and leaves what all the others need.

    Writes crops.npy [N, S, S, 3] uint8, masks.npy [N, S, S] float32 and own.npy [N, D]
    float32, the templates, to `folder`; sends a Machine, or the InputError that says
    what is wrong.
    """
    with telling_errors(pipe):
        _leave_gpu_memory()
        backbone = backbone_of(network)
        found = inputs.load(source, backbone)
        if not len(found.crops):
            raise InputError(
                f"no picture shows a face{inputs.first_unusable(found.status)}"
            )
        crops, landmarks = repeated(found, faces)
        masks = region_masks(
            landmarks, find_region(region), side=backbone.preprocess.size
        )
        arrays = {"crops": crops, "masks": masks, "own": embed(*backbone, crops)}
        for name, array in arrays.items():
            np.save(pathlib.Path(folder, f"{name}.npy"), np.asarray(array))
        device = jax.devices()[0]
        pipe.send(Machine(device.platform, device.device_kind, jax.device_count()))


def repeated(faces: Faces, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Takes faces round and round, a little brighter each time.

    Args:
        faces: M of them.
        count: N.

    Returns:
        Crops [N, S, S, 3] uint8, and landmarks [N, 68, 2] float32.
    """
    copies, rows = np.divmod(np.arange(count), len(faces.crops))
    brighter = faces.crops[rows] + _BRIGHTER * copies[:, None, None, None]
    return np.minimum(brighter, 255).astype(np.uint8), faces.landmarks[rows]


def measure(pipe: Connection, work: Work) -> None:
    """Sends a First once all is compiled, then a Round for everything it receives.

    Sends the InputError instead that says what is wrong. Ends when the pipe does.
    """
    with telling_errors(pipe), jax.default_matmul_precision("highest"):
        _set_up(work)
        part = _Part(work)
        found, sums = part.run()
        pipe.send(First(found, part.covariance(sums), part.resident(sums)))
        while True:
            pipe.recv()
            pipe.send(part.run()[0])


def _leave_gpu_memory() -> None:
    """To the other processes, which is where most of a GPU's would be taken at once."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def _set_up(work: Work) -> None:
    """Before JAX looks for devices and starts its threads, which inherit the core."""
    _leave_gpu_memory()
    if work.one_core:
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[work.part[0] % len(cores)]})
        single = "--xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {single}"
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", work.devices)


class _Part:
    """A part of a grid with all that running it takes."""

    def __init__(self, work: Work):
        self.work = work
        self.backbone = backbone_of(work.network)
        self.crops, self.masks, self.own = (
            # A copy, so that the rows beyond N take no memory.
            np.load(f"{work.folder}/{name}.npy", mmap_mode="r")[: work.faces].copy()
            for name in ("crops", "masks", "own")
        )
        dim = self.own.shape[1]
        self.grid = make_grid(work.faces, max_blocks=max_blocks_for(dim))
        self.own = self.own[self.grid.face_donors]
        self.start, stop = part_of(self.grid, *work.part)
        needed = cells_needed(work.blends, work.faces, work.chunk)
        self.stop = min(self.start + needed, stop)

    def run(self) -> tuple[Round, GridSums]:
        """Runs the cells once, and gives their sums too."""
        segments = self._segments()
        state = next(segments).state
        start, early_peak, blends = time.monotonic(), _peak_bytes(), 0
        for segment in segments:
            state = segment.state
            blends += len(segment.pairs)
        end = time.monotonic()
        return Round(start, end, blends, early_peak, _peak_bytes()), state.sums

    def _segments(self) -> Iterator[Segment]:
        empty = empty_sums(self.grid, self.own.shape[1])
        return run_grid(
            *self.backbone,
            *(self.crops, self.masks, self.grid, self.own),
            chunk=self.work.chunk,
            mesh=data_mesh(devices=self.work.devices),
            start=GridState(self.start, empty),
            stop=self.stop,
        )

    def covariance(self, sums: GridSums) -> np.ndarray:
        """[D, D] float64 over the rows that were run."""
        columns = len(self.grid.region_donors)
        rows = slice(self.start // columns, self.stop // columns)
        return donor_centred_scatter(
            sums._replace(by_face=sums.by_face[:, rows]), _rows_of(self.grid, rows)
        ).covariance("corrected")

    def resident(self, sums: GridSums) -> int:
        """Bytes of what a run keeps, of which only this depends on N."""
        kept = (self.crops, self.masks, self.own, *sums)
        return sum(array.nbytes for array in kept)


def _rows_of(grid: Grid, rows: slice) -> Grid:
    return grid._replace(
        face_donors=grid.face_donors[rows], face_blocks=grid.face_blocks[rows]
    )


def _peak_bytes() -> int:
    """Most memory held so far.

    From Linux, of this process alone; elsewhere, and there on a fork, its parent's may
    be in it.
    """
    with contextlib.suppress(OSError):
        status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if found:
            return 1024 * int(found[1])
    return runs.peak_memory_mb() * 10**6
