"""The skin of a person: a texture of colour, relief and gloss for their head."""

import functools

import numpy as np

from facedirs_jax.rendering import complexion as tones
from facedirs_jax.rendering.brows import paint_brows
from facedirs_jax.rendering.factors import Look, Person
from facedirs_jax.rendering.hairline import beard_cover, hair_cover
from facedirs_jax.rendering.painter import Ground, paint
from facedirs_jax.rendering.spots import face_spots, paint_spots
from facedirs_jax.rendering.texels import cloud_fields, grain, head_texels
from facedirs_jax.rendering.zones import skin_zones, wrinkles

EVEN_GLOSS, MELANIN_GLOSS = 0.70, 0.20  # without melanin, and more at a melanin of 1
COVER_STEP = 4  # texels of scale 1 between the places where hair is asked for


def skin_rgb(person: Person) -> np.ndarray:
    """Colour of a person's even skin, which the texture reaches at the neck.

    Returns:
        [3] float64, linear albedo.
    """
    return tones.skin_rgb(person)


def skin_gloss(person: Person) -> float:
    """Gloss of a person's even skin, which the texture reaches at the neck."""
    return EVEN_GLOSS * (1 + MELANIN_GLOSS * person.melanin)


def paint_skin(person: Person, look: Look, *, scale: int = 1) -> np.ndarray:
    """Paints the skin of a head, from the crown to the neck.

    Args:
        person: whose skin.
        look: their hair, facial hair and make-up.
        scale: 1, or 2 for a texture of half the size.

    Returns:
        [H, W, 5] float32 over the texture of `UV_WINDOW`, row 0 at the lowest v:
        linear albedo, relief (a slope along `zones.RELIEF`, to be added to the normal)
        and gloss (times the specular reflection).

    Raises:
        ValueError: for another scale.
    """
    texels = head_texels(scale)
    colors = tones.complexion(person, look, scale=scale)
    texture = np.empty((*texels.inside.shape, 5), np.float32)
    zones, folds = skin_zones(scale), wrinkles(scale, colors.folds)
    ground = Ground(
        positions=texels.positions,
        painted=texels.painted,
        zones=zones.values,
        zone_spans=zones.spans,
        clouds=cloud_fields(scale),
        grain=grain(scale),
        folds=folds.values,
        fold_spans=folds.spans,
        covers=_covers(person, look, scale),
        covers_per_texel=scale / COVER_STEP,
    )
    paint(ground, colors, skin_gloss(person), texture)
    paint_spots(texture, texels.positions, face_spots(person, scale))
    paint_brows(texture, texels, person, scale, colors.brow)
    return texture


@functools.cache
def _cover_places(scale: int) -> np.ndarray:
    every = COVER_STEP // scale
    places = head_texels(scale).positions[::every, ::every]
    return np.ascontiguousarray(places, np.float64)


def _covers(person: Person, look: Look, scale: int) -> np.ndarray:
    """[h, w, 2] float32, share under scalp hair and under facial hair."""
    places = _cover_places(scale)
    covers = (hair_cover(places, person, look), beard_cover(places, person, look))
    return np.stack(covers, axis=-1)
