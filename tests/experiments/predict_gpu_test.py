"""predict_gpu on a network so small that it compiles at once."""

import csv
import json

import jax
import pytest
from flax import nnx

from experiments import predict_gpu
from experiments.inputs import Source
from facedirs_jax.backbones import Backbone, convolution
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.errors import InputError
from facedirs_jax.training.weights import abstract_network

PREPROCESS = Preprocess("dlib_chip", 32, (0.0, 0.0, 0.0), 255.0, "RGB", False)


def tiny(name, *, dtype="float32"):
    config = VGG16Config(width=1 / 16, image_size=32, dtype=dtype)
    return Backbone(
        abstract_network(lambda: VGG16(config, rngs=nnx.Rngs(0))), PREPROCESS
    )


@pytest.fixture
def config(portraits, tmp_path):
    return predict_gpu.Config(
        Source((str(portraits),), limit=4),
        str(tmp_path / "out"),
        networks=("vgg16",),
        regions=("nose",),
        chunks=(8, 32),
        faces=20,
    )


def test_every_precision_is_bounded_and_told(config, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(predict_gpu, "abstract_backbone", tiny)
    assert predict_gpu.run(config) == 0
    out = tmp_path / "out"
    found = json.loads((out / "predictions.json").read_text())
    rows = found["predictions"]
    assert [(row["region"], row["precision"]) for row in rows] == [
        (region, precision)
        for region in ("whole", "nose")
        for precision in ("highest", "default", "bfloat16")
    ]
    for row in rows:
        assert row["roofline"] >= row["in_turn"] >= row["grid_at_32"]
        assert row["bound_by"] in ("compute", "memory")
        assert row["minutes"] == pytest.approx(380 / row["grid_at_32"] / 60, rel=1e-3)
        assert row["chunk_fits"] > 64
    whole, nose = rows[0], rows[3]
    assert nose["gflop"] < whole["gflop"]
    assert rows[2]["mb"] < rows[1]["mb"] == whole["mb"]  # bfloat16 is half as large
    assert [row["chunk"] for row in found["counts"]] == [16, 64] * 2
    for row in found["counts"]:
        assert row["xla_gflop"] < 1.1 * row["gflop"]
        assert row["mb"] < row["xla_mb_unfused"]
    (total, *_) = found["three_regions"]
    assert total["whole_minutes"] == pytest.approx(whole["minutes"])
    with (out / "predictions.csv").open() as opened:
        assert len(list(csv.DictReader(opened))) == len(rows)
    assert "| vgg16 | nose | bfloat16 |" in (out / "predictions.md").read_text()
    assert (out / "roofline.png").stat().st_size > 5000
    assert "NVIDIA H100 SXM" in capsys.readouterr().out


def test_an_unknown_network_or_a_chunk_of_none_is_refused(config):
    source, out = config.source, config.out_dir
    with pytest.raises(InputError, match="unknown network 'alexnet'; known: vgg16"):
        predict_gpu.run(predict_gpu.Config(source, out, networks=("alexnet",)))
    with pytest.raises(InputError, match="each of them at least 1"):
        predict_gpu.run(predict_gpu.Config(source, out, chunks=(16, 0)))


def test_a_cpus_own_ways_to_convolve_are_not_counted(config, monkeypatch):
    for name in ("FEW_CHANNELS", "NARROW"):
        monkeypatch.setattr(convolution, name, 1)
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr(convolution, "LEAST", least)
        jax.clear_caches()
        setting = predict_gpu._setting(config, tiny("vgg16"), None)
        found.append(predict_gpu._counts(setting, 4))
    jax.clear_caches()
    assert found[0] == found[1]
