"""Measures how steady region directions are: would other people give the same ones?

Draws two disjoint sets of people, finds the directions of a region on either, and
measures the angles between them; again and again, for several numbers of region donors.

    python -m experiments.measure_stability --images=portraits/ --out_dir=runs/steady \
        --region_donors=60,163 --face_donors=8

Needs 2 x region donors + 2 x face donors portraits, of different people. Written to
--out_dir: run.json, status.csv, stability.csv, stability.png, and the journal, from
which a run that was stopped goes on with --resume.
"""

import csv
import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
from absl import flags

from facedirs_jax import charts, figures, files, runs
from facedirs_jax.backbones import Backbone
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.directions.record import model_of
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.stability import Angles, angles_between_people
from facedirs_jax.faces import Faces, status_table
from facedirs_jax.grid import Grid, make_grid, max_blocks_for
from facedirs_jax.journal import Journal, finish_grid
from facedirs_jax.regions import REGIONS, Region, choose_regions, region_masks
from facedirs_jax.templates import embed, template_dim

from . import inputs
from .launch import launch
from .networks import name_of

flags.adopt_module_key_flags(inputs)  # so that --help tells of them

_REGIONS = flags.DEFINE_list(
    "regions",
    None,
    f"Regions to look at; default {','.join(REGIONS)}, or all of --regions_file.",
)
_REGIONS_FILE = flags.DEFINE_string(
    "regions_file", None, "TOML file with regions of your own; see discover_ssi."
)
_REGION_DONORS = flags.DEFINE_list(
    "region_donors", ["60", "163"], "Numbers of region donors in either set."
)
_FACE_DONORS = flags.DEFINE_integer("face_donors", 8, "Of either set.", 1)
_DRAWS = flags.DEFINE_integer("draws", 20, "How often two sets are drawn.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of every random draw.", 0)
_RESUME = flags.DEFINE_bool("resume", False, "Goes on with the run in --out_dir.")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run is asked to do; see the flags of the same names."""

    source: inputs.Source
    out_dir: str
    regions: tuple[str, ...] = ()
    regions_file: str | None = None
    region_donors: tuple[int, ...] = (60, 163)
    face_donors: int = 8
    draws: int = 20
    seed: int = 0
    resume: bool = False


def run(config: Config) -> int:
    """Does a whole run; gives the exit code, 0 once everything is written.

    Raises:
        InputError: for what the user can mend.
    """
    inputs.keep_apart(config.source.images, config.out_dir)
    regions = choose_regions(config.regions, config.regions_file)
    backbone = load_backbone(config.source.backbone)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        faces = inputs.load(config.source, backbone)
        needed = 2 * (max(config.region_donors) + config.face_donors)
        people = np.unique(faces.distinct)
        if len(people) < needed:
            raise InputError(
                f"two such sets need {needed} people and {len(people)} usable "
                "faces are there; ask for fewer donors or add portraits"
            )
        settings = {
            **model_of(name_of(config.source.backbone, backbone), backbone),
            "faces_sha256": faces.fingerprint,
            "regions": {name: region.hulls for name, region in regions.items()},
            "region_donors": config.region_donors,
            "face_donors": config.face_donors,
            "draws": config.draws,
            "seed": config.seed,
        }
        run_json = runs.begin(out, settings)
        files.write_text(out / "status.csv", status_table(faces.status))
        grid = make_grid(
            len(faces.crops),
            max_blocks=max_blocks_for(template_dim(*backbone)),
            face_rows=people,
            num_face_donors=2 * config.face_donors,
            num_region_donors=len(people) - 2 * config.face_donors,
            seed=config.seed,
        )
        (out / "journal").mkdir(mode=0o700, exist_ok=True)
        angles = {}
        for name, region in regions.items():
            templates = _templates(name, region, backbone, faces, grid, out, run_json)
            for count in config.region_donors:
                angles[name, count] = angles_between_people(
                    templates,
                    region_donors=count,
                    face_donors=config.face_donors,
                    draws=config.draws,
                    seed=config.seed,
                )
                print(_line(name, count, angles[name, count]), flush=True)
        files.write_text(out / "stability.csv", _table(angles))
        figures.save_figure(out / "stability.png", charts.draw_people(angles))
        runs.write(out, run_json | {"state": runs.COMPLETE})
    return 0


def _templates(
    name: str,
    region: Region,
    backbone: Backbone,
    faces: Faces,
    grid: Grid,
    out: pathlib.Path,
    run_json: dict[str, Any],
) -> np.ndarray:
    """Templates of the whole grid, [F, K, D] float32."""
    network, preprocess = backbone
    own = np.asarray(embed(network, preprocess, faces.crops[grid.face_donors]))
    masks = region_masks(faces.landmarks, region, side=preprocess.size)
    journal = Journal(
        out / "journal",
        name,
        settings=f"{run_json['settings']} {region} {grid.fingerprint}",
        dim=own.shape[1],
    )
    finish_grid(
        *(network, preprocess, faces.crops, np.asarray(masks), grid, own, journal),
        with_templates=True,
    )
    templates, _ = journal.templates()
    return templates.reshape(len(grid.face_donors), len(grid.region_donors), -1)


def _line(name: str, count: int, angles: Angles) -> str:
    parts = [
        f"PC{i + 1} {mean:.0f} ± {sd:.0f}"
        for i, (mean, sd) in enumerate(
            zip(angles.components.mean(0), angles.components.std(0), strict=True)
        )
    ]
    span = angles.subspace[:, 0]
    return (
        f"{name}, {count} region donors in each set: {', '.join(parts)}, "
        f"their span {span.mean():.0f} ± {span.std():.0f} degrees (mean ± sd of draws)"
    )


def _table(angles: dict[tuple[str, int], Angles]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["region", "region_donors", "what", "mean_degrees", "sd_degrees"])
    for (name, count), found in angles.items():
        kinds = {
            **{f"PC{i + 1}": row for i, row in enumerate(found.components.T)},
            "span": found.subspace[:, 0],
        }
        for what, values in kinds.items():
            cells = [f"{values.mean():.1f}", f"{values.std():.1f}"]
            writer.writerow([name, count, what, *cells])
    return text.getvalue()


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Config)[1:]}
    fields["regions"] = tuple(fields["regions"] or ())
    try:
        fields["region_donors"] = tuple(int(n) for n in fields["region_donors"])
    except ValueError as error:
        raise InputError(f"--region_donors needs whole numbers: {error}") from error
    return run(Config(inputs.source_from_flags(), **fields))


if __name__ == "__main__":
    launch(_run_flags)
