"""Puts a face together: shape, skin, hair, clothes, glasses, all that has no pose."""

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import numpy as np

from facedirs_jax.rendering.camera import CENTER_RISE, CENTER_Z
from facedirs_jax.rendering.clothing import cloth_offsets, dress
from facedirs_jax.rendering.eyes import make_eyes
from facedirs_jax.rendering.facial_hair import grow_facial_hair
from facedirs_jax.rendering.factors import Face
from facedirs_jax.rendering.glasses import frame_color, glasses_mesh
from facedirs_jax.rendering.hair import grow_hair
from facedirs_jax.rendering.head_model import UV_WINDOW, load_head_model
from facedirs_jax.rendering.lashes import grow_lashes
from facedirs_jax.rendering.morphs import expressed_shape, neutral_shape
from facedirs_jax.rendering.shading import Subject
from facedirs_jax.rendering.shadows import ambient_occlusion
from facedirs_jax.rendering.skin import paint_skin, skin_gloss, skin_rgb
from facedirs_jax.rendering.strands import Strands
from facedirs_jax.rendering.surface import (
    BODY,
    FRAME,
    find_eyeballs,
    head_surface,
    surface_points,
    vertex_normals,
)

Part = TypeVar("Part")


class Scene(NamedTuple):
    """A face in front of the camera, whatever the pose and the light.

    Attributes:
        subject: what is shaded.
        casters: [C, 3] int32, triangles of its points that cast shadows.
        strand_widths: [S] float32, 1 for a hair of the scalp.
    """

    subject: Subject
    casters: np.ndarray
    strand_widths: np.ndarray


class Parts:
    """The parts of the faces put together last, to be used again."""

    def __init__(self, kept: int = 4):
        """Keeps the last `kept` parts of each kind."""
        self._kept = kept
        self._parts: dict[str, OrderedDict[Hashable, object]] = {}

    def get(self, kind: str, whose: Hashable, make: Callable[[], Part]) -> Part:
        """The part of a kind of somebody, made if it is not there."""
        known = self._parts.setdefault(kind, OrderedDict())
        if whose not in known:
            known[whose] = make()
            if len(known) > self._kept:
                known.popitem(last=False)
        known.move_to_end(whose)
        return known[whose]  # pyright: ignore[reportReturnType]


def head_center(neutral: np.ndarray) -> np.ndarray:
    """[3] float32, dm: the point of a head that the camera looks at."""
    centers = find_eyeballs(load_head_model(), neutral).centers
    height = (float(centers[0, 1]) + float(centers[1, 1])) / 2 + CENTER_RISE
    return np.array([0, height, CENTER_Z], np.float32)


def build_scene(
    face: Face, *, reuse: Parts | None = None, texture_scale: int = 1
) -> Scene:
    """Puts a face together.

    Args:
        face: person, look, and the photo's expression.
        reuse: parts of faces put together before; those of this one are added.
        texture_scale: 1, or 2 for a coarser texture of the skin.

    Returns:
        The scene.
    """
    reuse = Parts() if reuse is None else reuse
    person, look, photo = face
    expression = (photo.expression, photo.expression_amount)
    if not photo.expression_amount or photo.expression == "neutral":
        expression = ("neutral", 0.0)
    return reuse.get(
        "scene",
        (person, look, expression, texture_scale),
        lambda: _assemble(face, reuse, texture_scale),
    )


def _assemble(face: Face, reuse: Parts, texture_scale: int) -> Scene:
    person, look, photo = face
    model, surface = load_head_model(), head_surface()
    neutral = reuse.get("neutral", person, lambda: neutral_shape(person))
    texture = reuse.get(
        "texture",
        (person, look, texture_scale),
        lambda: paint_skin(person, look, scale=texture_scale),
    )
    hair = reuse.get(
        "hair", (person, look), lambda: grow_hair(model, neutral, person, look)
    )
    shape = expressed_shape(person, photo)
    center = head_center(neutral)
    beard = grow_facial_hair(model, shape, person, look)
    strands = _join(center, hair, beard, grow_lashes(model, shape))

    cloth, reach = dress(look, surface.base)
    points = _clothed(surface_points(surface, model, shape) - center, reach)
    normals = vertex_normals(points, surface.triangles)
    count = len(model.vertices)
    open_air = ambient_occlusion(
        points[:count], normals[:count], surface.coarse, strands.points
    )
    glasses = reuse.get(
        "glasses",
        (person, look.glasses),
        lambda: glasses_mesh(model, neutral, look.glasses),
    )
    frame = glasses.triangles + np.int32(len(points))
    frame_points = glasses.points - center
    frame_normals = vertex_normals(frame_points, glasses.triangles)
    extra = len(frame_points)
    subject = Subject(
        points=np.concatenate([points, frame_points]),
        normals=np.concatenate([normals, frame_normals]),
        occlusion=_padded(surface.matrix @ open_air, len(points) + extra, 1.0),
        triangles=np.concatenate([surface.triangles, frame]),
        uvs=_padded(surface.uvs, len(surface.uvs) + len(frame), 0.0),
        materials=_padded(surface.materials, len(surface.uvs) + len(frame), FRAME),
        base=_padded(surface.base, len(points) + extra, 0.0),
        texture=texture,
        window=UV_WINDOW,
        skin=_color(skin_rgb(person)),
        skin_gloss=skin_gloss(person),
        frame=frame_color(look),
        eyes=make_eyes(model, shape, center, person.iris),
        cloth=cloth,
        reach=reach,
        strands=strands.points,
        strand_colors=strands.color,
        strand_gloss=strands.gloss,
    )
    return Scene(subject, np.concatenate([surface.coarse, frame]), strands.width)


def _join(center: np.ndarray, *groups: Strands) -> Strands:
    return Strands(
        points=np.concatenate([group.points for group in groups]) - center,
        color=np.concatenate([group.color for group in groups]),
        width=np.concatenate([group.width for group in groups]),
        gloss=np.concatenate([group.gloss for group in groups]),
    )


def _clothed(points: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Points moved outwards where cloth lies on the body."""
    body = _body_points()
    normals = vertex_normals(points, head_surface().triangles)
    points[body] += normals[body] * cloth_offsets(reach[body])[:, None]
    return points


@functools.cache
def _body_points() -> np.ndarray:
    """[B] rows of the surface's points that cloth can lie on."""
    surface = head_surface()
    body = surface.materials == BODY
    return np.setdiff1d(surface.triangles[body], surface.triangles[~body])


def _color(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def _padded(values: np.ndarray, length: int, filler: float) -> np.ndarray:
    """Values with as many fillers after them as make up a length."""
    shape = (length - len(values), *values.shape[1:])
    return np.concatenate([values, np.full(shape, filler, values.dtype)])
