"""Checks that rendered faces behave as photos do, with a face-recognition network.

    python -m experiments.check_rendered_faces --controlled=faces/controlled \
        --portraits=faces/portraits --independent=faces/independent --out_dir=runs/check

Each is a folder that `render_faces` made; any of them may be left out.
--controlled (people under conditions): in how many pictures the face is found, how well
each condition is verified against frontal, and what a template tells of the photo.
--portraits (many people): what a template tells of each factor and measure, read by
ridge regression on people who were held out. --independent (its table alone is read;
--portraits without it): which factors go together.

Pictures in which no face is found count as missed. Intervals are of 95 % and come from
resampled people. Written to --out_dir: report.html, a CSV for each table, results.json,
status.csv, run.json, figures/ and templates/, from which a run that was stopped goes on
with --resume. A template can be turned back into a likeness of its face; these are of
nobody, as long as the pictures are.
"""

import csv
import dataclasses
import functools
import io
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from absl import flags

from facedirs_jax import files, runs
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.checks import Check, Draws, write_checks
from facedirs_jax.directions.record import model_of
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import RESAMPLES
from facedirs_jax.evaluation.factor_readings import numeric_columns
from facedirs_jax.picture_templates import (
    PictureTemplates,
    embed_pictures,
    pictures_fingerprint,
)
from facedirs_jax.rendered_checks import (
    check_correlations,
    check_detection,
    check_factors,
    check_photo_factors,
    check_verification,
)
from facedirs_jax.rendering.factor_table import (
    FILE_NAME,
    FactorTable,
    read_factor_table,
)

from .launch import launch
from .networks import name_of
from .run_flags import define_reading_flags, define_run_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """What to check; see the flags of the same names."""

    out_dir: str
    controlled: str | None = None
    portraits: str | None = None
    independent: str | None = None
    backbone: str = "dlib_resnet"
    train_identities: int = 500
    resamples: int = RESAMPLES
    seed: int = 0
    processes: int = 1
    cache_dir: str | None = None
    resume: bool = False


class Folder(NamedTuple):
    """A folder of rendered faces: its table, and its pictures where they are used."""

    table: FactorTable
    paths: list[pathlib.Path]
    sha256: str


def run(config: Config) -> int:
    """Does all checks; gives the exit code, 0 once everything is written.

    Args:
        config: what to check.

    Returns:
        The exit code.

    Raises:
        InputError: for what the user can mend.
    """
    folders = _read_folders(config)
    backbone = load_backbone(config.backbone)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        run_json = runs.begin(out, _settings(config, backbone, folders))
        embedded = {
            name: embed_pictures(
                *(backbone, folders[name].paths, out / "templates" / name),
                cache_dir=config.cache_dir,
                processes=config.processes,
            )
            for name in ("controlled", "portraits")
            if name in folders
        }
        files.write_text(out / "status.csv", _status_table(folders, embedded))
        checks = _checks(config, backbone, folders, embedded)
        settings = run_json["settings"]
        write_checks(
            *(out, checks),
            title=f"Rendered faces as {settings['backbone']} sees them",
            facts=settings,
            show=functools.partial(print, flush=True),
        )
        runs.write(out, run_json | {"state": runs.COMPLETE})
    print(f"report: {out / 'report.html'}")
    return 0


def _read_folders(config: Config) -> dict[str, Folder]:
    folders = {}
    for name in ("controlled", "portraits", "independent"):
        given = getattr(config, name)
        if given is not None:
            table = read_factor_table(pathlib.Path(given, FILE_NAME))
            numeric_columns(table)  # refuses a table without all factors
            used = table.files if name != "independent" else ()
            paths = [pathlib.Path(given, file) for file in used]
            sha256 = files.sha256_file(pathlib.Path(given, FILE_NAME))
            if paths:
                sha256 = files.sha256_text(f"{sha256} {pictures_fingerprint(paths)}")
            folders[name] = Folder(table, paths, sha256)
    if not folders:
        raise InputError("give --controlled, --portraits or --independent")
    return folders


def _settings(
    config: Config, backbone: Backbone, folders: dict[str, Folder]
) -> dict[str, object]:
    """All that the results depend on."""
    name = name_of(config.backbone, backbone)
    return {
        **model_of(name, backbone),
        **{f"{name}_sha256": folder.sha256 for name, folder in folders.items()},
        "train_identities": config.train_identities,
        "resamples": config.resamples,
        "seed": config.seed,
    }


def _status_table(
    folders: dict[str, Folder], embedded: dict[str, PictureTemplates]
) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["folder", "file", "condition", "status", "reason"])
    for name, found in embedded.items():
        table = folders[name].table
        for file, condition, row in zip(
            table.files, table.conditions, found.status, strict=True
        ):
            writer.writerow([name, file, condition, row.status, row.reason])
    return text.getvalue()


def _checks(
    config: Config,
    backbone: Backbone,
    folders: dict[str, Folder],
    embedded: dict[str, PictureTemplates],
) -> Iterator[Check]:
    draws = Draws(config.resamples, config.seed)
    if "controlled" in embedded:
        table, found = folders["controlled"].table, embedded["controlled"]
        metric = "cosine" if backbone.preprocess.unit_norm else "euclidean"
        yield check_detection("controlled", table, found)
        yield check_verification(table, found, metric, draws)
        yield check_photo_factors(table, found, draws)
    if "portraits" in embedded:
        table, found = folders["portraits"].table, embedded["portraits"]
        yield check_detection("portraits", table, found)
        yield check_factors(table, found, config.train_identities, draws)
    for name in ("independent", "portraits"):
        if name in folders:
            yield check_correlations(folders[name].table)
            return


def _define_flags() -> None:
    """Not on import, since experiments on photos have flags of these names."""
    flags.DEFINE_string("controlled", None, "Folder of people under conditions.")
    flags.DEFINE_string("portraits", None, "Folder of many people.")
    flags.DEFINE_string("independent", None, "Folder whose factors were drawn freely.")
    define_run_flags()
    define_reading_flags()
    flags.DEFINE_string(
        "backbone",
        "dlib_resnet",
        f"One of: {', '.join(BACKBONES)}; or the folder of a converted checkpoint.",
    )
    flags.DEFINE_integer(
        "train_identities", 500, "People of --portraits to fit on; the rest test.", 10
    )
    flags.DEFINE_integer("resamples", RESAMPLES, "Draws of people for intervals.", 1)
    flags.DEFINE_integer("seed", 0, "Of every random draw.", lower_bound=0)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
