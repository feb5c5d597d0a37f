"""Measures a decoder on people it was not trained on, and on some of them alone.

    python -m experiments.check_decoder --decoder=dlib_resnet_decoder \
        --backbone=dlib_resnet --data=congress --data=cmu --person='[^_.]+' \
        --data=faces/varied --kind=photographed --seen_by=iresnet_arcface_small \
        --out_dir=runs/check

Give the --data and --person of the training, which the decoder's card tells: people are
split as they were then, and a warning tells if the pictures are others. The numbers of
`train_decoder` mix all kinds of pictures; with --kind=photographed they are of people
in photos alone, with --kind=rendered of rendered ones. The baselines, the mean face and
the nearest face, are of training faces of that kind, with the composites of the
training among them. Those take minutes to make; --composites=0 leaves them out.

Written to --out_dir: results.json (as that of `train_decoder`), results.md (the same as
tables), test.png (24 held-out people and their decodes), run.json. The sheet shows the
faces that were put in: treat it as the photos themselves.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from absl import flags, logging

from facedirs_jax import files, runs
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone, open_decoder
from facedirs_jax.decoding import decode, load_decoder_of
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.decoding import Originals
from facedirs_jax.training import decoder_export, decoder_validation
from facedirs_jax.training.crop_sets import (
    CropSet,
    enlarged_fingerprint,
    load_crops,
    with_composites,
)
from facedirs_jax.training.decoder_faces import (
    EmbeddedFaces,
    embed_crops,
    refuse_other_crops,
    reports,
)
from facedirs_jax.training.photos import find_photos

from .launch import keep_apart, launch
from .run_flags import define_reading_flags, define_run_flags

KINDS = ("all", "photographed", "rendered")
RESULTS, TABLES, SHEET = "results.json", "results.md", "test.png"
_SHOWN = 24  # people on the sheet


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure, and on whom; see the flags of the same names."""

    decoder: str
    backbone: str
    data: tuple[str, ...]
    out_dir: str
    cache_dir: str
    person: str = ".*"
    kind: str = "all"
    composites: int | None = None
    seen_by: tuple[str, ...] = ()
    seed: int = 0
    processes: int = 1
    resume: bool = False


def run(config: Config) -> int:
    """Measures; gives the exit code, 0 once everything is written.

    Args:
        config: what to measure.

    Returns:
        The exit code.

    Raises:
        InputError: for what the user can mend.
    """
    keep_apart(config.data, config.out_dir)
    photos = find_photos(config.data, person=config.person)
    backbone = load_backbone(config.backbone)
    others = [load_backbone(name) for name in config.seen_by]
    refuse_other_crops(backbone, others)
    decoder, told = load_decoder_of(config.decoder, backbone)
    about = open_decoder(config.decoder).manifest.get("about", {})
    with runs.locked(config.out_dir, resume=config.resume) as out:
        crops = load_crops(
            photos,
            alignment=backbone.preprocess.alignment,
            size=backbone.preprocess.size,
            cache_dir=config.cache_dir,
            processes=config.processes,
        )
        settings = _settings(config, backbone, crops, about)
        run_json = runs.begin(out, told | settings)
        if not settings["data_of_training"]:
            logging.warning(
                "--data are not the pictures of the training, in their order and "
                "place; people who were trained on may be taken for held out"
            )
        faces = _faces(backbone, crops, settings, seed=about.get("seed", 0))
        judge = _judge(decoder, backbone, faces)
        found = reports(decoder, judge, faces, others=others, seed=config.seed)
        if not found:
            raise InputError(
                f"--data shows fewer than 2 held-out people of the kind {config.kind}; "
                "give more, or another --kind"
            )
        fields = {
            split: {n: decoder_export.report_fields(r) for n, r in by_network.items()}
            for split, by_network in found.items()
        }
        files.write_text(out / RESULTS, json.dumps(fields, indent=1) + "\n")
        files.write_text(out / TABLES, _tables(fields))
        held_out = faces.held_out("test", side=judge.side)
        if held_out is not None:
            _draw_sheet(out / SHEET, decoder, held_out)
        runs.write(out, run_json | {"state": runs.COMPLETE})
    print(_tables(fields))
    return 0


def _trained_on(crops: CropSet, about: dict[str, Any]) -> bool:
    """Whether a decoder was trained on these very pictures, and composites of them."""
    count, seed = about.get("composites", 0), about.get("seed", 0)
    found = enlarged_fingerprint(crops.fingerprint, count=count, seed=seed)
    return found == about.get("data_sha256")


def _settings(
    config: Config, backbone: Backbone, crops: CropSet, about: dict[str, Any]
) -> dict[str, Any]:
    """All that the numbers depend on, but the decoder."""
    card, count = backbone.network.weights, config.composites
    return {
        "backbone": card.name,
        "backbone_sha256": card.sha256,
        "data_sha256": crops.fingerprint,
        "data_of_training": _trained_on(crops, about),
        "kind": config.kind,
        "composites": about.get("composites", 0) if count is None else count,
        "seen_by": config.seen_by,
        "seed": config.seed,
    }


def _faces(
    backbone: Backbone, crops: CropSet, settings: dict[str, Any], *, seed: int
) -> EmbeddedFaces:
    """Faces of the wanted kind, composites of their training people among them.

    Raises:
        InputError: if nobody of that kind is there to train on.
    """
    crops = with_composites(crops, count=settings["composites"], seed=seed)
    kind = settings["kind"]
    if kind != "all":
        crops = crops.only(crops.rendered == (kind == "rendered"))
    if not (crops.splits == "train").any():
        raise InputError(
            f"--data shows no training people of the kind {kind}, whom the "
            "baselines need; give the --data of the training, or another --kind"
        )
    templates = embed_crops(backbone, crops.crops, crops.rows, mirror=False)
    return EmbeddedFaces(crops, templates)


def _judge(
    decoder: Any, backbone: Backbone, faces: EmbeddedFaces
) -> decoder_validation.Judge:
    _, _, templates = faces.of_split("train")
    centre = templates[:, 0].mean(axis=0, dtype=np.float64).astype(np.float32)
    side = decode(decoder, templates[:1, 0]).shape[1]
    return decoder_validation.Judge(backbone, centre, side)


def _draw_sheet(path: pathlib.Path, decoder: Any, held_out: Originals) -> None:
    rows = decoder_validation.one_face_each(held_out.identities, people=_SHOWN)
    decodes = decode(decoder, held_out.templates[rows])
    decoder_validation.write_sheet(path, held_out.images[rows], decodes)


def _tables(fields: dict[str, dict[str, Any]]) -> str:
    tables = (
        "\n".join(decoder_export.report_table(split, network, found))
        for split, by_network in fields.items()
        for network, found in by_network.items()
    )
    return "\n\n".join(tables) + "\n"


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_string("decoder", None, "Folder, or name of one that ships.")
    flags.DEFINE_string(
        "backbone",
        None,
        f"Whose templates it decodes: one of {', '.join(BACKBONES)}; or a checkpoint.",
    )
    flags.DEFINE_multi_string("data", None, "Folder of pictures; repeatable.")
    flags.DEFINE_string(
        "person",
        ".*",
        "Regular expression of the start of a picture's name that tells who is in it, "
        "in folders without a folder for each person.",
    )
    flags.DEFINE_enum(
        "kind", "all", KINDS, "Whom to measure: all, or people in photos, or rendered."
    )
    flags.DEFINE_integer(
        "composites",
        None,
        "So many composites of training people are among the faces that the baselines "
        "choose from; default as many as it was trained on.",
        0,
    )
    flags.DEFINE_multi_string(
        "seen_by",
        [],
        "Another network, with crops of the same kind, to compare decodes by; "
        "repeatable.",
    )
    define_run_flags()
    define_reading_flags()
    flags.DEFINE_integer("seed", 0, "Of the people drawn for intervals.", 0)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    required = ("decoder", "backbone", "data")
    missing = [f"--{name}" for name in required if not values[name]]
    if missing:
        raise InputError(f"give {', '.join(missing)}; see --help")
    values["data"], values["seen_by"] = tuple(values["data"]), tuple(values["seen_by"])
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
