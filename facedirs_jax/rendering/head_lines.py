"""Lines around the head: heights over the azimuth, seen from its vertical axis.

The azimuth is 0 degrees in front and 180 behind on both sides. Inside it is measured
by |x| / (|x| + |z|), which needs no trigonometry: 0 in front, 1 beside, 2 behind.
"""

import numpy as np

from facedirs_jax.rendering.compiled import njit

AXIS_Z = 0.38  # dm, where the axis stands on the base head
TABLE = 257  # heights of a line, at even steps of the measure
ROUNDING = 1.8  # degrees, standard deviation of the smoothing of a line's knots
_DEGREES = np.linspace(0, 180, 721)
_TAP = np.exp(-0.5 * (np.arange(-40, 41) * 0.25 / ROUNDING) ** 2)


def measure(degrees: np.ndarray) -> np.ndarray:
    """Azimuth in degrees -> its measure in [0, 2]."""
    radians = np.radians(degrees)
    across, ahead = np.sin(radians), np.cos(radians)
    share = across / (across + np.abs(ahead))
    return np.where(ahead >= 0, share, 2 - share)


_MEASURES = measure(_DEGREES)
_STEPS = np.linspace(0, 2, TABLE)
TABLE_DEGREES = np.interp(_STEPS, _MEASURES, _DEGREES)  # of a line's heights


def draw_line(degrees: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Smooth line through about these points.

    Args:
        degrees: [K] increasing from 0 to 180.
        heights: [K] dm.

    Returns:
        [TABLE] float32, dm.
    """
    return _smoothed(np.interp(_DEGREES, degrees, heights), _TAP)


@njit(nogil=True, error_model="numpy")
def _smoothed(heights: np.ndarray, tap: np.ndarray) -> np.ndarray:
    line = np.empty(TABLE, np.float32)
    half = len(tap) // 2
    for i in range(TABLE):
        at = int(np.searchsorted(_MEASURES, _STEPS[i]))
        total, weight = 0.0, 0.0
        for k in range(-half, half + 1):
            j = abs(at + k)
            j = 2 * (len(heights) - 1) - j if j >= len(heights) else j
            total += tap[k + half] * heights[j]
            weight += tap[k + half]
        line[i] = total / weight
    return line


@njit(inline="always")
def line_height(line: np.ndarray, x: float, z: float) -> float:
    """Height of a line, [TABLE] dm, at the azimuth of a point, dm."""
    across, ahead = abs(x), z - AXIS_Z
    share = across / max(across + abs(ahead), 1e-9)
    place = (share if ahead >= 0 else 2 - share) * 0.5 * (TABLE - 1)
    i = min(int(place), TABLE - 2)
    return line[i] + (place - i) * (line[i + 1] - line[i])
