"""Times the whole loop of a grid against the network's forward pass alone.

    python -m experiments.bench_grid --images=portraits/ --out_dir=runs/bench

The two are timed in turns, so that a machine whose speed drifts slows both. Prints
milliseconds a blend, the ratio of the loop (gather, blend, embed, accumulate) to the
forward pass, and peak memory; writes bench.json and bench.png to --out_dir. The target
is a ratio of 1.3 at most.
"""

import dataclasses
import itertools
import json
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from facedirs_jax import charts, figures, files, runs
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.grid import make_grid
from facedirs_jax.grid_run import CHUNK, SEGMENT, run_grid
from facedirs_jax.regions import REGIONS, find_region, region_masks
from facedirs_jax.templates import embed, templates_of

from . import inputs
from .launch import launch

flags.adopt_module_key_flags(inputs)  # so that --help tells of them

_REGION = flags.DEFINE_enum("region", "nose", list(REGIONS), "Region to blend.")
_CHUNK = flags.DEFINE_integer("chunk", CHUNK, "Blends made and embedded at once.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "How often either is timed.", 1)
_COLOR_TRANSFER = flags.DEFINE_enum(
    "color_transfer", "none", ["none", "lab"], "As in discover_ssi."
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What is timed; see the flags of the same names."""

    source: inputs.Source
    out_dir: str
    region: str = "nose"
    chunk: int = CHUNK
    rounds: int = 5
    color_transfer: ColorTransfer = "none"


def run(config: Config) -> int:
    """Times loop and forward pass in turns; gives the exit code.

    Raises:
        InputError: if there are too few faces.
    """
    network, preprocess = backbone = load_backbone(config.source.backbone)
    with runs.locked(config.out_dir, resume=False) as out:
        faces = inputs.load(config.source, backbone)
        grid = make_grid(len(faces.crops), face_rows=np.unique(faces.distinct))
        masks = region_masks(
            faces.landmarks, find_region(config.region), side=preprocess.size
        )
        own = embed(network, preprocess, faces.crops[grid.face_donors])
        segments = itertools.chain.from_iterable(
            run_grid(
                *(network, preprocess, faces.crops, np.asarray(masks), grid),
                np.asarray(own),
                chunk=config.chunk,
                color_transfer=config.color_transfer,
            )
            for _ in itertools.count()
        )
        forward = jax.jit(templates_of, static_argnums=1)
        batch = jnp.asarray(
            faces.crops[np.arange(config.chunk) % len(faces.crops)] / np.float32(255)
        )
        times: dict[str, list[float]] = {"forward": [], "loop": []}
        for _ in range(config.rounds + 1):  # the first compiles and is left out
            start = time.perf_counter()
            for _ in range(SEGMENT):
                jax.block_until_ready(forward(network, preprocess, batch))
            middle = time.perf_counter()
            blends = len(next(segments).pairs)
            end = time.perf_counter()
            times["forward"].append(1e3 * (middle - start) / (SEGMENT * config.chunk))
            times["loop"].append(1e3 * (end - middle) / blends)
        timed = {what: values[1:] for what, values in times.items()}
        ratios = [a / b for a, b in zip(timed["loop"], timed["forward"], strict=True)]
        result = {
            "ms_a_blend": timed,
            "ratio_median": round(statistics.median(ratios), 3),
            "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
            "blends_per_second": round(1e3 / statistics.median(timed["loop"]), 1),
            "peak_memory_mb": runs.peak_memory_mb(),
            "device": jax.devices()[0].device_kind,
            "versions": runs.versions(),
        }
        files.write_text(out / "bench.json", json.dumps(result, indent=1) + "\n")
        figures.save_figure(out / "bench.png", charts.draw_times(timed))
    for what, values in timed.items():
        print(
            f"{what}: {statistics.median(values):.2f} ms a blend "
            f"({min(values):.2f} to {max(values):.2f})"
        )
    low, high = result["ratio_range"]
    print(f"ratio: {result['ratio_median']} ({low} to {high})")
    print(f"{result['blends_per_second']} blends a second on {result['device']}")
    return 0


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Config)[1:]}
    return run(Config(inputs.source_from_flags(), **fields))


if __name__ == "__main__":
    launch(_run_flags)
