"""bench_grid on a few faces, and its twins in PyTorch."""

import json

import numpy as np
import pytest
from filled import filled

from experiments import bench_grid
from experiments.inputs import Source
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.resnet50 import ResNet50, ResNet50Config
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.errors import InputError


def test_all_contenders_are_timed_and_give_the_same_templates(portraits, tmp_path):
    out = tmp_path / "out"
    config = bench_grid.Config(
        Source((str(portraits),)),
        str(out),
        networks=("dlib_resnet",),
        regions=("nose", "eyes"),
        chunk=4,
        blends=6,
        face_donors=2,
        rounds=2,
    )
    assert bench_grid.run(config) == 0
    found = json.loads((out / "bench.json").read_text())["networks"]["dlib_resnet"]
    times = found["ms_a_blend"]
    assert list(times) == ["whole", "nose", "eyes", "forward", "dlib"]
    assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())
    ratios = sorted(a / b for a, b in zip(times["dlib"], times["nose"], strict=True))
    assert found["ratios"]["dlib / nose"]["low"] == round(ratios[0], 3)
    assert found["templates_apart"].keys() == {"nose", "forward"}
    assert max(found["templates_apart"].values()) < 1e-4
    rows, columns = found["windows"]["nose"]["window"]
    assert 10 < rows < 100 and 10 < columns < 100
    assert (out / "dlib_resnet.png").stat().st_size > 5000


def test_an_unknown_network_is_refused(tmp_path):
    config = bench_grid.Config(Source(("x",)), str(tmp_path / "out"), ("alexnet",))
    with pytest.raises(InputError, match="unknown network 'alexnet'; known: vgg16"):
        bench_grid.run(config)


@pytest.mark.parametrize(
    ("build", "config"),
    [
        (VGG16, VGG16Config.tiny()),
        (VGG16, VGG16Config.tiny(embedding="fc7_relu")),
        (ResNet50, ResNet50Config.tiny()),
        (IResNet, IResNetConfig.tiny()),
    ],
)
def test_the_twin_in_pytorch_computes_the_same(build, config):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (convert)")
    from experiments.torch_networks import torch_network

    network = filled(build, config)
    size = config.image_size
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("f4")
    with torch.inference_mode():
        found = torch_network(network)(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = np.asarray(network(images))
    apart = np.linalg.norm(found.numpy() - expected)
    assert apart < 1e-5 * np.linalg.norm(expected)
