"""Figures 1, 4 and 5 to 7: blends, decodes, and what region directions mean."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from facedirs_jax import figures
from facedirs_jax.backbones import Backbone
from facedirs_jax.blending import ColorTransfer, blend_pairs, unit_range
from facedirs_jax.decoding import embed_again, resized
from facedirs_jax.discovery import Discovery, discover
from facedirs_jax.evaluation.bootstrap import RESAMPLES, Estimate, estimate
from facedirs_jax.faces import Faces
from facedirs_jax.grid import make_grid, max_blocks_for
from facedirs_jax.labelled_pictures import LabelledPictures
from facedirs_jax.paper.claims import (
    Claim,
    judged_at_least,
    judged_at_most,
    median_of_people,
)
from facedirs_jax.paper.edits import Edits
from facedirs_jax.paper.parts import Part, draw_edits, sliders_of
from facedirs_jax.paper.subjects import Subject, usable_faces
from facedirs_jax.regions import REGIONS, region_masks
from facedirs_jax.rendering.factors import IRISES
from facedirs_jax.templates import embed, template_dim
from facedirs_jax.traversal import steps_of, traverse

FACE_DONORS = 8
_SHARE = 0.5  # correlation above which a component is called after a factor
# The paper's plain pasting lets skin tone through; matched colours do not.
COLOURS: dict[ColorTransfer, str] = {"none": "", "lab": ", colours matched"}
_ALPHAS = steps_of(-3.0, 3.0, 7)
_CLAIMED = {  # by region: figure, then what the first components are said to be
    "nose": ("5", ("nose_length", "nose_hump", "nose_width")),
    "eyes": ("6", ("under_eye", "brow_thickness", "iris_lightness")),
    "lower_face": ("7", ("facial_hair_amount", "cheekbones", "nose_to_mouth_mm")),
}


class Portraits(NamedTuple):
    """N frontal faces of N people, as one network sees them.

    Attributes:
        faces: their crops and landmarks.
        factors: [N] float64 by name, NaN where unknown.
    """

    faces: Faces
    factors: Mapping[str, np.ndarray]


def load_portraits(
    backbone: Backbone,
    pictures: LabelledPictures,
    *,
    cache_dir: str | None,
    processes: int,
) -> Portraits:
    """Reads portraits for one network.

    Args:
        backbone: the network and its preprocessing.
        pictures: the portraits; those without a face are left out.
        cache_dir: where landmarks are kept; see `load_faces`.
        processes: worker processes that find faces.

    Returns:
        Portraits with [N, S, S, 3] crops.
    """
    faces, kept = usable_faces(backbone, pictures, cache_dir, processes)
    return Portraits(faces, factors_of(kept))


def factors_of(pictures: LabelledPictures) -> dict[str, np.ndarray]:
    """Factors of rendered portraits that are numbers, those that a picture shows.

    Facial hair counts as much as there is of it, and the iris by its place from
    brown to grey.

    Args:
        pictures: N portraits with their factors as labels, or none.

    Returns:
        [N] float64 by name.
    """
    found = {
        name: values
        for name, values in pictures.columns.items()
        if values.dtype.kind == "f" and np.ptp(values) > 0
    }
    if "facial_hair" in pictures.columns:
        none = pictures.columns["facial_hair"] == "none"
        found["facial_hair_amount"] = np.where(none, 0, found["facial_hair_amount"])
    if "iris" in pictures.columns:
        irises = pictures.columns["iris"].tolist()
        found["iris_lightness"] = np.array(
            [IRISES.index(name) for name in irises], float
        )
    hidden = ("person_detail", "look_detail", "photo_detail", "split")
    return {name: values for name, values in found.items() if name not in hidden}


def blend_part(subject: Subject, portraits: Portraits, *, shown: int = 5) -> Part:
    """Figure 1: one face with regions of others, the same outside of the region."""
    faces = portraits.faces
    donors = np.arange(1, shown + 1)
    pairs = jnp.asarray(np.stack([np.zeros_like(donors), donors], axis=-1))
    masks, blends, changes = {}, {}, []
    for name, region in REGIONS.items():
        found = np.asarray(
            region_masks(faces.landmarks, region, side=faces.crops.shape[1])
        )
        crops = jnp.asarray(faces.crops)
        blended = np.asarray(blend_pairs(crops, jnp.asarray(found), pairs))
        masks[name], blends[name] = found[0], blended
        own = np.asarray(unit_range(crops[:1]))
        outside = np.abs(blended - own)[:, found[0] == 0]
        changes.append(outside.max(axis=(1, 2)))
    worst = float(np.max(changes))
    claim = Claim(
        *("1", "all", "pixels outside of the region are those of the face donor"),
        "largest difference, of values in 0 to 1",
        *(Estimate(worst, worst, worst), *judged_at_most(Estimate(*[worst] * 3), 1e-6)),
    )
    drawn = figures.draw_blends(faces.crops[: shown + 1], masks, blends)
    note = f"Crops of {subject.name}; rendered faces of nobody."
    return Part("1", "Region blends", note, [claim], {"blends": drawn}, [])


def decode_part(subjects: Sequence[Subject]) -> Part:
    """Figure 4: probes and what each decoder makes of their templates."""
    edits, claims = {}, []
    for subject in subjects:
        probes = subject.probes
        decodes = subject.decode(probes)
        again = embed_again(subject.backbone, decodes)
        centre = subject.templates.mean(axis=0, keepdims=True)
        cosines = _cosines(again - centre, probes - centre)
        value = median_of_people(cosines)
        claims.append(
            Claim(
                *("4", subject.name, "the decoder shows what the template holds"),
                "centred cosine of the decodes' templates to those decoded; median",
                *(value, *judged_at_least(value, 0.8)),
            )
        )
        crops = subject.probe_crops / np.float32(255)
        side = decodes.shape[1]
        originals = np.asarray(resized(jnp.asarray(crops), side))
        pair = np.stack([originals, decodes], axis=1)
        edits[subject.name] = Edits(
            ("original", "decode"), np.stack([probes] * 2, 1), pair
        )
    note = (
        "Frontal pictures of people whom no network was trained on, and their decodes."
    )
    return Part("4", "Decodes", note, claims, {"decodes": draw_edits(edits)}, [])


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / lengths


def region_part(
    region: str, subjects: Sequence[Subject], portraits: Mapping[str, Portraits]
) -> Part:
    """Figures 5 to 7: the first three components of a region, for each network.

    Args:
        region: `nose`, `eyes` or `lower_face`.
        subjects: the networks.
        portraits: by name of the network.

    Returns:
        Part.
    """
    figure, factors = _CLAIMED[region]
    edits, claims = {}, []
    for subject in subjects:
        own = portraits[subject.name]
        for transfer, what in COLOURS.items():
            found, donors = _discovered(subject, own.faces, region, transfer)
            known = {name: values[donors] for name, values in own.factors.items()}
            key = (figure, f"{subject.name}{what}")
            claims += [
                _named(key, component, factor, found.effects[:, component], known)
                for component, factor in enumerate(factors[: found.effects.shape[1]])
            ]
            walks = _walks(subject, own.faces, found)
            edits |= {f"{subject.name}{what}, {n}": walk for n, walk in walks.items()}
    note = (
        f"Region of every portrait in {FACE_DONORS} faces; effect of each region donor "
        "on each component against the factors that the portraits were rendered from. "
        "Correlations of absolute value; intervals from donors drawn again. Once as in "
        "the paper, and once with the region's colours matched to the face around it, "
        "since skin tone leaks into plain blends."
    )
    title = f"First directions of the {region.replace('_', ' ')}"
    drawn = {"components": draw_edits(edits, shown=1)}
    return Part(figure, title, note, claims, drawn, sliders_of(edits, region))


def _discovered(
    subject: Subject, faces: Faces, region: str, transfer: ColorTransfer
) -> tuple[Discovery, np.ndarray]:
    """What a region gives, and which faces the rows of its effects are of."""
    network, preprocess = subject.backbone
    found = discover(
        *(network, preprocess, faces, REGIONS[region]),
        num_face_donors=FACE_DONORS,
        color_transfer=transfer,
    )
    grid = make_grid(
        len(faces.crops),
        max_blocks=max_blocks_for(template_dim(network, preprocess)),
        face_rows=np.unique(faces.distinct),
        num_face_donors=FACE_DONORS,
    )
    return found, grid.region_donors


def _named(
    key: tuple[str, str],
    component: int,
    factor: str,
    effects: np.ndarray,
    factors: Mapping[str, np.ndarray],
) -> Claim:
    strength = {name: _correlation(effects, of) for name, of in factors.items()}
    value = strength.get(factor, Estimate(np.nan, np.nan, np.nan))
    best = max(
        strength, key=lambda name: np.nan_to_num(strength[name].value), default=""
    )
    return Claim(
        *(*key, f"component {component + 1} is {factor.replace('_', ' ')}"),
        f"|correlation| with {factor}",
        *(value, *judged_at_least(value, _SHARE)),
        f"most like {best} ({strength[best].value:.2f})" if best else "factors unknown",
    )


def _correlation(effects: np.ndarray, values: np.ndarray) -> Estimate:
    known = np.isfinite(values)
    x, y = effects[known], values[known]
    if len(x) < 3 or np.ptp(y) == 0:
        return Estimate(np.nan, np.nan, np.nan)
    drawn = np.random.default_rng(0).integers(len(x), size=(RESAMPLES, len(x)))
    own = abs(float(np.corrcoef(x, y)[0, 1]))
    xs, ys = x[drawn], y[drawn]
    xs, ys = xs - xs.mean(1, keepdims=True), ys - ys.mean(1, keepdims=True)
    scale = np.sqrt((xs**2).sum(1) * (ys**2).sum(1))
    return estimate(own, np.abs((xs * ys).sum(1) / np.where(scale > 0, scale, np.nan)))


def _walks(subject: Subject, faces: Faces, found: Discovery) -> dict[str, Edits]:
    """The first face along the first three components."""
    probe = np.asarray(embed(*subject.backbone, faces.crops[:1]))[0]
    walks = {}
    for row in range(min(3, len(found.directions.directions))):
        moved = np.asarray(
            traverse(
                *(probe, found.directions.directions[row]),
                *(found.directions.scales[row], _ALPHAS),
                unit_norm=subject.unit_norm,
            )
        )[None]
        steps = tuple(f"{alpha:+.0f} sd" if alpha else "0" for alpha in _ALPHAS)
        walks[f"component {row + 1}"] = Edits(steps, moved, subject.decode(moved))
    return walks
