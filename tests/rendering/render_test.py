import hashlib
import importlib
import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import Face, Look, Person, Photo, vary
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.morphs import expressed_shape
from facedirs_jax.rendering.render import Studio, project, render, render_all
from facedirs_jax.rendering.surface import find_eyeballs

ROOT = pathlib.Path(__file__).parents[2]
BALD = Face(Person(detail=1), Look(hair_style="bald"), Photo())
SMOOTH = Person(melanin=0.2, under_eye=0.0, flush=0.0)  # without moles to one side
HASHES = """
import hashlib
from facedirs_jax.rendering.factors import Face, Look, Person, Photo
from facedirs_jax.rendering.render import render
photo = Photo(detail=3, yaw=20, light=-40, blur=0.4, noise=0.03, jpeg_quality=70)
face = Face(Person(detail=5), Look(2, "short", glasses="round"), photo)
print(hashlib.sha256(render(face, size=96).tobytes()).hexdigest())
"""
# A photo of a face whose skin is painted plainly, to keep compilation short.
PLAIN = """
import numpy as np
from facedirs_jax.rendering import scene
from facedirs_jax.rendering.strands import no_strands
def plain_skin(person, look, *, scale):
    down, across = np.meshgrid(np.linspace(0, 1, 98), np.linspace(0, 1, 43))
    layers = [0.3 + 0.3 * across, 0.3 + 0.2 * down, 0.3 * across + 0.1 * down]
    layers += [0.05 * np.sin(60 * across), 0.5 + down]
    return np.stack([layer.T for layer in layers], -1).astype(np.float32)
scene.paint_skin, scene.grow_hair = plain_skin, lambda *_: no_strands()
"""


def child(script: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def light(face: Face, **factors) -> np.ndarray:
    """Brightness of a picture, [128, 128], as numbers that can be subtracted."""
    return render(vary(face, **factors)).astype(float).mean(axis=2)


def test_a_picture_is_rgb_bytes_of_the_size_asked_for():
    for size in (64, 200):
        picture = render(BALD, size=size)
        assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    skin = picture[120, 100].astype(int)  # a cheek: red, green, blue in this order
    assert skin[0] > skin[1] > skin[2]


def test_two_processes_take_the_same_photo():
    assert child(HASHES) == child(HASHES)


def test_a_studio_changes_no_picture_by_what_it_keeps():
    smile = vary(BALD, expression="smile", expression_amount=1.0)
    faces = [BALD, vary(smile, glasses="square"), vary(BALD, yaw=25.0), smile, BALD]
    together = render_all(faces, size=64)
    for face, picture in zip(faces, together, strict=True):
        np.testing.assert_array_equal(picture, render(face, size=64))
    assert render_all([], size=64).shape == (0, 64, 64, 3)


def test_yaw_turns_the_nose_to_the_picture_s_right_and_pitch_down():
    shape = expressed_shape(BALD.person, BALD.photo)
    nose = shape[shape[:, 2].argmax()][None]
    straight = project(BALD, nose)[0]
    turned = project(vary(BALD, yaw=40.0), nose)[0]
    nodding = project(vary(BALD, pitch=15.0), nose)[0]
    assert turned[0] > straight[0] + 15 and abs(turned[1] - straight[1]) < 3
    assert nodding[1] > straight[1] + 3 and abs(nodding[0] - straight[0]) < 1
    crown = shape[shape[:, 1].argmax()][None]
    assert project(vary(BALD, roll=15.0), crown)[0, 0] > project(BALD, crown)[0, 0] + 5


@pytest.mark.parametrize(
    "pose", [{}, {"yaw": 30.0, "pitch": -10.0}, {"yaw": -20.0, "roll": 12.0}]
)
def test_eye_centres_are_projected_to_where_the_irises_are_drawn(pose):
    size = 256
    wide = {"expression": "surprise", "expression_amount": 1.0, "flash": 0.0, **pose}
    face = vary(Face(Person(detail=1, melanin=0.03, eye_size=1.0), BALD.look), **wide)
    eyes = find_eyeballs(load_head_model(), expressed_shape(face.person, face.photo))
    fronts = eyes.centers + np.array([0, 0, 1]) * eyes.radii[:, None]  # of the pupils
    picture = render(face, size=size).astype(float).sum(axis=2)
    for x, y in project(face, fronts, size=size):
        left, top = int(x) - 7, int(y) - 7
        patch = picture[top : top + 15, left : left + 15]
        dark = patch < np.percentile(patch, 15)  # pupil and iris
        row, column = (places.mean() + 0.5 for places in np.nonzero(dark))
        assert np.hypot(left + column - x, top + row - y) < 2.5


def test_light_from_left_and_right_makes_mirrored_pictures_of_a_symmetric_face():
    shape = expressed_shape(SMOOTH, Photo())
    assert abs(shape[:, 0].mean()) < 0.02  # dm: all but symmetric
    face = Face(SMOOTH, BALD.look, Photo(zoom=1.3))
    from_left, from_right = light(face, light=60.0), light(face, light=-60.0)
    middle = np.s_[30:100, 34:94]
    mirrored = np.abs(from_left - from_right[:, ::-1])[middle].mean()
    assert mirrored < 0.2 * np.abs(from_left - from_right)[middle].mean()
    assert from_left[middle][:, 30:].mean() > from_left[middle][:, :30].mean() + 10


def test_without_the_flash_a_face_is_lit_evenly_but_is_not_dark():
    lit = light(BALD, light=50.0)[40:95, 40:88]
    dark = light(BALD, light=50.0, flash=0.0)[40:95, 40:88]
    assert dark.std() < 0.6 * lit.std()
    assert dark.mean() > 0.5 * lit.mean()


def test_zoom_makes_the_head_larger():
    shape = expressed_shape(BALD.person, BALD.photo)
    reach = [
        np.ptp(project(vary(BALD, zoom=zoom), shape)[:, 0]) for zoom in (0.8, 1.0, 1.3)
    ]
    np.testing.assert_allclose(np.array(reach) / reach[1], (0.8, 1.0, 1.3), rtol=1e-4)


def test_glasses_hair_and_clothes_are_seen():
    bare = light(BALD)
    glasses = np.abs(light(BALD, glasses="square") - bare)
    assert glasses[45:70, 30:98].mean() > 4 * glasses[100:].mean()
    hair = np.abs(light(BALD, hair_style="short", hair_color="black") - bare)
    assert hair[5:30, 45:85].mean() > 20
    dressed = Face(BALD.person, Look(detail=9, hair_style="bald"), BALD.photo)
    other = np.abs(render(dressed).astype(float) - render(BALD)).mean(axis=2)
    assert other[122:, 20:108].mean() > 5 > other[40:90, 40:88].mean()


def test_another_machine_takes_the_same_photo(tmp_path):
    script = PLAIN + HASHES
    core = importlib.import_module("numpy._core._multiarray_umath")
    features = [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]
    older = child(
        script,
        NUMBA_CPU_NAME="generic",
        NUMBA_CPU_FEATURES="",
        NUMBA_CACHE_DIR=str(tmp_path),
        NPY_DISABLE_CPU_FEATURES=" ".join(features),
        OPENCV_CPU_DISABLE="AVX,FP16,AVX2",
        JSIMD_FORCENONE="1",  # libjpeg-turbo's
        GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-AVX",
    )
    assert older.splitlines()[-1] == child(script).splitlines()[-1]
    assert len(older.splitlines()[-1]) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize("size", (63, 257, 0))
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(InputError, match=f"{size}.*64 and 256"):
        render(BALD, size=size)
    with pytest.raises(InputError, match="64 and 256"):
        project(BALD, np.zeros((1, 3)), size=size)


def test_a_machine_without_numba_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'facedirs-jax\[synth\]'"):
        Studio(size=128)
    with pytest.raises(InputError, match="numba"):
        render(BALD)


def test_the_module_loads_no_numba_before_a_face_is_rendered():
    script = "import sys, facedirs_jax.rendering.render; print('numba' in sys.modules)"
    assert child(script) == "False"
