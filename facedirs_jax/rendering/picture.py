"""Takes a photo of a scene: what the camera sees, lit by flash and room."""

import numpy as np

from facedirs_jax.rendering.backdrop import paint_backdrop
from facedirs_jax.rendering.camera import DISTANCE, camera_view, to_pixels
from facedirs_jax.rendering.factors import Photo
from facedirs_jax.rendering.lighting import Light
from facedirs_jax.rendering.raster import draw_strands, draw_triangles, empty_buffers
from facedirs_jax.rendering.scene import Scene
from facedirs_jax.rendering.sensor import expose
from facedirs_jax.rendering.shading import shade
from facedirs_jax.rendering.shadows import light_direction, shadow_maps

SUPERSAMPLING = 3  # sub-pixels along a pixel's side
SMALL = 128  # px, up to which a picture makes do with fewer shadows
SHADOWS, FINE_SHADOWS = (6, 224), (8, 256)  # points of the flash; px of their maps
KEY = 1.35  # of the flash at full strength
FLASH_ROOM = 0.24  # of the room beside the flash
DARK_ROOM = 0.75  # of the room without it, as the camera then opens up
SKY_TINT, GROUND = (0.95, 1.0, 1.05), 0.55  # by channel; of that from below
FILL = 0.35  # of the room's light, from the camera
STRAND_WIDTH = 0.0098  # dm, of a strand of width 1
STRAND_LIFT = 0.012  # dm towards the camera


def take_photo(scene: Scene, photo: Photo, size: int) -> np.ndarray:
    """Draws, shades and exposes a scene.

    Args:
        scene: with the photo's expression.
        photo: pose, light, surroundings and camera.
        size: side of the picture, px.

    Returns:
        [size, size, 3] uint8, sRGB.
    """
    view = camera_view(photo, size * SUPERSAMPLING)
    subject = scene.subject
    buffers = empty_buffers(view.size, view.size)
    draw_triangles(to_pixels(subject.points, view), subject.triangles, buffers)
    widths = scene.strand_widths * np.float32(STRAND_WIDTH * view.focal / DISTANCE)
    lift = STRAND_LIFT / DISTANCE**2
    strands = to_pixels(subject.strands, view)
    draw_strands(strands, widths, lift, len(subject.triangles), buffers)
    light = light_of(photo)
    num_lights, map_size = SHADOWS if size <= SMALL else FINE_SHADOWS
    maps = shadow_maps(
        subject.points,
        scene.casters,
        subject.strands[::2],
        light.direction,
        num_lights=num_lights,
        size=map_size,
    )
    camera = tuple(view.position.tolist())
    backdrop = paint_backdrop(photo, size)
    linear = shade(buffers, SUPERSAMPLING, subject, light, maps, camera, backdrop)
    return expose(linear, photo)


def light_of(photo: Photo) -> Light:
    """The flash and the room of a photo."""
    room = DARK_ROOM + (FLASH_ROOM - DARK_ROOM) * photo.flash
    red, green, blue = (room * tint for tint in SKY_TINT)
    return Light(
        direction=light_direction(photo.light, photo.elevation),
        flash=KEY * photo.flash,
        sky=(red, green, blue),
        ground=(red * GROUND, green * GROUND, blue * GROUND),
        fill=room * FILL,
    )
