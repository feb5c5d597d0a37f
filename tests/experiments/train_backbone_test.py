"""train_backbone from the command line: a network that works, killed and resumed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astronaut import portrait
from PIL import Image
from ssi_runs import ROOT

from experiments import train_backbone
from experiments.train_backbone import Config
from facedirs_jax.backbones.iresnet import IResNet
from facedirs_jax.checkpoints import load_checkpoint
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import FactorTable, write_factor_table
from facedirs_jax.templates import embed
from facedirs_jax.training import recipes
from facedirs_jax.training.metrics import read_log

PEOPLE = (*range(8), 8, 9, 18, 19)  # eight train, two validate, two test
FLAGS = [
    *("--recipe=iresnet_arcface", "--width=0.0625", "--image_size=32"),
    *("--template_dim=8", "--batch=8", "--epochs=8", "--processes=1"),
    *("--checkpoint_seconds=0", "--seed=3"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of two pictures of each of twelve people, and their table."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(len(PEOPLE)):
        for photo in range(2):
            picture = portrait(number)[:, :: 1 - 2 * photo]
            Image.fromarray(picture).save(folder / f"{number:02d}_{photo}.png")
    names = tuple(sorted(file.name for file in folder.iterdir()))
    numbers = np.repeat(PEOPLE, 2).astype(np.int64)
    splits = [
        {8: "validation", 9: "test"}.get(n % 10, "train") for n in numbers.tolist()
    ]
    table = FactorTable(names, numbers, np.array(["random"] * 24), np.array(splits), {})
    write_factor_table(folder / "factors.csv", table)
    settings = {"preset": "training", "seed": 0, "independent": False}
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    return folder


@pytest.fixture(scope="module")
def command(data, environment):
    """Arguments and variables of a child process that trains."""

    def start(out, *more):
        asked = [f"--data={data}", f"--out_dir={out}", *FLAGS, *more]
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.train_backbone", *asked],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """What an uninterrupted run wrote and printed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    process = command(out)
    printed, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return out, printed


def curve(out: pathlib.Path):
    """Every record of the log, without the speed."""
    records = read_log(out / "metrics.jsonl")
    return [
        {k: v for k, v in record.items() if k != "examples_per_second"}
        for record in records
    ]


def test_a_run_leaves_a_log_a_network_and_its_card(whole):
    out, printed = whole
    steps = [record for record in curve(out) if "validation" not in record]
    assert [record["step"] for record in steps] == list(range(1, 17))
    assert "% of the peak of a matrix product" in printed
    assert "test: auc " in printed
    run = json.loads((out / "run.json").read_text())
    assert run["state"] == "complete"
    assert run["settings"]["config"]["width"] == 0.0625
    found = load_checkpoint(out / "checkpoint")
    assert isinstance(found.network, IResNet)
    card, about = found.network.weights, found.manifest["about"]
    assert (card.name, card.licence) == ("iresnet_arcface", "Apache-2.0")
    assert card.commercial_use
    assert "--epochs=8" in about["command"]
    assert (about["people"], about["pictures"], about["seed"]) == (8, 16, 3)
    assert about["verification"].keys() == {"validation", "test"}
    assert about["verification"]["test"]["identities"] == 2
    assert "must not be used" in (out / "checkpoint" / "README.md").read_text()


def test_the_network_can_be_used_at_once(whole):
    found = load_checkpoint(whole[0] / "checkpoint")
    preprocess = found.preprocess
    assert preprocess is not None and preprocess.unit_norm
    crops = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
    templates = embed(found.network, preprocess, crops)
    assert templates.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, rtol=1e-5)


def test_a_run_killed_by_the_system_goes_on_to_the_same_losses(
    whole, command, tmp_path
):
    out = tmp_path / "out"
    process = command(out)
    log = out / "metrics.jsonl"
    while process.poll() is None and (
        not log.exists() or log.read_text().count("\n") < 5
    ):
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()[1]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "checkpoint").exists()
    again = command(out, "--resume")
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert "going on after step" in told
    assert curve(out) == curve(whole[0])
    digests = [
        load_checkpoint(path / "checkpoint").network.weights.sha256
        for path in (out, whole[0])
    ]
    assert digests[0] == digests[1]


def first_loss(out):
    return next(record["loss"] for record in curve(out) if record["step"] == 1)


def test_a_run_begins_where_another_ended(whole, command, tmp_path):
    out = tmp_path / "out"
    process = command(out, f"--start_from={whole[0]}", "--max_steps=1")
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    earlier = load_checkpoint(whole[0] / "checkpoint").manifest["about"]
    steps = [record for record in curve(whole[0]) if "loss" in record]
    best = next(r["loss"] for r in steps if r["step"] == earlier["best_step"])
    assert abs(first_loss(out) - best) < abs(first_loss(out) - first_loss(whole[0]))
    assert first_loss(out) < first_loss(whole[0])  # the same batch, the same margin
    about = load_checkpoint(out / "checkpoint").manifest["about"]
    assert about["start_from"] == {
        name: earlier[name] for name in ("command", "minutes", "steps")
    }
    card = (out / "checkpoint" / "README.md").read_text()
    first, second = (card.index(made["command"]) for made in (earlier, about))
    assert first < card.index("# 16 steps in ") < second
    assert f"--start_from={whole[0]}" in card


def test_a_run_begins_with_a_checkpoint_whose_classifier_is_lost(
    whole, command, tmp_path
):
    checkpoint = whole[0] / "checkpoint"
    process = command(tmp_path / "out", f"--start_from={checkpoint}", "--max_steps=1")
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert first_loss(tmp_path / "out") < first_loss(whole[0])  # the same batch
    earlier, about = (
        load_checkpoint(path).manifest["about"]
        for path in (checkpoint, tmp_path / "out" / "checkpoint")
    )
    assert about["start_from"]["command"] == earlier["command"]


def config(data, out, **changes):
    recipe = recipes.adapted(
        recipes.RECIPES["iresnet_arcface"],
        {"width": 0.0625, "image_size": 32, "batch": 8},
    )
    wanted = {"data": (str(data),), "out_dir": str(out), "recipe": recipe} | changes
    return Config(cache_dir=str(out) + ".cache", recipe_name="tiny", **wanted)


def test_folders_without_people_are_refused(data, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no such folder of pictures"):
        train_backbone.run(config(tmp_path / "missing", out))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture in the folder"):
        train_backbone.run(config(tmp_path / "empty", out))
    assert not out.exists()


def test_one_person_and_a_batch_beyond_the_data_are_refused(data, tmp_path):
    alone = tmp_path / "alone" / "me"
    alone.mkdir(parents=True)
    for name in ("00_0.png", "00_1.png"):
        os.link(data / name, alone / name)
    two = recipes.adapted(config(data, tmp_path).recipe, {"batch": 2})
    with pytest.raises(InputError, match="1 identities are there to train with"):
        train_backbone.run(config(alone.parent, tmp_path / "one", recipe=two))
    large = recipes.adapted(two, {"batch": 17})
    with pytest.raises(InputError, match="a batch of 17 is larger than the data: 16"):
        train_backbone.run(config(data, tmp_path / "large", recipe=large))


@pytest.mark.parametrize(
    ("run_json", "named"),
    [
        (None, "^{0}: no checkpoint: "),
        ({"state": "complete", "settings": {}}, "no network '{0}/checkpoint'"),
        ({"state": "unfinished", "settings": {}}, "^--start_from={0}: not complete; "),
    ],
)
def test_a_run_that_none_can_start_from_is_refused(data, tmp_path, run_json, named):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    if run_json is not None:
        (earlier / "run.json").write_text(json.dumps(run_json))
    asked = config(data, tmp_path / "out", start_from=str(earlier))
    with pytest.raises(InputError, match=named.format(earlier)):
        train_backbone.run(asked)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "give --data, --out_dir"),
        (["--data=x", "--out_dir=y"], "give --recipe"),
        (["--data=x", "--out_dir=y", "--recipe=arc"], "unknown recipe 'arc'; known: "),
        (
            ["--data=x", "--out_dir=y", "--network=vgg16", "--template_dim=9"],
            "vgg16 has",
        ),
    ],
)
def test_flags_that_make_no_sense_end_with_code_2(environment, flags, named):
    command = [sys.executable, "-m", "experiments.train_backbone", *flags]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
