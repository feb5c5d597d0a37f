"""discover_ssi with a decoder: strips, their numbers, and decoders that do not fit.

The decoders are tiny and their weights random: the subject is that all parts fit.
"""

import csv
import json
import re

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from filled import filled
from PIL import Image
from ssi_runs import tensors

from experiments import traversals
from experiments.traversals import Showing, showing_from_flags
from facedirs_jax import checkpoint_files
from facedirs_jax.checkpoints import load_backbone, save_checkpoint
from facedirs_jax.decoders.deep_face_decoder import (
    DeepFaceDecoder,
    DeepFaceDecoderConfig,
)
from facedirs_jax.directions.record import load_directions
from facedirs_jax.errors import InputError

HEADER = [
    *("region", "face", "component"),
    *("cosine", "centred_cosine", "recovered", "isolation"),
]


def saved_decoder(folder, *, dim=128, inverts=None, seed=0):
    """A checkpoint of a tiny decoder; `inverts` is the hash of a network's weights."""
    config = DeepFaceDecoderConfig.tiny(template_dim=dim)
    decoder = filled(DeepFaceDecoder, config, seed=seed)
    save_checkpoint(folder, decoder, templates="of a test", format="safetensors")
    if inverts is not None:
        file, manifest = checkpoint_files.read_manifest(folder)
        file.unlink()
        about = {"backbone": "some network", "backbone_sha256": inverts}
        checkpoint_files.write_manifest(
            folder, manifest | {"about": about}, format="safetensors"
        )
    return str(folder)


@pytest.fixture
def decoder(tmp_path):
    return saved_decoder(tmp_path / "decoder")


def table_of(out):
    with open(out / "traversals.csv", encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def test_a_decoder_shows_the_directions_of_every_region(
    quick, decoder, capsys, monkeypatch
):
    shown = {}
    untouched = traversals.write_strips

    def write_strips(out, strips):
        shown.update(strips)
        return untouched(out, strips)

    monkeypatch.setattr(traversals, "write_strips", write_strips)
    out = quick(regions=("nose", "eyes"), showing=Showing(decoder))
    donors = set(tensors(out, "templates")["nose/pairs"][:, 0])
    assert set(shown["nose"].probes.rows) < donors and len(donors) == 4

    rows = table_of(out)
    assert list(rows[0]) == HEADER
    assert [(row["region"], row["face"], row["component"]) for row in rows] == [
        (region, str(face), str(component))
        for region in ("nose", "eyes")
        for face in shown[region].probes.rows
        for component in (1, 2, 3)
    ]
    for row in rows:
        assert -1 <= float(row["cosine"]) <= 1
        assert -1 <= float(row["centred_cosine"]) <= 1
        assert np.isfinite(float(row["recovered"])) and float(row["isolation"]) > 0

    for region in ("nose", "eyes"):
        strips = shown[region]
        assert strips.decodes.shape == (2, 3, 7, 24, 24, 3)
        np.testing.assert_allclose(strips.alphas, [-3, -2, -1, 0, 1, 2, 3])
        assert strips.probes.crops.shape == (2, 150, 150, 3)
        with Image.open(out / "figures" / f"{region}_strips.png") as picture:
            assert picture.width > picture.height > 300
    told = load_directions(out / "directions.safetensors").sets["eyes"].about
    assert told["traversals"]["alphas"] == [-3, -2, -1, 0, 1, 2, 3]
    assert told["traversals"]["decoder"]["decoder"] == "untrained"
    for row, strip in zip(rows[6:], told["traversals"]["strips"], strict=True):
        assert {name: str(value) for name, value in strip.items()} == {
            name: str(type(strip[name])(row[name])) for name in HEADER[1:]
        }

    page = (out / "report.html").read_text(encoding="utf-8")
    places = re.findall(r'<h2>(\w+)</h2>\n(?:<figure><img alt="([\w ]+)")?', page)
    assert places == [("nose", "nose strips"), ("eyes", "eyes strips")]
    assert page.count("synthetic, not a photo") == 2
    assert not re.search(r"https?://|\.png|" + re.escape(str(out)), page)
    assert "along PC3: cosine" in capsys.readouterr().out


def test_strips_are_as_long_and_as_many_as_asked_for(quick, decoder):
    out = quick(showing=Showing(decoder, alpha_end=1.5, alpha_steps=3, probes=9))
    assert len(table_of(out)) == 4 * 3  # no more than the four face donors
    about = load_directions(out / "directions.safetensors").sets["nose"].about
    assert about["traversals"]["alphas"] == [-1.5, 0, 1.5]
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["alpha_end"], settings["alpha_steps"]) == (1.5, 3)
    assert settings["probes"] == 9 and len(settings["decoder_sha256"]) == 64
    assert not {"decoder", "showing"} & settings.keys()


def test_a_run_without_a_decoder_says_nothing_of_one(quick):
    out = quick()
    assert not (out / "traversals.csv").exists()
    assert not list((out / "figures").glob("*_strips.png"))
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert not [n for n in settings if "decoder" in n or "alpha" in n or n == "probes"]
    assert "synthetic" not in (out / "report.html").read_text(encoding="utf-8")


def test_a_run_is_resumed_with_the_same_decoder_only(quick, decoder, tmp_path):
    quick(showing=Showing(decoder))
    moved = tmp_path / "elsewhere"
    (tmp_path / "decoder").rename(moved)
    quick(showing=Showing(str(moved)), resume=True)
    with pytest.raises(InputError, match=r"alpha_steps was 7 and is now 5"):
        quick(showing=Showing(str(moved), alpha_steps=5), resume=True)
    other = saved_decoder(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"decoder_sha256 was"):
        quick(showing=Showing(other), resume=True)
    with pytest.raises(InputError, match=r"decoder_sha256 was .* and is now null"):
        quick(resume=True)


def test_a_decoder_of_these_very_weights_is_taken(quick, tmp_path):
    own = load_backbone("dlib_resnet").network.weights.sha256
    quick(showing=Showing(saved_decoder(tmp_path / "own", inverts=own)))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"dim": 512},
            r"decodes 512-d templates \(of a test\), and those .* are 128-d",
        ),
        ({"inverts": "0" * 64}, r"it inverts some network \(weights 0{64}\), not dlib"),
    ],
)
def test_a_decoder_of_another_network_is_refused(quick, tmp_path, settings, complaint):
    decoder = saved_decoder(tmp_path / "other", **settings)
    with pytest.raises(InputError, match=complaint):
        quick(showing=Showing(decoder))
    assert not (tmp_path / "out").exists()


def test_what_is_no_decoder_is_refused(quick, tmp_path):
    with pytest.raises(InputError, match="gone"):
        quick(showing=Showing(str(tmp_path / "gone")))


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("alpha_end", 0.0, "--alpha_end must be above 0"),
        ("alpha_end", float("inf"), "--alpha_end must be above 0"),
        ("alpha_steps", 6, "--alpha_steps must be odd"),
        ("alpha_steps", 1, "--alpha_steps must be odd"),
        ("probes", 0, "--probes must be 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(field, value, complaint):
    with pytest.raises(InputError, match=complaint):
        Showing("decoder", **{field: value})


def test_flags_without_a_decoder_are_refused_by_name():
    flags.FLAGS.mark_as_parsed()
    with flagsaver.as_parsed():
        assert showing_from_flags() is None
    with flagsaver.as_parsed(decoder="a", alpha_end="2", alpha_steps="5"):
        assert showing_from_flags() == Showing("a", 2.0, 5, 2)
    with (
        flagsaver.as_parsed(alpha_end="2", probes="3"),
        pytest.raises(InputError, match=r"--alpha_end, --probes: .* without --decoder"),
    ):
        showing_from_flags()
