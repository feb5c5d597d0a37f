import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.camera import camera_view, to_pixels
from facedirs_jax.rendering.clothing import PLAIN, Cloth
from facedirs_jax.rendering.eyes import LID_STEPS, Eyes
from facedirs_jax.rendering.factors import Photo
from facedirs_jax.rendering.lighting import Light, diffuse, highlight
from facedirs_jax.rendering.raster import draw_triangles, empty_buffers
from facedirs_jax.rendering.shading import Subject, shade
from facedirs_jax.rendering.shadows import light_direction, shadow_maps
from facedirs_jax.rendering.surface import BODY
from facedirs_jax.rendering.texture import sample, texture_place

SIZE, FACTOR, RADIUS = 64, 2, 1.1  # px, sub-pixels, dm
NO_STRANDS = np.zeros((0, 12, 3), np.float32)


def sphere(rings: int = 40, sides: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """A sphere about the head's centre, symmetric in x."""
    polar = np.linspace(0, np.pi, rings)[:, None]
    around = (np.arange(sides) + 0.5)[None] * (2 * np.pi / sides)
    x, z = np.sin(polar) * np.sin(around), np.sin(polar) * np.cos(around)
    y = np.cos(polar) + 0 * around
    points = RADIUS * np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    a, b = np.divmod(np.arange((rings - 1) * sides), sides)
    one, two = a * sides + b, a * sides + (b + 1) % sides
    quads = np.stack([one, one + sides, two + sides, two], axis=1)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return points, triangles.astype(np.int32)


def white_sphere() -> Subject:
    points, triangles = sphere()
    white = (0.8, 0.8, 0.8)
    return Subject(
        points=points,
        normals=points / np.float32(RADIUS),
        occlusion=np.ones(len(points), np.float32),
        triangles=triangles,
        uvs=np.zeros((len(triangles), 3, 2), np.float32),
        materials=np.full(len(triangles), BODY, np.int8),
        base=np.zeros_like(points),
        texture=np.zeros((2, 2, 5), np.float32),
        window=(0.0, 1.0, 0.0, 1.0),
        skin=white,
        skin_gloss=1.0,
        frame=white,
        eyes=Eyes((white, white), np.zeros((2, 2, LID_STEPS), np.float32), white),
        cloth=Cloth((white, white, white), PLAIN, 0.1, 0.0),
        reach=np.full(len(points), -1, np.float32),
        strands=NO_STRANDS,
        strand_colors=np.zeros((0, 3), np.float32),
        strand_gloss=np.zeros(0, np.float32),
    )


def photographed(azimuth: float, *, flash: float = 1.0, room: float = 0.1):
    subject = white_sphere()
    view = camera_view(Photo(), SIZE * FACTOR)
    buffers = empty_buffers(view.size, view.size)
    draw_triangles(to_pixels(subject.points, view), subject.triangles, buffers)
    direction = light_direction(azimuth, 0)
    maps = shadow_maps(
        subject.points, subject.triangles, NO_STRANDS, direction, num_lights=6, size=128
    )
    grey = (room, room, room)
    light = Light(direction, flash, grey, grey, 0.0)
    backdrop = np.zeros((SIZE, SIZE, 3), np.float32)
    camera = tuple(view.position.tolist())
    return shade(buffers, FACTOR, subject, light, maps, camera, backdrop)


def test_a_sphere_lit_from_the_camera_is_brightest_in_the_middle_and_symmetric():
    green = photographed(0)[..., 1]
    row, column = np.unravel_index(green.argmax(), green.shape)
    assert abs(row - SIZE / 2) <= 2 and abs(column - SIZE / 2) <= 2
    np.testing.assert_allclose(green, green[:, ::-1], atol=0.02)
    ring = green[SIZE // 2, [12, 20, 28]]
    assert (np.diff(ring) > 0).all()


def test_light_from_one_side_is_the_mirror_picture_of_that_from_the_other():
    left, right = photographed(60), photographed(-60)
    np.testing.assert_allclose(left, right[:, ::-1], atol=0.03)
    half = left[..., 1].sum(axis=0)
    assert half[SIZE // 2 :].sum() > 2 * half[: SIZE // 2].sum()


def test_without_a_flash_only_the_room_is_left():
    dark = photographed(60, flash=0.0)
    np.testing.assert_allclose(dark[SIZE // 2, SIZE // 2], 0.08, atol=0.01)
    assert not photographed(60, flash=0.0, room=0.0).any()


def test_scattered_light_reaches_past_the_terminator_and_red_the_farthest():
    red, green, blue = diffuse(-0.05, 1.0, 1.0)
    assert red > green > blue > 0
    assert diffuse(-0.05, 1.0, 0.0) == (0, 0, 0)
    assert diffuse(0.7, 1.0, 0.0) == pytest.approx((0.7, 0.7, 0.7))
    assert diffuse(0.7, 0.0, 1.0) == (0, 0, 0)


def test_a_highlight_is_the_brighter_the_smoother_and_peaks_at_the_mirror_angle():
    def at(half: float, roughness: float) -> float:
        return highlight((0.9, 0.9, half, 0.95), roughness)

    assert at(1.0, 0.3) > at(1.0, 0.5) > at(0.95, 0.5) > at(0.8, 0.5) > 0


def test_a_texture_is_read_between_its_texels():
    texture = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    assert sample(texture, 0, 1.0, 1.0) == 5
    assert sample(texture, 0, 1.5, 0.0) == 1.5
    assert sample(texture, 0, 0.25, 1.5) == pytest.approx(6.25)


def test_a_triangle_s_corners_lie_where_its_texture_coordinates_say():
    uvs = np.array([[[0.2, 0.5], [0.6, 0.5], [0.2, 0.9]]], np.float32)
    window, shape = (0.0, 1.0, 0.4, 1.4), (20, 10, 5)
    x, y = texture_place(uvs, 0, (0.0, 1.0), window, shape)
    assert (x, y) == pytest.approx((0.6 * 10 - 0.5, 0.1 * 20 - 0.5), abs=1e-5)
    x, y = texture_place(uvs - np.float32(3), 0, (1.0, 0.0), window, shape)
    assert (x, y) == (0, 0)  # the edge goes on beyond the texture
