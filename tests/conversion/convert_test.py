"""Weight files of narrow networks: which recipe is found, and what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
import safetensors.numpy
from filled import arrays_of, dag_arrays, filled

from facedirs_jax import backbones, decoders, files
from facedirs_jax.backbones import vgg16
from facedirs_jax.conversion import convert as module
from facedirs_jax.conversion.convert import convert
from facedirs_jax.decoders import ceia_decoder
from facedirs_jax.errors import InputError

NARROW, WIDER = (vgg16.VGG16Config(width=w, image_size=32) for w in (1 / 16, 1 / 8))
FC7 = vgg16.recipe("dag", NARROW)
FC6 = vgg16.recipe("dag", dataclasses.replace(NARROW, embedding="fc6"))
OTHERS = (
    vgg16.recipe("dag", WIDER)._replace(name="vgg16_wider"),
    vgg16.recipe("keras", NARROW),
    ceia_decoder.RECIPES[0],
)


@pytest.fixture(scope="module")
def network():
    return filled(vgg16.VGG16, NARROW)


@pytest.fixture
def source(network, tmp_path):
    """Writes the file of the narrow network, with changes; None leaves an array out."""

    def write(**changed):
        arrays = dag_arrays(network) | changed
        arrays = {name: array for name, array in arrays.items() if array is not None}
        safetensors.numpy.save_file(arrays, tmp_path / "net.safetensors")
        return tmp_path / "net.safetensors"

    return write


def test_a_file_becomes_the_network_that_it_came_from(source, network):
    path = source()
    converted = convert(path, [*OTHERS, FC7])
    assert converted.recipe is FC7
    assert converted.ignored == ("fc8.bias", "fc8.weight")
    before, after = arrays_of(network), arrays_of(converted.network)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    card = converted.network.weights
    assert (card.name, card.sha256) == (FC7.name, files.sha256_file(path))
    assert (card.licence, card.commercial_use) == ("unknown", False)
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    assert np.array_equal(network(images), converted.network(images))


def test_a_network_is_told_from_one_of_the_same_names_by_its_shapes(source, network):
    wider = dag_arrays(filled(vgg16.VGG16, WIDER))
    wider["fc8.weight"] = np.ones((5, 512), np.float32)
    assert convert(source(**wider), [FC7, *OTHERS]).recipe is OTHERS[0]


def test_what_the_file_does_not_say_is_asked_for(source):
    bgr = dataclasses.replace(FC7.preprocess, colour_order="BGR")
    recipes = [FC7, FC6, FC7._replace(name="vgg16_dag_bgr", preprocess=bgr), *OTHERS]
    with pytest.raises(InputError, match="choose one with --network") as caught:
        convert(source(), recipes)
    told = str(caught.value)
    assert "net.safetensors: its arrays suit several networks" in told
    assert "\n  vgg16_dag_fc7: fc7, 256-d; fed RGB, plain_resize 32 px" in told
    assert "\n  vgg16_dag_bgr: fc7, 256-d; fed BGR" in told
    assert "\n  vgg16_dag_fc6: fc6" in told
    assert "wider" not in told and "keras" not in told
    assert convert(source(), recipes, name="vgg16_dag_fc7").recipe is FC7
    assert convert(source(), recipes, name="vgg16_dag_fc6").recipe is FC6


def test_the_start_of_a_name_narrows_the_choice(source):
    recipes = [FC7, FC6, *OTHERS]
    assert convert(source(), recipes, name="vgg16_dag_fc7").recipe is FC7
    with pytest.raises(InputError, match=r"vgg16_dag_fc7: fc7.*\n  vgg16_dag_fc6: fc6"):
        convert(source(), recipes, name="vgg16_dag")


@pytest.mark.parametrize("name", [None, "vgg16_dag_fc7"])
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"fc6.bias": None}, "fc6.bias: no array fills it"),
        ({"fc9.bias": np.ones(3, "f4")}, "fc9.bias: 0 rules match it or ignore it"),
        ({"fc7.bias": np.ones(3, "f4")}, "fc7.bias: expected float32 (256,), got"),
        ({"fc7.bias": np.full(256, np.nan, "f4")}, "fc7.bias: it has values that are"),
    ],
)
def test_broken_weights_are_told_with_file_and_remedy(source, name, changed, complaint):
    path = source(**changed)
    with pytest.raises(InputError) as caught:
        convert(path, [*OTHERS, FC7], name=name)
    told = str(caught.value)
    assert f"{path}, taken for vgg16_dag_fc7: " in told
    assert complaint in told
    assert f"fetch it again from {FC7.source}" in told


def test_all_problems_come_in_one_error(source):
    changed = {"fc7.bias": None, "conv1_1.bias": np.ones(3, "f4")}
    with pytest.raises(InputError, match="2 problems:"):
        convert(source(**changed), [FC7])


def test_a_file_of_another_kind_is_refused(source):
    with pytest.raises(InputError, match="it is a safetensors file, and no recipe of"):
        convert(source(), [vgg16.recipe("keras", NARROW)])


@pytest.mark.parametrize(
    ("name", "hint"),
    [("vgg16_dag_fc77", "did you mean vgg16_dag_fc7"), ("zzz", "'zzz'; see --list$")],
)
def test_an_unknown_network_is_named_with_the_nearest(source, name, hint):
    with pytest.raises(InputError, match=f"no network .*{hint}"):
        convert(source(), [*OTHERS, FC7], name=name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: No such file"):
        convert(tmp_path / "none.pth", [FC7])


def test_keras_files_are_read_as_the_recipe_names_their_layers(network, monkeypatch):
    layers = [*vgg16.CONVS, *vgg16.DENSE]
    arrays = arrays_of(network) | {
        "fc8.kernel": np.ones((256, 5), np.float32),
        "fc8.bias": np.ones(5, np.float32),
    }
    by_name, by_order = {}, {}
    for name, array in arrays.items():
        layer, kind = name.split(".")[0], name.split(".")[-1]
        side = {"fc6": 1, "fc7": 1, "fc8": 1}.get(layer)
        by_name[f"{layer}/{kind}"] = array
        if side and kind == "kernel":  # deepface's are convolutions
            array = array.reshape(1, 1, *array.shape)
        by_order[f"layer_{layers.index(layer):02d}/{kind}"] = array
    read = []

    def read_arrays(_, *, keras_by_order):
        read.append(keras_by_order)
        return "keras", by_order if keras_by_order else by_name

    monkeypatch.setattr(module, "find_container", lambda _: "keras")
    monkeypatch.setattr(module, "read_arrays", read_arrays)
    monkeypatch.setattr(files, "sha256_file", lambda _: "")
    keras, deepface = (vgg16.recipe(file, NARROW) for file in ("keras", "deepface"))
    for recipe, order in ((keras, [False]), (deepface, [True])):
        read.clear()
        converted = convert("net.h5", [recipe])
        assert read == order
        before, after = arrays_of(network), arrays_of(converted.network)
        assert all(np.array_equal(before[name], after[name]) for name in before)
    read.clear()
    with pytest.raises(InputError, match="suit several networks"):
        convert("net.h5", [keras, deepface])
    assert read == [True, False]


def test_every_recipe_has_a_name_of_its_own():
    names = [recipe.name for recipe in (*backbones.RECIPES, *decoders.RECIPES)]
    assert len(set(names)) == len(names)
    assert not set(names) & backbones.BACKBONES.keys()
