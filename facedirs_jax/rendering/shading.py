"""Deferred shading: from what each pixel shows to its colour under flash and room."""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.clothing import Cloth, cloth_color
from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.eyes import Eyes, lid_height, lit_eye
from facedirs_jax.rendering.lighting import Finish, lit_hair, lit_surface
from facedirs_jax.rendering.raster import NOTHING
from facedirs_jax.rendering.shadows import visibility
from facedirs_jax.rendering.surface import (
    BODY,
    CAVITY,
    FRAME,
    LEFT_EYE,
    RIGHT_EYE,
    SKIN,
    SOCKET,
    TEETH,
    TONGUE,
)
from facedirs_jax.rendering.texture import sample, texture_place
from facedirs_jax.rendering.vectors import (
    apart,
    plus,
    product,
    scaled,
    smooth_step,
    towards,
    unit,
)
from facedirs_jax.rendering.zones import RELIEF

SURFACE_BIAS, HAIR_BIAS, EYE_BIAS = 0.045, 0.07, 0.14  # dm, of shadows
LIFT = 0.02  # dm along the normal, of points that ask for their shadow
REUSE = 0.03  # dm; sub-pixels this close share one look at the shadows
NECK_SHADE, NECK_SHADE_REACH = 0.5, 0.06  # of skin beside a neckline; dm

# Per material: linear RGB (times the skin's or the frame's where they have one); gloss,
# roughness, scatter and share of the room's light of its `Finish`; the share of light
# that gets into its shadows from beside.
LOOKS = np.zeros((9, 8))
LOOKS[SKIN] = (1.0, 1.0, 1.0, 0.42, 0.50, 1.0, 1.0, 0.0)
LOOKS[BODY] = (1.0, 1.0, 1.0, 0.42, 0.50, 1.0, 1.0, 0.0)
LOOKS[CAVITY] = (0.12, 0.03, 0.03, 0.10, 0.50, 1.0, 0.35, 0.0)
LOOKS[SOCKET] = (0.80, 0.55, 0.52, 0.40, 0.40, 1.0, 0.80, 0.0)
LOOKS[TEETH] = (0.56, 0.51, 0.44, 0.60, 0.25, 0.3, 0.80, 0.16)
LOOKS[TONGUE] = (0.32, 0.10, 0.09, 0.55, 0.45, 1.0, 0.80, 0.12)
LOOKS[FRAME] = (1.0, 1.0, 1.0, 1.50, 0.30, 0.0, 1.0, 0.0)


class Subject(NamedTuple):
    """A head ready to be shaded: positions in dm about the head's centre.

    Attributes:
        points: [P, 3] float32.
        normals: [P, 3] float32, unit.
        occlusion: [P] float32, share of the room's light that reaches a point.
        triangles: [T, 3] int32.
        uvs: [T, 3, 2] float32.
        materials: [T] int8.
        base: [P, 3] float32, dm, the points in the base shape.
        texture: [H, W, 5] float32: linear RGB, relief, gloss.
        window: range of u and range of v of the texture.
        skin: linear RGB of the skin off the texture.
        skin_gloss: its gloss, times that of the texture's.
        frame: linear RGB of the glasses.
        eyes: both eyes.
        cloth: of the garment.
        reach: [P] float32, dm that the garment's neckline lies above a point.
        strands: [S, K, 3] float32.
        strand_colors: [S, 3] float32, linear RGB.
        strand_gloss: [S] float32.
    """

    points: np.ndarray
    normals: np.ndarray
    occlusion: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray
    materials: np.ndarray
    base: np.ndarray
    texture: np.ndarray
    window: tuple[float, float, float, float]
    skin: tuple[float, float, float]
    skin_gloss: float
    frame: tuple[float, float, float]
    eyes: Eyes
    cloth: Cloth
    reach: np.ndarray
    strands: np.ndarray
    strand_colors: np.ndarray
    strand_gloss: np.ndarray


@njit(nogil=True, error_model="numpy")
def shade(buffers, factor, subject, light, maps, camera, backdrop):
    """Colours a picture.

    Args:
        buffers: of the picture, `factor` times as large on a side.
        factor: sub-pixels along a pixel's side.
        subject: what stands before the camera.
        light: what lights it.
        maps: shadows of the flash.
        camera: three numbers, dm, where the camera is.
        backdrop: [S, S, 3] float32, linear RGB.

    Returns:
        [S, S, 3] float32, linear RGB.
    """
    ids, weights, looks = buffers.ids, buffers.weights, LOOKS
    size, num_triangles = len(backdrop), len(subject.triangles)
    picture = np.empty((size, size, 3), np.float32)
    for pixel in range(size * size):
        j, i = pixel // size, pixel % size
        total = (0.0, 0.0, 0.0)
        asked = (1e9, 1e9, 1e9, 1.0)  # a point, and its share of the flash
        for m in range(factor * factor):
            row, column = j * factor + m // factor, i * factor + m % factor
            what = ids[row, column]
            mix = (weights[row, column, 0], weights[row, column, 1])
            if what == NOTHING:
                shaded = (backdrop[j, i, 0], backdrop[j, i, 1], backdrop[j, i, 2])
            elif what >= num_triangles:
                segment = what - num_triangles
                shaded, asked = _shade_strand(
                    subject, light, maps, camera, asked, segment, mix[0]
                )
            else:
                material = subject.materials[what]
                if material == LEFT_EYE or material == RIGHT_EYE:
                    shaded, asked = _shade_eye(
                        subject, light, maps, camera, asked, what, mix
                    )
                else:
                    shaded, asked = _shade_surface(
                        subject, light, maps, camera, asked, what, mix, looks
                    )
            total = plus(total, shaded, 1.0)
        mean = scaled(total, 1.0 / (factor * factor))
        picture[j, i, 0], picture[j, i, 1], picture[j, i, 2] = mean
    return picture


@njit(inline="always")
def _ask(light, maps, asked, place, offset, bias):
    """A point's share of the flash; points next to each other share one answer."""
    if light.flash > 0 and apart(place, asked) > REUSE:
        share = visibility(
            maps.depth, maps.axes, maps.scale, plus(place, offset, 1.0), bias
        )
        asked = (place[0], place[1], place[2], share)
    return asked


@njit(inline="always")
def _shade_strand(subject, light, maps, camera, asked, segment, along):
    strands, dyes = subject.strands, subject.strand_colors
    num_points = strands.shape[1]
    s, k = segment // num_points, segment % num_points
    root = (strands[s, k, 0], strands[s, k, 1], strands[s, k, 2])
    tip = (strands[s, k + 1, 0], strands[s, k + 1, 1], strands[s, k + 1, 2])
    run = plus(tip, root, -1.0)
    place = plus(root, run, along)
    asked = _ask(light, maps, asked, place, (0.0, 0.0, 0.0), HAIR_BIAS)
    shaded = lit_hair(
        light,
        _row(dyes, s),
        subject.strand_gloss[s],
        unit(run),
        unit(place),
        towards(place, camera),
        asked[3],
        (k + along) / (num_points - 1),
    )
    return shaded, asked


@njit(inline="always")
def _shade_eye(subject, light, maps, camera, asked, what, mix):
    triangles, eyes = subject.triangles, subject.eyes
    corners = _row(triangles, what)
    place = _mixed(subject.points, corners, mix)
    eye = 0 if subject.materials[what] == LEFT_EYE else 1
    normal = towards(eyes.centers[eye], place)
    asked = _ask(light, maps, asked, place, (0.0, 0.0, 0.0), EYE_BIAS)
    shaded = lit_eye(
        light,
        eyes.iris,
        eye,
        lid_height(eyes.lids, eye, 0, normal[0]),
        lid_height(eyes.lids, eye, 1, normal[0]),
        normal,
        towards(place, camera),
        asked[3],
    )
    return shaded, asked


@njit(inline="always")
def _shade_surface(subject, light, maps, camera, asked, what, mix, looks):
    triangles = subject.triangles
    corners = _row(triangles, what)
    material = subject.materials[what]
    place = _mixed(subject.points, corners, mix)
    normal = unit(_mixed(subject.normals, corners, mix))
    asked = _ask(light, maps, asked, place, scaled(normal, LIFT), SURFACE_BIAS)
    color = _row(looks, material)
    shine, roughness = looks[material, 3], looks[material, 4]
    scatter, beside = looks[material, 5], looks[material, 7]
    open_air = _mixed_one(subject.occlusion, corners, mix)
    room = looks[material, 6] * (beside + (1 - beside) * open_air)
    if material == SKIN:
        texture = subject.texture
        u, v = texture_place(subject.uvs, what, mix, subject.window, texture.shape)
        color = (
            sample(texture, 0, u, v),
            sample(texture, 1, u, v),
            sample(texture, 2, u, v),
        )
        normal = _in_relief(normal, place[0], sample(texture, 3, u, v))
        shine *= sample(texture, 4, u, v)
    elif material == FRAME:
        color = subject.frame
    elif material == SOCKET:
        color = product(color, subject.skin)
    elif material == BODY:
        below = _mixed_one(subject.reach, corners, mix)
        if below > 0:
            spot = _mixed(subject.base, corners, mix)
            color, seam = cloth_color(subject.cloth, below, spot)
            room, shine, scatter = room * seam, 0.0, 0.0
        else:
            color, shine = subject.skin, shine * subject.skin_gloss
            room *= 1 - NECK_SHADE * smooth_step(-NECK_SHADE_REACH, 0.0, below)
    finish = Finish(shine, roughness, scatter, room)
    visible = beside + (1 - beside) * asked[3]
    view = towards(place, camera)
    return lit_surface(light, color, finish, normal, view, visible), asked


@njit(nogil=True)
def _row(table, k):
    """The first three numbers of a row."""
    return table[k, 0], table[k, 1], table[k, 2]


@njit(nogil=True)
def _mixed(rows, corners, mix):
    """A row of a table [P, 3] between the corners of a triangle."""
    return (
        _mixed_column(rows, 0, corners, mix),
        _mixed_column(rows, 1, corners, mix),
        _mixed_column(rows, 2, corners, mix),
    )


@njit(nogil=True)
def _mixed_column(rows, k, corners, mix):
    last = 1 - mix[0] - mix[1]
    return (
        rows[corners[0], k] * mix[0]
        + rows[corners[1], k] * mix[1]
        + rows[corners[2], k] * last
    )


@njit(nogil=True)
def _mixed_one(values, corners, mix):
    last = 1 - mix[0] - mix[1]
    return (
        values[corners[0]] * mix[0]
        + values[corners[1]] * mix[1]
        + values[corners[2]] * last
    )


@njit(nogil=True)
def _in_relief(normal, x, slope):
    """A normal tilted by the slope of the skin's relief."""
    across = RELIEF[0] if x > 0 else -RELIEF[0]
    return unit(plus(normal, (across, RELIEF[1], 0.0), slope))
