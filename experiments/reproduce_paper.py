"""Makes the figures of Plesh et al. 2024, and says of each claim whether it holds.

    python -m experiments.reproduce_paper --out_dir=runs/paper
    python -m experiments.reproduce_paper --quick --out_dir=runs/quick

For each network that has a decoder (those that ship, or --network=BACKBONE:DECODER),
on rendered faces, whose every factor is known: Figures 1 and 4 to 14, each with what it
claims, what was measured, an interval of 95 % from people drawn again, and a verdict:
holds, does not hold, or cannot be said. --quick uses the few people of the gallery that
ships; otherwise 100 people are rendered under 23 conditions, which needs the extra
`synth`, or taken from --controlled, such a folder of render_faces.

Those who have the paper's data name them: --multi_pie for the conditions (with a table
of where its flashes stand), --siblingsdb_hqf for the portraits, --meds_ii for the
probes. With --cmu and --congress, folders of the CMU faces and of portraits with a
table of gender and birth year, directions of these labels are tested on real photos
with dlib's network.

Written to --out_dir: report.html, which needs nothing else; claims.csv, figures/,
parts/ (what is finished), run.json. A run that was stopped goes on with --resume.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from facedirs_jax import runs
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.decoding import load_decoder_of
from facedirs_jax.directions.record import model_of
from facedirs_jax.errors import InputError
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.labelled_pictures import LabelledPictures, read_pictures
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE
from facedirs_jax.paper.label_parts import class_part, expression_part, regression_part
from facedirs_jax.paper.map_parts import map_part
from facedirs_jax.paper.own_data import multi_pie_pictures
from facedirs_jax.paper.part_files import finished_part, write_report
from facedirs_jax.paper.parts import Part
from facedirs_jax.paper.photo_parts import cmu_part, congress_part
from facedirs_jax.paper.region_parts import (
    Portraits,
    blend_part,
    decode_part,
    load_portraits,
    region_part,
)
from facedirs_jax.paper.subjects import Subject, load_subject
from facedirs_jax.picture_templates import pictures_fingerprint
from facedirs_jax.shipped import shipped_folders

from .launch import launch
from .networks import name_of
from .run_flags import define_reading_flags, define_run_flags

PEOPLE = 1000  # of whom a tenth, those kept for testing, are rendered
QUICK_PORTRAITS = 48
PROBES, QUICK_PROBES = 24, 8


@dataclasses.dataclass(frozen=True)
class Config:
    """What to reproduce; see the flags of the same names."""

    out_dir: str
    network: tuple[str, ...] = ()
    controlled: str | None = None
    multi_pie: str | None = None
    flash_angles: str | None = None
    siblingsdb_hqf: str | None = None
    meds_ii: str | None = None
    cmu: str | None = None
    congress: str | None = None
    quick: bool = False
    processes: int = 1
    cache_dir: str | None = None
    resume: bool = False


def run(config: Config) -> int:
    """Makes all figures; gives the exit code, 0 once everything is written.

    Raises:
        InputError: for what the user can mend.
    """
    if config.multi_pie and not config.flash_angles:
        raise InputError("--multi_pie: name a table of its flashes as --flash_angles")
    networks = _networks(config.network)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        run_json = runs.begin(out, _settings(config, networks))
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        data = _data(config, out)
        jobs = _jobs(config, networks, data)
        kept = [finished_part(out, name, job) for name, job in jobs]
        told = {
            "verdicts": write_report(out, kept, networks=list(networks)),
            "pictures_sha256": {
                name: pictures_fingerprint(pictures.paths)
                for name, pictures in data._asdict().items()
            },
        }
        runs.write(out, run_json | {"state": runs.COMPLETE} | told)
    print(f"report: {out / 'report.html'}")
    return 0


def _networks(asked: Sequence[str]) -> dict[str, tuple[Backbone, Any]]:
    """Networks with their decoders, softmax networks first, by name."""
    chosen = [tuple(text.rpartition(":")[::2]) for text in asked]
    for text, (name, _) in zip(asked, chosen, strict=True):
        if not name:
            raise InputError(f"--network={text}: write BACKBONE:DECODER")
    if not chosen:
        shipped = shipped_folders()
        pairs = [(name, f"{name}_decoder") for name in (*shipped, *BACKBONES)]
        chosen = [pair for pair in pairs if pair[1] in shipped]
    found = {}
    for name, decoder in chosen:
        backbone = load_backbone(name)
        found[name_of(name, backbone)] = (
            backbone,
            load_decoder_of(decoder, backbone)[0],
        )
    return dict(sorted(found.items(), key=_order))


def _order(item: tuple[str, tuple[Backbone, Any]]) -> tuple[bool, bool, str]:
    """The paper's: VGG, ResNet, ArcFace; then others."""
    name, (backbone, _) = item
    return not name.startswith("vgg"), backbone.preprocess.unit_norm, name


class Data(NamedTuple):
    """The pictures that figures are made from.

    Attributes:
        conditions: people under pose, light and expression.
        portraits: frontal faces of many people, for region directions.
        probes: frontal faces of others than those under conditions, to be edited.
    """

    conditions: LabelledPictures
    portraits: LabelledPictures
    probes: LabelledPictures


def _data(config: Config, out: pathlib.Path) -> Data:
    """Reads, or renders, what was asked for."""
    if config.multi_pie and config.flash_angles:
        conditions = multi_pie_pictures(config.multi_pie, config.flash_angles)
    else:
        conditions = read_pictures(_controlled(config, out))
    portraits = _people(config.siblingsdb_hqf, "siblingsdb_hqf")
    if config.quick:
        portraits = portraits.take(np.arange(QUICK_PORTRAITS))
    probes = _people(config.meds_ii, "meds_ii")
    others = np.flatnonzero(~np.isin(probes.identities, conditions.identities))
    count = QUICK_PROBES if config.quick else PROBES
    return Data(conditions, portraits, probes.take(others[:count]))


def _people(folder: str | None, dataset: str) -> LabelledPictures:
    """Frontal faces of many people; without a folder, the portraits that ship."""
    if folder is None:
        return read_pictures(gallery_folder())
    return read_pictures(folder, dataset=dataset)


def _controlled(config: Config, out: pathlib.Path) -> pathlib.Path:
    if config.controlled:
        return pathlib.Path(config.controlled)
    if config.quick:
        return gallery_folder(name="controlled")
    from . import render_faces  # needs the extra `synth`

    folder = out / "faces"
    render_faces.run(
        render_faces.Config(
            out_dir=str(folder),
            preset="controlled",
            identities=PEOPLE,
            split="test",
            processes=config.processes,
            resume=True,
        )
    )
    return folder


def _settings(
    config: Config, networks: Mapping[str, tuple[Backbone, Any]]
) -> dict[str, Any]:
    """All that the results depend on; folders by where they are."""
    asked = dataclasses.asdict(config)
    for name in ("out_dir", "network", "processes", "cache_dir", "resume"):
        del asked[name]
    for name, value in asked.items():
        if isinstance(value, str):
            asked[name] = str(pathlib.Path(value).resolve())
    return asked | {
        "networks": {name: model_of(name, pair[0]) for name, pair in networks.items()},
        "decoders": {name: pair[1].weights.sha256 for name, pair in networks.items()},
    }


def _jobs(
    config: Config, networks: Mapping[str, tuple[Backbone, Any]], data: Data
) -> Iterator[tuple[str, Callable[[], Part]]]:
    """What makes each part, in order; faces are read when the first one is made."""
    reading: Any = {"cache_dir": config.cache_dir, "processes": config.processes}

    @functools.cache
    def subjects() -> list[Subject]:
        return [
            load_subject(
                *(name, *networks[name], data.conditions, data.probes), **reading
            )
            for name in networks
        ]

    @functools.cache
    def faces_of() -> dict[str, Portraits]:
        return {
            name: load_portraits(backbone, data.portraits, **reading)
            for name, (backbone, _) in networks.items()
        }

    yield "01", lambda: blend_part(subjects()[0], faces_of()[subjects()[0].name])
    yield "04", lambda: decode_part(subjects())
    for number, region in (("05", "nose"), ("06", "eyes"), ("07", "lower_face")):
        yield (
            number,
            functools.partial(
                lambda region: region_part(region, subjects(), faces_of()), region
            ),
        )
    yield "08", lambda: class_part(subjects(), POSE, "8")
    yield "09", lambda: map_part(subjects(), POSE, "9")
    yield "10", lambda: class_part(subjects(), LIGHT, "10")
    yield "11", lambda: map_part(subjects(), LIGHT, "11")
    yield "12", lambda: expression_part(subjects())
    yield "13", lambda: map_part(subjects(), EXPRESSION, "13")
    yield "14", lambda: regression_part(subjects())
    if config.cmu:
        yield "cmu", functools.partial(cmu_part, config.cmu, **reading)
    if config.congress:
        yield "congress", functools.partial(congress_part, config.congress, **reading)


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    define_run_flags()
    define_reading_flags()
    flags.DEFINE_multi_string(
        "network",
        [],
        "BACKBONE:DECODER, names of those that ship or folders; repeatable. Default "
        "all that ship.",
    )
    flags.DEFINE_string(
        "controlled", None, "Folder of people under conditions, as render_faces makes."
    )
    flags.DEFINE_string("multi_pie", None, "Folder of Multi-PIE, for the conditions.")
    flags.DEFINE_string(
        "flash_angles", None, "CSV flash,degrees of Multi-PIE's flashes."
    )
    flags.DEFINE_string(
        "siblingsdb_hqf", None, "Folder of SiblingsDB HQ-f, for the region directions."
    )
    flags.DEFINE_string("meds_ii", None, "Folder of MEDS-II, for the probes.")
    flags.DEFINE_string("cmu", None, "Folder of the CMU faces.")
    flags.DEFINE_string(
        "congress", None, "Folder of portraits; labels.csv beside or in it."
    )
    flags.DEFINE_bool("quick", False, "On the few people of the gallery.")


def _run_flags() -> int:
    asked = flags.FLAGS.flag_values_dict()
    config = {field.name: asked[field.name] for field in dataclasses.fields(Config)}
    config["network"] = tuple(config["network"])
    return run(Config(**config))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
