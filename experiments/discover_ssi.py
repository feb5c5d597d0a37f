"""Finds what a face-recognition model encodes of a facial region.

Blends one region of every region donor into every face donor, embeds the blends,
centres the templates by face donor, and finds the directions along which they vary.

    python -m experiments.discover_ssi --images=portraits/ --out_dir=runs/first

With N portraits and no --face_donors or --region_donors that is N x (N - 1) blends a
region. For one number of blends, many region donors and 8 to 32 face donors give far
steadier directions: --face_donors=16. With --decoder, faces are moved along the
directions and decoded, and the decodes measured.

Written to --out_dir: run.json, status.csv (what became of every file),
directions.safetensors, figures/, report.html, journal/, with --decoder traversals.csv,
and, if asked for, templates.safetensors. Killed or stopped, it goes on with --resume.
"""

import dataclasses
import os
import pathlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import flags

from facedirs_jax import figures, files, report, runs
from facedirs_jax.backbones import Backbone
from facedirs_jax.blending import ColorTransfer
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.devices import data_mesh
from facedirs_jax.directions.pca import Mode
from facedirs_jax.directions.record import DirectionFile, model_of, save_directions
from facedirs_jax.discovery import Discovery, analyse
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.color import variance_lost_to_color
from facedirs_jax.evaluation.stability import LEADING
from facedirs_jax.faces import Faces, join_faces, status_table
from facedirs_jax.grid import Grid, make_grid, max_blocks_for
from facedirs_jax.grid_embed import Regional
from facedirs_jax.grid_run import part_of
from facedirs_jax.journal import Journal, finish_grid, gathered, save_templates
from facedirs_jax.regions import FEATHER, REGIONS, Region, choose_regions, region_masks
from facedirs_jax.strips import Strips
from facedirs_jax.templates import embed, template_dim

from . import inputs, speed, traversals
from .launch import launch
from .networks import name_of

flags.adopt_module_key_flags(inputs)  # so that --help tells of them
flags.adopt_module_key_flags(speed)
flags.adopt_module_key_flags(traversals)

_REGION_IMAGES = flags.DEFINE_multi_string(
    "region_images", [], "Region donors; --images are then face donors only."
)
_REGIONS = flags.DEFINE_list(
    "regions", None, f"Default {','.join(REGIONS)}, or all of --regions_file."
)
_REGIONS_FILE = flags.DEFINE_string(
    "regions_file", None, "TOML file of regions: [name], landmarks = [..] of 0-67."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of every random draw.", lower_bound=0)
_FACE_DONORS = flags.DEFINE_integer(
    "face_donors", None, "How many faces to draw as face donors; default all.", 1
)
_REGION_DONORS = flags.DEFINE_integer(
    "region_donors", None, "How many to draw as region donors; default all.", 3
)
_COLOR_TRANSFER = flags.DEFINE_enum(
    "color_transfer",
    "none",
    ["none", "lab"],
    "lab matches the region's colours to the face around it; none is the paper's.",
)
_FEATHER = flags.DEFINE_float(
    "feather", FEATHER, "Softness of a mask's edge, a share of the side.", 0.001, 0.2
)
_MODE = flags.DEFINE_enum(
    "mode",
    "corrected",
    ["corrected", "paper"],
    "Divisor of the covariance: blends - face donors, or the paper's blends - 1.",
)
_PROCESSES = flags.DEFINE_integer(
    "num_processes",
    1,
    "Processes that share the grid, each with these flags and a --process_id of its "
    "own, on one machine or several with a common file system.",
    1,
)
_PROCESS = flags.DEFINE_integer(
    "process_id",
    0,
    "Which of them this is. Those but 0 write to OUT_DIR.process_ID and end; 0 waits "
    "for them and writes the results.",
    0,
)
_SAVE_TEMPLATES = flags.DEFINE_bool(
    "save_templates",
    False,
    "Also writes templates.safetensors. A template can be turned back into a face.",
)
_RESUME = flags.DEFINE_bool("resume", False, "Goes on with the run in --out_dir.")
_STRICT = flags.DEFINE_bool("strict", False, "Stops unless every picture has one face.")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run is asked to do; see the flags of the same names."""

    source: inputs.Source
    out_dir: str
    showing: traversals.Showing | None = None
    region_images: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    regions_file: str | None = None
    seed: int = 0
    face_donors: int | None = None
    region_donors: int | None = None
    color_transfer: ColorTransfer = "none"
    feather: float = FEATHER
    mode: Mode = "corrected"
    chunk: int | None = None
    regional: Regional = "auto"
    devices: int = 1
    num_processes: int = 1
    process_id: int = 0
    precision: str = "highest"
    save_templates: bool = False
    resume: bool = False
    strict: bool = False


def run(config: Config) -> int:
    """Does a whole run; gives the exit code, 0 once everything is written.

    Raises:
        InputError: for what the user can mend.
    """
    mesh = data_mesh(devices=config.devices)
    inputs.keep_apart((*config.source.images, *config.region_images), config.out_dir)
    _check_processes(config)
    regions = choose_regions(config.regions, config.regions_file)
    exact = load_backbone(config.source.backbone)
    backbone = speed.in_precision(exact, config.precision)
    first = config.process_id == 0
    shower = traversals.load_shower(config.showing, backbone) if first else None
    folder = config.out_dir if first else _folder_of(config, config.process_id)
    with (
        runs.locked(folder, resume=config.resume) as out,
        speed.products(config.precision),
    ):
        faces, face_rows, region_rows = _load(config, backbone)
        settings = _settings(config, regions, backbone, faces)
        settings["chunk"] = speed.known_chunk(config.chunk, out)
        run_json = runs.begin(out, settings | (shower.settings if shower else {}))
        files.write_text(out / "status.csv", status_table(faces.status))
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        try:
            inputs.check(faces.status, strict=config.strict)
            grid = make_grid(
                len(faces.crops),
                max_blocks=max_blocks_for(template_dim(*backbone)),
                face_rows=face_rows,
                region_rows=region_rows,
                num_face_donors=config.face_donors,
                num_region_donors=config.region_donors,
                seed=config.seed,
            )
        except InputError as error:
            if not (out / "journal").exists():  # else there is something to go on with
                runs.write(out, run_json | {"state": runs.FAILED})
            raise InputError(f"{error}{inputs.first_unusable(faces.status)}") from error
        run_json = speed.prepared(
            *(out, run_json, config, exact, backbone, faces, grid, mesh),
            list(regions.values()),
        )
        _discover(config, regions, backbone, shower, faces, grid, mesh, out, run_json)
    return 0


def _check_processes(config: Config) -> None:
    if not 0 <= config.process_id < config.num_processes:
        raise InputError(
            f"--process_id={config.process_id} is none of 0 to "
            f"{config.num_processes - 1}, the processes that share this run"
        )
    if config.num_processes > 1 and config.save_templates:
        raise InputError(
            "--save_templates writes from one process; give --num_processes=1"
        )


def _folder_of(config: Config, process: int) -> str:
    """Run directory of another process than the first."""
    return f"{os.fspath(config.out_dir).rstrip(os.sep)}.process_{process}"


def _load(
    config: Config, backbone: Backbone
) -> tuple[Faces, np.ndarray, np.ndarray | None]:
    """All faces; which may be face donors; which region donors, if that differs.

    A picture that is there twice counts once.
    """
    faces = inputs.load(config.source, backbone)
    if not config.region_images:
        return faces, np.unique(faces.distinct), None
    of_regions = dataclasses.replace(config.source, images=config.region_images)
    both = join_faces(faces, inputs.load(of_regions, backbone))
    first, second = np.split(both.distinct, [len(faces.crops)])
    return both, np.unique(first), np.unique(second)


def _settings(
    config: Config, regions: Mapping[str, Region], backbone: Backbone, faces: Faces
) -> dict[str, Any]:
    """All that the results depend on, besides the decoder."""
    asked = dataclasses.asdict(config)
    for name in (
        *("source", "out_dir", "showing", "resume", "strict", "regions_file"),
        "process_id",
    ):
        del asked[name]
    return asked | {
        **model_of(name_of(config.source.backbone, backbone), backbone),
        "faces_sha256": faces.fingerprint,
        "regions": {name: region.hulls for name, region in regions.items()},
        "region_images": bool(config.region_images),
        "jax": runs.versions()["jax"],
        "platform": jax.devices()[0].platform,
    }


def _discover(
    config: Config,
    regions: Mapping[str, Region],
    backbone: Backbone,
    shower: traversals.Shower | None,
    faces: Faces,
    grid: Grid,
    mesh: jax.sharding.Mesh,
    out: pathlib.Path,
    run_json: dict[str, Any],
) -> None:
    """Runs and analyses every region, and writes the results."""
    for folder in ("journal", "figures"):
        (out / folder).mkdir(mode=0o700, exist_ok=True)
    network, preprocess = backbone
    own = np.asarray(embed(network, preprocess, faces.crops[grid.face_donors]))
    masks, journals, found, strips = {}, {}, {}, {}
    settings = dict(run_json["settings"])
    chunk = settings.pop("chunk")  # in which processes may differ
    rates = dict(run_json.get("blends_per_second", {}))
    for name, region in regions.items():
        found_masks = region_masks(
            faces.landmarks, region, side=preprocess.size, feather=config.feather
        )
        masks[name] = np.asarray(found_masks)
        known: dict[str, Any] = {
            "settings": f"{settings} {region} {grid.fingerprint}",
            "dim": own.shape[1],
        }
        journals[name] = Journal(out / "journal", name, **known)
        state, rate = finish_grid(
            *(network, preprocess, faces.crops, masks[name], grid, own),
            journals[name],
            chunk=chunk,
            color_transfer=config.color_transfer,
            regional=config.regional,
            mesh=mesh,
            part=part_of(grid, config.process_id, config.num_processes),
            with_templates=config.save_templates,
        )
        rates[name] = rate or rates.get(name)
        run_json = run_json | {"blends_per_second": rates}
        runs.write(out, run_json)
        if config.process_id > 0:
            continue
        others = range(1, config.num_processes)
        state = gathered(
            state,
            [
                Journal(f"{_folder_of(config, other)}/journal", name, **known)
                for other in others
            ],
            [part_of(grid, other, config.num_processes)[1] for other in others],
        )
        lost = None
        if config.color_transfer != "none":
            lost = variance_lost_to_color(
                *(network, preprocess, faces.crops, masks[name], grid),
                count=LEADING,
                chunk=chunk,
            )
        found[name] = analyse(
            *(state.sums, grid, own, region),
            mode=config.mode,
            seed=config.seed,
            lost_to_color=lost,
        )
        if shower:
            found[name], strips[name] = traversals.show(
                *(shower, backbone, found[name], faces, grid, own, masks[name])
            )
        print(report.summary(name, grid, found[name], rates[name]), flush=True)
    if config.process_id > 0:
        runs.write(out, run_json | {"state": runs.COMPLETE})
        print(f"part {config.process_id} of {config.num_processes} is done: {out}")
        return
    if config.save_templates:
        save_templates(out / "templates.safetensors", journals)
    _write_results(config, backbone, faces, grid, out, run_json, masks, found, strips)
    for journal in journals.values():
        journal.drop_rows()
    print(f"report: {out / 'report.html'}")


def _write_results(
    config: Config,
    backbone: Backbone,
    faces: Faces,
    grid: Grid,
    out: pathlib.Path,
    run_json: dict[str, Any],
    masks: Mapping[str, np.ndarray],
    found: Mapping[str, Discovery],
    strips: Mapping[str, Strips],
) -> None:
    """Writes directions, figures and report, and marks the run complete."""
    sets = {name: discovery.directions for name, discovery in found.items()}
    counts = {
        "face_donors": len(grid.face_donors),
        "region_donors": len(grid.region_donors),
        "blends": grid.num_blends,
    }
    about = {
        **counts,
        "faces_sha256": faces.fingerprint,
        "grid_sha256": grid.fingerprint,
        "color_transfer": config.color_transfer,
        "feather": config.feather,
        "seed": config.seed,
    }
    model = model_of(name_of(config.source.backbone, backbone), backbone)
    content = DirectionFile(sets, model, about)
    save_directions(out / "directions.safetensors", content)
    drawn = figures.draw_discoveries(
        found, grid, faces.crops, masks, color_transfer=config.color_transfer
    )
    paths = figures.save_figures(out / "figures", drawn)
    run_json = run_json | {
        "state": runs.COMPLETE,
        "grid": counts,
        "peak_memory_mb": runs.peak_memory_mb(),
        "input_sha256": {row.file: row.sha256 for row in faces.status if row.sha256},
    }
    report.write_page(
        out / "report.html",
        run=run_json,
        status_counts=Counter(row.status for row in faces.status),
        sets={name: directions.about for name, directions in sets.items()},
        figures=paths,
        strips=traversals.write_strips(out, strips),
    )
    runs.write(out, run_json)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    if values["devices"] > 1:  # of a CPU too
        jax.config.update("jax_num_cpu_devices", values["devices"])
    values["showing"] = traversals.showing_from_flags()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Config)[1:]}
    for name in ("region_images", "regions"):
        fields[name] = tuple(fields[name] or ())
    return run(Config(inputs.source_from_flags(), **fields))


if __name__ == "__main__":
    launch(_run_flags)
