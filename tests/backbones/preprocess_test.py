import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.errors import InputError

RGB = Preprocess(
    alignment="dlib_chip",
    size=4,
    mean=(122.782, 117.001, 104.298),
    scale=256.0,
    colour_order="RGB",
    unit_norm=False,
)
PER_CHANNEL = dataclasses.replace(RGB, scale=(58.0, 57.0, 56.0), colour_order="BGR")
apply = jax.jit(lambda preprocess, images: preprocess(images), static_argnums=0)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, 4, 4, 3)).astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("preprocess", [RGB, PER_CHANNEL])
@pytest.mark.parametrize("call", [apply, lambda preprocess, x: preprocess(x)])
def test_centres_scales_and_orders_as_numpy_does(preprocess, call, images):
    expected = (255.0 * images - np.array(preprocess.mean)) / preprocess.scale
    if preprocess.colour_order == "BGR":
        expected = expected[..., [2, 1, 0]]
    found = call(preprocess, jnp.array(images))
    assert found.dtype == jnp.float32
    # float32 rounding of values up to 255, divided by at least 56
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.uint8), "uint8"),
        (np.zeros((1, 4, 4, 3), np.float16), "float16"),
        (np.zeros((1, 5, 4, 3), np.float32), "shape"),
        (np.zeros((1, 4, 4, 1), np.float32), "shape"),
        (np.zeros((4, 4, 3), np.float32), "shape"),
        (np.zeros((1, 1, 4, 4, 3), np.float32), "shape"),
    ],
)
@pytest.mark.parametrize("call", [apply, lambda preprocess, x: preprocess(x)])
def test_refuses_images_that_are_no_float_crops_of_its_size(images, message, call):
    with pytest.raises(ValueError, match=message):
        call(RGB, jnp.array(images))


def test_templates_are_raw_or_on_the_unit_sphere():
    embeddings = jnp.array([[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]])
    assert RGB.normalise(embeddings) is embeddings
    found = dataclasses.replace(RGB, unit_norm=True).normalise(embeddings)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, -1.0], [0.0, 0.0]], rtol=1e-6)
    single = dataclasses.replace(RGB, unit_norm=True).normalise(embeddings[0])
    np.testing.assert_allclose(single, [0.6, 0.8], rtol=1e-6)


def test_the_fingerprint_is_the_same_in_every_release():
    expected = "45dcc69ce82b05e0c9d3ebb371e2da372b96bf4cd8f1283b1c2c9b8df232fd4f"
    assert RGB.fingerprint == expected
    same = dataclasses.replace(RGB, scale=256)
    assert same == RGB and same.fingerprint == expected


def test_comes_back_from_json():
    fields = json.loads(json.dumps(dataclasses.asdict(PER_CHANNEL)))
    back = Preprocess(**fields)
    assert back == PER_CHANNEL and hash(back) == hash(PER_CHANNEL)


def test_the_fingerprint_tells_any_two_apart():
    others = [
        dataclasses.replace(RGB, **change)
        for change in (
            {"alignment": "arcface"},
            {"size": 5},
            {"mean": (122.783, 117.001, 104.298)},
            {"mean": (104.298, 117.001, 122.782)},
            {"scale": 255.0},
            {"colour_order": "BGR"},
            {"unit_norm": True},
        )
    ]
    assert len({p.fingerprint for p in [RGB, *others]}) == 8
    assert len({RGB, *others}) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size and scale must be positive"),
        ({"mean": (0.0, float("nan"), 0.0)}, "mean must be three finite numbers"),
        ({"mean": (0.0, 0.0)}, "mean must be three finite numbers"),
        ({"scale": 0.0}, "size and scale must be positive"),
        ({"scale": (1.0, -1.0, 1.0)}, "size and scale must be positive"),
        ({"scale": float("inf")}, "scale must be three finite numbers"),
        ({"colour_order": "GBR"}, "RGB or BGR, not 'GBR'"),
    ],
)
def test_refuses_fields_out_of_range(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(RGB, **change)
