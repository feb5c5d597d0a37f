"""A decoder is measured on held-out people of the kind that is asked for."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from filled import filled
from people import crops_of, names_of
from PIL import Image

from experiments import check_decoder
from experiments.check_decoder import Config
from facedirs_jax import checkpoint_files
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.decoders.deep_face_decoder import (
    DeepFaceDecoder,
    DeepFaceDecoderConfig,
)
from facedirs_jax.errors import InputError
from facedirs_jax.training.crop_sets import CropSet, enlarged_fingerprint

PEOPLE, PHOTOS, SIDE = 40, 2, 24  # the first half of the people was photographed
TINY = DeepFaceDecoderConfig(
    template_dim=12, image_size=16, widths=(8, 8), convs=(1, 1), groups=2
)


@pytest.fixture(scope="module")
def crops():
    count = PEOPLE * PHOTOS
    splits = np.array(["train"] * 8 + ["validation", "test"])[np.arange(PEOPLE) % 10]
    return CropSet(
        crops_of(PEOPLE, PHOTOS, SIDE),
        np.arange(count),
        np.random.default_rng(0).uniform(6, 18, (count, 68, 2)).astype(np.float32),
        names_of(PEOPLE, PHOTOS),
        np.array(["a folder"] * count),
        np.arange(count) >= count // 2,
        splits.repeat(PHOTOS),
        {"ok": count},
        "of these tests",
    )


@pytest.fixture(scope="module")
def decoder(tmp_path_factory, crops):
    """Folder of a decoder that tells what it was trained on, four composites too."""
    folder = tmp_path_factory.mktemp("decoder") / "checkpoint"
    card = WeightCard("tiny_decoder", "", "", False, "")
    network = filled(DeepFaceDecoder, TINY, card)
    save_checkpoint(folder, network, templates="of toys", format="safetensors")
    file, manifest = checkpoint_files.read_manifest(folder)
    file.unlink()
    whole = enlarged_fingerprint(crops.fingerprint, count=4, seed=3)
    about = {"backbone_sha256": "", "composites": 4, "seed": 3, "data_sha256": whole}
    checkpoint_files.write_manifest(
        folder, manifest | {"about": about}, format="safetensors"
    )
    return folder


@pytest.fixture
def check(crops, decoder, toy, tmp_path, monkeypatch):
    """Runs in this process, with toy networks and crops that need no files."""
    other = dataclasses.replace(toy.preprocess, alignment="vggface2_box")
    known = {"toy": toy, "other": Backbone(toy.network, other)}
    monkeypatch.setattr(check_decoder, "load_backbone", known.__getitem__)
    monkeypatch.setattr(check_decoder, "find_photos", lambda *_, **__: [])

    def run(*, faces=crops, **changes):
        monkeypatch.setattr(check_decoder, "load_crops", lambda *_, **__: faces)
        out = tmp_path / f"out_{len(list(tmp_path.iterdir()))}"
        config = Config(str(decoder), "toy", ("faces",), str(out), str(tmp_path))
        assert check_decoder.run(dataclasses.replace(config, **changes)) == 0
        results = json.loads((out / "results.json").read_text("utf-8"))
        return results, json.loads((out / "run.json").read_text("utf-8")), out

    return run


def test_people_of_one_kind_are_measured_against_training_people_of_it(
    check, crops, monkeypatch, capsys, caplog
):
    seen = {}
    honest = check_decoder.reports

    def spied(decoder, judge, faces, **settings):
        seen["faces"], seen["judge"] = faces, judge
        return honest(decoder, judge, faces, **settings)

    monkeypatch.setattr(check_decoder, "reports", spied)
    with caplog.at_level(logging.WARNING):
        results, run_json, out = check(kind="photographed")
    assert not caplog.records and run_json["settings"]["data_of_training"]
    found = results["test"]["untrained"]
    assert (found["identities"], found["faces"]) == (2, 4)
    assert found["baselines"].keys() == {"mean face", "nearest face"}
    chosen = seen["faces"].crops
    assert not chosen.rendered.any()
    assert (chosen.splits == "train").sum() == 16 * PHOTOS + 4  # composites
    held_out = set(chosen.identities[chosen.splits == "test"])
    assert held_out == {"person 009", "person 019"}
    assert not held_out & set(chosen.identities[chosen.splits == "train"])
    templates = seen["faces"].of_split("train")[2][:, 0]
    np.testing.assert_allclose(seen["judge"].centre, templates.mean(axis=0), atol=1e-5)
    printed = capsys.readouterr().out
    assert printed.strip() == (out / "results.md").read_text("utf-8").strip()
    assert "of the split `test`, whom it was not trained on" in printed
    assert "| decodes less nearest face |" in printed
    with Image.open(out / "test.png") as sheet:
        assert sheet.width >= 2 * 96


def test_by_default_everybody_is_measured(check):
    results, _, _ = check(composites=0)
    assert results["test"]["untrained"]["identities"] == PEOPLE // 10
    assert results["validation"]["untrained"]["identities"] == PEOPLE // 10


def test_a_warning_tells_that_the_pictures_are_others(check, crops, caplog):
    others = crops._replace(fingerprint="of somebody else")
    with caplog.at_level(logging.WARNING):
        _, run_json, _ = check(faces=others, composites=0)
    assert not run_json["settings"]["data_of_training"]
    assert "may be taken for held out" in caplog.text


def test_what_cannot_be_measured_is_refused(check, crops):
    with pytest.raises(InputError, match="takes crops of the kind vggface2_box"):
        check(seen_by=("other",))
    photographed = crops.only(~crops.rendered)
    with pytest.raises(InputError, match="no training people of the kind rendered"):
        check(faces=photographed, kind="rendered", composites=0)
    training = crops.only(crops.splits == "train")
    with pytest.raises(InputError, match="fewer than 2 held-out people of the kind"):
        check(faces=training, composites=0)
