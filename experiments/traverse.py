"""Moves faces along directions and decodes them: frames, a sheet, a page with sliders.

    python -m experiments.traverse --directions=runs/first/directions.safetensors \
        --probe=photo.jpg --out_dir=runs/walk

--probe is a picture, or the path below --images of one of its pictures. --directions is
a file that discover_ssi or discover_labelled wrote for this very network; --direction
picks a set of it (`nose`), or one direction of a set (`nose:2`, `yaw:30`: by number
from 1, or by the label that it leads to). Steps are counted in standard deviations of
the data that a direction was found on. With --to, faces are moved until the network's
template reads those labels instead, for directions that know how to read one.

Each row of decodes carries what the network makes of it again: the cosine of the
decodes' templates to those that were decoded, and the share of the step that is found.

Written to --out_dir: frames/, sheet.png, report.html (with a slider for every probe and
direction), traversals.csv, run.json.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from facedirs_jax import files, runs
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.decoding import load_decoder_of
from facedirs_jax.directions.choice import Chosen, choose
from facedirs_jax.directions.record import Directions, load_directions, model_of
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces, load_faces
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.images import find_images
from facedirs_jax.templates import embed
from facedirs_jax.traversal import Step, edit_to_label, steps_of, traverse
from facedirs_jax.walk_files import NamedWalk, write_walks
from facedirs_jax.walks import take_walks

from .launch import keep_apart, launch
from .networks import name_of
from .run_flags import define_reading_flags, define_run_flags

MOST_SIGMAS = 100.0
MOST_STEPS = 101


@dataclasses.dataclass(frozen=True)
class Config:
    """What to show; see the flags of the same names."""

    directions: tuple[str, ...]
    out_dir: str
    probe: tuple[str, ...] = ()
    images: str | None = None
    backbone: str = "iresnet_arcface_small"
    decoder: str = "iresnet_arcface_small_decoder"
    direction: tuple[str, ...] = ()
    start: float = -3.0
    end: float = 3.0
    steps: int = 7
    to: tuple[float, ...] = ()
    step: Step = "chord"
    processes: int = 1
    cache_dir: str | None = None
    resume: bool = False

    def __post_init__(self):
        if not self.directions:
            raise InputError("give --directions, a file that discover_ssi wrote")
        if not -MOST_SIGMAS <= self.start < self.end <= MOST_SIGMAS:
            raise InputError(
                f"--start={self.start} --end={self.end}: steps go up, within "
                f"{MOST_SIGMAS:g} standard deviations"
            )
        if not 2 <= self.steps <= MOST_STEPS:
            raise InputError(f"--steps={self.steps}; it must be 2 to {MOST_STEPS}")


def run(config: Config) -> int:
    """Moves and decodes all probes; gives the exit code, 0 once all is written.

    Raises:
        InputError: for what the user can mend.
    """
    backbone = load_backbone(config.backbone)
    model = model_of(name_of(config.backbone, backbone), backbone)
    chosen = choose(_sets(config.directions, model), config.direction)
    if config.to:
        _check_readings(chosen)
    paths = _probes(config)
    keep_apart([str(path) for path in paths], config.out_dir)
    decoder, about = load_decoder_of(config.decoder, backbone)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        settings = model | about | _settings(config, paths)
        run_json = runs.begin(out, settings)
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        faces = _load(config, paths, backbone)
        rows = _rows(config, chosen, faces, paths, decoder, backbone)
        facts = {name: str(value) for name, value in run_json["settings"].items()}
        write_walks(out, rows, facts)
        runs.write(out, run_json | {"state": runs.COMPLETE})
    print(f"report: {out / 'report.html'}")
    return 0


def _sets(paths: Sequence[str], model: dict[str, Any]) -> dict[str, Directions]:
    """Sets of all files; a name that comes again carries the file's folder."""
    found: dict[str, Directions] = {}
    for path in paths:
        for name, directions in load_directions(path, model=model).sets.items():
            parent = pathlib.Path(path).resolve().parent.name
            found[name if name not in found else f"{parent}/{name}"] = directions
    return found


def _check_readings(chosen: Sequence[Chosen]) -> None:
    silent = [each.name for each in chosen if each.directions.weights is None]
    if silent:
        raise InputError(
            f"--to: {', '.join(silent)} read no label; take directions of a "
            "regression, or --start and --end"
        )


def _probes(config: Config) -> list[pathlib.Path]:
    folder = pathlib.Path(config.images or gallery_folder())
    if not config.probe:
        found = find_images(folder)
        return [file.path for file in found if file.is_picture][:1]
    found = []
    for probe in config.probe:
        places = [pathlib.Path(probe), folder / probe]
        there = [place for place in places if place.is_file()]
        if not there:
            raise InputError(
                f"unknown probe {probe!r}: neither a file nor the path of one below "
                f"{folder}"
            )
        found.append(there[0])
    return found


def _settings(config: Config, paths: Sequence[pathlib.Path]) -> dict[str, Any]:
    asked = dataclasses.asdict(config)
    for name in (
        *("out_dir", "backbone", "decoder", "images", "resume"),
        *("processes", "cache_dir"),
    ):
        del asked[name]
    return asked | {
        "probe": [files.sha256_file(path) for path in paths],
        "directions": [files.sha256_file(path) for path in config.directions],
    }


def _load(config: Config, paths: Sequence[pathlib.Path], backbone: Backbone) -> Faces:
    faces = load_faces(
        paths,
        alignment=backbone.preprocess.alignment,
        size=backbone.preprocess.size,
        cache_dir=config.cache_dir,
        processes=config.processes,
    )
    for row in faces.status:
        if row.status != "ok":
            raise InputError(f"{row.file}: {row.status}: {row.reason}; no such probe")
    return faces


def _rows(
    config: Config,
    chosen: Sequence[Chosen],
    faces: Faces,
    paths: Sequence[pathlib.Path],
    decoder: Any,
    backbone: Backbone,
) -> list[NamedWalk]:
    """Every probe along every direction."""
    probes = np.asarray(embed(*backbone, faces.crops))
    unit_norm = backbone.preprocess.unit_norm
    moved = [
        _moved(config, probe, each, unit_norm) for probe in probes for each in chosen
    ]
    walks = take_walks(
        *(decoder, backbone, probes.repeat(len(chosen), axis=0), np.stack(moved)),
        np.stack([each.vector for each in chosen] * len(probes)),
        np.stack([each.directions.mean for each in chosen] * len(probes)),
    )
    names = [(path.stem, each) for path in paths for each in chosen]
    steps = _steps(config)
    return [
        NamedWalk(name, each, steps, walks.take(place))
        for place, (name, each) in enumerate(names)
    ]


def _moved(
    config: Config, probe: np.ndarray, chosen: Chosen, unit_norm: bool
) -> np.ndarray:
    """[T, D] float32 templates of one probe along one direction."""
    if not config.to:
        alphas = steps_of(config.start, config.end, config.steps)
        along = (probe, chosen.vector, chosen.scale, alphas)
        return np.asarray(traverse(*along, unit_norm=unit_norm, step=config.step))
    own = (probe, chosen.directions, chosen.row)
    return np.stack(
        [edit_to_label(*own, label, unit_norm=unit_norm) for label in config.to]
    )


def _steps(config: Config) -> list[str]:
    """T texts that tell how far each picture lies."""
    if config.to:
        return [f"{label:g}" for label in config.to]
    alphas = steps_of(config.start, config.end, config.steps)
    return [f"{alpha:+.2g} sd" if alpha else "0" for alpha in alphas]


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_multi_string("directions", [], "Direction file; repeatable.")
    flags.DEFINE_multi_string(
        "direction",
        [],
        "Set, or direction of a set as set:number or set:label; repeatable. Default "
        "the first three of every set.",
    )
    flags.DEFINE_multi_string(
        "probe", [], "Picture, or its path below --images; repeatable."
    )
    flags.DEFINE_string(
        "images", None, "Folder of probes; default the portraits that ship."
    )
    flags.DEFINE_string(
        "backbone",
        Config.backbone,
        f"One of: {', '.join(BACKBONES)}; one that ships; or a checkpoint's folder.",
    )
    flags.DEFINE_string("decoder", Config.decoder, "Of the network's templates.")
    flags.DEFINE_float("start", -3.0, "First step, standard deviations.")
    flags.DEFINE_float("end", 3.0, "Last step, standard deviations.")
    flags.DEFINE_integer("steps", 7, "How many, from start to end.")
    flags.DEFINE_list("to", [], "Instead of steps: labels to be read, as 0,15,30.")
    flags.DEFINE_enum(
        "step",
        "chord",
        ["chord", "geodesic"],
        "On the unit sphere: straight and scaled back, or along a great circle.",
    )
    define_run_flags()
    define_reading_flags()


def _run_flags() -> int:
    asked = flags.FLAGS.flag_values_dict()
    config = {field.name: asked[field.name] for field in dataclasses.fields(Config)}
    for name in ("directions", "direction", "probe"):
        config[name] = tuple(config[name])
    try:
        config["to"] = tuple(float(label) for label in config["to"])
    except ValueError as error:
        raise InputError(f"--to={','.join(config['to'])}: {error}") from error
    return run(Config(**config))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
