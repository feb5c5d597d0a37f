"""Minimal filtering against XLA's convolution, and where it is used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.backbones import convolution
from facedirs_jax.backbones.convolution import CHANNELS, convolve, minimal_filtering

PADS = [((1, 1), (1, 1)), ((0, 0), (0, 0)), ((0, 1), (2, 0))]


def direct(x, kernel, padding):
    names = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=names,
        precision=jax.lax.Precision.HIGHEST,
    )


def random(shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


@pytest.mark.parametrize("padding", PADS)
@pytest.mark.parametrize("side", [(3, 3), (4, 7), (8, 5), (14, 14)])
def test_it_is_a_convolution(side, padding):
    x, kernel = random((2, *side, 5)), random((3, 3, 5, 4), 1)
    found = minimal_filtering(x, kernel, padding)
    expected = direct(x, kernel, padding)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_its_rounding_is_of_the_size_of_the_convolutions():
    x, kernel = random((2, 14, 14, 256)), random((3, 3, 256, 256), 1)
    wide = _float64(x, kernel)
    scale = np.sqrt(np.mean(wide**2))
    errors = [
        np.sqrt(np.mean((found - wide) ** 2)) / scale
        for found in (minimal_filtering(x, kernel, PADS[0]), direct(x, kernel, PADS[0]))
    ]
    assert errors[0] < 1e-6 and errors[0] < 10 * errors[1]


def _float64(x, kernel):
    """The same convolution as sums of products in double precision."""
    padded = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    _, height, width, _ = x.shape
    return sum(
        padded[:, i : i + height, j : j + width] @ np.float64(kernel[i, j])
        for i in range(3)
        for j in range(3)
    )


def test_its_gradients_are_the_convolutions():
    x, kernel = random((2, 5, 6, 3)), random((3, 3, 3, 4), 1)
    weights = random((2, 5, 6, 4), 2)

    def gradients(convolved):
        return jax.grad(
            lambda *given: (weights * convolved(*given, PADS[0])).sum(), (0, 1)
        )(x, kernel)

    for found, expected in zip(
        gradients(minimal_filtering), gradients(direct), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def convolutions(kernel_shape, strides=(1, 1), dtype=jnp.float32):
    """How many of XLA's convolutions a compiled `convolve` holds."""
    x = jax.ShapeDtypeStruct((1, 6, 6, kernel_shape[2]), dtype)
    kernel = jax.ShapeDtypeStruct(kernel_shape, dtype)
    function = jax.jit(lambda x, k: convolve(x, k, strides=strides, padding=PADS[0]))
    return str(function.lower(x, kernel).compiler_ir()).count("stablehlo.convolution")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is for CPUs alone")
def test_it_is_used_between_many_channels_alone():
    many = (3, 3, CHANNELS, CHANNELS)
    assert convolutions(many) == 0
    assert convolutions((3, 3, CHANNELS, CHANNELS - 1)) == 1
    assert convolutions(many, strides=(2, 2)) == 1
    assert convolutions(many, dtype=jnp.bfloat16) == 1


def test_both_ways_give_the_same(monkeypatch):
    x, kernel = random((1, 6, 7, CHANNELS)), random((3, 3, CHANNELS, CHANNELS), 1)
    found = convolve(x, kernel, strides=(1, 1), padding=PADS[0])
    monkeypatch.setattr(convolution, "CHANNELS", CHANNELS + 1)
    expected = convolve(x, kernel, strides=(1, 1), padding=PADS[0])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
def test_kernels_of_one_place_are_convolutions(strides):
    x, kernel = random((2, 5, 6, 3)), random((1, 1, 3, 4), 1)
    found = convolve(x, kernel, strides=strides, padding=PADS[1])
    names = ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(
        x, kernel, strides, PADS[1], dimension_numbers=names
    )
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)
