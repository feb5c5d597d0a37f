"""Looks a texture up between its texels, inside compiled kernels."""

from facedirs_jax.rendering.compiled import njit


@njit(nogil=True)
def texture_place(uvs, t, mix, window, shape):
    """Column and row, not whole, of the texture that a point of a triangle shows."""
    last = 1 - mix[0] - mix[1]
    u = uvs[t, 0, 0] * mix[0] + uvs[t, 1, 0] * mix[1] + uvs[t, 2, 0] * last
    v = uvs[t, 0, 1] * mix[0] + uvs[t, 1, 1] * mix[1] + uvs[t, 2, 1] * last
    x = (u - window[0]) / (window[1] - window[0]) * shape[1] - 0.5
    y = (v - window[2]) / (window[3] - window[2]) * shape[0] - 0.5
    return min(max(x, 0.0), shape[1] - 1.001), min(max(y, 0.0), shape[0] - 1.001)


@njit(nogil=True)
def sample(texture, channel, x, y):
    """A channel of a texture [H, W, C] between four texels."""
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    upper = texture[j, i, channel] * (1 - fx) + texture[j, i + 1, channel] * fx
    lower = texture[j + 1, i, channel] * (1 - fx) + texture[j + 1, i + 1, channel] * fx
    return upper * (1 - fy) + lower * fy
