"""Eyes drawn by formula: iris, pupil, sclera, wet rim and the light in the cornea."""

import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.head_model import HeadModel
from facedirs_jax.rendering.lighting import room_light
from facedirs_jax.rendering.surface import Eyeballs, find_eyeballs
from facedirs_jax.rendering.vectors import blend, dot, plus, scaled, smooth_step, unit

IRIS_RGB = {  # linear
    "brown": (0.085, 0.035, 0.012),
    "hazel": (0.160, 0.090, 0.030),
    "green": (0.120, 0.160, 0.060),
    "blue": (0.120, 0.200, 0.340),
    "grey": (0.200, 0.230, 0.250),
}
IRIS_ANGLE = 0.46  # radians at the eyeball's centre, from gaze to limbus
LIMBUS = (0.92, 1.08)  # of the iris's radius, over which it turns into the sclera
LIMBAL_RING = 0.72  # of the iris's radius, where it starts to darken
PUPIL = 0.38  # of the iris's radius
CORNEA_TILT = 0.55  # how much more the cornea's normals fan out than the eyeball's
SCLERA = (0.60, 0.565, 0.54)  # linear RGB
CARUNCLE = (0.50, 0.22, 0.19)  # linear RGB, the inner corner
VEINS = 0.08  # redness of the sclera's edge
LID_SHADE, LID_SHADE_REACH = 0.55, 0.50  # strength; depth in eyeball radii
LASH_SHADE, LASH_SHADE_REACH = 0.55, 0.10  # of the lashes, right below the upper lid
RIM_SHADE, RIM_SHADE_REACH = 0.35, 0.12  # of the lower lid
CORNER_SHADE = 0.40
SLIT, SLIT_SHADE = (
    (0.12, 0.45),
    0.5,
)  # lids this near to each other, in radii, shade all
WET_RIM = 0.09  # eyeball radii, width of the tear film on the lower lid
FLASH_GLINT, WINDOW_GLINT = 1.8, 1.2  # light of the flash and of a window in the cornea
FLASH_SPOT = (math.cos(math.radians(15)), math.cos(math.radians(9)))
WINDOW = (-0.42, 0.55, 0.72)  # where the window is, unit
WINDOW_SPOT = (math.cos(math.radians(22)), math.cos(math.radians(12)))
LID_STEPS = 17  # entries of a lid's table, from x = -1 to 1
ROOT_REACH = 1.2  # eyeball radii; lashes start within it


class Eyes(NamedTuple):
    """Both eyes, the left one first.

    Attributes:
        centers: dm, about the head's centre.
        lids: [2, 2, LID_STEPS] float32: height of the upper and of the lower lid's rim
            across each eye, in eyeball radii.
        iris: linear RGB.
    """

    centers: tuple[tuple[float, ...], tuple[float, ...]]
    lids: np.ndarray
    iris: tuple[float, float, float]


def make_eyes(
    model: HeadModel, shape: np.ndarray, center: np.ndarray, iris: str
) -> Eyes:
    """Eyes of a shape of the head.

    Args:
        model: the head model.
        shape: [V, 3] float32, dm, vertices with their expression.
        center: [3] dm, the head's centre.
        iris: one of `IRIS_RGB`.

    Returns:
        The eyes.
    """
    balls = find_eyeballs(model, shape)
    lids = [
        [_rim(shape[rows], balls, eye) for rows in (upper, lower)]
        for eye, (upper, lower) in enumerate(_lash_roots(model))
    ]
    left, right = (balls.centers - center).tolist()
    return Eyes((tuple(left), tuple(right)), np.array(lids, np.float32), IRIS_RGB[iris])


def _rim(roots: np.ndarray, balls: Eyeballs, eye: int) -> np.ndarray:
    offsets = roots.astype(np.float64) - balls.centers[eye]
    lengths = np.sqrt((offsets**2).sum(axis=1))
    across, up = offsets[:, 0] / lengths, offsets[:, 1] / lengths
    order = np.argsort(across, kind="stable")
    return np.interp(np.linspace(-1, 1, LID_STEPS), across[order], up[order])


def _lash_roots(model: HeadModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each eye, vertices on the rim of its upper lid and of its lower one."""
    return [
        (_roots(model, f"{side}-eyelashes-2"), _roots(model, f"{side}-eyelashes-1"))
        for side in "lr"
    ]


def _roots(model: HeadModel, name: str) -> np.ndarray:
    balls = find_eyeballs(model, model.vertices)
    eye = "lr".index(name[0])
    rows = np.unique(model.parts[name])
    offsets = model.vertices[rows] - balls.centers[eye]
    near = (offsets**2).sum(axis=1) < (ROOT_REACH * balls.radii[eye]) ** 2
    return rows[near]


@njit(nogil=True)
def lid_height(lids, eye, lid, x):
    """Height of a lid's rim over one place of the eye; see `Eyes.lids`."""
    place = min(max((x + 1) * 0.5, 0.0), 1.0) * (LID_STEPS - 1)
    k = min(int(place), LID_STEPS - 2)
    low, high = lids[eye, lid, k], lids[eye, lid, k + 1]
    return low + (high - low) * (place - k)


@njit(nogil=True)
def lit_eye(light, iris, eye, upper, lower, normal, view, visible):
    """Light that an eye sends to the camera.

    Args:
        light: flash and room.
        iris: its colour.
        eye: 0 left, 1 right.
        upper: height of the upper lid's rim above the eye's middle, in radii.
        lower: of the lower lid's rim.
        normal: of the eyeball, without the cornea's bulge.
        view: towards the camera.
        visible: share of the flash that reaches it.

    Returns:
        Linear red, green and blue.
    """
    color = _eye_color(iris, eye, normal, light.direction)
    below, above = upper - normal[1], normal[1] - lower
    shade = 1 - LID_SHADE * smooth_step(LID_SHADE_REACH, 0.0, below)
    shade *= 1 - LASH_SHADE * smooth_step(LASH_SHADE_REACH, 0.0, below)
    shade *= 1 - RIM_SHADE * smooth_step(RIM_SHADE_REACH, 0.0, above)
    open_eye = smooth_step(SLIT[0], SLIT[1], upper - lower)
    shade *= 1 - SLIT_SHADE * (1 - open_eye)
    shade *= 1 - CORNER_SHADE * smooth_step(0.45, 1.0, abs(normal[0]))
    facing = max(0.0, (dot(normal, light.direction) + 0.1) / 1.1)
    flash = light.flash * facing * visible
    room = room_light(light, normal[1], 1.0)
    wet = 0.25 * open_eye * smooth_step(WET_RIM, 0.35 * WET_RIM, above)
    bulged = _cornea_normal(normal)
    mirror = plus(scaled(bulged, 2 * dot(bulged, view)), view, -1.0)
    spot = smooth_step(FLASH_SPOT[0], FLASH_SPOT[1], dot(mirror, light.direction))
    window = smooth_step(WINDOW_SPOT[0], WINDOW_SPOT[1], dot(mirror, WINDOW))
    sparkle = FLASH_GLINT * spot * light.flash * visible * (0.3 + 0.7 * open_eye)
    sparkle += WINDOW_GLINT * window * room[1] * shade + wet * (room[1] + 0.5 * flash)
    return (
        color[0] * shade * (room[0] + flash) + sparkle,
        color[1] * shade * (room[1] + flash) + sparkle,
        color[2] * shade * (room[2] + flash) + sparkle,
    )


@njit(nogil=True)
def _eye_color(iris, eye, place, flash):
    """Albedo of an eye in a direction from its middle."""
    share = math.acos(min(1.0, max(-1.0, place[2]))) / IRIS_ANGLE
    inwards = -place[0] if eye == 0 else place[0]
    color = blend(SCLERA, CARUNCLE, smooth_step(0.62, 0.85, inwards))
    waves = math.sin(place[0] * 90 + place[1] * 37)
    waves *= math.sin(place[1] * 71 - place[0] * 23)
    veins = max(0.0, share - 1) * (VEINS + 0.7 * VEINS * waves)
    color = plus(color, (0.25, 1.0, 1.0), -veins)
    if share > LIMBUS[1]:
        return color
    shade = _iris_shade(place, share, flash)
    return blend(scaled(iris, shade), color, smooth_step(LIMBUS[0], LIMBUS[1], share))


@njit(nogil=True)
def _iris_shade(place, share, flash):
    """Brightness of the iris at a share of its radius, fibres and pupil and all."""
    around = math.atan2(place[1], place[0])
    fibres = 0.80 + 0.20 * math.sin(around * 23 + 3 * math.sin(around * 7))
    ring = 1 - 0.80 * smooth_step(LIMBAL_RING, 1.0, share)
    # The cornea gathers light on the side away from the flash.
    caustic = max(0.4, 1 - 0.9 * (place[0] * flash[0] + place[1] * flash[1]))
    collarette = 1 + 0.4 * smooth_step(0.75, 0.45, share)
    pupil = 0.04 + 0.96 * smooth_step(PUPIL * 0.88, PUPIL * 1.12, share)
    return fibres * ring * caustic * collarette * pupil


@njit(nogil=True)
def _cornea_normal(place):
    """Normal of the eyeball with the cornea's bulge."""
    angle = math.acos(min(1.0, max(-1.0, place[2])))
    fan = 1 + CORNEA_TILT * smooth_step(1.15, 0.9, angle / IRIS_ANGLE)
    return unit((place[0] * fan, place[1] * fan, place[2]))
