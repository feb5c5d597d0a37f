import io
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from facedirs_jax.conversion.containers import find_container, read_arrays
from facedirs_jax.conversion.dlib_dat import read_dlib_network
from facedirs_jax.dlib_models import dlib_model_path
from facedirs_jax.errors import InputError
from tests.conversion.hostile import Canary, check_no_weight_files_are_refused, same

ARRAYS = {"conv.weight": np.arange(6, dtype="f4").reshape(2, 3), "b": np.ones(2, "f4")}


def torch_file(path, zipped=True):
    torch = pytest.importorskip("torch", reason="PyTorch is in the extra `convert`")
    state = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)


def keras_file(path):
    h5py = pytest.importorskip("h5py", reason="h5py is in the extra `convert`")
    with h5py.File(path, "w") as opened:
        opened.attrs["layer_names"] = [b"conv"]
        opened.create_group("conv").attrs["weight_names"] = [b"kernel:0"]
        opened["conv"]["kernel:0"] = ARRAYS["conv.weight"]


def onnx_file(path):
    onnx = pytest.importorskip("onnx", reason="onnx is in the extra `convert`")
    weight = onnx.numpy_helper.from_array(ARRAYS["conv.weight"], "w")
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    source = onnx.helper.make_tensor_value_info("x", 1, None)
    graph = onnx.helper.make_graph([node], "net", [source], [], [weight])
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch"), path)


def pickle_file(path, protocol=2):
    path.write_bytes(pickle.dumps(ARRAYS, protocol=protocol))


def safetensors_file(path):
    safetensors.numpy.save_file(ARRAYS, path)


WEIGHT = ARRAYS["conv.weight"]
WRITERS = {
    "zip": (torch_file, "torch", ARRAYS),
    "legacy": (lambda path: torch_file(path, zipped=False), "torch", ARRAYS),
    **{
        f"pickle_{n}": (lambda path, n=n: pickle_file(path, n), "pickle", ARRAYS)
        for n in range(6)
    },
    "safetensors": (safetensors_file, "safetensors", ARRAYS),
    "keras": (keras_file, "keras", {"conv/kernel": WEIGHT}),
    "onnx": (onnx_file, "onnx", {"gemm_00.weight": WEIGHT}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_is_known_by_its_content_whatever_its_name(kind, tmp_path):
    write, container, expected = WRITERS[kind]
    for name in ("weights", "weights.bin", "a b\n.PTH"):
        write(tmp_path / name)
        found, arrays = read_arrays(tmp_path / name)
        assert found == container
        assert arrays.keys() == expected.keys()
        same(arrays, {key: expected[key] for key in arrays})


def test_dlibs_file_is_known_too():
    path = dlib_model_path("dlib_face_recognition_resnet_model_v1.dat")
    container, arrays = read_arrays(path)
    assert container == "dlib"
    assert arrays.keys() == read_dlib_network(path)[1].keys()


def test_layers_of_keras_go_by_number_on_demand(tmp_path):
    keras_file(tmp_path / "net.h5")
    _, arrays = read_arrays(tmp_path / "net.h5", keras_by_order=True)
    same(arrays, {"layer_00/kernel": WEIGHT})


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".h5", ".HDF5", ".dat"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle_0", "pickle_2", "pickle_4"])
def test_a_pickle_in_disguise_is_refused(kind, suffix, tmp_path):
    WRITERS[kind][0](tmp_path / f"net{suffix}")
    message = rf"which could run code, under the suffix {suffix.lower()} of files that"
    with pytest.raises(InputError, match=message):
        read_arrays(tmp_path / f"net{suffix}")


@pytest.mark.parametrize("name", ["net.pkl", "net.pth", "net.safetensors", "net"])
@pytest.mark.parametrize("protocol", range(6))
def test_no_name_makes_a_pickle_run(name, protocol, tmp_path):
    content = pickle.dumps({"a": Canary(tmp_path / "canary")}, protocol=protocol)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        read_arrays(tmp_path / name)
    assert not (tmp_path / "canary").exists()


def test_other_files_are_refused_with_the_kinds_that_are_known(tmp_path):
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><title>Quota exceeded</title>")
    message = r"page\.pth: its first bytes b'<!DOCTYPE ht' are of no known weight file"
    with pytest.raises(InputError, match=message):
        find_container(tmp_path / "page.pth")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"expected \.pth/\.pt, \.pkl, \.safetensors"):
        find_container(tmp_path / "array.npy")
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.writestr("model.bin", bytes(10))
    with pytest.raises(InputError, match="it is a zip, but holds no state dict"):
        read_arrays(tmp_path / "net.zip")
    content = io.BytesIO()
    np.savez(content, **ARRAYS)
    (tmp_path / "net.npz").write_bytes(content.getvalue())
    with pytest.raises(InputError, match="it is a zip, but holds no state dict"):
        read_arrays(tmp_path / "net.npz")


def test_what_is_no_weight_file_is_refused(tmp_path):
    check_no_weight_files_are_refused(read_arrays, tmp_path)
