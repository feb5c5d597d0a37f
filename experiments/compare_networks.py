"""Verifies people with several networks on the very same pairs, side by side.

    python -m experiments.compare_networks --backbone=dlib_resnet \
        --backbone=runs/arcface/checkpoint --controlled=faces/controlled \
        --photos=photos/lab --person='[^_]+' --out_dir=runs/compared

--backbone, --controlled and --photos may be given several times. --controlled is a
folder that `render_faces` made, of people under conditions: frontal pictures are
verified against all others, pooled and by condition. --photos is any folder of
pictures, in a folder for each person or side by side with names that tell, by --person,
who is in them: all are verified with all. It is also tried there how many impostors
pass the thresholds that the first --controlled gives, which is all that can be told
where everybody has one picture.

Pictures in which no face is found are left out for all networks alike. Intervals are of
95 % and come from resampled people. Written to --out_dir: report.html, a CSV for each
table, results.json, status.csv, run.json, figures/ and templates/, from which a run
that was stopped goes on with --resume. A template can be turned back into a likeness of
its face: treat templates/ as the photos themselves.
"""

import csv
import dataclasses
import functools
import io
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from absl import flags

from facedirs_jax import files, network_checks, runs
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checks import Check, Draws, write_checks
from facedirs_jax.compared_pictures import (
    PictureFolder,
    PictureSet,
    picture_set,
    read_folders,
)
from facedirs_jax.directions.record import model_of
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import RESAMPLES
from facedirs_jax.evaluation.network_comparison import Contender, contenders_of
from facedirs_jax.faces import FaceStatus
from facedirs_jax.picture_templates import embed_pictures

from .launch import keep_apart, launch
from .networks import load_networks
from .run_flags import define_reading_flags, define_run_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """What to compare; see the flags of the same names."""

    out_dir: str
    backbone: tuple[str, ...] = ("dlib_resnet",)
    controlled: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    person: str = ".*"
    resamples: int = RESAMPLES
    seed: int = 0
    processes: int = 1
    cache_dir: str | None = None
    resume: bool = False


def run(config: Config) -> int:
    """Compares all networks; gives the exit code, 0 once everything is written.

    Args:
        config: what to compare.

    Returns:
        The exit code.

    Raises:
        InputError: for what the user can mend.
    """
    given = (*config.controlled, *config.photos)
    if not given:
        raise InputError("give --controlled or --photos: folders of pictures")
    keep_apart(given, config.out_dir)
    folders = read_folders(
        controlled=config.controlled, photos=config.photos, person=config.person
    )
    networks = load_networks(config.backbone)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        run_json = runs.begin(out, _settings(config, networks, folders))
        seen = [_embed(config, networks, folder, out) for folder in folders]
        files.write_text(out / "status.csv", _status_table(folders, seen))
        sets = [
            picture_set(folder, found, status)
            for folder, (found, status) in zip(folders, seen, strict=True)
        ]
        write_checks(
            *(out, _checks(sets, Draws(config.resamples, config.seed))),
            title="Networks side by side",
            facts=run_json["settings"],
            show=functools.partial(print, flush=True),
        )
        runs.write(out, run_json | {"state": runs.COMPLETE})
    print(f"report: {out / 'report.html'}")
    return 0


def _settings(
    config: Config, networks: dict[str, Backbone], folders: Sequence[PictureFolder]
) -> dict[str, object]:
    """All that the results depend on."""
    models = {
        f"{name} {key}": value
        for name, backbone in networks.items()
        for key, value in model_of(name, backbone).items()
        if key != "backbone"
    }
    return {
        "networks": ", ".join(networks),
        "folders": ", ".join(folder.name for folder in folders),
        **models,
        **{f"{folder.name} sha256": folder.sha256 for folder in folders},
        "person": config.person,
        "resamples": config.resamples,
        "seed": config.seed,
    }


def _embed(
    config: Config,
    networks: dict[str, Backbone],
    folder: PictureFolder,
    out: pathlib.Path,
) -> tuple[list[Contender], tuple[FaceStatus, ...]]:
    contenders: list[Contender] = []
    status: tuple[FaceStatus, ...] = ()
    for name, backbone in networks.items():
        found = embed_pictures(
            *(backbone, folder.paths, out / "templates" / name / folder.name),
            cache_dir=config.cache_dir,
            processes=config.processes,
        )
        if not found.usable.any():
            raise InputError(
                f"{folder.name}: no face can be used in any of {len(folder.paths)} "
                f"pictures; the first, {found.status[0].file}: {found.status[0].reason}"
            )
        status = status or found.status  # landmarks are the same for all networks
        unit_norm = backbone.preprocess.unit_norm
        contenders += contenders_of(name, found.templates, unit_norm=unit_norm)
    return contenders, status


def _status_table(
    folders: Sequence[PictureFolder],
    seen: Iterable[tuple[list[Contender], tuple[FaceStatus, ...]]],
) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["folder", "file", "person", "condition", "status", "reason"])
    for folder, (_, status) in zip(folders, seen, strict=True):
        told = zip(folder.identities, folder.conditions, status, strict=True)
        for person, condition, row in told:
            file = pathlib.Path(row.file).name
            about = (file, person, condition, row.status, row.reason)
            writer.writerow([folder.name, *about])
    return text.getvalue()


def _checks(sets: Sequence[PictureSet], draws: Draws) -> Iterator[Check]:
    """Folders under conditions come first, since the first gives the thresholds."""
    chosen = None
    for pictures in sets:
        if pictures.folder.is_controlled:
            pairs = network_checks.frontal_pairs(pictures)
            yield network_checks.check_frontal(pictures, pairs, draws)
            yield network_checks.check_conditions(pictures, draws)
            if chosen is None:
                chosen = network_checks.reference(pictures.folder.name, pairs, draws)
        else:
            pairs = network_checks.all_pairs(pictures)
            if network_checks.has_genuine(pairs):
                yield network_checks.check_photos(pictures, pairs, draws)
            yield network_checks.check_impostors(pictures, pairs, chosen, draws)


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_multi_string(
        "backbone",
        ["dlib_resnet"],
        f"One of: {', '.join(BACKBONES)}; or the folder of a checkpoint; repeatable.",
    )
    flags.DEFINE_multi_string(
        "controlled", [], "Folder of people under conditions; repeatable."
    )
    flags.DEFINE_multi_string("photos", [], "Folder of photos; repeatable.")
    flags.DEFINE_string(
        "person",
        ".*",
        "Regular expression of the start of a file's name that tells who is in it, by "
        "its first group if it has one; in --photos without a folder a person.",
    )
    define_run_flags()
    define_reading_flags()
    flags.DEFINE_integer("resamples", RESAMPLES, "Draws of people for intervals.", 1)
    flags.DEFINE_integer("seed", 0, "Of every random draw.", lower_bound=0)


def _run_flags() -> int:
    asked = flags.FLAGS.flag_values_dict()
    config = {field.name: asked[field.name] for field in dataclasses.fields(Config)}
    for name in ("backbone", "controlled", "photos"):
        config[name] = tuple(config[name])
    return run(Config(**config))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
