"""Flags that say how fast a grid runs; what they change in templates is rounding."""

import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np
from absl import flags

from facedirs_jax import runs
from facedirs_jax.backbones import Backbone
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.faces import Faces
from facedirs_jax.grid import Grid
from facedirs_jax.grid_embed import Regional
from facedirs_jax.reduced import in_bfloat16, template_error
from facedirs_jax.regions import Region, region_masks
from facedirs_jax.tuning import tune_chunk

from . import inputs

_CHUNK = flags.DEFINE_integer(
    "chunk",
    None,
    "Blends made and embedded at once; default: what is fastest, measured where that "
    "pays and remembered in --cache_dir, else 64.",
    1,
)
_REGIONAL = flags.DEFINE_enum(
    "regional",
    "auto",
    ["auto", "on", "off"],
    "Embeds of each blend only what its region can change, and takes the rest from its "
    "face donor: the same templates, sooner. auto: where that pays.",
)
_DEVICES = flags.DEFINE_integer(
    "devices", 1, "Devices that split each chunk of blends.", 1
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "highest",
    ["highest", "high", "default", "bfloat16"],
    "Of the network's products; less is faster on a GPU (TF32). bfloat16: of all that "
    "the network computes; the error of its templates is reported.",
)


class Asked(Protocol):
    """The settings of a run that its speed depends on; see the flags."""

    @property
    def source(self) -> inputs.Source: ...
    @property
    def chunk(self) -> int | None: ...
    @property
    def regional(self) -> Regional: ...
    @property
    def precision(self) -> str: ...
    @property
    def color_transfer(self) -> ColorTransfer: ...
    @property
    def feather(self) -> float: ...
    @property
    def num_processes(self) -> int: ...


def products(precision: str) -> Any:
    """Context in which products outside of a bfloat16 network keep float32."""
    of_products = "highest" if precision == "bfloat16" else precision
    return jax.default_matmul_precision(of_products)


def in_precision(backbone: Backbone, precision: str) -> Backbone:
    """The network that runs, of one in float32.

    Raises:
        InputError: if it cannot compute in bfloat16 and is asked to.
    """
    return in_bfloat16(backbone) if precision == "bfloat16" else backbone


def known_chunk(asked: int | None, out: pathlib.Path) -> int | None:
    """The chunk that was asked for, else that of the run in a directory, else None."""
    if asked is None and (out / runs.FILE).exists():
        run = runs.read(out)
        if run["state"] != runs.FAILED:
            return run["settings"].get("chunk")
    return asked


def prepared(
    out: pathlib.Path,
    run_json: dict[str, Any],
    config: Asked,
    exact: Backbone,
    backbone: Backbone,
    faces: Faces,
    grid: Grid,
    mesh: jax.sharding.Mesh,
    regions: Sequence[Region],
) -> dict[str, Any]:
    """Settles the chunk of a run, and measures what bfloat16 does to templates.

    Args:
        out: its directory, whose run.json is written.
        run_json: content of run.json.
        config: what was asked for.
        exact: the network in float32.
        backbone: the one that runs.
        faces: of all donors.
        grid: the donors.
        mesh: devices.
        regions: to find directions of; chunks are timed on the first.

    Returns:
        Content of run.json.
    """
    settings = run_json["settings"]
    if settings["chunk"] is None:
        side, feather = backbone.preprocess.size, config.feather
        chunk = tune_chunk(
            *(backbone, faces),
            region_masks(faces.landmarks, regions[0], side=side, feather=feather),
            grid,
            blends=grid.num_blends * len(regions) // config.num_processes,
            cache_dir=config.source.cache_dir,
            mesh=mesh,
            color_transfer=config.color_transfer,
            regional=config.regional,
        )
        run_json = run_json | {"settings": settings | {"chunk": chunk}}
    if config.precision == "bfloat16" and "template_error" not in run_json:
        crops = faces.crops[np.unique(faces.distinct)]
        found = template_error(exact, backbone, crops)
        run_json = run_json | {"template_error": found}
        print(_told(found), flush=True)
    runs.write(out, run_json)
    return run_json


def _told(error: dict[str, float]) -> str:
    return (
        f"bfloat16: templates of {error['faces']} faces are off by "
        f"{100 * error['median']:.2f} % of their length (median; at most "
        f"{100 * error['largest']:.2f} %), {100 * error['of_people']:.2f} % of the "
        "distance between two people"
    )
