"""How many blends a device embeds at once: found by measurement, and remembered.

Chunks of 8, 16, 32 ... blends are timed as the grid will embed them, until larger ones
are no faster or memory runs out, and the smallest of nearly the best is taken. A small
file a device, network and region's window keeps it for later runs.
"""

import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from facedirs_jax import files
from facedirs_jax.backbones import Backbone
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.devices import cpu_name, out_of_memory
from facedirs_jax.faces import Faces
from facedirs_jax.grid import Grid
from facedirs_jax.grid_embed import Embedder, Regional
from facedirs_jax.grid_run import CHUNK
from facedirs_jax.templates import BATCH, embed

SMALL = 2000  # blends; a run of fewer takes `CHUNK` unmeasured
GAIN = 0.03  # by which a larger chunk must be faster, a blend
SHARE = 0.03  # of the time of a run, for measuring
_FIRST, _LAST = 8, 4096
_IDLE = 2  # sizes in a row without a gain, after which larger ones are not tried
_CALLS = 3  # of a timing, queued one behind the other


class Tuned(NamedTuple):
    """What timing chunks has found.

    Attributes:
        chunk: blends to embed at once.
        settled: whether larger chunks are known not to pay; not so where time ran out.
        seconds: a blend, by the sizes that were timed.
    """

    chunk: int
    settled: bool
    seconds: dict[int, float]


def sizes_up_to(most: int) -> list[int]:
    """The sizes to try, in blends: doubled from 8 until one holds `most`."""
    count = math.ceil(math.log2(min(max(most, _FIRST), _LAST) / _FIRST)) + 1
    return [_FIRST << n for n in range(count)]


def tuned(
    seconds_of: Callable[[int], float | None],
    sizes: Iterable[int],
    *,
    blends: int,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Chooses among sizes of chunks by timing them, the smallest first.

    Args:
        seconds_of: seconds a blend in chunks of a size; None where memory runs out.
        sizes: to try, ascending, blends.
        blends: of the run; no size is begun once `SHARE` of its time is spent.
        clock: seconds.

    Returns:
        Tuned: the smallest size within `GAIN` of the best; where time ran out while
        larger ones still gained, not less than `CHUNK`.
    """
    started, seconds, best, idle = clock(), {}, math.inf, 0
    for size in sizes:
        if clock() - started > SHARE * blends * best:
            chosen = _smallest_near(seconds, best)
            larger = max(chosen, CHUNK) if chosen == max(seconds) else chosen
            return Tuned(larger, False, seconds)
        taken = seconds_of(size)
        if taken is None:
            break
        seconds[size] = taken
        idle = 0 if taken < (1 - GAIN) * best else idle + 1
        best = min(best, taken)
        if idle == _IDLE:
            break
    if not seconds:
        return Tuned(1, False, seconds)
    return Tuned(_smallest_near(seconds, best), True, seconds)


def _smallest_near(seconds: Mapping[int, float], best: float) -> int:
    return min(size for size, taken in seconds.items() if taken <= (1 + GAIN) * best)


def tune_chunk(
    backbone: Backbone,
    faces: Faces,
    masks: np.ndarray | jax.Array,
    grid: Grid,
    *,
    blends: int,
    cache_dir: str | os.PathLike[str] | None,
    mesh: jax.sharding.Mesh,
    color_transfer: ColorTransfer = "none",
    regional: Regional = "auto",
) -> int:
    """Blends to embed at once in a run: remembered, measured, or `CHUNK`.

    Args:
        backbone: network of [B, S, S, 3] input, and its preprocessing.
        faces: [N, S, S, 3] crops.
        masks: [N, S, S] float32 in [0, 1], of one region of the run.
        grid: the donors.
        blends: of the whole run; few take `CHUNK` unmeasured, and so do those that
            would be done before a measurement has paid.
        cache_dir: where measurements are kept, made if need be; None for nowhere.
        mesh: of devices that split each chunk.
        color_transfer: see `blending.blend`.
        regional: see `grid_embed.Embedder`.

    Returns:
        The number of blends.

    Raises:
        InputError: see `grid_embed.Embedder`.
    """
    usual = min(CHUNK, grid.size)
    if blends < SMALL:
        return usual
    network, preprocess = backbone
    own = np.zeros((1, 1), np.float32)  # no template depends on it
    embedder = Embedder(
        *(network, preprocess, faces.crops, masks, grid, own),
        mesh=mesh,
        color_transfer=color_transfer,
        regional=regional,
    )
    columns = len(grid.region_donors)
    sizes = sizes_up_to(columns if embedder.by_row else grid.size)
    about = _circumstances(backbone, embedder, mesh) | {
        "color_transfer": color_transfer,
        "most": sizes[-1],
    }
    path = _path(cache_dir, about)
    if (known := _remembered(path)) is not None:
        logging.info("chunks of %d blends, as measured before (%s)", known, path)
        return known
    if not _pays(backbone, faces, blends):
        return usual
    found = tuned(lambda n: _seconds(embedder, columns, n), sizes, blends=blends)
    table = {str(n): round(1e3 * taken, 4) for n, taken in found.seconds.items()}
    logging.info("chunks of %d blends; ms a blend by size: %s", found.chunk, table)
    if path is not None and found.settled:
        _remember(path, {"chunk": found.chunk, "ms_a_blend": table, "of": about})
    return found.chunk


def _pays(backbone: Backbone, faces: Faces, blends: int) -> bool:
    """Whether to compile for the fewest sizes that decide is a small part of a run."""
    times = []
    for _ in range(2):
        started = time.monotonic()
        embed(*backbone, faces.crops[:BATCH]).block_until_ready()
        times.append(time.monotonic() - started)
    first, again = times
    return (1 + _IDLE) * (first - again) < SHARE * blends * again / BATCH


def _seconds(embedder: Embedder, columns: int, size: int) -> float | None:
    """Seconds a blend in chunks of a size, once compiled; None if memory runs out."""
    size = -(-size // embedder.parts) * embedder.parts
    cells = np.resize(np.arange(columns, dtype=np.int32), size)
    try:
        embedder(cells).block_until_ready()
        started = time.monotonic()
        jax.block_until_ready([embedder(cells) for _ in range(_CALLS)])
        return (time.monotonic() - started) / (_CALLS * size)
    except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
            raise
    embedder.forget()
    return None


def _circumstances(
    backbone: Backbone, embedder: Embedder, mesh: jax.sharding.Mesh
) -> dict[str, Any]:
    """All that the best chunk depends on, but no weight."""
    network, preprocess = backbone
    device = mesh.devices.flat[0]
    shapes = [(a.shape, str(a.dtype)) for a in jax.tree.leaves(network)]
    return {
        "device": device.device_kind,
        "devices": mesh.size,
        "cpu": cpu_name() if device.platform == "cpu" else None,
        "jax": jax.__version__,
        "precision": jax.config.jax_default_matmul_precision,  # pyright: ignore
        "network": type(network).__name__,
        "config": repr(getattr(network, "config", None)),
        "shapes": files.sha256_text(repr(shapes)),
        "crop": preprocess.size,
        "plan": None if embedder.plan is None else repr(embedder.plan),
    }


def _path(
    cache_dir: str | os.PathLike[str] | None, about: Mapping[str, Any]
) -> pathlib.Path | None:
    if cache_dir is None:
        return None
    name = files.sha256_text(json.dumps(about, sort_keys=True))[:32]
    return pathlib.Path(cache_dir) / f"chunk-{name}.json"


def _remembered(path: pathlib.Path | None) -> int | None:
    """What a file holds; None where there is none, or it is damaged."""
    try:
        chunk = None if path is None else json.loads(path.read_bytes())["chunk"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return chunk if type(chunk) is int and chunk > 0 else None


def _remember(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_text(path, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        logging.warning("%s: cannot be written: %s", path, error.strerror)
