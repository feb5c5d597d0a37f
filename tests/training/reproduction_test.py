"""A training done again is held against the losses that its checkpoint kept."""

import json

import pytest
from filled import filled

from experiments import check_training
from facedirs_jax import checkpoint_files
from facedirs_jax.backbones import vgg16
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.errors import InputError
from facedirs_jax.training.reproduction import STEPS, compare_losses, first_losses

TINY = vgg16.recipe("dag", vgg16.VGG16Config.tiny())
LOSSES = [3.0, 2.0, 1.0]


def logged(path, losses):
    """A log with a validation after each step."""
    records = []
    for step, loss in enumerate(losses, 1):
        records += [{"step": step, "loss": loss}, {"step": step, "validation": True}]
    path.mkdir(exist_ok=True)
    file = path / "metrics.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


@pytest.fixture
def checkpoint(tmp_path):
    network = filled(vgg16.VGG16, TINY.config, WeightCard("tiny", "", "", False, ""))
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, network, preprocess=TINY.preprocess, format="safetensors")
    file, manifest = checkpoint_files.read_manifest(folder)
    file.unlink()
    checkpoint_files.write_manifest(
        folder, manifest | {"about": {"losses": LOSSES}}, format="safetensors"
    )
    return folder


def test_the_first_losses_are_those_of_steps(tmp_path):
    assert first_losses(logged(tmp_path / "run", LOSSES)) == LOSSES
    long = [1.0 + n for n in range(STEPS + 20)]
    assert first_losses(logged(tmp_path / "run", long)) == long[:STEPS]


@pytest.mark.parametrize(
    ("again", "steps", "difference"),
    [
        (LOSSES, 3, 0.0),
        ([3.0, 2.2], 2, 0.1),
        ([3.3, 2.0, 1.0, 0.5], 3, 0.1),
    ],
)
def test_the_largest_relative_difference_is_told(
    checkpoint, tmp_path, capsys, again, steps, difference
):
    log = logged(tmp_path / "run", again)
    found = compare_losses(checkpoint, log)
    assert found.steps == steps
    assert found.largest_difference == pytest.approx(difference)
    code = check_training.run(
        checkpoint=str(checkpoint), again=str(log.parent), tolerance=1e-4
    )
    assert code == int(difference > 0)
    assert f"{steps} steps: losses differ by" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        compare_losses(checkpoint, tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match="holds no losses yet"):
        compare_losses(checkpoint, logged(tmp_path / "run", []))
    network = filled(vgg16.VGG16, TINY.config, WeightCard("tiny", "", "", False, ""))
    save_checkpoint(tmp_path / "plain", network, preprocess=TINY.preprocess)
    with pytest.raises(InputError, match="keeps no losses of its training"):
        compare_losses(tmp_path / "plain", logged(tmp_path / "run", LOSSES))
