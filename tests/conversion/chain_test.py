"""From a file of every kind to a network: what `convert` reads is what the file holds.

The same arrays are compared with PyTorch's own layers in tests/backbones; here they go
through a file, its reader and the converter, and must give the same embeddings bit for
bit.
"""

import functools
import pathlib
import pickle
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from facedirs_jax.conversion.convert import convert

torch = pytest.importorskip("torch", reason="torch is in the extra `convert` only")
h5py = pytest.importorskip("h5py", reason="h5py is in the extra `convert` only")

from tests.backbones import (  # noqa: E402  (they skip as a whole without torch)
    facenet_test,
    iresnet_test,
    resnet50_test,
    vgg16_test,
)


def write_torch(path: pathlib.Path, arrays, *, legacy: bool = False, key: str = ""):
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    state["bn1.num_batches_tracked"] = torch.tensor(7)
    content = {key: {f"module.{n}": t for n, t in state.items()}} if key else state
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)


def write_pickle(path: pathlib.Path, arrays):
    path.write_bytes(pickle.dumps(dict(arrays), protocol=2))


def write_keras(path: pathlib.Path, arrays):
    """Keras's layout: layers in order, each with the names of its weights."""
    layers: dict[str, list[str]] = {}
    for name in arrays:
        layers.setdefault(name.rsplit("/", 1)[0], []).append(name)
    with h5py.File(path, "w") as root:
        root.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, names in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                group.create_dataset(f"{name}:0", data=arrays[name])


def vgg16(file: Any):
    dag = vgg16_test.dag_arrays(vgg16_test.TINY, np.random.default_rng(0))
    arrays = vgg16_test.ARRAYS[file](dag, 2)
    recipe = vgg16_test.vgg16.recipe(file, vgg16_test.TINY)
    return recipe, arrays, vgg16_test.filled


def resnet50(file: Any):
    tiny = resnet50_test.torchvision_arrays(
        resnet50_test.TINY, np.random.default_rng(0)
    )
    arrays = resnet50_test.ARRAYS[file](tiny)
    return resnet50_test.tiny(file), arrays, resnet50_test.filled


WRITERS: dict[str, Any] = {
    "zip .pth": write_torch,
    "legacy .pth": functools.partial(write_torch, legacy=True),
    "wrapped .pth": functools.partial(write_torch, key="state_dict"),
    ".safetensors": lambda path, arrays: safetensors.numpy.save_file(arrays, path),
    ".pkl": write_pickle,
    ".h5": write_keras,
}


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ((vgg16, "dag"), "zip .pth"),
        ((vgg16, "dag"), "legacy .pth"),
        ((vgg16, "dag"), "wrapped .pth"),
        ((vgg16, "dag"), ".safetensors"),
        ((vgg16, "keras"), ".h5"),
        ((vgg16, "deepface"), ".h5"),
        ((resnet50, "cydonia"), ".pkl"),
        ((resnet50, "dag"), "zip .pth"),
        ((resnet50, "oxford"), "legacy .pth"),
        ((resnet50, "keras"), ".h5"),
    ],
)
def test_a_file_gives_the_network_of_its_arrays(tmp_path, network, kind):
    make, file = network
    recipe, arrays, filled = make(file)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path = tmp_path / f"weights{kind.split()[-1]}"
    WRITERS[kind](path, arrays)
    converted = convert(path, [recipe])
    expected, found = filled(recipe, arrays), converted.network
    size = recipe.config.image_size
    inputs = np.random.default_rng(1).uniform(-50, 50, (2, size, size, 3))
    inputs = inputs.astype(np.float32)
    forward = (vgg16_test if make is vgg16 else resnet50_test).forward
    np.testing.assert_array_equal(forward(found, inputs), forward(expected, inputs))
    assert found.weights.name == recipe.name and len(found.weights.sha256) == 64


def test_a_facenet_file_gives_the_network_of_its_arrays(tmp_path):
    crops = np.random.default_rng(2).uniform(size=(2, 107, 107, 3)).astype(np.float32)
    config = facenet_test.TINY
    reference = facenet_test.Reference()
    reference(crops)  # makes its arrays as it goes
    heads = {"logits.weight": np.ones((9, 16), "f"), "logits.bias": np.ones(9, "f")}
    arrays = reference.arrays | heads
    recipe = facenet_test.recipe_of(config)
    write_torch(tmp_path / "facenet.pt", arrays)
    found = convert(tmp_path / "facenet.pt", [recipe]).network
    expected = facenet_test.filled(config, arrays)
    np.testing.assert_array_equal(
        facenet_test.forward(found, crops), facenet_test.forward(expected, crops)
    )


@pytest.mark.parametrize("kind", ["zip .pth", ".safetensors", ".onnx"])
def test_an_iresnet_file_gives_the_network_of_its_arrays(tmp_path, kind):
    arrays, images, expected = iresnet_test.tiny()
    folded = kind == ".onnx"
    name = f"iresnet50_{'insightface_onnx' if folded else 'arcface_torch'}"
    (found,) = (r for r in iresnet_test.iresnet_recipes.RECIPES if r.name == name)
    config = iresnet_test.dataclasses.replace(iresnet_test.TINY, folded=folded)
    make_rules = (
        iresnet_test.iresnet_recipes._onnx_rules
        if folded
        else iresnet_test.iresnet_recipes._torch_rules
    )
    recipe = found._replace(config=config, rules=make_rules(config))
    path = tmp_path / f"weights{kind.split()[-1]}"
    if folded:
        module = iresnet_test.reference_of(iresnet_test.TINY, arrays).float()
        iresnet_test.exported(module, torch.zeros(1, 3, 32, 32), path)
    else:
        WRITERS[kind](path, {n: np.ascontiguousarray(a) for n, a in arrays.items()})
    network = convert(path, [recipe]).network
    error = iresnet_test.relative_error(iresnet_test.forward(network, images), expected)
    assert error <= iresnet_test.PARITY
