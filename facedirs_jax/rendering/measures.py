"""Lengths on a face's mesh, in millimetres: what the factors came to.

A factor is what was asked for; several of them, with morphology and age, decide how
wide a nose is in the end. The points are the anthropometric ones (Farkas, Anthropometry
of the Head and Face, 1994).
"""

import functools

import numpy as np

from .head_model import load_head_model

_MM = 100.0  # a decimetre
# Point -> where it lies on the base shape, dm; those off the midline are on the left.
_POINTS = {
    "nasion": (0, 7.292, 1.507),
    "bridge": (0, 7.148, 1.562),
    "nose tip": (0, 6.909, 1.681),
    "subnasale": (0, 6.772, 1.558),
    "upper lip": (0, 6.696, 1.597),
    "stomion": (0, 6.600, 1.540),
    "lower lip": (0, 6.488, 1.556),
    "gnathion": (0, 6.201, 1.434),
    "alare": (0.200, 6.900, 1.460),
    "endocanthion": (0.158, 7.266, 1.398),
    "exocanthion": (0.453, 7.290, 1.346),
    "cheilion": (0.250, 6.615, 1.374),
    "gonion": (0.580, 6.610, 0.830),
    "zygion": (0.620, 6.950, 1.130),
    "tragion": (0.760, 6.930, 0.490),
}
# Measure -> the two points it lies between.
_SPANS = {
    "nose_length": ("nasion", "subnasale"),
    "nose_width": ("alare", "right alare"),
    "nose_to_mouth": ("subnasale", "stomion"),
    "eye_width": ("endocanthion", "exocanthion"),
    "eye_distance": ("endocanthion", "right endocanthion"),
    "mouth_width": ("cheilion", "right cheilion"),
    "lip_height": ("upper lip", "lower lip"),
    "chin_height": ("stomion", "gnathion"),
    "jaw_width": ("gonion", "right gonion"),
    "cheek_width": ("zygion", "right zygion"),
    "face_width": ("tragion", "right tragion"),
    "face_height": ("nasion", "gnathion"),
}
MEASURES = (*_SPANS, "nose_depth", "nose_hump")


@functools.cache
def _rows() -> dict[str, int]:
    """Point -> its vertex; `right alare` and so on are the mirrored ones."""
    vertices = load_head_model().vertices
    found = {}
    for name, (x, y, z) in _POINTS.items():
        for side, point in ((name, [x, y, z]), (f"right {name}", [-x, y, z])):
            apart = np.abs(vertices - np.array(point, np.float32)).sum(axis=1)
            found[side] = int(apart.argmin())
    return found


def measure(vertices: np.ndarray) -> dict[str, float]:
    """Measures a face.

    Args:
        vertices: [V, 3] float32, dm, as `morphs.neutral_shape` gives them.

    Returns:
        Measure -> mm, in the order of `MEASURES`. The depth of the nose is how far its
        tip stands out beyond its wings; the hump, how far the bridge stands out of the
        straight line from nasion to tip, negative where it is hollow.

    Raises:
        ValueError: if the vertices are not those of the head model.
    """
    expected = load_head_model().vertices.shape
    if vertices.shape != expected:
        raise ValueError(f"vertices are {vertices.shape}; they must be {expected}")
    at = {name: vertices[row].astype(float) * _MM for name, row in _rows().items()}
    found = {
        name: float(np.sqrt(np.square(at[a] - at[b]).sum()))
        for name, (a, b) in _SPANS.items()
    }
    nasion, bridge, tip = at["nasion"], at["bridge"], at["nose tip"]
    share = (nasion[1] - bridge[1]) / (nasion[1] - tip[1])
    hump = bridge[2] - (nasion[2] + share * (tip[2] - nasion[2]))
    depth = tip[2] - (at["alare"][2] + at["right alare"][2]) / 2
    return found | {"nose_depth": float(depth), "nose_hump": float(hump)}
