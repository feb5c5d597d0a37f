"""Checkpoints: what goes in comes out, and what is broken is refused by name."""

import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from filled import arrays_of, filled
from orbax.checkpoint import v1 as ocp

from facedirs_jax import (
    backbones,
    checkpoint_files,
    checkpoints,
    decoders,
    golden,
    shipped,
)
from facedirs_jax.backbones import dlib_resnet, vgg16
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.checkpoint_files import Format
from facedirs_jax.checkpoints import (
    NETWORKS,
    Parity,
    load_backbone,
    load_checkpoint,
    load_decoder,
    save_checkpoint,
)
from facedirs_jax.decoders import deep_face_decoder
from facedirs_jax.decoding import load_decoder_of
from facedirs_jax.errors import InputError

ROOT = pathlib.Path(__file__).parents[1]
FORMATS = ("orbax", "safetensors")
CARD = WeightCard("tiny", "ab" * 32, "unknown", False, "a test")
TINY = vgg16.recipe("dag", vgg16.VGG16Config.tiny())
PREPROCESS = TINY.preprocess


@pytest.fixture(scope="module")
def network():
    return filled(vgg16.VGG16, TINY.config, CARD)


@pytest.fixture(scope="module")
def stored(network, tmp_path_factory):
    """One checkpoint of each format."""
    folder = tmp_path_factory.mktemp("stored")
    for form in FORMATS:
        save_checkpoint(folder / form, network, preprocess=PREPROCESS, format=form)
    return folder


@pytest.fixture(params=FORMATS)
def copy(request, stored, tmp_path):
    """A checkpoint to break."""
    return pathlib.Path(shutil.copytree(stored / request.param, tmp_path / "copy"))


def content_of(folder) -> list[pathlib.Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def manifest_of(folder) -> pathlib.Path:
    names = checkpoint_files.MANIFESTS.values()
    return next(folder / name for name in names if (folder / name).exists())


def signed_again(folder, **changed) -> None:
    """Makes the hashes those of the files, as someone who means it would."""
    file = manifest_of(folder)
    manifest = json.loads(file.read_text()) | changed
    del manifest["sha256"], manifest["files"]
    file.unlink()
    form: Format = "orbax" if file.name == "manifest.json" else "safetensors"
    checkpoint_files.write_manifest(folder, manifest, format=form)


def replace_arrays(folder, arrays) -> None:
    if (folder / "model.safetensors").exists():
        safetensors.numpy.save_file(arrays, folder / "model.safetensors")
        return
    shutil.rmtree(folder / "arrays")
    ocp.save(str(folder / "arrays"), {n: jnp.asarray(a) for n, a in arrays.items()})


@pytest.mark.parametrize("form", FORMATS)
def test_a_backbone_comes_back_bit_by_bit(stored, network, form):
    found, preprocess = load_backbone(stored / form)
    assert found.weights == CARD
    assert preprocess == PREPROCESS
    assert isinstance(found, vgg16.VGG16) and found.config == TINY.config
    before, after = arrays_of(network), arrays_of(found)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("build", "config", "form"),
    [
        (dlib_resnet.DlibResNet, dlib_resnet.DlibResNetConfig.tiny(), "safetensors"),
        (
            deep_face_decoder.DeepFaceDecoder,
            deep_face_decoder.DeepFaceDecoderConfig.tiny(),
            "orbax",
        ),
    ],
)
def test_other_networks_come_back_too(tmp_path, build, config, form):
    network = filled(build, config)
    fed = dlib_resnet.PREPROCESS if build is dlib_resnet.DlibResNet else None
    parity = Parity(2e-6, "largest difference of 8 templates from dlib's")
    told = save_checkpoint(
        tmp_path / "out", network, preprocess=fed, parity=parity, format=form
    )
    assert told["parity"] == {"largest_difference": 2e-6, "how": parity.how}
    found = load_checkpoint(tmp_path / "out")
    assert (found.network.config, found.preprocess) == (config, fed)
    assert found.manifest | {"sha256": told["sha256"]} == told
    before, after = arrays_of(network), arrays_of(found.network)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "config",
    dict.fromkeys(  # each once, in an order that is always the same
        [
            *(recipe.config for recipe in (*backbones.RECIPES, *decoders.RECIPES)),
            *(config for _, config in decoders.DECODERS.values()),
        ]
    ),
    ids=lambda config: type(config).__name__,
)
def test_every_config_survives_json(config):
    (config_of,) = {c for _, c in NETWORKS.values() if c is type(config)}
    fields = json.loads(json.dumps(dataclasses.asdict(config)))
    again = {name: checkpoints._frozen(value) for name, value in fields.items()}
    assert config_of(**again) == config


def test_a_network_of_no_file_is_known_by_its_arrays(tmp_path):
    shas = []
    for seed in (0, 0, 1):
        network = filled(
            deep_face_decoder.DeepFaceDecoder,
            deep_face_decoder.DeepFaceDecoderConfig.tiny(),
            UNTRAINED,
            seed=seed,
        )
        told = save_checkpoint(tmp_path / str(len(shas)), network, format="safetensors")
        shas.append(told["weights"]["sha256"])
    assert shas[0] == shas[1] != shas[2]
    assert load_decoder(tmp_path / "2").weights.sha256 == shas[2]  # type: ignore


def flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def truncated(file):
    file.write_bytes(file.read_bytes()[:-2])


@pytest.mark.parametrize("damage", [flipped, truncated, pathlib.Path.unlink])
def test_damage_to_any_file_is_told_by_its_name(copy, damage):
    for file in content_of(copy):
        before = file.read_bytes()
        if not before and damage is not pathlib.Path.unlink:
            continue
        damage(file)
        with pytest.raises(InputError, match="convert") as caught:
            load_checkpoint(copy)
        named = copy if damage is pathlib.Path.unlink else file
        assert str(named) in str(caught.value)
        file.write_bytes(before)
    load_checkpoint(copy)


def test_all_damage_is_told_at_once(copy):
    broken = []
    for file in content_of(copy):
        if file != manifest_of(copy) and file.stat().st_size:
            flipped(file)
            broken.append(file)
    (copy / "extra.txt").write_text("")
    with pytest.raises(InputError) as caught:
        load_checkpoint(copy)
    told = str(caught.value)
    assert f"{copy / 'extra.txt'}: it does not belong to the checkpoint" in told
    assert all(f"{file}: damaged" in told for file in broken)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read"),
        ("[]", "expected format 'facedirs checkpoint 1', got None"),
        ('{"format": "facedirs checkpoint 2"}', "or of another version"),
        ('{"format": "facedirs checkpoint 1"}', "damaged, or edited by hand"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(copy, content, complaint):
    manifest_of(copy).write_text(content)
    with pytest.raises(InputError, match=complaint) as caught:
        load_checkpoint(copy)
    assert str(manifest_of(copy)) in str(caught.value)


def test_a_licence_cannot_be_edited(copy):
    file = manifest_of(copy)
    file.write_text(file.read_text().replace("false", "true"))
    with pytest.raises(InputError, match="edited by hand"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"network": "vgg19"}, "cannot build what it describes .KeyError.'vgg19'"),
        ({"config": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"config": {"width": -1.0}}, "cannot build what it describes"),
        ({"config": {"width": 0.125, "image_size": 64}}, "expected .* got"),
        ({"weights": {}}, "cannot build what it describes"),
        ({"preprocess": {}}, "cannot build what it describes"),
        ({"arrays": {}}, "its arrays are not those of the network"),
    ],
)
def test_a_manifest_of_another_network_is_refused(copy, changed, complaint):
    signed_again(copy, **changed)
    with pytest.raises(InputError, match=complaint) as caught:
        load_checkpoint(copy)
    assert str(manifest_of(copy)) in str(caught.value)


def half(arrays):
    return arrays | {"fc7.bias": arrays["fc7.bias"].astype(np.float16)}


def longer(arrays):
    return arrays | {"fc7.bias": np.zeros(257, np.float32)}


def fewer(arrays):
    return {name: array for name, array in arrays.items() if name != "fc7.bias"}


def more(arrays):
    return arrays | {"fc9.bias": np.zeros(3, np.float32)}


@pytest.mark.parametrize("change", [half, longer, fewer, more])
def test_arrays_of_another_name_shape_or_dtype_are_refused(copy, network, change):
    replace_arrays(copy, change(arrays_of(network)))
    signed_again(copy)
    with pytest.raises(InputError, match=r"fc[79]\.bias: expected .*, got ") as caught:
        load_checkpoint(copy)
    assert str(copy) in str(caught.value)


def test_a_transposed_kernel_misses_the_golden_output(copy, network):
    arrays = arrays_of(network)
    name = "conv3_2.conv.kernel"
    turned = np.ascontiguousarray(arrays[name].swapaxes(0, 1))
    replace_arrays(copy, arrays | {name: turned})
    signed_again(copy)
    with pytest.raises(InputError, match=r"off by \S+ of its norm, where 1e-04 is"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    "change", [{"colour_order": "BGR"}, {"mean": 127.5}, {"scale": 127.5}, {"size": 96}]
)
def test_another_preprocessing_misses_the_golden_output(stored, tmp_path, change):
    copy = shutil.copytree(stored / "safetensors", tmp_path / "copy")
    changed = dataclasses.asdict(dataclasses.replace(PREPROCESS, **change))
    signed_again(copy, preprocess=changed)
    with pytest.raises(InputError, match="does not give its golden output"):
        load_checkpoint(copy)


def test_the_golden_difference_is_that_of_the_outputs(network):
    pair = golden.make_golden(network, PREPROCESS)
    assert golden.golden_difference(network, PREPROCESS, pair) < 1e-6
    expected = pair["outputs"] * np.array([[1.0], [1.25]], "f4")
    found = golden.golden_difference(network, PREPROCESS, pair | {"outputs": expected})
    np.testing.assert_allclose(found, 0.2, rtol=1e-5)
    broken = pair | {"outputs": np.full_like(expected, np.nan)}
    assert golden.golden_difference(network, PREPROCESS, broken) == np.inf


def test_golden_inputs_tell_channels_axes_and_items_apart():
    images = golden.golden_images(32).astype(float)
    views = [images, images[..., ::-1], images.swapaxes(1, 2), images[::-1]]
    views += [images[:, ::-1], images[:, :, ::-1]]
    for view in views[1:]:
        assert np.abs(view - images).mean() > 20
    norms = np.linalg.norm(golden.golden_templates(7), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)


def test_what_exists_is_not_overwritten(tmp_path, network):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out exists already; choose another"):
        save_checkpoint(tmp_path / "out", network, preprocess=PREPROCESS)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_broken_weights_leave_nothing(tmp_path, value):
    network = filled(vgg16.VGG16, TINY.config)
    network.fc7.kernel[...] = jnp.full_like(network.fc7.kernel[...], value)
    with pytest.raises(InputError, match="not finite, or the same for two inputs"):
        save_checkpoint(tmp_path / "out", network, preprocess=PREPROCESS)
    assert not list(tmp_path.iterdir())


def test_arrays_of_another_dtype_are_not_written(tmp_path):
    network = filled(vgg16.VGG16, TINY.config)
    network.fc7.bias = type(network.fc7.bias)(jnp.zeros(256, jnp.bfloat16))
    with pytest.raises(InputError, match=r"fc7\.bias: expected .*float32.*bfloat16"):
        save_checkpoint(tmp_path / "out", network, preprocess=PREPROCESS)
    assert not list(tmp_path.iterdir())


def test_a_network_of_ours_alone_is_stored(tmp_path, toy):
    with pytest.raises(InputError, match=r"ToyNetwork is none of .'dlib_resnet'"):
        save_checkpoint(tmp_path / "out", toy.network, preprocess=toy.preprocess)


def test_a_full_disk_leaves_nothing(tmp_path, network, monkeypatch):
    def fails(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint_files, "write_arrays", fails)
    with pytest.raises(InputError, match=r"out: cannot be written: .*No space left"):
        save_checkpoint(tmp_path / "out", network, preprocess=PREPROCESS)
    assert not list(tmp_path.iterdir())


def test_too_little_space_is_seen_before(tmp_path, network, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="1 MB are free there; make room"):
        save_checkpoint(tmp_path / "out", network, preprocess=PREPROCESS)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_is_named(tmp_path, network):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/out: cannot be written"):
        save_checkpoint(tmp_path / "file" / "out", network, preprocess=PREPROCESS)


def test_two_processes_do_not_write_one_checkpoint(tmp_path, network):
    (tmp_path / ".out.partial").mkdir()
    handle = os.open(tmp_path / ".out.partial", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(InputError, match="another process is writing it"):
        save_checkpoint(tmp_path / "out", network, preprocess=PREPROCESS)
    os.close(handle)


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests")
from filled import filled
from facedirs_jax import checkpoint_files
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.decoders.deep_face_decoder import *
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
checkpoint_files.write_manifest = killed
network = filled(DeepFaceDecoder, DeepFaceDecoderConfig.tiny())
save_checkpoint(sys.argv[1], network, format="safetensors")
"""


def test_a_killed_process_leaves_no_checkpoint_and_is_cleared_after(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out")]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    with pytest.raises(InputError, match=r"no network .*out': give the folder of a"):
        load_backbone(tmp_path / "out")
    with pytest.raises(InputError, match="no checkpoint: it should hold"):
        load_checkpoint(tmp_path / ".out.partial")
    network = filled(
        deep_face_decoder.DeepFaceDecoder,
        deep_face_decoder.DeepFaceDecoderConfig.tiny(),
    )
    save_checkpoint(tmp_path / "out", network, format="safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="it holds a decoder; give a backbone's"):
        load_backbone(tmp_path / "out")


def test_a_backbone_is_no_decoder(stored):
    with pytest.raises(InputError, match="it holds a backbone; give a decoder's"):
        load_decoder(stored / "safetensors")


def test_a_weight_file_is_to_be_converted_first(tmp_path):
    (tmp_path / "net.pth").write_text("")
    with pytest.raises(InputError, match=r"convert_checkpoint --source=.*net\.pth"):
        load_backbone(tmp_path / "net.pth")


def test_a_folder_without_a_checkpoint_is_told_what_it_lacks(tmp_path):
    with pytest.raises(InputError, match=r"either manifest\.json or config\.json"):
        load_backbone(tmp_path)


def test_a_newer_dtype_of_the_computation_has_a_tolerance():
    assert set(golden.TOLERANCE) == {"float32", "bfloat16"}


DECODERS = [name for name in shipped.shipped_folders() if name.endswith("_decoder")]


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_that_ships_is_one_of_the_network_it_is_named_after(name):
    _, told = load_decoder_of(name, load_backbone(name.removesuffix("_decoder")))
    assert told["decoder"] == name and told["licence"].startswith("Apache-2.0")


@pytest.mark.parametrize("place", ["trained", "checkpoints"])
def test_networks_that_ship_are_found_by_name(stored, place, tmp_path, monkeypatch):
    folder = tmp_path / place / "tiny_net"
    shutil.copytree(stored / "safetensors", folder)
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path / "no", tmp_path / place))
    assert shipped.shipped_folders() == {"tiny_net": folder}
    assert load_backbone("tiny_net").preprocess == PREPROCESS
    with pytest.raises(InputError, match="did you mean 'tiny_net'"):
        load_backbone("tinynet")
    with pytest.raises(InputError, match="tiny_net: it holds a backbone"):
        load_decoder("tiny_net")
    monkeypatch.setattr(shipped, "_PLACES", ())
    assert shipped.shipped_folders() == {}
