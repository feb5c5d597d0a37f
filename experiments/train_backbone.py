"""Trains a small face-recognition network, and writes a checkpoint that all can use.

    python -m experiments.render_faces --preset=training --out_dir=faces
    python -m experiments.train_backbone --recipe=iresnet_arcface --data=faces \
        --out_dir=runs/arcface
    python -m experiments.discover_ssi --backbone=runs/arcface/checkpoint --out_dir=...

--data is a folder of render_faces, or one with a folder of pictures for each person;
several are trained on together. Faces are found and cropped as the network wants them
(once: the crops stay in --cache_dir). Of ten people eight train, one validates after
each epoch, and one tests the end result; the weights with the best validation are kept.
A recipe is all settings of a training, and flags change some of them. --first_people
begins with a few people before all; --start_from with the weights of a run that has
ended, on these people or others, or of a checkpoint; the card then tells both commands.

Written to --out_dir: checkpoint/ (the network, with a card of data, command, metrics),
metrics.jsonl (a line a step, and one a validation), run.json. A run that was killed
goes on with --resume and logs the same losses as one that was not.
"""

import dataclasses
import math
import os
import pathlib
import shlex
import sys
from typing import Any

import jax
from absl import flags, logging

from facedirs_jax import checkpoints, devices, runs
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.errors import InputError
from facedirs_jax.training import (
    backbone_step,
    cards,
    export,
    fine_tuning,
    loop,
    recipes,
    reproduction,
    validation,
)
from facedirs_jax.training.backbone_training import (
    BackboneTraining,
    backbone_training,
)
from facedirs_jax.training.crop_sets import CropSet, load_crops
from facedirs_jax.training.objective import LOSSES
from facedirs_jax.training.photos import (
    describe,
    find_photos,
    first_identities,
    is_rendered,
)

from .launch import launch
from .run_flags import default_cache

CHECKPOINT = "checkpoint"
_SHOWN = 200  # held-out people that the card's rates are measured on
_MEASURED = 256  # faces that show what half precision does to templates


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train, and on what; see the flags of the same names."""

    data: tuple[str, ...]
    out_dir: str
    cache_dir: str
    recipe_name: str
    recipe: recipes.BackboneRecipe
    start_from: str | None = None
    name: str = ""
    person: str = ".*"
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
    command: str = "python -m experiments.train_backbone"


def run(config: Config) -> int:
    """Does a whole training; gives the exit code, 0 once the checkpoint is written.

    Raises:
        InputError: for what the user can mend.
    """
    begun = _beginning(config.start_from)
    photos = find_photos(config.data, person=config.person)
    photos = first_identities(photos, config.limit_identities)
    mesh = devices.data_mesh(devices=config.devices)
    preprocess = config.recipe.preprocess()
    with runs.locked(config.out_dir, resume=config.resume) as out:
        crops = load_crops(
            photos,
            alignment=preprocess.alignment,
            size=preprocess.size,
            cache_dir=config.cache_dir,
            processes=config.processes,
        )
        settings = _settings(config, crops) | {"start_from": begun}
        run_json = runs.begin(out, settings)
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        network, outcome = _train(config, crops, out, mesh)
        about = _about(config, crops, network, outcome, run_json, out)
        if not (out / CHECKPOINT).exists():  # unless killed right after it
            _export(config, crops, network, about, out / CHECKPOINT)
        runs.write(out, run_json | {"state": runs.COMPLETE, **_pace(outcome)})
    for split, rates in about["verification"].items():
        print(f"{split}: {cards.rates_line(rates)}")
    print(f"trained: {out / CHECKPOINT}")
    return 0


def _train(
    config: Config, crops: CropSet, out: pathlib.Path, mesh: jax.sharding.Mesh
) -> tuple[Any, loop.Outcome]:
    """The network with the best validation, and how it came about."""
    training = backbone_training(
        config.recipe,
        crops.crops,
        *crops.of_split("train"),
        seed=config.seed,
        precision=config.precision,
    )
    plan = loop.Plan(
        steps=training.steps,
        steps_per_epoch=training.steps_per_epoch,
        seed=config.seed,
        patience=config.patience,
        max_minutes=config.max_minutes,
        max_steps=config.max_steps,
        checkpoint_seconds=config.checkpoint_seconds,
        precision=config.precision,
    )
    state = _begun(config, training, crops)
    held_out = _held_out(crops, "validation", config.validation_identities)
    evaluate = held_out and validation.evaluation(
        training.network_of, config.recipe.preprocess(), held_out
    )
    outcome = loop.train(
        *(state, training.step, training.batches, plan),
        folder=out,
        mesh=mesh,
        evaluate=evaluate,
    )
    print(f"ended by {outcome.stopped} at {outcome.standing.step}; {outcome.speed}")
    return training.network_of(outcome.state), outcome


def _begun(
    config: Config, training: BackboneTraining, crops: CropSet
) -> backbone_step.BackboneState:
    """The state to begin with: new, of a run, or of a checkpoint."""
    if config.start_from is None:
        return training.state
    folder = pathlib.Path(config.start_from)
    of_a_run = (folder / runs.FILE).exists()
    if of_a_run and runs.read(folder)["settings"]["data_sha256"] == crops.fingerprint:
        earlier = loop.best_state(folder, training.state)
        return backbone_step.with_weights(training.state, earlier)
    rows, identities = crops.of_split("train")
    known = config.recipe, crops.crops[rows], identities
    found = checkpoints.open_backbone(folder / CHECKPOINT if of_a_run else folder)
    if not of_a_run:
        return fine_tuning.of_network(training, found.network, *known)
    people = found.manifest["about"]["people"]
    like = backbone_step.for_people(training.state, people)
    return fine_tuning.of_others(training, loop.best_state(folder, like), *known)


def _beginning(start_from: str | None) -> dict[str, Any] | None:
    """What a training takes its first weights from, for its own card.

    Raises:
        InputError: if there is no such thing, or it is a run that has not ended.
    """
    if start_from is None:
        return None
    folder = pathlib.Path(start_from)
    if (folder / runs.FILE).exists():
        if runs.read(start_from)["state"] != runs.COMPLETE:
            raise InputError(
                f"--start_from={start_from}: not complete; --resume it first"
            )
        folder = folder / CHECKPOINT
    about = checkpoints.open_backbone(folder).manifest.get("about")
    if about is None:
        raise InputError(
            f"--start_from={start_from}: no network that train_backbone made"
        )
    told = {name: about[name] for name in ("command", "minutes", "steps")}
    earlier = about.get("start_from")
    return told | ({"start_from": earlier} if earlier else {})


def _settings(config: Config, crops: CropSet) -> dict[str, Any]:
    """All that the weights depend on."""
    return {
        "recipe": config.recipe_name,
        **dataclasses.asdict(config.recipe),
        "data_sha256": crops.fingerprint,
        "precision": config.precision,
        "seed": config.seed,
        "validation_identities": config.validation_identities,
        "patience": config.patience,
        "devices": config.devices,
    }


def _held_out(
    crops: CropSet, split: str, people: int | None
) -> validation.HeldOut | None:
    """Faces of people who do not train; None where nobody is held out."""
    rows, identities = crops.of_split(split)
    if len(set(identities)) < 2 or len(set(identities)) == len(identities):
        logging.warning("nobody to tell apart is held out for %s", split)
        return None
    chosen = validation.first_people(identities, people)
    return validation.HeldOut(crops.crops[rows[chosen]], identities[chosen])


def _pace(outcome: loop.Outcome) -> dict[str, Any]:
    measured = {**outcome.speed._asdict(), "peak_gflops": outcome.peak_gflops}
    return {
        "stopped": outcome.stopped,
        **outcome.standing._asdict(),
        **{name: round(n, 4) for name, n in measured.items() if math.isfinite(n)},
    }


def _about(
    config: Config,
    crops: CropSet,
    network: Any,
    outcome: loop.Outcome,
    run_json: dict[str, Any],
    out: pathlib.Path,
) -> dict[str, Any]:
    """All that the checkpoint tells of how it was made."""
    rendered = all(map(is_rendered, config.data))
    _, identities = crops.of_split("train")
    rates = {}
    for split in ("validation", "test"):
        held_out = _held_out(crops, split, _SHOWN)
        if held_out is not None:
            pairs = validation.pairs_of(network, config.recipe.preprocess(), held_out)
            rates[split] = validation.rates_with_intervals(pairs, seed=config.seed)
    device = run_json["device"]["kind"]
    return {
        "network": config.recipe.network,
        "loss": config.recipe.loss,
        "licence": config.licence or ("Apache-2.0" if rendered else "unknown"),
        "intended_use": cards.INTENDED_USE,
        "command": config.command,
        "recipe": config.recipe_name,
        "data": [describe(folder) for folder in config.data],
        "data_sha256": crops.fingerprint,
        "rendered": rendered,
        "people": len(set(identities)),
        "pictures": len(identities),
        "statuses": crops.statuses,
        "seed": config.seed,
        "precision": config.precision,
        "steps": outcome.standing.step,
        "best_step": outcome.standing.best_step or outcome.standing.step,
        "minutes": round(outcome.standing.seconds / 60, 2),
        "start_from": run_json["settings"]["start_from"],
        "machine": f"{jax.device_count()} {device}, {run_json['cpu_cores']} CPU cores",
        "speed": str(outcome.speed),
        "verification": rates,
        "losses": reproduction.first_losses(out / loop.LOG_FILE),
        "settings": run_json["settings"],
        "versions": run_json["versions"],
        "git_commit": run_json["git_commit"],
    }


def _export(
    config: Config,
    crops: CropSet,
    network: Any,
    about: dict[str, Any],
    path: pathlib.Path,
) -> None:
    rendered, name = about["rendered"], config.name or config.recipe_name
    network.weights = WeightCard(
        name=name,
        sha256="",
        licence=about["licence"],
        commercial_use=rendered,
        source=f"{config.command} ({'rendered faces' if rendered else 'pictures'}, "
        f"SHA-256 {crops.fingerprint})",
    )
    manifest = export.export_backbone(
        path,
        network,
        config.recipe.preprocess(),
        crops.crops[crops.rows[:_MEASURED]],
        about=about,
        readme=cards.card_text(name, about),
        half=config.half,
    )
    gap, how = manifest["parity"].values()
    print("stored: " + (how if gap is None else f"{gap:.1e}, {how}"))


def _define_flags() -> None:
    """Not on import, since experiments on faces have flags of these names."""
    flags.DEFINE_multi_string("data", None, "Folder of pictures; repeatable.")
    flags.DEFINE_string("out_dir", None, "Run directory to make.")
    flags.DEFINE_string(
        "person",
        ".*",
        "Regular expression of the start of a picture's name that tells who is in it, "
        "in folders without a folder for each person.",
    )
    flags.DEFINE_string("licence", None, "Of the weights; default from the data.")
    flags.DEFINE_string(
        "cache_dir",
        default_cache(),
        "Keeps landmarks, and the crops of each set for each alignment and size.",
    )
    flags.DEFINE_string("recipe", None, f"One of: {', '.join(recipes.RECIPES)}.")
    networks = ", ".join(recipes.NETWORKS)
    flags.DEFINE_string(
        "network", None, f"One of: {networks}; instead of --recipe, its first one."
    )
    flags.DEFINE_string("name", None, "Of the weights; default the recipe's.")
    flags.DEFINE_string(
        "start_from",
        None,
        "Finished run of the same recipe: begins with its weights, while the learning "
        "rate rises and falls anew; and with its classifier, if the people are the "
        "same, else with one made of the people's mean templates. Or a checkpoint, by "
        "name or folder, whose classifier is not in it.",
    )
    flags.DEFINE_float("width", None, "Multiplier of the network's channels.")
    flags.DEFINE_integer("image_size", None, "Side of the crops, px.")
    flags.DEFINE_string("alignment", None, "How faces are cropped.")
    flags.DEFINE_integer(
        "template_dim", None, "Of iresnet; of the others it follows from --width."
    )
    flags.DEFINE_string("loss", None, f"One of: {', '.join(LOSSES)}.")
    flags.DEFINE_float("epochs", None, "Passes over the training pictures.")
    flags.DEFINE_integer("batch", None, "Pictures a step.")
    flags.DEFINE_float("learning_rate", None, "The highest; it rises, then falls.")
    flags.DEFINE_integer(
        "first_people",
        None,
        "Begins with so many people, for the first tenth of the steps: for a network "
        "that stays at chance among thousands.",
    )
    flags.DEFINE_float(
        "smoothing",
        None,
        "Of the labels, 0 to 1: for networks that fit their people too well.",
    )
    flags.DEFINE_float(
        "dropout", None, "Of the template before the classifier, 0 to 1: as smoothing."
    )
    flags.DEFINE_float(
        "erase", None, "Share of the crops in which a rectangle is hidden."
    )
    flags.DEFINE_float(
        "flip",
        None,
        "Share of the crops that are mirrored. 0 lets a network tell which way a face "
        "turns and where its light comes from; mirroring teaches it not to.",
    )
    flags.DEFINE_enum(
        "precision",
        "float32",
        ["float32", "bfloat16"],
        "Of the computation in training; bfloat16 is slower on most CPUs.",
    )
    flags.DEFINE_integer("seed", 0, "Of weights, batches and augmentation.", 0)
    flags.DEFINE_integer(
        "limit_identities", None, "Trains on so many people only, for a trial.", 2
    )
    flags.DEFINE_integer(
        "validation_identities", 100, "Held-out people compared after each epoch.", 2
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
    *("width", "image_size", "alignment", "template_dim", "loss"),
    *("epochs", "batch", "learning_rate", "first_people", "smoothing", "dropout"),
    *("flip", "erase"),
)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    missing = [f"--{name}" for name in ("data", "out_dir") if not values[name]]
    if missing:
        raise InputError(f"give {', '.join(missing)}; see --help")
    name, recipe = recipes.find_recipe(name=values["recipe"], network=values["network"])
    values["recipe"] = recipes.adapted(recipe, {n: values[n] for n in _CHANGES})
    values["recipe_name"], values["data"] = name, tuple(values["data"])
    values["name"] = values["name"] or name
    asked = [word for word in sys.argv[1:] if word not in ("--resume", "--resume=true")]
    if values["devices"] > 1:  # of a CPU too
        jax.config.update("jax_num_cpu_devices", values["devices"])
    values["command"] = f"{Config.command} {shlex.join(asked)}"
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
