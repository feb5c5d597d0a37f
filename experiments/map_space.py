"""Maps of template space: where the values of a label lie, for one network or several.

    python -m experiments.map_space --label=yaw --where='condition=frontal|yaw.*' \
        --backbone=iresnet_arcface_small --backbone=vgg16_softmax_small \
        --out_dir=runs/pose_map

    python -m experiments.map_space --label=gender --of=templates --method=tsne \
        --dims=3 --images=photos --labels=labels.csv --out_dir=runs/groups

--of=centroids maps the mean template of each value, --of=templates every picture.
Methods: `mds`, classical scaling, which has one answer; `smacof`, least squares on the
distances; `tsne`, which keeps neighbours near and nothing else. Distances are angles
for templates on the unit sphere and Euclidean for others, unless --metric says. Maps of
several networks are laid on the first, and their disparity told: 0 alike, 1 unlike.
Pictures in which no face is found are left out for all networks alike.

The centroids of a number are also asked whether the curve they lie on is more than a
straight line would show, seen through distances that saturate; and whether it closes.

Without --images, the rendered people of the gallery are used. Written to --out_dir:
map.csv, map.png, map.html (to turn, zoom and ask; needs only a browser), report.html,
results.json (its tables), status.csv, run.json, templates/, from which a run that was
stopped goes on with --resume. A template can be turned back into a likeness of its
face: treat templates/ as the photos themselves.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from absl import flags

from facedirs_jax import files, runs
from facedirs_jax.backbones import Backbone
from facedirs_jax.directions.record import model_of
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bend import judge_bend
from facedirs_jax.evaluation.drawn_centroids import DRAWS
from facedirs_jax.labelled_pictures import LabelledPictures
from facedirs_jax.manifold import Metric
from facedirs_jax.map_files import sections_of, write_maps
from facedirs_jax.maps import (
    Classes,
    MapSet,
    Method,
    TemplateMap,
    align_maps,
    centroids_of,
    classes_of,
    make_map,
)
from facedirs_jax.neighbour_maps import PERPLEXITY
from facedirs_jax.tables import Row, csv_text, plain_text

from . import labelled
from .launch import keep_apart, launch
from .networks import load_networks
from .run_flags import define_reading_flags, define_run_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """What to map; see the flags of the same names."""

    source: labelled.Source
    label: str
    method: Method = "mds"
    of: Literal["centroids", "templates"] = "centroids"
    metric: Literal["auto", "euclidean", "angular"] = "auto"
    dims: int = 2
    perplexity: float = PERPLEXITY
    draws: int = DRAWS
    seed: int = 0
    resume: bool = False

    def __post_init__(self):
        if not self.label:
            raise InputError("give --label, a column of the labels")
        if self.dims not in (2, 3):
            raise InputError(f"--dims={self.dims}; maps have 2 or 3 dimensions")


def run(config: Config) -> int:
    """Makes the maps; gives the exit code, 0 once all is written.

    Raises:
        InputError: for what the user can mend.
    """
    source = config.source
    keep_apart([source.images], source.out_dir)
    pictures = labelled.pictures_of(source)
    networks = load_networks(source.backbone)
    with runs.locked(source.out_dir, resume=config.resume) as out:
        run_json = runs.begin(out, _settings(config, networks, pictures))
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        loaded = labelled.load(source, networks, pictures, [config.label], out)
        templates = {n: own[config.label].templates for n, own in loaded.items()}
        kept = next(iter(loaded.values()))[config.label].pictures
        classes = classes_of(kept.values(config.label))
        metrics: dict[str, Metric] = {
            name: _metric(config, each) for name, each in networks.items()
        }
        found = align_maps(
            {
                name: _map(config, each, classes, metrics[name])
                for name, each in templates.items()
            }
        )
        bends = {
            name: judge_bend(
                *(each, classes.middles[classes.codes], kept.identities),
                name=config.label,
                metric=metrics[name],
                draws=config.draws,
                seed=config.seed,
            )
            for name, each in templates.items()
            if classes.ordered and config.of == "centroids"
        }
        shown = _shown(config, found, classes)
        files.write_text(out / "map.csv", csv_text(_points(config, shown, kept)))
        sections = sections_of(found, metrics, bends, config.method)
        for section in sections:
            print(f"{section.title}\n{plain_text(section.rows)}\n", flush=True)
        write_maps(
            *(out, shown, sections),
            method=config.method,
            title=f"{config.label}: map of {config.of}",
            facts=run_json["settings"],
        )
        runs.write(out, run_json | {"state": runs.COMPLETE})
    print(f"report: {out / 'report.html'}")
    return 0


def _settings(
    config: Config, networks: Mapping[str, Backbone], pictures: LabelledPictures
) -> dict[str, Any]:
    asked = dataclasses.asdict(config)
    for name in ("source", "resume", "label"):
        del asked[name]
    models = {
        f"{name} {key}": value
        for name, backbone in networks.items()
        for key, value in model_of(name, backbone).items()
        if key != "backbone"
    }
    told = labelled.settings_of(config.source, pictures, config.label)
    return {"networks": ", ".join(networks), **told, **asked, **models}


def _metric(config: Config, backbone: Backbone) -> Metric:
    if config.metric != "auto":
        return config.metric
    return "angular" if backbone.preprocess.unit_norm else "euclidean"


def _map(
    config: Config, templates: np.ndarray, classes: Classes, metric: Metric
) -> TemplateMap:
    centroids = config.of == "centroids"
    return make_map(
        centroids_of(templates, classes) if centroids else templates,
        method=config.method,
        metric=metric,
        dims=config.dims,
        perplexity=config.perplexity,
        seed=config.seed,
    )


def _shown(
    config: Config, found: Mapping[str, TemplateMap], classes: Classes
) -> MapSet:
    """Pictures are told by number, not by the names of their files."""
    joined = config.of == "centroids"
    captions, codes = classes.names, np.arange(len(classes.names))
    if not joined:
        codes = classes.codes
        captions = tuple(
            f"picture {row}: {config.label} {classes.names[code]}"
            for row, code in enumerate(codes)
        )
    return MapSet(
        *({name: each.points for name, each in found.items()}, captions),
        *(classes.names, codes, classes.ordered, joined),
    )


def _points(config: Config, shown: MapSet, kept: LabelledPictures) -> list[Row]:
    rows = []
    for name, points in shown.maps.items():
        for place, (point, code) in enumerate(zip(points, shown.codes, strict=True)):
            row: dict[str, Any] = {"network": name, "value": shown.classes[code]}
            if not shown.joined:
                row |= {
                    "picture": place,
                    "file": kept.ids[place],
                    "identity": str(kept.identities[place]),
                    "value": str(kept.values(config.label)[place]),
                }
            rows.append(row | dict(zip("xyz", map(float, point), strict=False)))
    return rows


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    labelled.define_flags()
    define_run_flags()
    define_reading_flags()
    flags.DEFINE_string("label", None, "Column of the labels.", required=True)
    flags.DEFINE_enum("method", "mds", ["mds", "smacof", "tsne"], "See above.")
    flags.DEFINE_enum("of", "centroids", ["centroids", "templates"], "See above.")
    flags.DEFINE_enum(
        "metric",
        "auto",
        ["auto", "euclidean", "angular"],
        "Of templates; auto: angular for those on the unit sphere, else Euclidean.",
    )
    flags.DEFINE_integer("dims", 2, "Of the map, 2 or 3.", 2, 3)
    flags.DEFINE_float(
        "perplexity", PERPLEXITY, "Of tsne: about how many neighbours a point has."
    )
    flags.DEFINE_integer(
        "draws", DRAWS, "Of people, for p-values and intervals.", lower_bound=100
    )
    flags.DEFINE_integer("seed", 0, "Of every random draw.", lower_bound=0)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Config)[1:]}
    return run(Config(labelled.source_from_flags(), **fields))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
