"""Predicts how fast the grid can run on a GPU at best, without having one.

    python -m experiments.predict_gpu --out_dir=runs/gpu
    python -m experiments.predict_gpu --machine=h200_sxm --out_dir=runs/h200

For each network, for whole blends and for each region, in the precisions `highest`
and `default` of discover_ssi and in bfloat16, the function that embeds a chunk is
traced and its convolutions, products and copies are held against the published peaks of
a GPU (the roofline); so are the sums of a segment and their way to the host. Nothing is
run. What comes out are upper bounds, of which real kernels reach a share.

XLA's own counts and its need of memory stand beside ours: of the function as it was
traced, and as compiled for the device that jax finds; that of a CPU is kept from fusing
layers that a GPU does not. All is linear in the chunk, and read off two of them.
Windows are those of all faces, the gallery's unless --images are given. Prints blends a
second: `roofline` if arithmetic and memory never wait for each other, `in_turn` kernel
by kernel, `grid_at_N` so with the sums, in chunks of N. Writes predictions.json,
predictions.csv, counts.csv, predictions.md and roofline.png to --out_dir.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from absl import flags, logging

from facedirs_jax import bench_charts, figures, files, runs, tables
from facedirs_jax.backbones import Backbone
from facedirs_jax.errors import InputError
from facedirs_jax.grid import Grid, make_grid, max_blocks_for
from facedirs_jax.grid_run import SEGMENT, Traced, chunk_size, traced_grid
from facedirs_jax.regional import region_windows
from facedirs_jax.regions import REGIONS, find_region, region_masks
from facedirs_jax.roofline import (
    MACHINES,
    Kernel,
    Machine,
    Unit,
    at_size,
    bound_of,
    kernels_of,
    largest_power_of_two,
)
from facedirs_jax.templates import template_dim

from . import inputs
from .grid_networks import NETWORKS, abstract_backbone, check_names, dtypes_of
from .launch import launch

flags.adopt_module_key_flags(inputs)  # so that --help tells of them

WHOLE = "whole"
TRACED = (16, 64)  # chunks; all else lies on the lines through these
POOL = 0.75  # of a GPU's memory is what JAX takes


class Precision(NamedTuple):
    """Of products as jax knows it, of activations, and the unit that computes them."""

    products: str
    dtype: str
    unit: Unit


PRECISIONS = {
    "highest": Precision("highest", "float32", "float32"),
    "default": Precision("default", "float32", "tf32"),
    "bfloat16": Precision("default", "bfloat16", "bfloat16"),
}
_SHOWN = (
    *("network", "region", "precision", "gflop", "mb", "intensity", "bound_by"),
    *("memory_share", "chunk_fits", "roofline", "in_turn"),
)
# The CPU's library fuses whole networks and needs no memory between layers.
_AS_ON_A_GPU: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_cpu_experimental_ynn_fusion_type": ""}
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is predicted; see the flags of the same names."""

    source: inputs.Source
    out_dir: str
    networks: tuple[str, ...] = NETWORKS
    regions: tuple[str, ...] = tuple(REGIONS)
    chunks: tuple[int, ...] = (16, 64, 256, 1024)
    faces: int = 575
    machine: str = "h100_sxm"


class Setting(NamedTuple):
    """A network of shapes alone, all faces of its grid, and what a region changes."""

    backbone: Backbone
    grid: Grid
    window: tuple[int, int] | None

    def traced(self, chunk: int) -> Traced:
        """What a grid in such chunks computes."""
        faces = len(self.grid.face_donors)
        return traced_grid(
            *self.backbone, self.grid, faces=faces, chunk=chunk, window=self.window
        )


class Work(NamedTuple):
    """Kernels of a chunk and of a segment's sums, and bytes of these to the host."""

    chunk: list[Kernel]
    segment: list[Kernel]
    to_host: float


def run(config: Config) -> int:
    """Predicts for every network; gives the exit code.

    Raises:
        InputError: if a network is unknown or no chunk is given.
    """
    check_names(config.networks)
    if min(config.chunks, default=0) < 1:
        raise InputError("chunks must be given, each of them at least 1")
    with runs.locked(config.out_dir, resume=False) as out:
        predictions, counts = [], []
        for name in config.networks:
            windows: dict[str, tuple[int, int] | None] = {WHOLE: None}
            windows |= _windows(config, name)
            for region, window in windows.items():
                logging.info("%s, %s", name, region)
                found, counted = _predicted(config, name, region, window)
                predictions += found
                counts += counted
        _write(out, config, predictions, counts)
    print(f"written: {out / 'predictions.json'}")
    return 0


def _windows(config: Config, name: str) -> dict[str, tuple[int, int]]:
    """Rows and columns that each region changes in some face."""
    backbone = abstract_backbone(name)
    faces = inputs.load(config.source, backbone)
    if not len(faces.crops):
        raise InputError(
            "no picture shows a face" + inputs.first_unusable(faces.status)
        )
    side = backbone.preprocess.size
    return {
        region: region_windows(
            np.asarray(region_masks(faces.landmarks, find_region(region), side=side))
        )[0]
        for region in config.regions
    }


def _predicted(
    config: Config, name: str, region: str, window: tuple[int, int] | None
) -> tuple[list[tables.Row], list[tables.Row]]:
    """Rows of predictions, one a precision, and of counts, one a traced chunk."""
    machine = MACHINES[config.machine]
    whom = {"network": name, "region": region}
    settings = {
        dtype: _setting(config, abstract_backbone(name, dtype=dtype), window)
        for dtype in dtypes_of(name)
    }
    counts = [_counts(settings["float32"], chunk) for chunk in TRACED]
    need = [(chunk, row["needs_mb"]) for chunk, row in zip(TRACED, counts, strict=True)]
    limit = POOL * machine.memory / 1e6
    fits = {"chunk_fits": largest_power_of_two((need[0], need[1]), limit)}
    predictions: list[tables.Row] = [
        whom
        | {"precision": name}
        | _bounds(config, settings[precision.dtype], precision, machine)
        | fits
        for name, precision in PRECISIONS.items()
        if precision.dtype in settings
    ]
    return predictions, [whom | row for row in counts]


def _setting(
    config: Config, backbone: Backbone, window: tuple[int, int] | None
) -> Setting:
    blocks = max_blocks_for(template_dim(*backbone))
    return Setting(backbone, make_grid(config.faces, max_blocks=blocks), window)


def _bounds(
    config: Config, setting: Setting, precision: Precision, machine: Machine
) -> dict[str, tables.Cell]:
    """One network, region and precision at the peaks of a machine."""
    with jax.default_matmul_precision(precision.products):
        work = [(chunk, _work(setting.traced(chunk))) for chunk in TRACED]
    by_row = setting.window is not None
    sizes = {n: chunk_size(setting.grid, n, by_row=by_row) for n in config.chunks}
    best = sizes[max(sizes)]
    network = bound_of(_at(work, "chunk", best), machine)
    rates = {n: 1 / _seconds(work, size, machine) for n, size in sizes.items()}
    return {
        "gflop": network.flops / best / 1e9,
        "mb": network.bytes / best / 1e6,
        "intensity": network.intensity,
        "ridge": machine.ridge(precision.unit),
        "bound_by": network.by,
        "memory_share": network.in_memory,
        "roofline": round(best / network.overlapped),
        "in_turn": round(best / network.in_turn),
        **{f"grid_at_{n}": round(rate) for n, rate in rates.items()},
        "minutes": setting.grid.num_blends / rates[max(rates)] / 60,
    }


def _work(traced: Traced) -> Work:
    added = jax.tree.leaves(traced.segment.out_info)
    return Work(
        kernels_of(traced.chunk.jaxpr),
        kernels_of(traced.segment.jaxpr),
        float(sum(sums.size * sums.dtype.itemsize for sums in added)),
    )


def _at(
    work: Sequence[tuple[int, Work]], part: Literal["chunk", "segment"], size: int
) -> list[Kernel]:
    """Kernels of a chunk of any size, or of a segment of such chunks."""
    small, large = ((chunk, getattr(of_chunk, part)) for chunk, of_chunk in work)
    return at_size(small, large, size)


def _seconds(work: Sequence[tuple[int, Work]], chunk: int, machine: Machine) -> float:
    """Of one blend of the grid: its network, its sums, and their way to the host."""
    network = bound_of(_at(work, "chunk", chunk), machine).in_turn
    sums = bound_of(_at(work, "segment", chunk), machine).in_turn
    moved = work[0][1].to_host / machine.to_host
    return (network + (sums + moved) / SEGMENT) / chunk


def _counts(setting: Setting, chunk: int) -> dict[str, Any]:
    """What XLA counts of one chunk, a blend, and what memory the grid needs with it."""
    traced = setting.traced(chunk)
    kernels = bound_of(kernels_of(traced.chunk.jaxpr), MACHINES["h100_sxm"])
    options = _AS_ON_A_GPU.get(jax.default_backend())
    # A CPU compiles it as well, with the convolutions that a GPU is given.
    platforms = None if options is None else ("cuda",)
    lowered, sums_lowered = (
        part.lower(lowering_platforms=platforms) for part in traced
    )
    compiled: Any = lowered.compile(compiler_options=options)
    added: Any = sums_lowered.compile(compiler_options=options)
    unfused: Any = lowered.cost_analysis()
    fused = compiled.cost_analysis()
    memory, sums = compiled.memory_analysis(), added.memory_analysis()
    embeds = memory.temp_size_in_bytes + SEGMENT * memory.output_size_in_bytes
    adds = (
        sums.argument_size_in_bytes
        + sums.temp_size_in_bytes
        + sums.output_size_in_bytes
    )
    return {
        "chunk": chunk,
        "gflop": kernels.flops / chunk / 1e9,
        "xla_gflop": fused["flops"] / chunk / 1e9,
        "mb": kernels.bytes / chunk / 1e6,
        "xla_mb_fused": fused["bytes accessed"] / chunk / 1e6,
        "xla_mb_unfused": unfused["bytes accessed"] / chunk / 1e6,
        "arguments_mb": memory.argument_size_in_bytes / 1e6,
        "temporary_mb": memory.temp_size_in_bytes / 1e6,
        "output_mb": memory.output_size_in_bytes / 1e6,
        "sums_mb": adds / 1e6,
        "needs_mb": (memory.argument_size_in_bytes + max(embeds, adds)) / 1e6,
    }


def _write(
    out: pathlib.Path,
    config: Config,
    predictions: Sequence[tables.Row],
    counts: Sequence[tables.Row],
) -> None:
    machine = MACHINES[config.machine]
    totals = _totals(predictions)
    result = {
        "machine": machine._asdict(),
        "analysed_for": jax.devices()[0].device_kind,
        "faces": config.faces,
        "predictions": predictions,
        "three_regions": totals,
        "counts": counts,
        "versions": runs.versions(),
    }
    files.write_text(out / "predictions.json", json.dumps(result, indent=1) + "\n")
    files.write_text(out / "predictions.csv", tables.csv_text(predictions))
    files.write_text(out / "counts.csv", tables.csv_text(counts))
    best = f"grid_at_{max(config.chunks)}"
    shown = [{name: row[name] for name in (*_SHOWN, best)} for row in predictions]
    parts = (shown, totals, counts)
    text = "\n".join(map(tables.markdown_text, parts))
    files.write_text(out / "predictions.md", text)
    chart = bench_charts.draw_roofline(_points(predictions), _roofs(machine))
    figures.save_figure(out / "roofline.png", chart)
    ridges = [f"{unit} {machine.ridge(unit):.4g}" for unit in machine.peaks]
    print(f"{machine.name}; operations a byte at the ridge: {', '.join(ridges)}\n")
    print(*map(tables.plain_text, parts), sep="\n\n")


def _totals(predictions: Sequence[tables.Row]) -> list[tables.Row]:
    """Minutes for all regions, of blends embedded whole and by regions."""
    found: dict[tuple[Any, Any], dict[str, float]] = {}
    for row in predictions:
        of = found.setdefault((row["network"], row["precision"]), {})
        of[str(row["region"])] = float(row["minutes"])  # pyright: ignore
    return [
        {
            "network": network,
            "precision": precision,
            "whole_minutes": (len(minutes) - 1) * minutes[WHOLE],
            "by_regions_minutes": sum(minutes.values()) - minutes[WHOLE],
        }
        for (network, precision), minutes in found.items()
    ]


def _points(
    predictions: Sequence[tables.Row],
) -> dict[str, list[tuple[str, str, float, float]]]:
    """By precision: network, region, operations a byte, and operations a second."""
    points: dict[str, list[Any]] = {}
    for row in predictions:
        speed = 1e9 * row["gflop"] * row["in_turn"]  # pyright: ignore
        point = (row["network"], row["region"], row["intensity"], speed)
        points.setdefault(str(row["precision"]), []).append(point)
    return points


def _roofs(machine: Machine) -> dict[str, tuple[float, float]]:
    """Peak and bandwidth, by precision."""
    return {
        name: (machine.peaks[precision.unit], machine.bandwidth)
        for name, precision in PRECISIONS.items()
    }


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    chunks = list(map(str, Config.chunks))
    flags.DEFINE_list("networks", list(NETWORKS), "Which of these to predict.")
    flags.DEFINE_list("regions", list(REGIONS), "Regions to blend.")
    flags.DEFINE_list("chunks", chunks, "Blends made and embedded at once.")
    flags.DEFINE_integer("faces", Config.faces, "Of a grid of all x all.", 3)
    flags.DEFINE_enum("machine", Config.machine, list(MACHINES), "The GPU.")


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Config)[1:]}
    fields |= {name: tuple(fields[name]) for name in ("networks", "regions")}
    fields["chunks"] = _numbers(fields["chunks"])
    return run(Config(inputs.source_from_flags(), **fields))


def _numbers(texts: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(map(int, texts))
    except ValueError as error:
        raise InputError(f"--chunks are numbers, not {','.join(texts)!r}") from error


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
