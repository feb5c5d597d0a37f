"""The head that every rendered face is a variation of: a mesh and named morph targets.

The shape is MakeHuman's base mesh with its targets and the Face Units pack, all CC0;
NOTICE.md beside this file tells where they come from. Lengths are in decimetres, the
head upright, its left at +x, up +y, its face towards +z.
"""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

FILE = "head_model.npz"
STEP = 0.001  # dm; stored offsets are whole numbers of it, vertices of a tenth of it
UV_STEPS = 65535  # stored texture coordinates run from 0 to this


class Target(NamedTuple):
    """How one morph target moves some of the vertices at weight 1.

    Attributes:
        rows: [M] int32, the vertices.
        offsets: [M, 3] float32, dm.
    """

    rows: np.ndarray
    offsets: np.ndarray


class HeadModel(NamedTuple):
    """Mesh, targets and masks.

    Attributes:
        vertices: [V, 3] float32, dm, the base shape.
        quads: [Q, 4] int32, faces of the skin, with the mouth's cavity.
        uvs: [Q, 4, 2] float32, texture coordinates of their corners, v upwards.
        parts: name -> [P, 4] int32, quads of teeth, tongue and eyelashes.
        points: name -> [P] int32, vertices of a joint or an eyeball.
        targets: name -> Target.
        masks: name -> [H, W] float32 in [0, 1] over the texture of `UV_WINDOW`, row 0
            at the lowest v: lips, eyelids, ears.
        about: provenance.
    """

    vertices: np.ndarray
    quads: np.ndarray
    uvs: np.ndarray
    parts: dict[str, np.ndarray]
    points: dict[str, np.ndarray]
    targets: dict[str, Target]
    masks: dict[str, np.ndarray]
    about: dict[str, Any]


UV_WINDOW = (0.640, 0.996, 0.005, 0.822)  # u and v range of the head in the texture


@functools.cache
def load_head_model() -> HeadModel:
    """Reads the head model that ships with the package."""
    path = importlib.resources.files("facedirs_jax.rendering") / FILE
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        return _unpack(stored)


def _unpack(stored: Mapping[str, np.ndarray]) -> HeadModel:
    rows = stored["target_rows"].astype(np.int32)
    offsets = stored["target_offsets"].astype(np.float32) * np.float32(STEP)
    ends = stored["target_ends"]
    names = json.loads(str(stored["target_names"]))
    cuts = zip(
        names, np.split(rows, ends[:-1]), np.split(offsets, ends[:-1]), strict=True
    )
    return HeadModel(
        vertices=stored["vertices"].astype(np.float32) * np.float32(STEP / 10),
        quads=stored["quads"].astype(np.int32),
        uvs=stored["uvs"].astype(np.float32) / np.float32(UV_STEPS),
        parts=_group(stored, "part/", np.int32),
        points=_group(stored, "points/", np.int32),
        targets={name: Target(r, o) for name, r, o in cuts},
        masks={
            name: mask / np.float32(255)
            for name, mask in _group(stored, "mask/", np.float32).items()
        },
        about=json.loads(str(stored["about"])),
    )


def _group(
    stored: Mapping[str, np.ndarray], prefix: str, dtype: Any
) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): stored[name].astype(dtype)
        for name in stored
        if name.startswith(prefix)
    }


def morph(model: HeadModel, weights: Mapping[str, float]) -> np.ndarray:
    """Moves the base shape by a weighted sum of targets.

    Args:
        model: the head model.
        weights: target name -> weight, mostly within [-1, 1].

    Returns:
        [V, 3] float32, dm.

    Raises:
        KeyError: for a name that is no target.
    """
    vertices = model.vertices.copy()
    for name in sorted(weights):  # one order, so that sums round alike
        target = model.targets[name]
        vertices[target.rows] += np.float32(weights[name]) * target.offsets
    return vertices
