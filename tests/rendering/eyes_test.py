import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.eyes import (
    IRIS_ANGLE,
    IRIS_RGB,
    LID_STEPS,
    lid_height,
    lit_eye,
    make_eyes,
)
from facedirs_jax.rendering.factors import IRISES, Person, Photo
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.lighting import Light
from facedirs_jax.rendering.morphs import expressed_shape, neutral_shape

MODEL = load_head_model()
AHEAD = (0.0, 0.0, 1.0)
GREY = (0.5, 0.5, 0.5)
ROOM = Light(AHEAD, 0.0, GREY, GREY, 0.0)


def lids(expression: str) -> np.ndarray:
    photo = Photo(expression=expression, expression_amount=1.0)
    shape = expressed_shape(Person(), photo)
    return make_eyes(MODEL, shape, np.zeros(3, np.float32), "brown").lids


def seen(x: float, y: float, *, iris: str = "blue", light: Light = ROOM):
    """Of a left eye that is wide open."""
    normal = (x, y, (1 - x * x - y * y) ** 0.5)
    return lit_eye(light, IRIS_RGB[iris], 0, 0.9, -0.9, normal, AHEAD, 1.0)


def test_every_colour_of_the_eyes_is_known():
    assert tuple(IRIS_RGB) == IRISES


def test_lids_open_in_surprise_and_close_in_a_squint():
    opening = {
        name: (lids(name)[:, 0] - lids(name)[:, 1])[:, LID_STEPS // 2].min()
        for name in ("surprise", "neutral", "squint")
    }
    assert opening["surprise"] > opening["neutral"] > opening["squint"]
    assert 0.3 < opening["neutral"] < 1.2  # radii


def test_both_eyes_of_a_symmetric_face_are_mirrored():
    eyes = make_eyes(MODEL, MODEL.vertices, np.zeros(3, np.float32), "grey")
    left, right = eyes.centers
    np.testing.assert_allclose(left, right * np.array([-1, 1, 1]), atol=1e-4)
    np.testing.assert_allclose(eyes.lids[0], eyes.lids[1][:, ::-1], atol=1e-3)


def test_a_lid_s_height_is_read_between_the_steps_of_its_table():
    table = np.zeros((2, 2, LID_STEPS), np.float32)
    table[1, 0] = np.linspace(-1, 1, LID_STEPS)
    assert lid_height(table, 1, 0, 0.31) == pytest.approx(0.31)
    assert lid_height(table, 1, 0, 1.4) == 1
    assert lid_height(table, 0, 1, 0.31) == 0


def test_pupil_iris_and_sclera_follow_each_other_from_the_middle():
    edge = np.sin(IRIS_ANGLE)
    pupil, iris, sclera = (sum(seen(s * edge, 0.02)) for s in (0.1, 0.6, 1.4))
    assert pupil < 0.4 * iris < 0.4 * sclera
    blue, brown = seen(0.6 * edge, 0.02), seen(0.6 * edge, 0.02, iris="brown")
    assert blue[2] > blue[0] and brown[0] > brown[2]
    flesh = seen(-0.9, 0.0)  # the left eye's inner corner
    assert flesh[0] > 1.5 * flesh[2]


def test_the_flash_makes_a_glint_where_the_cornea_mirrors_it():
    flash = ROOM._replace(flash=1.0)
    assert seen(0.0, 0.0, light=flash)[0] > seen(0.0, 0.0)[0] + 1
    assert seen(0.2, 0.0, light=flash)[0] < 0.5


def test_other_irises_are_refused():
    with pytest.raises(KeyError, match="violet"):
        make_eyes(MODEL, neutral_shape(Person()), np.zeros(3, np.float32), "violet")
