"""Vectors of three numbers, as tuples, inside compiled kernels."""

import math

from facedirs_jax.rendering.compiled import njit


@njit(nogil=True)
def dot(a, b):
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(nogil=True)
def plus(a, b, times):
    """The vector a + times * b."""
    return a[0] + times * b[0], a[1] + times * b[1], a[2] + times * b[2]


@njit(nogil=True)
def scaled(a, times):
    """The vector times * a."""
    return a[0] * times, a[1] * times, a[2] * times


@njit(nogil=True)
def product(a, b):
    """Number by number, as a surface's colour times that of the light."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


@njit(nogil=True)
def blend(a, b, share):
    """From a at a share of 0 to b at 1."""
    return plus(a, plus(b, a, -1.0), share)


@njit(nogil=True, error_model="numpy")
def unit(a):
    """The vector at length 1."""
    return scaled(a, 1.0 / (math.sqrt(dot(a, a)) + 1e-12))


@njit(nogil=True, error_model="numpy")
def towards(start, end):
    """The unit vector from one point to another."""
    return unit(plus(end, start, -1.0))


@njit(nogil=True)
def apart(a, b):
    """Distance along the axes, summed."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2])


@njit(inline="always")
def smooth_step(low, high, value):
    """0 up to low, 1 from high on, with a smooth cubic between; low may be higher."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3 - 2 * t)
