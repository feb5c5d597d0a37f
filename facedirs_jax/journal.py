"""The journal of a grid: its state on disk, so that a killed run goes on.

One safetensors file a region holds the float64 sums and how far they reach, replaced
atomically. Where templates are kept, they are appended to a plain float32 file beside
it, which may be longer than the journal says after a kill and is then cut back.
"""

import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import safetensors
import safetensors.numpy
from absl import logging

from facedirs_jax import files
from facedirs_jax.backbones import Network
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.errors import InputError
from facedirs_jax.grid import Grid, GridState, GridSums, empty_sums
from facedirs_jax.grid_embed import Regional
from facedirs_jax.grid_run import CHUNK, Segment, run_grid
from facedirs_jax.progress import Progress

JOURNAL_SECONDS = 10.0  # at least, between two writes
_JOURNAL_SHARE = 0.05  # of the time, at most, for writing it
_GLANCE, _PATIENCE = 0.5, 30.0  # seconds between looks at other parts, and lines


class Journal:
    """Keeps the state of one grid in a folder.

    Args:
        folder: where to keep it; must exist.
        name: of the grid, for example the region.
        settings: text of all that the sums depend on; a journal written under other
            settings is refused.
        dim: length of a template, to find rows in the file of templates.
    """

    def __init__(
        self, folder: str | os.PathLike[str], name: str, *, settings: str, dim: int
    ):
        self._path = pathlib.Path(folder) / f"{name}.safetensors"
        self._templates = pathlib.Path(folder) / f"{name}.templates"
        self._pairs = pathlib.Path(folder) / f"{name}.pairs"
        self.name = name
        self._settings = files.sha256_text(settings)
        self._dim = dim
        self._rows = 0

    def read(self) -> GridState | None:
        """State that was written last; None where there is none.

        Raises:
            InputError: if the file is damaged or belongs to other settings.
        """
        if not self._path.exists():
            self.drop_rows()
            return None
        state, self._rows = self._content()
        remedy = "delete it to start this region anew"
        for path, row_bytes in self._row_files():
            self._cut(path, self._rows * row_bytes, remedy)
        return state

    def peek(self) -> GridState | None:
        """The same of a journal that another process writes; nothing is changed."""
        return self._content()[0] if self._path.exists() else None

    @property
    def path(self) -> pathlib.Path:
        """The file of the sums."""
        return self._path

    def _content(self) -> tuple[GridState, int]:
        """State, and the number of rows that belong to it."""
        remedy = "delete it to start this region anew"
        try:
            with safetensors.safe_open(self._path, framework="numpy") as opened:
                about = json.loads((opened.metadata() or {})["journal"])
                sums = GridSums(*(opened.get_tensor(n) for n in GridSums._fields))
        except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{self._path}: damaged ({error}); {remedy}") from error
        if about["sha256"] != files.sha256_arrays(map(np.asarray, sums)):
            raise InputError(f"{self._path}: damaged (its sums changed); {remedy}")
        if about["settings"] != self._settings:
            raise InputError(f"{self._path}: made with other settings; {remedy}")
        return GridState(about["next_cell"], sums), about["rows"]

    def append(self, segment: Segment) -> None:
        """Keeps the templates of a segment, float32 [P, D], and their pairs."""
        if segment.templates is None:
            return
        arrays = (segment.templates.astype("<f4"), segment.pairs.astype("<i4"))
        for (path, _), array in zip(self._row_files(), arrays, strict=True):
            with open(path, "ab", opener=_private) as opened:
                opened.write(array.tobytes())
        self._rows += len(segment.pairs)

    def write(self, state: GridState) -> None:
        """Puts a state on disk; rows appended before it count as done."""
        for path, _ in self._row_files():
            if path.exists():
                with open(path, "rb") as opened:
                    os.fsync(opened.fileno())
        about = {
            "next_cell": state.next_cell,
            "rows": self._rows,
            "settings": self._settings,
            "sha256": files.sha256_arrays(map(np.asarray, state.sums)),
        }
        with files.replaced(self._path) as temporary:
            safetensors.numpy.save_file(
                state.sums._asdict(), temporary, {"journal": json.dumps(about)}
            )

    def templates(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows kept so far: templates [P, D] float32 and pairs [P, 2] int32."""
        templates = np.memmap(self._templates, "<f4", mode="r").reshape(-1, self._dim)
        return templates, np.memmap(self._pairs, "<i4", mode="r").reshape(-1, 2)

    def drop_rows(self) -> None:
        """Deletes the templates and pairs, once they are kept elsewhere."""
        for path, _ in self._row_files():
            path.unlink(missing_ok=True)

    def _row_files(self) -> tuple[tuple[pathlib.Path, int], ...]:
        """The two files of rows, and the bytes of a row in each."""
        return (self._templates, 4 * self._dim), (self._pairs, 8)

    def _cut(self, path: pathlib.Path, size: int, remedy: str) -> None:
        """Drops what a killed run appended after it last wrote its state."""
        found = path.stat().st_size if path.exists() else 0
        if found < size:
            raise InputError(
                f"{path}: {found} bytes where {self._path} tells of {size}; "
                f"{remedy.replace('it', 'both', 1)}"
            )
        if found > size:
            os.truncate(path, size)


def save_templates(
    path: str | os.PathLike[str], journals: Mapping[str, Journal]
) -> None:
    """Writes all templates that some grids have kept, in one file, atomically.

    Args:
        path: safetensors file to write: for each name `<name>/templates` [P, D]
            float32 and `<name>/pairs` [P, 2] int32.
        journals: of finished grids, by name.
    """
    arrays = {}
    for name, journal in journals.items():
        arrays[f"{name}/templates"], arrays[f"{name}/pairs"] = journal.templates()
    with files.replaced(path) as temporary:
        safetensors.numpy.save_file(arrays, temporary)


def finish_grid(
    network: Network,
    preprocess: Preprocess,
    crops: np.ndarray,
    masks: np.ndarray,
    grid: Grid,
    own: np.ndarray,
    journal: Journal,
    *,
    chunk: int = CHUNK,
    color_transfer: ColorTransfer = "none",
    regional: Regional = "auto",
    mesh: jax.sharding.Mesh | None = None,
    part: tuple[int, int] | None = None,
    with_templates: bool = False,
) -> tuple[GridState, float | None]:
    """Runs a grid from where its journal ends, with progress, and keeps the journal.

    When the journal is written changes no result.

    Args:
        network: and all others but `journal`: see `grid_run.run_grid`.
        preprocess: of the network.
        crops: [N, S, S, 3] uint8.
        masks: [N, S, S] float32 in [0, 1].
        grid: the donors.
        own: [F, D] float32.
        journal: of this grid.
        chunk: blends at once.
        color_transfer: see `blending.blend`.
        regional: whether blends are embedded by what their region can change.
        mesh: of devices that split each chunk; None for one.
        part: first cell and one after the last, of `grid_run.part_of`; None for all.
        with_templates: keeps the templates of all blends in the journal.

    Returns:
        State after the last cell, and blends a second; None where the journal held
        them all.

    Raises:
        InputError: if the journal is damaged or of other settings.
    """
    first, last = part or (0, grid.size)
    state = journal.read() or GridState(first, empty_sums(grid, own.shape[1]))
    blends = 0
    started = written = time.monotonic()
    wait = JOURNAL_SECONDS
    segments = run_grid(
        *(network, preprocess, crops, masks, grid, own),
        chunk=chunk,
        color_transfer=color_transfer,
        regional=regional,
        mesh=mesh,
        start=state,
        stop=last,
        with_templates=with_templates,
    )
    done_before = state.next_cell - first
    with Progress(
        journal.name, total=last - first, unit="blend", done=done_before
    ) as progress:
        for segment in segments:
            state, blends = segment.state, blends + len(segment.pairs)
            journal.append(segment)
            done = state.next_cell == last
            begun = time.monotonic()
            if done or begun - written > wait:
                journal.write(state)
                written = time.monotonic()
                wait = max(JOURNAL_SECONDS, (written - begun) / _JOURNAL_SHARE)
            progress.advance_to(state.next_cell - first)
    assert state.next_cell == last
    elapsed = time.monotonic() - started
    return state, round(blends / elapsed, 1) if blends else None


def gathered(
    state: GridState, journals: Sequence[Journal], stops: Sequence[int]
) -> GridState:
    """Adds the parts of other processes, once they are done; waits for them.

    Args:
        state: of this process's part, when done.
        journals: of the other parts.
        stops: cell after the last of each.

    Returns:
        State of the whole grid.

    Raises:
        InputError: if a journal is damaged or of other settings.
    """
    sums, told = state.sums, time.monotonic()
    for journal, stop in zip(journals, stops, strict=True):
        while (part := journal.peek()) is None or part.next_cell < stop:
            if time.monotonic() - told > _PATIENCE:
                logging.info("waiting for the part of %s", journal.path)
                told = time.monotonic()
            time.sleep(_GLANCE)
        sums = jax.tree.map(np.add, sums, part.sums)
    return GridState(max([state.next_cell, *stops]), sums)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
