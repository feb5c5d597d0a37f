"""Finds the directions along which templates change with a label.

    python -m experiments.discover_labelled --label=yaw --method=regression \
        --where='condition=frontal|yaw.*' --out_dir=runs/yaw

    python -m experiments.discover_labelled --label=mood --method=centroid \
        --neutral=neutral --images=photos --out_dir=runs/mood \
        --names='(?P<identity>[^_]+)_[^_]+_(?P<mood>[^_]+)'

Methods: `centroid`, the difference of the mean template of each class from that of
--neutral, or from all others; `regression`, ridge regression on a number, its penalty
chosen by cross-validation that keeps people apart; `logistic` and `svm`, the boundary
between a class and the others. --mode=paper gives the paper's least squares;
--vector=pattern the pattern instead of the coefficients (Haufe et al. 2014).
--without=FILE:SET takes other directions out, so that an edit leaves them alone.

Without --images, the rendered people of the gallery are used. Written to --out_dir:
directions.safetensors, labels.csv (what was read of each picture), status.csv (what
became of it), report.html, figures/, templates/, run.json. A run that was stopped goes
on with --resume. `traverse` shows what the directions look like.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from absl import flags

from facedirs_jax import figures, files, label_charts, report, runs
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.directions.boundary import boundary_directions
from facedirs_jax.directions.centroid import centroid_directions
from facedirs_jax.directions.conditional import conditional_directions
from facedirs_jax.directions.pca import Mode
from facedirs_jax.directions.record import (
    DirectionFile,
    Directions,
    load_directions,
    model_of,
    save_directions,
)
from facedirs_jax.directions.regression import Vector, regression_direction
from facedirs_jax.errors import InputError
from facedirs_jax.tables import csv_text, plain_text

from . import labelled
from .launch import keep_apart, launch
from .networks import name_of
from .run_flags import define_reading_flags, define_run_flags

Method = Literal["centroid", "regression", "logistic", "svm"]


@dataclasses.dataclass(frozen=True)
class Config:
    """What to find; see the flags of the same names."""

    source: labelled.Source
    label: tuple[str, ...]
    method: Method = "centroid"
    neutral: str | None = None
    mode: Mode = "corrected"
    vector: Vector = "coefficients"
    without: tuple[str, ...] = ()
    seed: int = 0
    resume: bool = False

    def __post_init__(self):
        if not self.label:
            raise InputError("give --label, a column of the labels; repeatable")
        if len(self.source.backbone) != 1:
            raise InputError("directions belong to one network; give one --backbone")


def run(config: Config) -> int:
    """Finds the directions of all labels; gives the exit code, 0 once all is written.

    Raises:
        InputError: for what the user can mend.
    """
    source = config.source
    keep_apart([source.images], source.out_dir)
    pictures = labelled.pictures_of(source)
    backbone = load_backbone(source.backbone[0])
    model = model_of(name_of(source.backbone[0], backbone), backbone)
    others = _others(config.without, model)
    with runs.locked(source.out_dir, resume=config.resume) as out:
        run_json = runs.begin(out, model | _settings(config, pictures))
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        network = {model["backbone"]: backbone}
        loaded = labelled.load(source, network, pictures, config.label, out)
        found, sets = loaded[model["backbone"]], {}
        for label, own in found.items():
            directions = _directions(config, label, own)
            if others:
                directions = conditional_directions(
                    *(directions, np.concatenate(list(others.values()))),
                    *(own.templates,),
                    names=[n for n, rows in others.items() for _ in rows],
                )
            sets[label] = directions
        _write(out, run_json, DirectionFile(sets, model, run_json["settings"]), found)
    print(f"report: {out / 'report.html'}")
    return 0


def _others(asked: tuple[str, ...], model: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """[M, D] directions that are to be left alone, by the name of their set."""
    found = {}
    for text in asked:
        path, _, name = text.rpartition(":")
        if not path:
            raise InputError(f"--without={text}: write FILE:SET")
        sets = load_directions(path, model=model).sets
        if name not in sets:
            raise InputError(f"{path}: has no set {name!r}; it has {', '.join(sets)}")
        found[name] = sets[name].directions
    return found


def _settings(config: Config, pictures: Any) -> dict[str, Any]:
    asked = dataclasses.asdict(config)
    for name in ("source", "resume", "without"):
        del asked[name]
    told = {
        label: labelled.settings_of(config.source, pictures, label)
        for label in config.label
    }
    taken_out = [
        files.sha256_file(text.rpartition(":")[0]) + ":" + text.rpartition(":")[2]
        for text in config.without
    ]
    return asked | {"data": told, "without": taken_out}


def _directions(config: Config, label: str, own: labelled.Labelled) -> Directions:
    templates, values, pictures = own
    people = pictures.identities
    if config.method == "regression":
        if values.dtype.kind == "U":
            raise InputError(
                f"{label}: is a word, such as {values[0]!r}; a regression needs numbers"
            )
        return regression_direction(
            *(templates, values, people),
            name=label,
            mode=config.mode,
            direction=config.vector,
            seed=config.seed,
        )
    classes = np.array([str(value).removesuffix(".0") for value in values], str)
    if config.method == "centroid":
        return centroid_directions(
            templates,
            classes,
            neutral=config.neutral,
            identities=people,
            seed=config.seed,
        )
    return boundary_directions(
        templates, classes, people, model=config.method, seed=config.seed
    )


def _write(
    out: pathlib.Path,
    run_json: dict[str, Any],
    content: DirectionFile,
    found: Mapping[str, labelled.Labelled],
) -> None:
    save_directions(out / "directions.safetensors", content)
    (out / "figures").mkdir(mode=0o700, exist_ok=True)
    sections, table = [], []
    for label, directions in content.sets.items():
        own = found[label]
        along = label_charts.projections(directions, own.templates)
        drawn = {f"{label}_along": label_charts.draw_along(label, own.values, along)}
        if len(directions.directions) > 1:
            drawn[f"{label}_cosines"] = label_charts.draw_cosines(label, directions)
        paths = figures.save_figures(out / "figures", drawn)
        rows = label_charts.rows_of(label, directions)
        sections.append(
            report.Section(label, label_charts.note_of(directions), rows, paths)
        )
        print(f"{label}\n{plain_text(rows)}\n", flush=True)
        table += [
            {
                "label": label,
                "file": name,
                "identity": str(person),
                "value": str(value),
                **{f"along_{n}": float(x) for n, x in enumerate(places, 1)},
            }
            for name, person, value, places in zip(
                *(own.pictures.ids, own.pictures.identities, own.values, along),
                strict=True,
            )
        ]
    files.write_text(out / "labels.csv", csv_text(table))
    report.write_sections(
        out / "report.html",
        title="Directions of labels",
        facts={name: str(value) for name, value in run_json["settings"].items()},
        sections=sections,
    )
    runs.write(out, run_json | {"state": runs.COMPLETE})


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    labelled.define_flags()
    define_run_flags()
    define_reading_flags()
    flags.DEFINE_multi_string("label", [], "Column of the labels; repeatable.")
    flags.DEFINE_enum(
        "method",
        "centroid",
        ["centroid", "regression", "logistic", "svm"],
        "See above.",
    )
    flags.DEFINE_string(
        "neutral", None, "Of centroid: the class that others are compared with."
    )
    flags.DEFINE_enum(
        "mode",
        "corrected",
        ["corrected", "paper"],
        "Of regression: paper, least squares.",
    )
    flags.DEFINE_enum(
        "vector",
        "coefficients",
        ["coefficients", "pattern"],
        "Of regression: what reads the label, or what templates do as it grows.",
    )
    flags.DEFINE_multi_string(
        "without", [], "FILE:SET of directions to take out of these; repeatable."
    )
    flags.DEFINE_integer("seed", 0, "Of every random draw.", lower_bound=0)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Config)[1:]}
    for name in ("label", "without"):
        fields[name] = tuple(fields[name])
    return run(Config(labelled.source_from_flags(), **fields))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
