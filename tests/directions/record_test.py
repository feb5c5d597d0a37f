"""Oracle: the file as the safetensors library reads it."""

import json
import stat
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import facedirs_jax
from facedirs_jax import files
from facedirs_jax.backbones import dlib_resnet
from facedirs_jax.directions.record import (
    FORMAT,
    DirectionFile,
    Directions,
    load_directions,
    model_of,
    save_directions,
)
from facedirs_jax.errors import InputError

MODEL = {
    "backbone": "dlib_resnet",
    "weights_sha256": "ab" * 32,
    "preprocess_sha256": "cd" * 32,
    "licence": "CC0-1.0",
    "commercial_use": True,
}


def directions_of(seed: int, count: int, dim: int = 5) -> Directions:
    rng = np.random.default_rng(seed)
    rows = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:count]
    return Directions(
        directions=rows.astype(np.float32),
        eigenvalues=np.sort(rng.uniform(0, 4, count).astype(np.float32))[::-1],
        mean=rng.normal(size=dim).astype(np.float32),
        about={"kind": "region_pca", "explained_variance": [0.1 * seed], "split": None},
    )


@pytest.fixture
def content() -> DirectionFile:
    sets = {"nose": directions_of(1, 3), "eyes": directions_of(2, 2)}
    return DirectionFile(sets, dict(MODEL), {"faces_sha256": "ef" * 32, "blends": 12})


@pytest.fixture
def path(tmp_path, content):
    save_directions(tmp_path / "directions.safetensors", content)
    return tmp_path / "directions.safetensors"


def assert_same(found: DirectionFile, expected: DirectionFile) -> None:
    assert found.model == expected.model and found.data == expected.data
    assert found.sets.keys() == expected.sets.keys()
    for name, wanted in expected.sets.items():
        assert found.sets[name].about == wanted.about
        for array in ("directions", "eigenvalues", "mean"):
            back = getattr(found.sets[name], array)
            np.testing.assert_array_equal(back, getattr(wanted, array))
            assert back.dtype == np.float32


def test_what_is_saved_is_loaded(path, content):
    assert_same(load_directions(path), content)
    assert_same(load_directions(str(path), model=MODEL), content)
    assert load_directions(path).sets["nose"].about["split"] is None


def reading(content: DirectionFile) -> DirectionFile:
    """The same, with a reading of labels in one of the sets."""
    rng = np.random.default_rng(5)
    eyes = content.sets["eyes"]._replace(
        weights=rng.normal(size=(2, 5)).astype(np.float32),
        intercepts=rng.normal(size=2) * 1e3,
    )
    return content._replace(sets=content.sets | {"eyes": eyes})


def test_a_reading_is_saved_and_loaded_to_the_last_bit(tmp_path, content):
    wanted = reading(content)
    save_directions(tmp_path / "file", wanted)
    found = load_directions(tmp_path / "file", model=MODEL)
    assert_same(found, wanted)
    for name, dtype in (("weights", np.float32), ("intercepts", np.float64)):
        assert getattr(found.sets["nose"], name) is None
        back = getattr(found.sets["eyes"], name)
        np.testing.assert_array_equal(back, getattr(wanted.sets["eyes"], name))
        assert back.dtype == dtype
    save_directions(tmp_path / "again", found)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()
    names = safetensors.numpy.load_file(tmp_path / "file").keys()
    assert {"eyes/weights", "eyes/intercepts"} <= names and "nose/weights" not in names


def test_a_file_without_readings_is_as_it_was_before_there_were_any(tmp_path):
    nose = Directions(
        directions=np.eye(3, 5, dtype=np.float32),
        eigenvalues=np.arange(3, 0, -1).astype(np.float32),
        mean=np.arange(5).astype(np.float32),
        about={"kind": "region_pca"},
    )
    save_directions(tmp_path / "file", DirectionFile({"nose": nose}, MODEL, {"n": 12}))
    # of the file that commit a08241f wrote
    assert files.sha256_file(tmp_path / "file") == (
        "4d620cf071c2507c9488da02cb25d75e5f8fe1c8b4c237420c29c790fe50f454"
    )
    assert load_directions(tmp_path / "file").sets["nose"].weights is None


def test_the_file_is_what_the_format_says(path, content):
    arrays = safetensors.numpy.load_file(path)
    assert sorted(arrays) == [
        *("eyes/directions", "eyes/eigenvalues", "eyes/mean"),
        *("nose/directions", "nose/eigenvalues", "nose/mean"),
    ]
    np.testing.assert_array_equal(
        arrays["nose/directions"], content.sets["nose"].directions
    )
    with safetensors.safe_open(path, framework="numpy") as opened:
        (text,) = opened.metadata().values()
    about = json.loads(text)
    assert about["format"] == FORMAT and about["model"] == MODEL
    assert about["sets"]["nose"] == content.sets["nose"].about


def test_only_the_owner_may_read_it(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_content_gives_the_same_bytes(path, tmp_path, content):
    turned = DirectionFile(
        sets=dict(reversed(content.sets.items())),
        model=dict(reversed(content.model.items())),
        data=dict(reversed(content.data.items())),
    )
    save_directions(tmp_path / "again", turned)
    save_directions(tmp_path / "third", load_directions(path))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert (tmp_path / "third").read_bytes() == path.read_bytes()


def test_other_dtypes_layouts_and_keys_are_saved_as_they_will_be_read(
    tmp_path, content
):
    nose = content.sets["nose"]
    odd = Directions(
        directions=np.asfortranarray(nose.directions.astype(np.float64)),
        eigenvalues=nose.eigenvalues.astype(np.float64),
        mean=np.repeat(nose.mean, 2)[::2],
        about={"hulls": ((1, 2), (3,)), "degrees": {10: 1.5, 9: 2.5}},
    )
    save_directions(tmp_path / "odd", content._replace(sets={"nose": odd}))
    about = {"hulls": [[1, 2], [3]], "degrees": {"10": 1.5, "9": 2.5}}
    expected = content._replace(sets={"nose": nose._replace(about=about)})
    assert_same(load_directions(tmp_path / "odd"), expected)


def test_a_scale_is_one_standard_deviation(content):
    rng = np.random.default_rng(0)
    nose = content.sets["nose"]
    steps = rng.normal(size=(100_000, 3)) * nose.scales
    # the spread of a variance over n draws is sqrt(2 / n) = 0.5 % of it
    np.testing.assert_allclose(steps.var(axis=0), nose.eigenvalues, rtol=0.02)


def test_a_model_is_named_by_its_weights_and_preprocessing(toy):
    named = model_of("toy", toy)
    assert named == {
        "backbone": "toy",
        "weights_sha256": toy.network.weights.sha256,
        "preprocess_sha256": toy.preprocess.fingerprint,
        "licence": toy.network.weights.licence,
        "commercial_use": toy.network.weights.commercial_use,
    }
    assert json.loads(json.dumps(named)) == named


def test_the_file_of_dlibs_network_fits_that_network_alone(tmp_path, content):
    model = model_of("dlib_resnet", facedirs_jax.load_backbone("dlib_resnet"))
    assert model["weights_sha256"] == dlib_resnet.PUBLISHED.sha256
    save_directions(tmp_path / "file", content._replace(model=model))
    load_directions(tmp_path / "file", model=model)
    with pytest.raises(InputError, match="belongs to dlib_resnet"):
        load_directions(tmp_path / "file", model=MODEL)


@pytest.mark.parametrize("key", ["backbone", "weights_sha256", "preprocess_sha256"])
def test_another_model_is_refused_with_both_names(path, key):
    other = MODEL | {"backbone": "arcface", key: "another"}
    first, second = MODEL["backbone"], other["backbone"]
    message = f"{path} belongs to {first} .*, not to {second} .*Discover them anew"
    with pytest.raises(InputError, match=message):
        load_directions(path, model=other)


@pytest.mark.parametrize("key", ["weights_sha256", "preprocess_sha256"])
def test_other_weights_or_preprocessing_are_named(path, key):
    message = rf"dlib_resnet \({key} {MODEL[key]}\).*dlib_resnet \({key} another\)"
    with pytest.raises(InputError, match=message):
        load_directions(path, model=MODEL | {key: "another"})


def test_a_licence_of_another_name_is_no_other_model(path):
    load_directions(path, model=MODEL | {"licence": "CC0", "commercial_use": False})


def test_a_cut_file_is_refused(path):
    whole = path.read_bytes()
    for end in [*range(0, len(whole), 23), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=f"{path}: not a readable direction file"):
            load_directions(path)


def test_no_flipped_bit_goes_unnoticed(path):
    whole = path.read_bytes()
    bits = np.random.default_rng(0).integers(8, size=len(whole)).tolist()
    for place, bit in enumerate(bits):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=str(path)):
            load_directions(path)


def rewritten(path, change):
    """Writes the file again with other arrays or another text, as one could by hand."""
    arrays = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata()
    change(arrays, metadata)
    safetensors.numpy.save_file(arrays, path, metadata)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, _: arrays.pop("nose/mean"),
        lambda arrays, _: [arrays.pop(name) for name in list(arrays) if "eyes" in name],
        lambda arrays, _: arrays.update({"ears/mean": np.zeros(5, np.float32)}),
        lambda arrays, _: arrays.update({"nose/mean": arrays["eyes/mean"]}),
        lambda _, metadata: metadata.update(
            facedirs=metadata["facedirs"].replace('"blends": 12', '"blends": 13')
        ),
    ],
)
def test_changed_content_is_refused(path, change):
    rewritten(path, change)
    message = (
        f"{path}: damaged, its content is not what was written. Restore it, or make it "
        "again with discover_ssi or discover_labelled"
    )
    with pytest.raises(InputError, match=message):
        load_directions(path)


@pytest.mark.parametrize("name", ["weights", "intercepts"])
def test_a_changed_reading_is_refused(tmp_path, content, name):
    def change(arrays, _):
        arrays[f"eyes/{name}"] = np.nextafter(arrays[f"eyes/{name}"], np.inf)

    save_directions(tmp_path / "file", reading(content))
    rewritten(tmp_path / "file", change)
    with pytest.raises(InputError, match="damaged"):
        load_directions(tmp_path / "file")


@pytest.mark.parametrize(
    "metadata, found",
    [
        (None, "None"),
        ({"format": "pt"}, "None"),
        ({"journal": "{}"}, "None"),
        ({"facedirs": "[]"}, "None"),
        (
            {"facedirs": '{"format": "facedirs directions 9"}'},
            "'facedirs directions 9'",
        ),
    ],
)
def test_another_safetensors_file_is_refused(tmp_path, metadata, found):
    path = tmp_path / "templates.safetensors"
    safetensors.numpy.save_file({"nose/mean": np.zeros(3)}, path, metadata)
    message = f"{path}: not a direction file of this version .*; found {found}. Make it"
    with pytest.raises(InputError, match=message):
        load_directions(path)


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"To whom it may concern",
        struct.pack("<Q", 1 << 60),
        b"\x02" + bytes(7) + b"{}",
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, written):
    path = tmp_path / "file"
    path.write_bytes(written)
    with pytest.raises(InputError, match=f"{path}: not a"):
        load_directions(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone: not a readable .*No such file"):
        load_directions(tmp_path / "gone")


@pytest.mark.parametrize(
    "change",
    [
        {"eigenvalues": np.ones(2, np.float32)},
        {"mean": np.ones(3, np.float32)},
        {"mean": np.ones((1, 5), np.float32)},
        {"directions": np.ones(5, np.float32)},
        {"weights": np.ones((3, 5), np.float32)},
        {"intercepts": np.ones(3)},
        {"weights": np.ones((2, 5), np.float32), "intercepts": np.ones(3)},
        {"weights": np.ones((3, 5), np.float32), "intercepts": np.ones((3, 1))},
    ],
)
def test_arrays_that_do_not_agree_are_not_saved(path, content, change):
    before = path.read_bytes()
    sets = {"nose": content.sets["nose"]._replace(**change)}
    with pytest.raises(ValueError, match="do not agree"):
        save_directions(path, content._replace(sets=sets))
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")]])
def test_a_nan_is_not_saved(path, content, value):
    before = path.read_bytes()
    nose = content.sets["nose"]
    for changed in (
        content._replace(sets={"nose": nose._replace(about={"share": value})}),
        content._replace(data={"feather": value}),
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            save_directions(path, changed)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_value_that_is_no_json_is_not_saved(tmp_path, content):
    changed = content._replace(data={"eigenvalues": np.ones(3)})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_directions(tmp_path / "file", changed)
    assert not list(tmp_path.iterdir())
