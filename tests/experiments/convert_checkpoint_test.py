"""convert_checkpoint: from a weight file to directions, and what it tells."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from filled import dag_arrays, filled

from experiments import convert_checkpoint, discover_ssi
from experiments.convert_checkpoint import Config, run
from experiments.inputs import Source
from facedirs_jax import decoders, figures, load_backbone
from facedirs_jax.backbones import dlib_resnet, vgg16
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.directions.record import load_directions
from facedirs_jax.errors import InputError
from facedirs_jax.golden import golden_images
from facedirs_jax.templates import embed

ROOT = pathlib.Path(__file__).parents[2]
RECIPE = vgg16.recipe("dag", vgg16.VGG16Config(width=1 / 16, image_size=32))


@pytest.fixture(scope="module")
def torch_file(tmp_path_factory):
    torch = pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("source") / "vgg_face_dag.pth"
    arrays = dag_arrays(filled(RECIPE.build, RECIPE.config))
    torch.save({name: torch.tensor(a) for name, a in arrays.items()}, path)
    return path


def python(*arguments, **settings):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **settings)


BARE = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "h5py", "onnx"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refused())
import numpy, facedirs_jax
network, preprocess = facedirs_jax.load_backbone(sys.argv[1])
images = numpy.load(sys.argv[2])
assert len(images) == 8
print(facedirs_jax.embed(network, preprocess, images).tolist())
"""


@pytest.mark.parametrize("form", ["orbax", "safetensors"])
def test_a_torch_file_embeds_without_torch(torch_file, tmp_path, capsys, form):
    config = Config(str(torch_file), str(tmp_path / "out"), format=form)
    assert run(config, recipes=(RECIPE,)) == 0
    told = capsys.readouterr().out
    assert "network: vgg16_dag_fc7\n" in told
    assert "left out on purpose: fc8.weight, fc8.bias\n" in told
    assert "licence: unknown\nwarning: commercial use is not allowed, or not" in told
    assert "parity: not measured" in told
    assert f"checkpoint: {tmp_path / 'out'} (" in told
    assert "\npeak memory: " in told
    images = golden_images(32).repeat(4, axis=0)
    np.save(tmp_path / "images.npy", images)
    done = python("-c", BARE, tmp_path / "out", tmp_path / "images.npy")
    assert done.returncode == 0, done.stderr
    expected = embed(filled(RECIPE.build, RECIPE.config), RECIPE.preprocess, images)
    # Another process may split its sums over other threads.
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-4, atol=1e-5)


def test_a_published_size_converts_from_the_command_line(tmp_path):
    """VGG16's convolutions, at full width, as mean maps."""
    name = "vgg16_dag_pool5_mean"
    (recipe,) = (r for r in vgg16.RECIPES if r.name == name)
    arrays = dag_arrays(filled(recipe.build, recipe.config))
    source, out = tmp_path / "net.safetensors", tmp_path / "out"
    safetensors.numpy.save_file(arrays, source)
    command = ["-m", "experiments.convert_checkpoint", f"--source={source}"]
    command += [f"--out_dir={out}", "--format=safetensors"]
    done = python(*command, "--network=vgg16_dag")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {source}: its arrays suit several networks")
    assert not out.exists()
    done = python(*command, f"--network={name}")
    assert done.returncode == 0, done.stderr
    assert f"network: {name}\n" in done.stdout
    assert not done.stderr
    assert load_backbone(out).network.weights.name == name
    done = python(*command, f"--network={name}")
    assert done.returncode == 2
    assert f"error: {out} exists already" in done.stderr


@pytest.mark.parametrize("fault", ["truncated", "flipped", "missing"])
def test_a_broken_file_is_named_and_leaves_nothing(torch_file, tmp_path, fault):
    content = bytearray(torch_file.read_bytes())
    fc7 = dag_arrays(filled(RECIPE.build, RECIPE.config))["fc7.weight"].tobytes()
    content[content.index(fc7[:64]) + 1000] ^= 16  # and not the padding between arrays
    broken = {"truncated": content[:-100], "flipped": content}
    path = tmp_path / "net.pth"
    if fault in broken:
        path.write_bytes(broken[fault])
    with pytest.raises(InputError, match=r"net\.pth.*(fetch it again|give a weight)"):
        run(Config(str(path), str(tmp_path / "out")), recipes=(RECIPE,))
    assert [file.name for file in tmp_path.iterdir()] in ([], ["net.pth"])


def test_the_list_names_every_network_with_file_and_licence(capsys):
    assert convert_checkpoint._list() == 0
    told = capsys.readouterr().out
    for recipe in convert_checkpoint.RECIPES:
        assert f"{recipe.name} ({', '.join(recipe.containers)})\n" in told
        assert f"  file: {recipe.source}\n" in told
    assert told.count("  licence: ") == len(convert_checkpoint.RECIPES)


def test_a_decoder_is_told_as_one():
    decoder = decoders.RECIPES[0]
    assert convert_checkpoint._about(decoder) == f"decodes: {decoder.templates}"


def test_source_and_folder_are_asked_for():
    done = python("-m", "experiments.convert_checkpoint", "--source=a")
    assert done.returncode == 2
    assert done.stderr == "error: give --source=FILE and --out_dir=DIR, or --list\n"


def test_directions_are_found_with_a_checkpoint_and_know_it(
    portraits, environment, tmp_path, monkeypatch
):
    card = WeightCard("narrow_dlib", "cd" * 32, "unknown", False, "a test")
    config = dlib_resnet.DlibResNetConfig.tiny()
    network = filled(dlib_resnet.DlibResNet, config, card)
    checkpoint = tmp_path / "narrow"
    save_checkpoint(checkpoint, network, preprocess=dlib_resnet.PREPROCESS)
    monkeypatch.setattr(figures, "draw_discoveries", lambda *_, **__: {})
    cache = os.path.join(environment["XDG_CACHE_HOME"], "facedirs_jax")
    source = Source((str(portraits),), str(checkpoint), limit=5, cache_dir=cache)
    out = tmp_path / "out"
    asked = discover_ssi.Config(source, str(out), regions=("nose",), chunk=10)
    assert discover_ssi.run(asked) == 0
    content = load_directions(out / "directions.safetensors")
    assert content.model["backbone"] == "narrow_dlib"
    assert content.model["weights_sha256"] == card.sha256
    assert content.sets["nose"].mean.shape == (8,)
