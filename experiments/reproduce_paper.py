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
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags, logging

from facedirs_jax import figures, files, report, runs
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.decoding import load_decoder_of
from facedirs_jax.directions.record import model_of
from facedirs_jax.errors import InputError
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.labelled_pictures import LabelledPictures, read_pictures
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE
from facedirs_jax.paper.claims import Claim, claim_of
from facedirs_jax.paper.label_parts import class_part, expression_part, regression_part
from facedirs_jax.paper.map_parts import map_part
from facedirs_jax.paper.own_data import multi_pie_pictures
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
from facedirs_jax.sliders import Slider
from facedirs_jax.tables import csv_text, plain_text

from .launch import launch

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
    networks = _networks(config.network)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        pictures = _conditions(config, out)
        portraits = _people(config.siblingsdb_hqf, "siblingsdb_hqf")
        settings = _settings(config, networks, pictures)
        run_json = runs.begin(out, settings)
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        for folder in ("parts", "figures"):
            (out / folder).mkdir(mode=0o700, exist_ok=True)
        jobs = _jobs(config, networks, pictures, portraits)
        kept = [_finished(out, name, job) for name, job in jobs]
        _write(out, run_json, kept)
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
        known = name if name in BACKBONES else backbone.network.weights.name
        found[known] = (backbone, load_decoder_of(decoder, backbone)[0])
    return dict(sorted(found.items(), key=_order))


def _order(item: tuple[str, tuple[Backbone, Any]]) -> tuple[bool, bool, str]:
    """The paper's: VGG, ResNet, ArcFace; then others."""
    name, (backbone, _) = item
    return not name.startswith("vgg"), backbone.preprocess.unit_norm, name


def _conditions(config: Config, out: pathlib.Path) -> LabelledPictures:
    """People under pose, light and expression."""
    if config.multi_pie and config.flash_angles:
        return multi_pie_pictures(config.multi_pie, config.flash_angles)
    if config.multi_pie:
        raise InputError("--multi_pie: name a table of its flashes as --flash_angles")
    return read_pictures(_controlled(config, out))


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
    config: Config,
    networks: Mapping[str, tuple[Backbone, Any]],
    pictures: LabelledPictures,
) -> dict[str, Any]:
    return {
        "networks": {name: model_of(name, pair[0]) for name, pair in networks.items()},
        "decoders": {name: pair[1].weights.sha256 for name, pair in networks.items()},
        "pictures_sha256": pictures_fingerprint(pictures.paths),
        "people": len(np.unique(pictures.identities)),
        "quick": config.quick,
        "data": [
            bool(config.multi_pie),
            bool(config.siblingsdb_hqf),
            bool(config.meds_ii),
        ],
        "cmu": bool(config.cmu),
        "congress": bool(config.congress),
    }


def _jobs(
    config: Config,
    networks: Mapping[str, tuple[Backbone, Any]],
    pictures: LabelledPictures,
    portraits: LabelledPictures,
) -> Iterator[tuple[str, Callable[[], Part]]]:
    """What makes each part, in order; faces are read when the first one is made."""
    reading: Any = {"cache_dir": config.cache_dir, "processes": config.processes}
    probes = QUICK_PROBES if config.quick else PROBES
    edited = _people(config.meds_ii, "meds_ii")
    others = ~np.isin(edited.identities, pictures.identities)
    edited = edited.take(np.flatnonzero(others)[:probes])
    if config.quick:
        portraits = portraits.take(np.arange(QUICK_PORTRAITS))

    @functools.cache
    def subjects() -> list[Subject]:
        return [
            load_subject(name, *networks[name], pictures, edited, **reading)
            for name in networks
        ]

    @functools.cache
    def faces_of() -> dict[str, Portraits]:
        return {
            name: load_portraits(backbone, portraits, **reading)
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


def _finished(
    out: pathlib.Path, name: str, job: Callable[[], Part]
) -> tuple[report.Section, list[Claim]]:
    """A part, made unless it is there; its claims are printed."""
    path = out / "parts" / f"{name}.json"
    if not path.exists():
        logging.info("figure %s", name.lstrip("0"))
        part = job()
        named = {f"figure_{name}_{kind}": made for kind, made in part.drawn.items()}
        paths = figures.save_figures(out / "figures", named)
        stored = {
            "title": f"Figure {part.figure}. {part.title}",
            "note": part.note,
            "claims": [claim._asdict() for claim in part.claims],
            "figures": [path.name for path in paths],
            "sliders": [slider._asdict() for slider in part.sliders],
        }
        files.write_text(path, json.dumps(stored))
    stored = json.loads(path.read_text(encoding="utf-8"))
    claims = [claim_of(told) for told in stored["claims"]]
    rows = [claim.row for claim in claims]
    print(f"{stored['title']}\n{plain_text(rows)}\n", flush=True)
    section = report.Section(
        *(stored["title"], stored["note"], rows),
        [out / "figures" / file for file in stored["figures"]],
        [Slider(**slider) for slider in stored["sliders"]],
    )
    return section, claims


def _write(
    out: pathlib.Path,
    run_json: dict[str, Any],
    kept: Sequence[tuple[report.Section, list[Claim]]],
) -> None:
    rows = [claim.row for _, claims in kept for claim in claims]
    files.write_text(out / "claims.csv", csv_text(rows))
    counts = {
        verdict: sum(row["verdict"] == verdict for row in rows)
        for verdict in ("holds", "does not hold", "cannot be said")
    }
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"claims: {told}")
    summary = report.Section(
        "Claims",
        f"{told}. A claim holds if all of the interval lies on its side of the bound, "
        "does not if none of it does, and else cannot be said.",
        rows,
    )
    settings = run_json["settings"]
    report.write_sections(
        out / "report.html",
        title="The figures of Plesh et al. 2024, and what of them holds",
        facts={
            "networks": ", ".join(settings["networks"]),
            "people under conditions": str(settings["people"]),
            "faces": "rendered, of nobody",
        },
        sections=[summary, *(section for section, _ in kept)],
    )
    runs.write(out, run_json | {"state": runs.COMPLETE, "verdicts": counts})


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_string("out_dir", None, "Run directory to make.", required=True)
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
    flags.DEFINE_integer("processes", os.cpu_count() or 1, "Worker processes.", 1)
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    flags.DEFINE_string(
        "cache_dir",
        str(pathlib.Path(home, "facedirs_jax")),
        "Where landmarks are kept by content hash.",
    )
    flags.DEFINE_bool("resume", False, "Goes on with the run in --out_dir.")


def _run_flags() -> int:
    asked = flags.FLAGS.flag_values_dict()
    config = {field.name: asked[field.name] for field in dataclasses.fields(Config)}
    config["network"] = tuple(config["network"])
    return run(Config(**config))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
