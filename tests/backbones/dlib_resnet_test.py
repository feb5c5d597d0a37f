"""Oracles: dlib itself, and a plain float64 numpy network on the same arrays."""

import dataclasses
import functools
from typing import Any

import dlib as _dlib
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from flax import nnx

from facedirs_jax.backbones import dlib_resnet
from facedirs_jax.backbones.dlib_resnet import DlibResNet, DlibResNetConfig
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.conversion import dlib_dat, strict
from facedirs_jax.dlib_models import dlib_model_path

dlib: Any = _dlib
# float32 sums of up to 2304 terms; dlib's own differ from float64 by as much
PARITY = 2e-6


@pytest.fixture(scope="module")
def published():
    return load_backbone("dlib_resnet")


@pytest.fixture(scope="module")
def oracle():
    return dlib.face_recognition_model_v1(str(dlib_model_path(dlib_resnet.FILE)))


@jax.jit
def forward(network, inputs):
    with jax.default_matmul_precision("highest"):
        return network(inputs)


def embed(backbone, chips):
    """Embeddings of uint8 chips; repeats the last one up to one batch shape."""
    padded = np.stack([*chips, *chips[-1:] * (-len(chips) % 16)])
    images = padded.astype(np.float32) / np.float32(255)
    inputs = backbone.preprocess(jnp.array(images)).reshape(-1, 16, 150, 150, 3)
    outputs = [forward(backbone.network, batch) for batch in inputs]
    return np.concatenate(outputs)[: len(chips)]


@functools.cache
def detector_and_predictor():
    points = dlib_model_path("shape_predictor_5_face_landmarks.dat")
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(points))


def chips_of(image):
    """dlib's chips of the faces that dlib finds."""
    detector, predictor = detector_and_predictor()
    image = np.ascontiguousarray(image)
    shapes = [predictor(image, face) for face in detector(image, 0)]
    return [dlib.get_face_chip(image, s, size=150, padding=0.25) for s in shapes]


def assert_equals_dlib(published, oracle, chips):
    expected = [oracle.compute_face_descriptor(np.ascontiguousarray(c)) for c in chips]
    found = embed(published, chips)
    np.testing.assert_allclose(found, np.array(expected), rtol=0, atol=PARITY)


def test_equals_dlib_on_chips_of_every_kind(published, oracle):
    photo = skimage.data.astronaut()
    rng = np.random.default_rng(0)
    (chip,) = chips_of(photo)
    (mirrored,) = chips_of(photo[:, ::-1])
    chips = [chip, mirrored, chip[::-1], np.rot90(chip), 255 - chip, chip[..., ::-1]]
    chips += [chip // 4, chip.mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)]
    chips += [np.roll(chip, 9, axis=1), np.zeros_like(chip), np.full_like(chip, 255)]
    chips += list(rng.integers(0, 256, (5, 150, 150, 3), dtype=np.uint8))
    assert_equals_dlib(published, oracle, chips)


def test_equals_dlib_on_real_portraits(published, oracle, congress):
    files = sorted(congress.glob("*.jpg"))[::16]
    chips = [c for f in files for c in chips_of(dlib.load_rgb_image(str(f)))]
    assert len(chips) >= 32
    assert_equals_dlib(published, oracle, chips)


def test_wrong_preprocessing_would_be_seen(published, oracle):
    (chip,) = chips_of(skimage.data.astronaut())
    expected = np.array(oracle.compute_face_descriptor(chip))
    for change in ({"colour_order": "BGR"}, {"scale": 255.0}):
        wrong = dataclasses.replace(published.preprocess, **change)
        found = embed(published._replace(preprocess=wrong), [chip])[0]
        assert np.abs(found - expected).max() > 20 * PARITY, change


# A plain float64 network, one image at a time, on the arrays as the file has them.


def convolved(x, arrays, number, stride, padding):
    filters = arrays[f"con_{number:02d}.filters"].astype(float)
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    side = filters.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
    windows = windows[::stride, ::stride]  # [rows, columns, channels, side, side]
    sums = np.tensordot(windows, filters, axes=((2, 3, 4), (1, 2, 3)))
    sums = sums + arrays[f"con_{number:02d}.biases"]
    gamma, beta = (arrays[f"affine_{number:02d}.{n}"] for n in ("gamma", "beta"))
    return gamma * sums + beta


def pooled(x, side, reduce):
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
    return reduce(windows[::2, ::2], axis=(3, 4))


def layers_in_float64(x, arrays, config):
    """Output of the stem, of every block and of the whole, by dotted path."""
    x = np.maximum(convolved(x.astype(float), arrays, 0, 2, 0), 0)
    layers = {"stem": x}
    x = pooled(x, 3, np.max)
    halving = np.cumsum([0, *config.blocks])[1:-1]
    for block in range(sum(config.blocks)):
        stride, padding = (2, 0) if block in halving else (1, 1)
        inner = np.maximum(convolved(x, arrays, 2 * block + 1, stride, padding), 0)
        inner = convolved(inner, arrays, 2 * block + 2, 1, 1)
        shortcut = pooled(x, 2, np.mean) if block in halving else x
        x = np.zeros(np.maximum(inner.shape, shortcut.shape))
        for part in (inner, shortcut):
            rows, columns, channels = part.shape
            x[:rows, :columns, :channels] += part
        x = np.maximum(x, 0)
        layers[f"blocks.{block}"] = x
    return layers | {"": x.mean(axis=(0, 1)) @ arrays["fc_00.weights"]}


def arrays_of(config, rng):
    """Random arrays under the names that the reader gives."""
    sides = [(3, config.widths[0], 7)]
    channels = config.widths[0]
    for width, count in zip(config.widths, config.blocks, strict=True):
        for _ in range(count):
            sides += [(channels, width, 3), (width, width, 3)]
            channels = width
    arrays = {"fc_00.weights": rng.normal(size=(channels, config.embedding_dim))}
    for n, (inputs, outputs, side) in enumerate(sides):
        filters = rng.normal(size=(outputs, inputs, side, side))
        arrays[f"con_{n:02d}.filters"] = filters / np.sqrt(inputs * side**2)
        arrays[f"con_{n:02d}.biases"] = rng.normal(size=outputs)
        arrays[f"affine_{n:02d}.gamma"] = rng.normal(size=outputs)
        arrays[f"affine_{n:02d}.beta"] = rng.normal(size=outputs)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def filled(config, arrays):
    abstract = nnx.eval_shape(lambda: DlibResNet(config, rngs=nnx.Rngs(0)))
    return strict.fill(abstract, arrays, dlib_resnet._rules(config))


@jax.jit
def captured(network, inputs):
    with jax.default_matmul_precision("highest"):
        return nnx.capture(network, nnx.Intermediate, method_outputs=nnx.Intermediate)(
            inputs
        )[1]


def assert_layers_equal(network, arrays, inputs):
    outputs = {
        ".".join(map(str, path[:-1])): value[0]
        for path, value in nnx.to_flat_state(captured(network, inputs))
    }
    for n, image in enumerate(np.asarray(inputs)):
        expected = layers_in_float64(image, arrays, network.config)
        for path, layer in expected.items():
            error = np.abs(outputs[path][n] - layer).max()
            assert outputs[path][n].shape == layer.shape, path
            # float32 rounding: at most 50 half-ulps of the largest value (14 measured)
            assert error <= 3e-6 * np.abs(layer).max(), path


def test_every_layer_equals_numpy_on_the_published_arrays(published):
    _, arrays = dlib_dat.read_dlib_network(dlib_model_path(dlib_resnet.FILE))
    (chip,) = chips_of(skimage.data.astronaut())
    images = jnp.array(chip[np.newaxis].astype(np.float32) / np.float32(255))
    assert_layers_equal(published.network, arrays, published.preprocess(images))


def test_every_layer_equals_numpy_on_random_arrays():
    config, rng = DlibResNetConfig.tiny(), np.random.default_rng(1)
    arrays = arrays_of(config, rng)
    inputs = jnp.array(rng.normal(size=(2, 150, 150, 3)).astype(np.float32))
    assert_layers_equal(filled(config, arrays), arrays, inputs)


@pytest.fixture(scope="module")
def tiny():
    config = DlibResNetConfig.tiny()
    return filled(config, arrays_of(config, np.random.default_rng(2)))


def test_gives_the_same_with_and_without_jit(tiny):
    inputs = jnp.array(np.random.default_rng(3).normal(size=(2, 150, 150, 3)), "f")
    plain = tiny(inputs)
    assert plain.shape == (2, 8) and plain.dtype == jnp.float32
    # relative to the largest value: XLA fuses and so rounds differently
    np.testing.assert_allclose(
        forward(tiny, inputs), plain, rtol=0, atol=1e-5 * np.abs(plain).max()
    )


def test_weights_are_arguments_of_a_jitted_function_and_the_card_is_static(tiny):
    inputs = jnp.zeros((1, 150, 150, 3))
    assert jax.make_jaxpr(lambda network, x: network(x))(tiny, inputs).consts == []
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tiny))
    assert jax.tree.map(lambda leaf: leaf, tiny).weights == tiny.weights


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((150, 150, 3), np.float32),
        np.zeros((1, 151, 150, 3), np.float32),
        np.zeros((1, 150, 150, 1), np.float32),
        np.zeros((1, 150, 150, 3), np.uint8),
    ],
)
def test_takes_only_float_images_of_its_own_size(tiny, images):
    with pytest.raises(ValueError, match=r"shape|type"):
        tiny(jnp.array(images))


def test_carries_the_card_of_the_published_weights(published):
    card = published.network.weights
    assert card == dlib_resnet.PUBLISHED
    assert card.commercial_use and card.licence == "CC0-1.0"


def test_the_default_file_must_be_the_published_one(tmp_path, monkeypatch):
    content = bytearray(dlib_model_path(dlib_resnet.FILE).read_bytes())
    content[5_000_000] ^= 1  # one bit of one weight
    (tmp_path / "net.dat").write_bytes(content)
    monkeypatch.setattr(dlib_resnet, "dlib_model_path", tmp_path.joinpath)
    monkeypatch.setattr(dlib_resnet, "FILE", "net.dat")
    with pytest.raises(ValueError, match=r"SHA-256.*reinstall"):
        dlib_resnet.load_dlib_resnet()
    card = dlib_resnet.load_dlib_resnet(path=tmp_path / "net.dat").weights
    assert (card.name, card.licence, card.commercial_use) == ("net", "unknown", False)
    assert card.sha256 != dlib_resnet.PUBLISHED.sha256


def test_a_file_with_another_mean_is_refused(tmp_path):
    content = bytearray(dlib_model_path(dlib_resnet.FILE).read_bytes())
    name = b"input_rgb_image_sized"
    content[content.index(name) + len(name) + 1] ^= 1  # mantissa of the red mean
    (tmp_path / "net.dat").write_bytes(content)
    with pytest.raises(ValueError, match="expected an input of 150 x 150 px with mean"):
        dlib_resnet.load_dlib_resnet(path=tmp_path / "net.dat")


def test_an_unknown_backbone_is_named_with_the_nearest_known_one():
    with pytest.raises(ValueError, match=r"known are: .*did you mean 'dlib_resnet'"):
        load_backbone("dlib_resnt")
