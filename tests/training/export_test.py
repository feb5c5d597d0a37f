"""From a trained network to a checkpoint: the same function, and its card."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from filled import arrays_of, filled
from people import crops_of, names_of

from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.checkpoint_files import Format
from facedirs_jax.checkpoints import load_backbone, load_checkpoint
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.verification import verify
from facedirs_jax.templates import embed
from facedirs_jax.training import cards, export, validation

CONFIG = IResNetConfig(blocks=(1, 1), widths=(16, 32), embedding_dim=16, image_size=32)
CARD = WeightCard("tiny", "", "Apache-2.0", True, "a test")
PREPROCESS = Preprocess("dlib_chip", 32, (127.5, 127.5, 127.5), 127.5, "RGB", True)
FORMATS: tuple[Format, ...] = ("safetensors", "orbax")


@pytest.fixture(scope="module")
def network():
    return filled(IResNet, CONFIG, CARD)


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("form", FORMATS)
def test_kernels_take_half_the_space_and_come_back_as_they_were_measured(
    network, tmp_path, form
):
    crops = crops_of(4, 2, 32)
    wanted = {"about": {"seed": 3}, "readme": "# tiny\n", "format": form}
    manifest = export.export_backbone(
        tmp_path / "half", network, PREPROCESS, crops, **wanted
    )
    found, preprocess = load_backbone(tmp_path / "half")
    assert preprocess == PREPROCESS
    stored, before = arrays_of(found), arrays_of(network)
    for name, array in before.items():
        rounded = array.astype(np.float16).astype(np.float32)
        expected = rounded if array.ndim > 1 else array
        np.testing.assert_array_equal(stored[name], expected)
    gap = np.linalg.norm(
        embed(found, preprocess, crops) - embed(network, PREPROCESS, crops), axis=1
    ).max()  # of templates of length 1
    assert 0 < gap < 5e-3
    assert manifest["parity"]["largest_difference"] == pytest.approx(gap, rel=1e-4)
    assert "8 faces" in manifest["parity"]["how"]
    export.export_backbone(
        tmp_path / "whole", network, PREPROCESS, crops, half=False, **wanted
    )
    kept = arrays_of(load_backbone(tmp_path / "whole").network)
    assert all(np.array_equal(kept[name], before[name]) for name in before)
    assert size_of(tmp_path / "half") < 0.7 * size_of(tmp_path / "whole")


def test_the_card_travels_with_the_weights(network, tmp_path):
    about = {"command": "train", "minutes": 3.5}
    export.export_backbone(
        *(tmp_path / "out", network, PREPROCESS, crops_of(2, 1, 32)),
        about=about,
        readme="# tiny\n",
    )
    found = load_checkpoint(tmp_path / "out")
    assert found.manifest["about"] == about
    assert found.network.weights.licence == "Apache-2.0"
    assert len(found.network.weights.sha256) == 64
    readme = tmp_path / "out" / "README.md"
    assert readme.read_text() == "# tiny\n"
    readme.write_text("# edited\n")
    with pytest.raises(InputError, match=r"README\.md"):
        load_checkpoint(tmp_path / "out")


def test_a_folder_that_is_there_is_left_alone(network, tmp_path):
    with pytest.raises(InputError, match="exists already"):
        export.export_backbone(
            *(tmp_path, network, PREPROCESS, crops_of(2, 1, 32)), about={}, readme=""
        )
    assert not list(tmp_path.iterdir())


def test_kernels_that_float16_cannot_hold_are_refused(network):
    arrays = {name: np.copy(array) for name, array in arrays_of(network).items()}
    arrays["fc.kernel"][0, 0] = 1e6
    with pytest.raises(InputError, match=r"fc\.kernel: holds values"):
        export.halved(export.weights.filled(network, arrays))


def test_held_out_people_are_compared_all_with_all(network):
    held_out = validation.HeldOut(crops_of(6, 3, 32), names_of(6, 3))
    pairs = validation.pairs_of(network, PREPROCESS, held_out)
    assert len(pairs.distances) == 18 * 17 / 2
    quick, whole = validation.rates(pairs), verify(pairs)
    told = validation.rates_with_intervals(pairs)
    assert quick["auc"] == pytest.approx(whole.auc.value)
    assert told["auc"]["value"] == pytest.approx(whole.auc.value)
    assert told["auc"]["low"] <= told["auc"]["value"] <= told["auc"]["high"]
    assert quick["tar_at_far_0.01"] == pytest.approx(whole.tar[0.01].value)
    assert (told["identities"], told["genuine_pairs"]) == (6, 18)
    json.dumps(told, allow_nan=False)
    found = validation.evaluation(lambda state: state, PREPROCESS, held_out)(network)
    assert found == quick


def test_the_first_people_are_those_whose_faces_come_first():
    identities = np.array(["b", "a", "b", "c", "a"])
    chosen = validation.first_people(identities, 2)
    assert chosen.tolist() == [True, True, True, False, True]
    assert validation.first_people(identities, None).all()


def test_the_card_tells_people_all_that_it_must(network):
    rate = {"value": 0.9912, "low": 0.99, "high": 0.9931}
    about = {
        **{"network": "iresnet", "loss": "arcface", "licence": "Apache-2.0"},
        **{"intended_use": cards.INTENDED_USE, "command": "python -m it --seed=7"},
        **{"data": ["faces"], "people": 40, "pictures": 400, "seed": 7, "steps": 90},
        **{"minutes": 3.25, "machine": "1 cpu, 2 CPU cores", "speed": "9 examples/s"},
        "best_step": 60,
        "verification": {
            "test": {
                **{"identities": 5, "genuine_pairs": 9, "impostor_pairs": 90},
                **{"metric": "cosine", "auc": rate},
            }
        },
    }
    text = cards.card_text("tiny", about)
    for word in (
        "Apache-2.0",
        "python -m it --seed=7",
        "0.9900 to 0.9931",
        "400 pict",
        "3.2 minutes",
        "must not be used to identify",
        "step 60",
        "Seed 7",
    ):
        assert word in text.replace("\n", " "), word  # fmt: skip
    assert cards.card_text("tiny", about | {"start_from": None}) == text
    first = {"command": "python -m first", "steps": 5, "minutes": 0.5}
    then = {"command": "python -m then", "steps": 7, "minutes": 1.25}
    text = cards.card_text("tiny", about | {"start_from": then | {"start_from": first}})
    told = text[text.index("```sh\n") + 6 : text.index("\n```\n")].splitlines()
    assert told == [
        *("python -m first", "# 5 steps in 0.5 minutes, then"),
        *("python -m then", "# 7 steps in 1.2 minutes, then"),
        "python -m it --seed=7",
    ]
    line = cards.rates_line(about["verification"]["test"])
    assert line == "auc 0.9912 (0.9900 to 0.9931)"


def test_networks_of_other_sizes_keep_their_config(network, tmp_path):
    wide = filled(IResNet, dataclasses.replace(CONFIG, width=2.0), CARD)
    export.export_backbone(
        *(tmp_path / "wide", wide, PREPROCESS, crops_of(2, 1, 32)), about={}, readme=""
    )
    found: Any = load_backbone(tmp_path / "wide").network
    assert found.config.width == 2.0
