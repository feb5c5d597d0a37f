"""discover_ssi with a checkpoint of every network, on crops of its own.

The networks are narrow and their weights random: the subject is that all parts fit.
"""

import dataclasses

import pytest
from filled import filled

from experiments import discover_ssi
from experiments.discover_ssi import Config
from experiments.inputs import Source
from facedirs_jax import charts, figures
from facedirs_jax.backbones import RECIPES
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.directions.record import load_directions

NARROW = {
    "vgg16_dag_fc7": {"width": 1 / 16},
    "vgg16_deepface_fc7_relu": {"width": 1 / 16},
    "resnet50_cydonia": {"width": 1 / 16, "blocks": (1, 1, 1, 1)},
    "iresnet50_arcface_torch": {"width": 1 / 16, "blocks": (1, 1, 1, 1)},
    "facenet_vggface2": {"width": 1 / 8, "blocks": (1, 1, 1)},
}


@pytest.mark.parametrize("name", NARROW)
def test_a_checkpoint_of_every_network_gives_directions(
    name, portraits, cache, tmp_path, monkeypatch
):
    (recipe,) = (recipe for recipe in RECIPES if recipe.name == name)
    config = dataclasses.replace(recipe.config, **NARROW[name])
    network = filled(recipe.build, config)
    save_checkpoint(tmp_path / "network", network, preprocess=recipe.preprocess)
    monkeypatch.setattr(
        figures,
        "draw_discoveries",
        lambda found, *_, **__: {"stability": charts.draw_stability(found)},
    )
    source = Source((str(portraits),), str(tmp_path / "network"), cache_dir=str(cache))
    asked = Config(
        *(source, str(tmp_path / "out")),
        regions=("nose",),
        face_donors=2,
        region_donors=6,
        chunk=12,
    )
    assert discover_ssi.run(asked) == 0
    found = load_directions(tmp_path / "out" / "directions.safetensors")
    assert found.model["preprocess_sha256"] == recipe.preprocess.fingerprint
    directions = found.sets["nose"].directions
    assert 1 <= len(directions) <= 11  # 12 blends at most, less one mean
    assert (directions**2).sum(axis=1) == pytest.approx(1, abs=1e-4)
