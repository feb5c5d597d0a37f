"""Regions of the face's skin that differ in colour, in oil or in folds.

They lie on the base head, told by |x| and y in decimetres, and are painted once.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.texels import (
    CLOUDS,
    FIELD_STEPS,
    Texels,
    cloud_fields,
    head_mask,
    head_texels,
)
from facedirs_jax.rendering.vectors import smooth_step

# Layers of `skin_zones`.
EVEN, PIGMENT, BLOOD, FLUSH, UNDER_EYE, FRECKLES, LIPS, LID, OIL, DARK = range(10)

BELLS = np.array(  # layer, strength, |x| and y of the centre, their spreads, dm
    [
        (PIGMENT, 0.30, 0.00, 6.62, 0.32, 0.20),  # around the mouth
        (PIGMENT, 0.35, 0.64, 7.45, 0.14, 0.26),  # temples
        (PIGMENT, 0.18, 0.00, 7.98, 0.45, 0.16),
        (PIGMENT, 0.25, 0.64, 6.60, 0.20, 0.26),  # jaw
        (PIGMENT, 0.40, 0.17, 6.90, 0.05, 0.06),  # sides of the nostrils
        (PIGMENT, 0.50, 0.20, 7.26, 0.05, 0.06),  # inner corners of the eyes
        (PIGMENT, 0.35, 0.33, 7.36, 0.15, 0.05),
        (BLOOD, 0.80, 0.00, 6.91, 0.13, 0.09),  # tip of the nose
        (BLOOD, 0.55, 0.16, 6.90, 0.06, 0.07),
        (BLOOD, 0.55, 0.42, 6.97, 0.20, 0.16),  # cheeks
        (BLOOD, 0.40, 0.00, 6.33, 0.17, 0.09),  # chin
        (BLOOD, 0.40, 0.20, 7.24, 0.05, 0.05),
        (BLOOD, 0.30, 0.32, 7.34, 0.15, 0.06),
        (BLOOD, 0.20, 0.00, 7.52, 0.12, 0.12),
        (FLUSH, 0.90, 0.43, 6.98, 0.19, 0.15),
        (FLUSH, 0.80, 0.00, 6.93, 0.14, 0.12),
        (FLUSH, 0.25, 0.00, 6.33, 0.15, 0.09),
        (UNDER_EYE, 1.00, 0.285, 7.145, 0.13, 0.060),
        (UNDER_EYE, 0.60, 0.205, 7.215, 0.045, 0.06),
        (FRECKLES, 1.00, 0.00, 7.04, 0.45, 0.17),
        (FRECKLES, 0.60, 0.42, 6.98, 0.20, 0.20),
        (FRECKLES, 0.35, 0.00, 7.80, 0.45, 0.20),
        (LID, 1.10, 0.330, 7.370, 0.15, 0.050),
        (OIL, 0.50, 0.00, 7.76, 0.30, 0.22),  # forehead
        (OIL, 1.00, 0.00, 7.02, 0.09, 0.25),  # nose
        (OIL, 0.50, 0.00, 6.35, 0.14, 0.10),
        (OIL, 0.45, 0.46, 7.08, 0.14, 0.09),  # cheekbones
        (DARK, 1.00, 0.085, 6.835, 0.030, 0.024),  # nostrils
    ]
)
EAR_BLOOD = 0.8
FRONT = (0.35, 0.75)  # dm of z over which the bells come in
FARTHEST = 7.0  # squared spreads from its centre at which a bell ends
LIP_EDGE = (0.1, 0.7)  # of the mask
LID_EDGE = (7.29, 7.33)  # dm of y over which a lid's colour comes in
NECK_RIM, NECK_FADE = 2.0, 13.0  # texels of scale 1: even skin, and on from there
NECK_EDGE, SEAM_EDGE = 6.9, 0.03  # dm
MOUTH_EDGE = (1.2, 6.45)  # dm of z and y, beyond which an edge is the mouth's

# Lines: strength, half width in dm, and points (|x|, y).
FOLDS = (  # always there
    (0.75, 0.012, (0.20, 7.318), (0.25, 7.350), (0.30, 7.368), (0.35, 7.367)),
    (0.75, 0.012, (0.35, 7.367), (0.40, 7.353), (0.44, 7.327), (0.475, 7.297)),
    (0.95, 0.009, (0.205, 7.287), (0.235, 7.314), (0.272, 7.327), (0.311, 7.334)),
    (0.95, 0.009, (0.311, 7.334), (0.35, 7.333), (0.39, 7.326), (0.44, 7.290)),
    (0.45, 0.007, (0.222, 7.251), (0.277, 7.238), (0.311, 7.235), (0.353, 7.238)),
    (0.45, 0.007, (0.353, 7.238), (0.402, 7.250), (0.432, 7.266)),
    (0.80, 0.011, (0.00, 6.616), (0.10, 6.617), (0.20, 6.614), (0.27, 6.611)),
    (0.40, 0.014, (0.172, 6.985), (0.200, 6.930), (0.200, 6.870), (0.172, 6.830)),
)
WRINKLES = (  # of age
    (0.90, 0.012, (0.00, 7.715), (0.15, 7.728), (0.32, 7.735), (0.46, 7.700)),
    (1.00, 0.013, (0.00, 7.800), (0.15, 7.812), (0.32, 7.820), (0.50, 7.780)),
    (0.80, 0.012, (0.00, 7.885), (0.15, 7.895), (0.32, 7.895), (0.46, 7.860)),
    (0.60, 0.011, (0.00, 7.965), (0.15, 7.972), (0.34, 7.960)),
    (0.75, 0.014, (0.06, 7.390), (0.052, 7.50), (0.066, 7.59)),  # frown
    (0.60, 0.010, (0.00, 7.335), (0.07, 7.325)),
    (0.90, 0.010, (0.475, 7.29), (0.53, 7.325), (0.60, 7.375)),  # crow's feet
    (1.00, 0.010, (0.485, 7.272), (0.55, 7.28), (0.64, 7.295)),
    (0.90, 0.010, (0.475, 7.252), (0.54, 7.228), (0.61, 7.195)),
    (0.60, 0.009, (0.465, 7.236), (0.52, 7.19), (0.56, 7.140)),
    (0.90, 0.014, (0.215, 7.22), (0.26, 7.182), (0.33, 7.165), (0.44, 7.205)),
    (0.50, 0.010, (0.235, 7.15), (0.32, 7.118), (0.42, 7.130)),
    (1.00, 0.030, (0.18, 6.955), (0.235, 6.905), (0.30, 6.81), (0.345, 6.70)),
    (0.90, 0.027, (0.345, 6.70), (0.365, 6.61), (0.362, 6.53)),
    (0.80, 0.020, (0.285, 6.58), (0.32, 6.50), (0.335, 6.40)),
    (0.40, 0.016, (0.47, 6.96), (0.51, 6.76), (0.49, 6.60)),  # cheek
    (0.40, 0.016, (0.00, 6.435), (0.10, 6.44), (0.18, 6.455)),
    (0.35, 0.006, (0.05, 6.765), (0.055, 6.72)),  # upper lip
    (0.35, 0.006, (0.10, 6.755), (0.11, 6.71)),
    (0.35, 0.006, (0.16, 6.740), (0.175, 6.695)),
)
WRINKLE_SETS = 4
WANDER = 0.018  # dm, standard deviation of a wrinkle's way from its line
RELIEF = (0.5, 0.86)  # direction (|x|, y) along which a slope is told
STEEPEST = 2.33  # one over the largest t exp(-t^2)
_SEED = 30240


class Layers(NamedTuple):
    """Layers over the texture, and where in each row they are not 0.

    Attributes:
        values: [L, H, W] uint8 or int8.
        spans: [L, H, 2] int32, first column and end.
    """

    values: np.ndarray
    spans: np.ndarray


@functools.cache
def skin_zones(scale: int) -> Layers:
    """Where the layers EVEN to DARK lie.

    Returns:
        Of uint8, 255 for full strength. EVEN is 0 where the head meets the neck and
        full away from it.
    """
    texels = head_texels(scale)
    zones = np.zeros((DARK + 1, *texels.inside.shape), np.uint8)
    lips, ears = head_mask("lips", scale), head_mask("ears", scale)
    _paint_bells(texels.positions, texels.painted, lips, ears, BELLS, zones)
    zones[EVEN] = np.rint(255 * _away_from_neck(texels))
    folds = np.zeros((2, *texels.inside.shape), np.int8)
    still = np.zeros_like(folds)
    _paint_lines(texels.positions, texels.painted, _segments(FOLDS), still, 0.0, folds)
    zones[DARK] = np.maximum(zones[DARK], 2 * folds[0].astype(np.uint8))
    return _layers(zones)


@functools.cache
def wrinkles(scale: int, which: int) -> Layers:
    """One of `WRINKLE_SETS` ways for a face to fold with age.

    Returns:
        Of int8: depth, 127 for 1, and the slope along `RELIEF`, 64 for the steepest
        of a groove.
    """
    texels = head_texels(scale)
    segments = _segments(WRINKLES)
    rng = np.random.default_rng(_SEED + which)
    segments[:, 0] *= rng.uniform(0.3, 1.0, len(WRINKLES))[segments[:, 6].astype(int)]
    wide = cloud_fields(scale)[: CLOUDS[0][0]]
    wander = np.roll(wide, which, axis=0)[:2]
    unit = WANDER / FIELD_STEPS * (1 if which % 2 else -1)
    found = np.zeros((2, *texels.inside.shape), np.int8)
    _paint_lines(texels.positions, texels.painted, segments, wander, unit, found)
    return _layers(found)


def _layers(values: np.ndarray) -> Layers:
    there = values != 0
    first = there.argmax(axis=2)
    end = values.shape[2] - there[..., ::-1].argmax(axis=2)
    end[~there.any(axis=2)] = 0
    return Layers(values, np.stack([first, end], axis=-1).astype(np.int32))


def _away_from_neck(texels: Texels) -> np.ndarray:
    """[H, W] float32, 0 at the edge towards the neck."""
    x, y, z = np.moveaxis(texels.edge_positions, -1, 0)
    mouth = (z > MOUTH_EDGE[0]) & (y > MOUTH_EDGE[1])
    neck = (y < NECK_EDGE) & ~mouth & ((np.abs(x) > SEAM_EDGE) | (y < 6.5))
    share = np.clip((texels.edge_distance - NECK_RIM) / NECK_FADE, 0, 1)
    return np.where(neck, share * share * (3 - 2 * share), 1.0)


def _segments(lines: tuple) -> np.ndarray:
    """[S, 7]: strength, half width, both ends' |x| and y, number of the line."""
    return np.array(
        [
            (strength, width, *start, *end, number)
            for number, (strength, width, *points) in enumerate(lines)
            for start, end in itertools.pairwise(points)
        ],
        np.float64,
    )


@njit()
def _paint_bells(
    positions: np.ndarray,
    painted: np.ndarray,
    lips: np.ndarray,
    ears: np.ndarray,
    bells: np.ndarray,
    zones: np.ndarray,
) -> None:
    strengths = np.empty(len(zones))
    for row in range(len(painted)):
        for column in range(painted[row, 0], painted[row, 1]):
            x, y = abs(positions[row, column, 0]), positions[row, column, 1]
            z = positions[row, column, 2]
            front = smooth_step(FRONT[0], FRONT[1], z)
            strengths[:] = 0.0
            for b in range(len(bells)):
                across, up = (x - bells[b, 2]) / bells[b, 4], y - bells[b, 3]
                far = across * across + (up / bells[b, 5]) ** 2
                if far < FARTHEST:
                    strengths[int(bells[b, 0])] += front * bells[b, 1] * math.exp(-far)
            strengths[BLOOD] += EAR_BLOOD * ears[row, column]
            strengths[LID] *= smooth_step(LID_EDGE[0], LID_EDGE[1], y)
            strengths[LIPS] = smooth_step(LIP_EDGE[0], LIP_EDGE[1], lips[row, column])
            strengths[LIPS] *= smooth_step(1.0, 1.2, z)
            for k in range(len(strengths)):
                zones[k, row, column] = round(255 * min(strengths[k], 1.0))


@njit()
def _paint_lines(
    positions: np.ndarray,
    painted: np.ndarray,
    segments: np.ndarray,
    wander: np.ndarray,
    wander_step: float,
    lines: np.ndarray,
) -> None:
    """The deepest groove at each texel: its depth and its slope."""
    for row in range(len(painted)):
        for column in range(painted[row, 0], painted[row, 1]):
            if positions[row, column, 2] < FRONT[1]:
                continue
            x = abs(positions[row, column, 0] + wander_step * wander[0, row, column])
            y = positions[row, column, 1] + wander_step * wander[1, row, column]
            deepest, slope = 0.0, 0.0
            for s in range(len(segments)):
                reach = 2.5 * segments[s, 1]
                x0, y0 = segments[s, 2], segments[s, 3]
                x1, y1 = segments[s, 4], segments[s, 5]
                if x < min(x0, x1) - reach or x > max(x0, x1) + reach:
                    continue
                if y < min(y0, y1) - reach or y > max(y0, y1) + reach:
                    continue
                run, rise = x1 - x0, y1 - y0
                along = ((x - x0) * run + (y - y0) * rise) / (run * run + rise * rise)
                along = min(max(along, 0.0), 1.0)
                right = (x - x0 - along * run) / segments[s, 1]
                up = (y - y0 - along * rise) / segments[s, 1]
                depth = segments[s, 0] * math.exp(-right * right - up * up)
                if depth > deepest:
                    deepest = depth
                    slope = -depth * (RELIEF[0] * right + RELIEF[1] * up)
            lines[0, row, column] = round(127 * deepest)
            lines[1, row, column] = round(64 * slope * STEEPEST)
