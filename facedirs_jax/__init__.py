"""What a face-recognition model encodes, as directions in its template space.

files -> images -> landmarks -> aligned crops -> region masks -> blends -> templates ->
directions -> traversal -> decoded pictures -> report. The names below are jitted where
they compute, and are all that a notebook needs; the experiment binaries are built from
the modules behind them.
"""

import jax

from facedirs_jax import blending as _blending
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.checkpoints import load_backbone, load_decoder
from facedirs_jax.decoding import decode
from facedirs_jax.directions.boundary import boundary_directions
from facedirs_jax.directions.centroid import centroid_directions
from facedirs_jax.directions.conditional import conditional_directions
from facedirs_jax.directions.record import (
    DirectionFile,
    Directions,
    load_directions,
    save_directions,
)
from facedirs_jax.directions.regression import regression_direction
from facedirs_jax.discovery import Discovery, discover
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bend import Bend, judge_bend
from facedirs_jax.faces import Faces, load_faces
from facedirs_jax.manifold import align_map, classical_mds, distances
from facedirs_jax.neighbour_maps import tsne
from facedirs_jax.regions import REGIONS, Region, load_regions, region_masks
from facedirs_jax.stress_maps import smacof
from facedirs_jax.templates import embed
from facedirs_jax.traversal import edit_to_label, traverse

blend = jax.jit(_blending.blend, static_argnames="color_transfer")
blend_pairs = jax.jit(_blending.blend_pairs, static_argnames="color_transfer")

__all__ = [
    "BACKBONES",
    "REGIONS",
    "Backbone",
    "Bend",
    "DirectionFile",
    "Directions",
    "Discovery",
    "Faces",
    "InputError",
    "Region",
    "align_map",
    "blend",
    "blend_pairs",
    "boundary_directions",
    "centroid_directions",
    "classical_mds",
    "conditional_directions",
    "decode",
    "discover",
    "distances",
    "edit_to_label",
    "embed",
    "judge_bend",
    "load_backbone",
    "load_decoder",
    "load_directions",
    "load_faces",
    "load_regions",
    "region_masks",
    "regression_direction",
    "save_directions",
    "smacof",
    "traverse",
    "tsne",
]
