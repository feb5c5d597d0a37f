"""Times the grid against what people would write instead, in one run.

    python -m experiments.bench_grid --out_dir=runs/bench
    python -m experiments.bench_grid --networks=vgg16 --notorch --out_dir=runs/bench
    python -m experiments.bench_grid --scale --out_dir=runs/scale

For each network, in turns, so that a machine whose speed drifts slows all of them:

- whole: the grid (gather, blend, embed, add up), each blend embedded whole;
- one line a region: the same, embedded by what the region can change;
- forward: this library's network alone, on blends that are there already;
- torch, torch_compile: PyTorch's, eager and compiled, in channels_last (extra
  `convert`; without it they are left out); dlib: dlib's own network, on its own.

The last four are given their blends ready made, and so are favoured. Faces are those of
the gallery unless --images are given; networks have their published sizes and, but for
dlib's, random weights, on which no time depends. All of them are checked to give the
same templates. Prints milliseconds a blend, and ratios (median of rounds, range);
writes bench.json and a chart for each network to --out_dir.

With --scale, how the cost of a blend depends on the number of faces, devices and
processes, with the first of --networks alone: see `grid_scale`.
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from facedirs_jax import bench_charts, figures, files, runs
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.dlib_resnet import FILE
from facedirs_jax.blending import blend_pairs
from facedirs_jax.devices import data_mesh
from facedirs_jax.dlib_models import dlib_model_path
from facedirs_jax.faces import Faces
from facedirs_jax.grid import Grid, make_grid, max_blocks_for
from facedirs_jax.grid_run import run_grid
from facedirs_jax.regional import make_plan, region_windows
from facedirs_jax.regions import REGIONS, find_region, region_masks
from facedirs_jax.roofline import kernels_of
from facedirs_jax.templates import embed, template_dim, templates_of
from facedirs_jax.training import metrics

from . import grid_scale, inputs
from .grid_networks import NETWORKS, check_names, filled_backbone
from .launch import launch
from .ratios import ratio

flags.adopt_module_key_flags(inputs)  # so that --help tells of them

# Of templates, relative: other sums, same function; TF32 rounds to 11 bits.
_TOLERANCES = {"highest": 1e-3, "default": 2e-2}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is timed; see the flags of the same names."""

    source: inputs.Source
    out_dir: str
    networks: tuple[str, ...] = NETWORKS
    regions: tuple[str, ...] = tuple(REGIONS)
    chunk: int = 16
    blends: int = 32
    face_donors: int = 1
    rounds: int = 3
    torch: bool = True
    precision: str = "highest"


class Setting(NamedTuple):
    """One network and what it is given."""

    name: str
    backbone: Backbone
    faces: Faces
    grid: Grid
    own: np.ndarray  # [F, D]
    masks: dict[str, np.ndarray]  # [N, S, S] each


Contender = Callable[[], np.ndarray]  # embeds all blends of a round: [P, D]


def run(config: Config) -> int:
    """Times every network; gives the exit code.

    Raises:
        InputError: if there are too few faces, or a network is unknown.
    """
    check_names(config.networks)
    with (
        runs.locked(config.out_dir, resume=False) as out,
        jax.default_matmul_precision(config.precision),
    ):
        peak = metrics.matmul_peak(data_mesh(devices=1))
        found = {}
        for name in config.networks:
            found[name] = _measured(_setting(config, name), config, peak)
            _tell(name, found[name])
            _write(out, found, config, peak)
    print(f"written: {out / 'bench.json'}")
    return 0


def _setting(config: Config, name: str) -> Setting:
    backbone = filled_backbone(name)
    source = dataclasses.replace(
        config.source, limit=config.blends + config.face_donors
    )
    faces = inputs.load(source, backbone)
    grid = make_grid(
        len(faces.crops),
        face_rows=np.unique(faces.distinct),
        max_blocks=max_blocks_for(template_dim(*backbone)),
        num_face_donors=config.face_donors,
        num_region_donors=config.blends,
    )
    masks = {
        region: np.asarray(
            region_masks(
                faces.landmarks, find_region(region), side=backbone.preprocess.size
            )
        )
        for region in config.regions
    }
    own = embed(*backbone, faces.crops[grid.face_donors])
    return Setting(name, backbone, faces, grid, np.asarray(own), masks)


def _measured(setting: Setting, config: Config, peak: float) -> dict[str, Any]:
    """Times, compilations and agreement of all contenders of one network."""
    contenders = dict(_contenders(setting, config))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    first, templates = {}, {}
    for name, contender in contenders.items():  # compiles
        start = time.perf_counter()
        templates[name] = contender()
        first[name] = round(time.perf_counter() - start, 2)
    for _ in range(config.rounds):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            took = time.perf_counter() - start
            times[name].append(1e3 * took / len(templates[name]))
    apart = _apart(templates, config.regions[0])
    if max(apart.values()) > _TOLERANCES[config.precision]:
        raise AssertionError(f"{setting.name}: templates differ: {apart}")
    rivals = [n for n in ("torch", "torch_compile") if n in times]
    ratios = {}
    for name in ("whole", *config.regions):
        for against in ("whole", *rivals, *(["dlib"] if "dlib" in times else [])):
            if name != against:
                ratios[f"{against} / {name}"] = ratio(times[against], times[name])
    flops = _flops(setting, config.chunk)
    return {
        "ms_a_blend": times,
        "ratios": ratios,
        "first_call_seconds": first,
        "templates_apart": apart,
        "gflop_a_blend_whole": round(flops / 1e9, 3),
        "share_of_peak_whole": round(
            flops / 1e6 / statistics.median(times["whole"]) / peak, 3
        ),
        "windows": {
            region: _window(setting, masks) for region, masks in setting.masks.items()
        },
        "peak_memory_mb": runs.peak_memory_mb(),
    }


def _contenders(setting: Setting, config: Config) -> Iterator[tuple[str, Contender]]:
    region, *_ = config.regions
    network, preprocess = setting.backbone

    def grid_of(region: str, how: Any) -> Contender:
        def embed_all() -> np.ndarray:
            segments = run_grid(
                *(network, preprocess, setting.faces.crops, setting.masks[region]),
                *(setting.grid, setting.own),
                chunk=config.chunk,
                regional=how,
                with_templates=True,
            )
            return np.concatenate([np.asarray(s.templates) for s in segments])

        return embed_all

    yield "whole", grid_of(region, "off")
    for name in config.regions:
        yield name, grid_of(name, "on")
    faces, regions = setting.grid.face_donors, setting.grid.region_donors
    pairs = np.stack([faces.repeat(len(regions)), np.tile(regions, len(faces))], 1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    blends = blend_pairs(
        jnp.asarray(setting.faces.crops),
        jnp.asarray(setting.masks[region]),
        jnp.asarray(pairs),
    )
    batches = [
        blends[i : i + config.chunk] for i in range(0, len(blends), config.chunk)
    ]
    forward = jax.jit(templates_of, static_argnums=1)
    yield (
        "forward",
        lambda: np.concatenate([forward(network, preprocess, b) for b in batches]),
    )
    if setting.name == "dlib_resnet":
        yield "dlib", _dlib(np.asarray(blends))
    elif config.torch:
        given = [np.asarray(preprocess(batch)) for batch in batches]
        yield from _torch(network, given)


def _dlib(blends: np.ndarray) -> Contender:
    import dlib  # only for this

    model = dlib.face_recognition_model_v1(str(dlib_model_path(FILE)))  # pyright: ignore
    chips = list(np.round(255 * blends).astype(np.uint8))
    return lambda: np.array([model.compute_face_descriptor(chip) for chip in chips])


def _torch(
    network: Any, batches: Sequence[np.ndarray]
) -> Iterator[tuple[str, Contender]]:
    try:
        import torch  # only for this
    except ModuleNotFoundError:
        print("PyTorch is not installed, so it is not timed (extra: convert)")
        return
    from .torch_networks import torch_network

    module = torch_network(network)
    given = [
        torch.from_numpy(batch.copy()).permute(0, 3, 1, 2)  # as channels_last wants it
        for batch in batches
    ]

    def embed_all(module: Any) -> np.ndarray:
        with torch.inference_mode():
            return np.concatenate([module(batch).numpy() for batch in given])

    yield "torch", functools.partial(embed_all, module)
    yield "torch_compile", functools.partial(embed_all, torch.compile(module))


def _apart(templates: dict[str, np.ndarray], region: str) -> dict[str, float]:
    """Largest relative distance to the templates of whole blends of one region."""
    expected = templates["whole"]
    size = np.linalg.norm(expected, axis=1)
    return {
        name: float((np.linalg.norm(found - expected, axis=1) / size).max())
        for name, found in templates.items()
        if name in (region, "forward", "torch", "torch_compile")
    }


def _window(setting: Setting, masks: np.ndarray) -> dict[str, Any]:
    network, preprocess = setting.backbone
    window, _ = region_windows(masks[setting.grid.face_donors])
    plan = make_plan(network, preprocess, window)  # pyright: ignore
    return {
        "window": list(window),
        "stages": f"{len(plan.spans)} of {len(network.trunk)}",  # pyright: ignore
        "saved_area": round(plan.saved, 3),
    }


def _flops(setting: Setting, chunk: int) -> float:
    """Of one whole blend's forward pass, convolutions counted as sums of products."""
    network, preprocess = setting.backbone
    size = preprocess.size
    batch = jax.ShapeDtypeStruct((chunk, size, size, 3), jnp.float32)
    traced = jax.jit(templates_of, static_argnums=1).trace(network, preprocess, batch)
    return sum(kernel.flops for kernel in kernels_of(traced.jaxpr)) / chunk


def _tell(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: {found['gflop_a_blend_whole']} GFLOP a blend")
    for what, values in found["ms_a_blend"].items():
        median = statistics.median(values)
        print(
            f"  {what}: {median:.2f} ms a blend ({min(values):.2f} to "
            f"{max(values):.2f}), {1e3 / median:.1f} blends a second"
        )
    for what, span in found["ratios"].items():
        print(f"  {what}: {span['median']} ({span['low']} to {span['high']})")


def _write(
    out: pathlib.Path, found: dict[str, Any], config: Config, peak: float
) -> None:
    result = {
        "networks": found,
        "chunk": config.chunk,
        "precision": config.precision,
        "peak_gflops": round(peak, 1),
        "device": jax.devices()[0].device_kind,
        "versions": runs.versions(),
    }
    files.write_text(out / "bench.json", json.dumps(result, indent=1) + "\n")
    for name, measured in found.items():
        chart = bench_charts.draw_times(measured["ms_a_blend"])
        figures.save_figure(out / f"{name}.png", chart)


def _define_flags() -> None:
    """Not on import, since discover_ssi has flags of these names."""
    scale = grid_scale.Config
    flags.DEFINE_list(
        "networks",
        None,
        f"Default {','.join(NETWORKS)}; with --scale one of these, one that ships or a "
        f"checkpoint of yours, default {scale.network}.",
    )
    flags.DEFINE_list("regions", list(REGIONS), "Regions to blend; --scale: the first.")
    flags.DEFINE_integer("chunk", 16, "Blends made and embedded at once.", 1)
    blends = f"default {Config.blends}; --scale: {scale.blends}."
    flags.DEFINE_integer(
        "blends", None, f"Blends of a round and face donor, {blends}", 3
    )
    flags.DEFINE_integer(
        "face_donors", 1, "Face donors of a round; sums weigh less with more.", 1
    )
    flags.DEFINE_integer("rounds", 3, "How often each is timed.", 1)
    flags.DEFINE_bool("torch", True, "Also times PyTorch, where it is installed.")
    flags.DEFINE_enum(
        "precision", "highest", list(_TOLERANCES), "Of products, as of discover_ssi."
    )
    flags.DEFINE_bool("scale", False, "Times N faces, devices and processes instead.")
    flags.DEFINE_list(
        "sizes", [*map(str, scale.sizes)], "Numbers N of faces; with --scale."
    )


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    given = {"chunk": values["chunk"], "rounds": values["rounds"]}
    if values["blends"]:
        given["blends"] = values["blends"]
    source, out = inputs.source_from_flags(), values["out_dir"]
    networks, regions = values["networks"], tuple(values["regions"])
    if values["scale"]:
        given |= {"network": networks[0]} if networks else {}
        sizes = grid_scale.sizes_of(values["sizes"])
        return grid_scale.run(
            grid_scale.Config(source, out, region=regions[0], sizes=sizes, **given)
        )
    given |= {name: values[name] for name in ("face_donors", "torch", "precision")}
    given |= {"networks": tuple(networks)} if networks else {}
    return run(Config(source, out, regions=regions, **given))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
