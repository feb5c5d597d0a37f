"""Oracle: a writer of the format, which gives the published file back to the byte."""

import math
import struct

import numpy as np
import pytest

from facedirs_jax.conversion import dlib_dat
from facedirs_jax.conversion.dlib_dat import (
    ADD,
    FACE_RESNET,
    MEAN,
    RELU,
    SKIP,
    TAG,
    DlibHeader,
    Layer,
    affine,
    con,
    halving,
    read_dlib_network,
    residual,
)
from facedirs_jax.conversion.dlib_stream import Stream
from facedirs_jax.dlib_models import dlib_model_path
from facedirs_jax.errors import InputError

TINY = (
    *(con(3, 2, 3, 2), affine(2), RELU, Layer("max_pool", (3, 3, 2, 2, 0, 0))),
    *(residual(2) + halving(2, 3)),
    *(MEAN, Layer("fc", (3, 4))),
)
HEADER = DlibHeader(0.5, -0.75, (122.5, 117.0, 104.25), (150, 150))
TYPES = {
    "con": "con_4",
    "affine": "affine_",
    "relu": "relu_",
    "add_prev": "add_prev_",
    "max_pool": "max_pool_2",
    "avg_pool": "avg_pool_2",
    "fc": "fc_2",
}
NEWER = {"con": ("con_6", "10"), "affine": ("affine_2", "0"), "fc": ("fc_3", "1")}


def integer(value):
    count = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([count | 0x80 * (value < 0)]) + abs(value).to_bytes(count, "little")


def number(value, digits=24):
    """As float_details.h: the mantissa's own digits, less its last zero bytes."""
    fraction, exponent = math.frexp(value)
    mantissa, exponent = int(math.ldexp(fraction, digits)), exponent - digits
    for _ in range(8):
        if mantissa & 0xFF:
            break
        mantissa, exponent = mantissa >> 8, exponent + 8
    return integer(mantissa) + integer(exponent)


def name(text):
    return integer(len(text)) + text.encode()


def alias(*shape):
    return b"".join(map(integer, (1, *shape)))


def tensor(values, *shape):
    return b"".join(map(integer, (2, *shape))) + values.astype("<f4").tobytes()


EMPTY = tensor(np.zeros(0), 0, 0, 0, 0)
MULTIPLIERS = b"".join(number(m, digits=53) for m in (1.0, 1.0, 1.0, 0.0))


def details(label, layer, arrays):
    if layer.kind == "con":
        inputs, outputs, side, stride, padding = layer.sizes
        filters, biases = arrays[f"{label}.filters"], arrays[f"{label}.biases"]
        values = np.concatenate([filters.ravel(), biases])
        sizes = (outputs, side, side, stride, stride, padding, padding)
        aliases = alias(outputs, inputs, side, side) + alias(1, outputs, 1, 1)
        written = tensor(values, values.size, 1, 1, 1) + b"".join(map(integer, sizes))
        return written + aliases + MULTIPLIERS
    if layer.kind == "affine":
        (width,) = layer.sizes
        values = np.concatenate([arrays[f"{label}.gamma"], arrays[f"{label}.beta"]])
        written = tensor(values, 2 * width, 1, 1, 1) + 2 * alias(1, width, 1, 1)
        return written + integer(0)
    if layer.kind == "fc":
        inputs, outputs = layer.sizes
        written = integer(outputs) + integer(inputs)
        written += tensor(arrays[f"{label}.weights"], inputs, outputs, 1, 1)
        aliases = alias(inputs, outputs, 1, 1) + alias(0, 0, 0, 0)
        return written + aliases + integer(1) + MULTIPLIERS
    return b"".join(map(integer, layer.sizes))


def written(layers, header, arrays, newer=()):
    """A whole file; kinds in `newer` as a later dlib writes them."""
    out = integer(1) + name("loss_metric_2")
    out += number(header.margin) + number(header.distance_threshold)
    for layer in layers[:0:-1]:
        out += integer(1 if layer in (TAG, SKIP) else 2)
    out += integer(3) + name("input_rgb_image_sized")
    out += b"".join(map(number, header.input_mean))
    out += b"".join(map(integer, header.input_size))
    for index, (label, layer) in enumerate(dlib_dat._labelled(layers)):
        if layer in (TAG, SKIP):
            continue
        kind, switches = TYPES[layer.kind], ""
        if layer.kind in newer:
            kind, switches = NEWER[layer.kind]
        affine_in_place = layer.kind == "affine" and layers[index + 1] == RELU
        flags = b"111" if affine_in_place or layer == ADD else b"110"
        out += name(kind) + details(label, layer, arrays) + switches.encode()
        out += flags + 3 * EMPTY + (b"" if index else integer(1))
    return out


@pytest.fixture(scope="module")
def tiny():
    """Arrays of the tiny network, and its file's bytes."""
    rng = np.random.default_rng(0)
    shapes = {
        **{"con_00": (2, 3), "con_01": (2, 2), "con_02": (2, 2)},
        **{"con_03": (3, 2), "con_04": (3, 3)},
    }
    arrays = {}
    for n, (label, shape) in enumerate(shapes.items()):
        arrays[f"{label}.filters"] = rng.normal(size=(*shape, 3, 3))
        arrays[f"{label}.biases"] = rng.normal(size=shape[0])
        arrays[f"affine_{n:02d}.gamma"] = rng.normal(size=shape[0])
        arrays[f"affine_{n:02d}.beta"] = rng.normal(size=shape[0])
    arrays["fc_00.weights"] = rng.normal(size=(3, 4))
    arrays = {key: array.astype(np.float32) for key, array in arrays.items()}
    return arrays, written(TINY, HEADER, arrays)


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a file of the tiny network."""

    def read_bytes(content, layers=TINY):
        (tmp_path / "net.dat").write_bytes(content)
        return read_dlib_network(tmp_path / "net.dat", layers=layers)

    return read_bytes


def test_the_published_file_comes_back_to_the_byte():
    path = dlib_model_path("dlib_face_recognition_resnet_model_v1.dat")
    header, arrays = read_dlib_network(path)
    assert written(FACE_RESNET, header, arrays) == path.read_bytes()
    assert header.input_size == (150, 150)
    assert sum(array.size for array in arrays.values()) == 5_614_592
    assert list(arrays)[:2] == ["con_00.filters", "con_00.biases"]


def test_a_network_comes_back_in_execution_order(tiny, read):
    arrays, content = tiny
    header, found = read(content)
    assert header == HEADER
    assert list(found) == list(arrays)
    for key, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[key])


def test_files_of_a_newer_dlib_hold_the_same_arrays(tiny, read):
    arrays, _ = tiny
    _, found = read(written(TINY, HEADER, arrays, newer=NEWER))
    for key, array in found.items():
        np.testing.assert_array_equal(array, arrays[key])


def test_a_switch_that_changes_the_layer_is_refused(tiny, read):
    content = written(TINY, HEADER, tiny[0], newer=("affine",))
    at = content.index(b"0111", content.index(b"affine_2"))  # the switch, then flags
    message = f"switch of affine_00 to be False at byte {at}, got True"
    with pytest.raises(InputError, match=message):
        read(content[:at] + b"1" + content[at + 1 :])


@pytest.mark.parametrize("value", [0, 1, -1, 255, 256, -256, 2**63 - 1, -(2**63)])
def test_integers_come_back(value):
    stream = Stream(integer(value), "here")
    assert stream.integer("it") == value
    stream.end()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.5, 0.04, 1e-30, -3e38, 122.782])
def test_numbers_come_back(value):
    single = struct.unpack("f", struct.pack("f", value))[0]
    assert Stream(number(single), "here").number("it") == single
    assert Stream(number(value, digits=53), "here").number("it") == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            integer(1) + integer(32000),
            r"it to be finite at byte 0, got 1 \* 2\*\*32000",
        ),
        (integer(1) + integer(-(2**62)), "it to be finite"),
        (b"3.5 ", "0x33, which starts no integer"),  # text, of dlib before 2013
        (b"\x09", "0x09, which starts no integer"),
        (b"\x00", "0x00, which starts no integer"),
        (b"\x02\x01", "the end of the file after 1 of its 2 bytes"),
        (b"", "the end of the file after 0 of its 1 bytes"),
    ],
)
def test_a_number_that_is_none_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        Stream(content, "here").number("it")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tiny, read, value):
    arrays = dict(tiny[0])
    arrays["con_03.biases"] = np.array([0.0, value, 0.0], np.float32)
    content = written(TINY, HEADER, arrays)
    at = content.index(struct.pack("<f", value))
    message = f"parameters of con_03 to be finite at byte {at}, got {value}"
    with pytest.raises(InputError, match=message):
        read(content)


def test_a_file_cut_short_anywhere_is_refused(tiny, read):
    _, content = tiny
    for end in [*range(0, 400), *range(400, len(content), 7), len(content) - 1]:
        with pytest.raises(InputError, match="got the end of the file after"):
            read(content[:end])


def test_trailing_bytes_are_refused(tiny, read):
    content = tiny[1]
    message = f"expected the end of the file at byte {len(content)}, got 1 more bytes"
    with pytest.raises(InputError, match=message):
        read(content + b"\n")


def test_a_flipped_byte_is_refused_or_changes_values_alone(tiny, read):
    arrays, content = tiny
    shapes, refused = [array.shape for array in arrays.values()], 0
    for at in range(0, len(content), 2):
        flipped = bytearray(content)
        flipped[at] ^= (0x01, 0x80, 0xFF)[at % 3]
        try:
            _, found = read(bytes(flipped))
        except InputError as error:
            refused += 1
            assert "net.dat: expected" in str(error)
        else:
            assert [a.shape for a in found.values()] == shapes
    assert refused > len(content) // 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at byte 0, got the end of the file after 0 of its 1 bytes"),
        (b"Hello, I am a text.\n", "version of the loss layer at byte 0, got 0x48"),
        (b"PK\x03\x04 a zip", "0x50, which starts no integer"),
        (bytes(1000), "0x00, which starts no integer"),
        (np.random.default_rng(0).bytes(1000), "at byte"),
    ],
)
def test_what_is_no_network_is_refused(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("shape_predictor_68_face_landmarks.dat", "''"),
        ("mmod_human_face_detector.dat", "'loss_mmod_'"),
    ],
)
def test_another_model_of_dlib_is_refused_with_advice(file, found):
    message = (
        f"{file}: expected loss to be 'loss_metric_2' at byte 2, got {found}. The file "
        ".* take dlib_face_recognition_resnet_model_v1.dat as the pip package"
    )
    with pytest.raises(InputError, match=message):
        read_dlib_network(dlib_model_path(file))


def test_a_network_of_other_layers_is_refused(tiny, read):
    with pytest.raises(InputError, match="expected version of tag_00 to be 1 at byte"):
        read(tiny[1], (con(3, 2, 3, 2), affine(2), TAG, Layer("fc", (3, 4))))
    wider = (con(3, 5, 3, 2), *TINY[1:])
    with pytest.raises(InputError, match="shape of parameters of con_00 to be 2 140 1"):
        read(tiny[1], wider)
