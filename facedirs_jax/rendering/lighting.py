"""How surfaces and hair answer a flash and the light of a room.

Colours are linear RGB, directions unit vectors in the head's frame; both are tuples.
"""

import math
from typing import NamedTuple

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.vectors import dot, plus, scaled, unit

SCATTER = (0.28, 0.13, 0.09)  # of light carried beyond the terminator, by channel
RED_SHADOW = 0.45  # how much softer shadows on skin are in red
REFLECTANCE = 0.03  # of skin, seen straight on
HIGHEST = 1.5  # of a highlight, times the flash
OILY_SHARE, OILY_ROUGHNESS = 0.35, 0.30  # of skin's second, narrower highlight
SHEEN = 0.15  # of glossy surfaces at grazing angles, times the room's light
HAIR_WRAP = 0.25  # of light beyond the terminator of the head's form
HAIR_WHITE, HAIR_TINTED = 0.10, 0.30  # strength of hair's two highlights
ROOT_SHADE = 0.45  # share of light at the roots
HAIR_ROOM = 0.8  # share of the room's light that hair gets


class Light(NamedTuple):
    """A flash that stands by the head, and the light of the room.

    Attributes:
        direction: unit, towards the flash, in the head's frame.
        flash: its strength.
        sky: the room's light from above, by channel.
        ground: from below.
        fill: light that comes from the camera.
    """

    direction: tuple[float, float, float]
    flash: float
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    fill: float


class Finish(NamedTuple):
    """How a surface is made.

    Attributes:
        gloss: strength of its highlight.
        roughness: of the highlight.
        scatter: of light below it, 0 for a solid to 1 for skin.
        room: share of the room's light that reaches it.
    """

    gloss: float
    roughness: float
    scatter: float
    room: float


@njit(nogil=True)
def lit_surface(light, color, finish, normal, view, visible):
    """Light that a surface sends to the camera.

    Args:
        light: flash and room.
        color: albedo.
        finish: how the surface is made.
        normal: of the surface.
        view: towards the camera.
        visible: share of the flash that reaches it.

    Returns:
        Linear red, green and blue.
    """
    viewed = max(0.0, dot(normal, view))
    facing = dot(normal, light.direction)
    flash = diffuse(facing, visible, finish.scatter)
    shine = 0.0
    if facing > 0 and finish.gloss > 0:
        half = unit(plus(view, light.direction, 1.0))
        cosines = (facing, viewed, max(0.0, dot(normal, half)), dot(view, half))
        shine = highlight(cosines, finish.roughness)
        if finish.scatter == 1:
            shine += OILY_SHARE * (highlight(cosines, OILY_ROUGHNESS) - shine)
        shine *= finish.gloss * visible * light.flash
    room = room_light(light, normal[1], viewed)
    # Light that bounces about in creases of skin turns red.
    red_room = 0.5 * (finish.room + math.sqrt(finish.room))
    edge = 1 - viewed
    rim = finish.gloss * SHEEN * edge * edge * edge * finish.room
    return (
        color[0] * (room[0] * red_room + light.flash * flash[0])
        + shine
        + rim * room[0],
        color[1] * (room[1] * finish.room + light.flash * flash[1])
        + shine
        + rim * room[1],
        color[2] * (room[2] * finish.room + light.flash * flash[2])
        + shine
        + rim * room[2],
    )


@njit(nogil=True)
def room_light(light, up, viewed):
    """The room's light on a surface whose normal points `up` that much."""
    above = 0.5 + 0.5 * up
    fill = light.fill * viewed
    sky, ground = light.sky, light.ground
    return (
        ground[0] + (sky[0] - ground[0]) * above + fill,
        ground[1] + (sky[1] - ground[1]) * above + fill,
        ground[2] + (sky[2] - ground[2]) * above + fill,
    )


@njit(nogil=True)
def diffuse(facing, visible, scatter):
    """Diffuse light by channel, as a share of the flash.

    Scattering below the surface carries light past the terminator and into shadows,
    red the farthest: a wrapped cosine, and a softer fall-off of red in half shadow.

    Args:
        facing: cosine between the normal and the flash.
        visible: share of the flash that reaches the surface.
        scatter: 0 for a solid surface to 1 for skin.

    Returns:
        The three shares.
    """
    red, green, blue = scaled(SCATTER, scatter)
    soft = visible + scatter * RED_SHADOW * (math.sqrt(visible) - visible)
    return (
        max(0.0, (facing + red) / (1 + red)) * soft,
        max(0.0, (facing + green) / (1 + green)) * visible,
        max(0.0, (facing + blue) / (1 + blue)) * visible,
    )


@njit(nogil=True, error_model="numpy")
def highlight(cosines, roughness):
    """Specular reflection of a rough surface, times the cosine, at most `HIGHEST`.

    The distribution is GGX (Walter et al., Microfacet models for refraction, 2007) with
    Schlick's Fresnel term.

    Args:
        cosines: normal and flash, normal and view, normal and the half vector between
            them, view and the half vector.
        roughness: of the surface.

    Returns:
        Share of the flash.
    """
    facing, viewed, half, half_view = cosines
    alpha = roughness * roughness * roughness * roughness
    spread = half * half * (alpha - 1) + 1
    rest = 1 - half_view
    fresnel = REFLECTANCE + (1 - REFLECTANCE) * rest * rest * rest * rest * rest
    masking = max(0.08, 0.5 * facing + 0.5 * viewed)
    lobe = alpha / (spread * spread)
    return min(HIGHEST, 0.25 * lobe * fresnel * facing / masking)


@njit(nogil=True)
def lit_hair(light, color, gloss, tangent, outwards, view, visible, along):
    """Light that a hair sends to the camera (Kajiya and Kay's model, 1989).

    Args:
        light: flash and room.
        color: of the hair.
        gloss: strength of the white highlight.
        tangent: the way the hair runs.
        outwards: away from the head's centre, the normal of its form at large.
        view: towards the camera.
        visible: share of the flash that reaches it.
        along: 0 at the root to 1 at the tip.

    Returns:
        Linear red, green and blue.
    """
    across = dot(tangent, light.direction)
    over = dot(tangent, view)
    sine = math.sqrt(max(0.0, 1 - across * across))
    mirror = sine * math.sqrt(max(0.0, 1 - over * over)) - across * over
    second = max(0.0, mirror) * max(0.0, mirror)
    fourth = second * second
    twelfth = fourth * fourth * fourth
    fortieth = twelfth * twelfth * twelfth * fourth
    form = max(0.0, (dot(outwards, light.direction) + HAIR_WRAP) / (1 + HAIR_WRAP))
    flash = light.flash * form * visible
    deep = ROOT_SHADE + (1 - ROOT_SHADE) * along
    white = HAIR_WHITE * gloss * fortieth * flash
    body = (sine * deep + HAIR_TINTED * twelfth) * flash
    room = room_light(light, outwards[1], 0.6)
    dim = HAIR_ROOM * deep
    return (
        color[0] * (room[0] * dim + body) + white,
        color[1] * (room[1] * dim + body) + white,
        color[2] * (room[2] * dim + body) + white,
    )
