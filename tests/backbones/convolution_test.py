"""Minimal filtering against XLA's convolution, and where it is used."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.backbones import convolution
from facedirs_jax.backbones.convolution import (
    CHANNELS,
    FEW_CHANNELS,
    NARROW,
    SMALL_MAP,
    convolve,
    minimal_filtering,
)

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


@pytest.mark.parametrize(
    ("channels", "padding", "kernel_size"),
    [
        (NARROW - 1, PADS[0], (3, 3)),
        (NARROW, PADS[0], (1, 3)),
        (NARROW, PADS[2], (2, 5)),
        (FEW_CHANNELS, PADS[0], (3, 3)),
        (FEW_CHANNELS, PADS[2], (3, 3)),
    ],
)
def test_gradients_are_the_convolutions(channels, padding, kernel_size, monkeypatch):
    monkeypatch.setattr(convolution, "LEAST", 0)
    x, kernel = random((2, 5, 6, channels)), random((*kernel_size, channels, channels))
    shape = direct(x, kernel, padding).shape
    weights = random(shape, 2)

    def gradients(convolved):
        return jax.jit(
            jax.grad(lambda *given: (weights * convolved(*given)).sum(), (0, 1))
        )(x, kernel)

    found = gradients(functools.partial(convolve, strides=(1, 1), padding=padding))
    expected = gradients(functools.partial(direct, padding=padding))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def convolutions(kernel_shape, strides=(1, 1), dtype=jnp.float32, side=16, batch=6):
    """How many of XLA's convolutions a lowered `convolve` holds."""
    x = jax.ShapeDtypeStruct((batch, side, side, kernel_shape[2]), dtype)
    kernel = jax.ShapeDtypeStruct(kernel_shape, dtype)
    function = jax.jit(lambda x, k: convolve(x, k, strides=strides, padding=PADS[0]))
    return str(function.lower(x, kernel).compiler_ir()).count("stablehlo.convolution")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is for CPUs alone")
def test_minimal_filtering_is_used_where_it_pays_alone():
    few, many = ((3, 3, width, width) for width in (FEW_CHANNELS, CHANNELS))
    large = round(SMALL_MAP**0.5) + 1
    assert convolutions(few) == convolutions(many, side=large) == 0
    assert convolutions(few, side=large) == convolutions(few, batch=5) == 1
    assert convolutions((3, 3, FEW_CHANNELS, FEW_CHANNELS - 1)) == 1
    assert convolutions((1, 3, FEW_CHANNELS, FEW_CHANNELS)) == 1
    assert convolutions(few, strides=(2, 2)) == 1
    assert convolutions(few, dtype=jnp.bfloat16) == 1


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
