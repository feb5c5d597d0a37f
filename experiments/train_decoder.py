"""Trains a decoder of a network's templates, and writes a checkpoint that all can use.

    python -m experiments.render_faces --preset=training --out_dir=faces
    python -m experiments.train_decoder --backbone=runs/arcface/checkpoint \
        --data=faces --out_dir=runs/arcface_decoder

--backbone is a network that the library knows, or the folder of a checkpoint. --data is
a folder of render_faces, or one with a folder of pictures for each person; several are
trained on together. Faces are cropped as the network wants them (once: the crops stay
in --cache_dir) and embedded (once: the templates stay in --out_dir). Of ten people
eight train, one validates after each epoch, and one tests the end result; the weights
with the best validation are kept.

Written to --out_dir: checkpoint/ (the decoder, with a card of data, command, metrics),
results.json (likeness of decodes to their originals, against the mean face and the
nearest training face, with intervals), sheets/ (held-out faces and their decodes after
each epoch; test.png: 24 of the end result), templates.npy, metrics.jsonl, run.json. A
run that was killed goes on with --resume and logs the same losses as one that was not.
"""

import dataclasses
import json
import math
import os
import pathlib
import shlex
import sys
from typing import Any

import jax
from absl import flags

from facedirs_jax import devices, files, runs
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.decoding import decode
from facedirs_jax.errors import InputError
from facedirs_jax.training import (
    decoder_export,
    decoder_recipes,
    decoder_validation,
    loop,
    reproduction,
)
from facedirs_jax.training.crop_sets import CropSet, load_crops, with_composites
from facedirs_jax.training.decoder_faces import (
    EmbeddedFaces,
    embed_once,
    refuse_other_crops,
    reports,
)
from facedirs_jax.training.decoder_training import decoder_training
from facedirs_jax.training.photos import (
    describe,
    find_photos,
    first_identities,
    is_rendered,
)

from .launch import launch
from .run_flags import default_cache

CHECKPOINT, RESULTS, TEMPLATES = "checkpoint", "results.json", "templates.npy"
SHEETS = "sheets"
_SHOWN = 24  # test people on the sheet of the end result
_MEASURED = 64  # templates that show what half precision does to pictures


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train, and on what; see the flags of the same names."""

    backbone: str
    data: tuple[str, ...]
    out_dir: str
    cache_dir: str
    recipe_name: str
    recipe: decoder_recipes.DecoderRecipe
    name: str = ""
    person: str = ".*"
    composites: int = 0
    perceptor: str | None = None
    seen_by: tuple[str, ...] = ()
    licence: str | None = None
    precision: str = "float32"
    seed: int = 0
    limit_identities: int | None = None
    validation_identities: int = 100
    patience: int | None = None
    max_minutes: float | None = None
    max_steps: int | None = None
    checkpoint_seconds: float = 60.0
    half: bool = True
    processes: int = 1
    devices: int = 1
    resume: bool = False
    command: str = "python -m experiments.train_decoder"


def run(config: Config) -> int:
    """Does a whole training; gives the exit code, 0 once the checkpoint is written.

    Raises:
        InputError: for what the user can mend.
    """
    photos = find_photos(config.data, person=config.person)
    photos = first_identities(photos, config.limit_identities)
    mesh = devices.data_mesh(devices=config.devices)
    backbone = load_backbone(config.backbone)
    perceptor = load_backbone(config.perceptor) if config.perceptor else backbone
    others = [load_backbone(name) for name in config.seen_by]
    refuse_other_crops(backbone, others)
    with runs.locked(config.out_dir, resume=config.resume) as out:
        crops = load_crops(
            photos,
            alignment=backbone.preprocess.alignment,
            size=backbone.preprocess.size,
            cache_dir=config.cache_dir,
            processes=config.processes,
        )
        crops = with_composites(crops, count=config.composites, seed=config.seed)
        run_json = runs.begin(out, _settings(config, backbone, perceptor, crops))
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        faces = embed_once(
            out / TEMPLATES, backbone, crops, mirror=config.recipe.mirror
        )
        decoder, judge, outcome = _train(config, backbone, perceptor, faces, out, mesh)
        about = _about(config, backbone, faces, outcome, run_json, out)
        found = reports(
            *(decoder, judge, faces),
            others=others,
            validation_people=config.validation_identities,
            seed=config.seed,
        )
        about["decoding"] = {
            split: {n: decoder_export.report_fields(r) for n, r in by_network.items()}
            for split, by_network in found.items()
        }
        _draw_sheet(decoder, judge, faces, out / SHEETS / "test.png")
        files.write_text(out / RESULTS, json.dumps(about["decoding"], indent=1) + "\n")
        if not (out / CHECKPOINT).exists():  # unless killed right after it
            _export(config, faces, decoder, about, out / CHECKPOINT)
        runs.write(out, run_json | {"state": runs.COMPLETE, **_pace(outcome)})
    for split, by_network in about["decoding"].items():
        for network, fields in by_network.items():
            line = decoder_export.report_line(fields)
            print(f"{split}, as {network} sees them: {line}")
    print(f"trained: {out / CHECKPOINT}")
    return 0


def _settings(
    config: Config, backbone: Backbone, perceptor: Backbone, crops: CropSet
) -> dict[str, Any]:
    """All that the weights depend on."""
    card = backbone.network.weights
    return {
        "recipe": config.recipe_name,
        **dataclasses.asdict(config.recipe),
        "backbone": card.name,
        "backbone_sha256": card.sha256,
        "perceptor_sha256": perceptor.network.weights.sha256,
        "preprocess": dataclasses.asdict(backbone.preprocess),
        "data_sha256": crops.fingerprint,
        "precision": config.precision,
        "seed": config.seed,
        "validation_identities": config.validation_identities,
        "patience": config.patience,
        "devices": config.devices,
    }


def _train(
    config: Config,
    backbone: Backbone,
    perceptor: Backbone,
    faces: EmbeddedFaces,
    out: pathlib.Path,
    mesh: jax.sharding.Mesh,
) -> tuple[Any, decoder_validation.Judge, loop.Outcome]:
    """The decoder with the best validation, what judges it, and how it came about."""
    rows, _, templates = faces.of_split("train")
    training = decoder_training(
        *(config.recipe, backbone, faces.crops.crops, rows, templates),
        perceptor=perceptor,
        seed=config.seed,
        precision=config.precision,
    )
    plan = loop.Plan(
        steps=training.steps,
        steps_per_epoch=training.steps_per_epoch,
        seed=config.seed,
        watched=config.recipe.watched,
        patience=config.patience,
        max_minutes=config.max_minutes,
        max_steps=config.max_steps,
        checkpoint_seconds=config.checkpoint_seconds,
        precision=config.precision,
    )
    side = config.recipe.config.image_size
    judge = decoder_validation.Judge(backbone, training.centre, side)
    people = config.validation_identities
    held_out = faces.held_out("validation", side=side, people=people)
    evaluate = held_out and decoder_validation.evaluation(
        training.decoder_of, judge, held_out, sheets=out / SHEETS
    )
    outcome = loop.train(
        *(training.state, training.step, training.batches, plan),
        folder=out,
        mesh=mesh,
        evaluate=evaluate,
    )
    print(f"ended by {outcome.stopped} at {outcome.standing.step}; {outcome.speed}")
    return training.decoder_of(outcome.state), judge, outcome


def _draw_sheet(
    decoder: Any,
    judge: decoder_validation.Judge,
    faces: EmbeddedFaces,
    path: pathlib.Path,
) -> None:
    """Draws test people, one face each, and their decodes."""
    held_out = faces.held_out("test", side=judge.side)
    if held_out is None:
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    rows = decoder_validation.one_face_each(held_out.identities, people=_SHOWN)
    decodes = decode(decoder, held_out.templates[rows])
    decoder_validation.write_sheet(path, held_out.images[rows], decodes)


def _pace(outcome: loop.Outcome) -> dict[str, Any]:
    measured = {**outcome.speed._asdict(), "peak_gflops": outcome.peak_gflops}
    return {
        "stopped": outcome.stopped,
        **outcome.standing._asdict(),
        **{name: round(n, 4) for name, n in measured.items() if math.isfinite(n)},
    }


def _about(
    config: Config,
    backbone: Backbone,
    faces: EmbeddedFaces,
    outcome: loop.Outcome,
    run_json: dict[str, Any],
    out: pathlib.Path,
) -> dict[str, Any]:
    """All that the checkpoint tells of how it was made."""
    rendered = all(map(is_rendered, config.data))
    _, identities = faces.crops.of_split("train")
    card, device = backbone.network.weights, run_json["device"]["kind"]
    return {
        "backbone": card.name,
        "backbone_sha256": card.sha256,
        "licence": config.licence or ("Apache-2.0" if rendered else "unknown"),
        "intended_use": decoder_export.INTENDED_USE,
        "command": config.command,
        "recipe": config.recipe_name,
        "data": [describe(folder) for folder in config.data],
        "composites": config.composites,
        "data_sha256": faces.crops.fingerprint,
        "rendered": rendered,
        "people": len(set(identities)),
        "pictures": len(identities),
        "statuses": faces.crops.statuses,
        "seed": config.seed,
        "precision": config.precision,
        "steps": outcome.standing.step,
        "best_step": outcome.standing.best_step or outcome.standing.step,
        "minutes": round(outcome.standing.seconds / 60, 2),
        "machine": f"{jax.device_count()} {device}, {run_json['cpu_cores']} CPU cores",
        "speed": str(outcome.speed),
        "losses": reproduction.first_losses(out / loop.LOG_FILE),
        "settings": run_json["settings"],
        "versions": run_json["versions"],
        "git_commit": run_json["git_commit"],
    }


def _export(
    config: Config,
    faces: EmbeddedFaces,
    decoder: Any,
    about: dict[str, Any],
    path: pathlib.Path,
) -> None:
    rendered = about["rendered"]
    name = config.name or f"{about['backbone']}_{config.recipe_name}"
    decoder.weights = WeightCard(
        name=name,
        sha256="",
        licence=about["licence"],
        commercial_use=rendered,
        source=f"{config.command} ({'rendered faces' if rendered else 'pictures'}, "
        f"SHA-256 {faces.crops.fingerprint})",
    )
    manifest = decoder_export.export_decoder(
        path,
        decoder,
        templates=faces.templates[:_MEASURED, 0],
        inverts=f"templates of {about['backbone']}, weights {about['backbone_sha256']}",
        about=about,
        readme=decoder_export.decoder_card(name, about),
        half=config.half,
    )
    print(f"stored: {manifest['parity']['how']}: {manifest['parity']}")


def _define_flags() -> None:
    """Not on import, since experiments on faces have flags of these names."""
    flags.DEFINE_string("backbone", None, "Name of a network, or a checkpoint folder.")
    flags.DEFINE_multi_string("data", None, "Folder of pictures; repeatable.")
    flags.DEFINE_string("out_dir", None, "Run directory to make.")
    flags.DEFINE_string(
        "person",
        ".*",
        "Regular expression of the start of a picture's name that tells who is in it, "
        "in folders without a folder for each person.",
    )
    flags.DEFINE_integer(
        "composites",
        0,
        "Also trains on so many faces put together from the photos of training people, "
        "each region from another; rendered ones are left alone unless all are.",
        0,
    )
    flags.DEFINE_string(
        "perceptor",
        None,
        "Network whose feature maps decodes should share, with crops of the same kind; "
        "default the network that is decoded.",
    )
    flags.DEFINE_multi_string(
        "seen_by",
        [],
        "Another network, with crops of the same kind, to compare decodes by at the "
        "end; repeatable.",
    )
    flags.DEFINE_string("licence", None, "Of the weights; default from the data.")
    flags.DEFINE_string(
        "cache_dir",
        default_cache(),
        "Keeps landmarks, and the crops of each set for each alignment and size.",
    )
    names = ", ".join(decoder_recipes.RECIPES)
    flags.DEFINE_string("recipe", next(iter(decoder_recipes.RECIPES)), f"Of: {names}.")
    flags.DEFINE_string("name", None, "Of the weights; default backbone and recipe.")
    flags.DEFINE_integer("image_size", None, "Side of the decodes, px.")
    flags.DEFINE_float("width", None, "Multiplier of the decoder's channels.")
    flags.DEFINE_float("epochs", None, "Passes over the training pictures.")
    flags.DEFINE_integer("batch", None, "Pictures a step.")
    flags.DEFINE_float("learning_rate", None, "The highest; it rises, then falls.")
    flags.DEFINE_float("noise", None, "On templates, a share of their own spread.")
    flags.DEFINE_float("feature", None, "Weight of the perceptual terms; 0 for none.")
    flags.DEFINE_float("identity", None, "Weight of the term of re-embedded decodes.")
    flags.DEFINE_float("crop", None, "Weight of the middle of the face; 0 for none.")
    flags.DEFINE_enum(
        "precision",
        "float32",
        ["float32", "bfloat16"],
        "Of the computation in training; bfloat16 is slower on most CPUs.",
    )
    flags.DEFINE_integer("seed", 0, "Of weights, batches and noise.", 0)
    flags.DEFINE_integer(
        "limit_identities", None, "Trains on so many people only, for a trial.", 2
    )
    flags.DEFINE_integer(
        "validation_identities", 100, "Held-out people decoded after each epoch.", 2
    )
    flags.DEFINE_integer("patience", None, "Ends after so many epochs without gain.", 1)
    flags.DEFINE_float(
        "max_minutes",
        None,
        "Ends after so many minutes of training. The learning rate falls over "
        "--epochs all the same: choose those so that they fit.",
    )
    flags.DEFINE_integer(
        "max_steps",
        None,
        "Ends after so many steps, such as the 100 that check_training compares.",
        1,
    )
    flags.DEFINE_float("checkpoint_seconds", 60.0, "At least, between checkpoints.")
    flags.DEFINE_bool("half", True, "Stores kernels in float16.")
    flags.DEFINE_integer(
        "processes", os.cpu_count() or 1, "Worker processes that find faces.", 1
    )
    flags.DEFINE_integer("devices", 1, "Devices that batches are split over.", 1)
    flags.DEFINE_bool("resume", False, "Goes on with the run in --out_dir.")


_CHANGES = (
    *("image_size", "width", "epochs", "batch", "learning_rate", "noise"),
    *("feature", "identity", "crop"),
)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    required = ("backbone", "data", "out_dir")
    missing = [f"--{name}" for name in required if not values[name]]
    if missing:
        raise InputError(f"give {', '.join(missing)}; see --help")
    values["recipe_name"], values["data"] = values["recipe"], tuple(values["data"])
    values["seen_by"] = tuple(values["seen_by"])
    values["recipe"] = decoder_recipes.find_decoder_recipe(
        values["recipe_name"], **{name: values[name] for name in _CHANGES}
    )
    values["name"] = values["name"] or ""
    asked = [word for word in sys.argv[1:] if word not in ("--resume", "--resume=true")]
    values["command"] = f"{Config.command} {shlex.join(asked)}"
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
