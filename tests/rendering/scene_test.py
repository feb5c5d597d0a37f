import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.factors import Face, Look, Person, Photo, vary
from facedirs_jax.rendering.morphs import neutral_shape
from facedirs_jax.rendering.scene import Parts, build_scene, head_center
from facedirs_jax.rendering.surface import FRAME, head_surface

FACE = Face(Person(detail=1), Look(hair_style="buzz"), Photo())


def built(face: Face, parts: Parts | None = None):
    return build_scene(face, reuse=parts, texture_scale=2)


def test_parts_are_made_once_and_the_oldest_forgotten():
    made = []

    def make(key: int) -> list[int]:
        made.append(key)
        return [key]

    def part(key: int) -> list[int]:
        return parts.get("kind", key, lambda: make(key))

    parts = Parts(kept=2)
    first = part(1)
    assert part(1) is first and part(2) == [2] and part(1) is first
    part(3)  # 2 has waited the longest
    assert part(1) is first and part(2) == [2]
    assert made == [1, 2, 3, 2]
    assert parts.get("another kind", 1, lambda: "own") == "own"


def test_a_pose_or_a_light_needs_no_new_scene_and_an_expression_no_new_skin():
    parts = Parts()
    scene = built(FACE, parts)
    assert built(vary(FACE, yaw=30.0, light=-60.0, noise=0.05), parts) is scene
    assert built(vary(FACE, expression="smile"), parts) is scene  # of amount 0
    smile = vary(FACE, expression="smile", expression_amount=1.0)
    smiling = built(smile, parts).subject
    assert smiling.texture is scene.subject.texture
    assert np.abs(smiling.points - scene.subject.points).max() > 0.05  # dm
    aged = built(vary(FACE, age=70.0), parts).subject
    assert aged.texture is not scene.subject.texture


def test_arrays_of_a_scene_fit_together_with_and_without_glasses():
    for style in ("none", "round"):
        subject, casters, widths = built(vary(FACE, glasses=style))
        num_points, num_triangles = len(subject.points), len(subject.triangles)
        for rows in (subject.normals, subject.occlusion, subject.base, subject.reach):
            assert len(rows) in (num_points, len(head_surface().base))
        assert len(subject.uvs) == len(subject.materials) == num_triangles
        assert subject.triangles.max() == num_points - 1 >= casters.max()
        assert (subject.materials == FRAME).any() == (style != "none")
        assert len(widths) == len(subject.strands) == len(subject.strand_gloss)
        assert subject.occlusion.min() >= -0.01 and subject.occlusion.max() <= 1.01


def test_the_head_s_centre_is_in_its_middle_behind_the_eyes():
    x, y, z = head_center(neutral_shape(Person()))
    assert x == 0 and z == pytest.approx(0.45)
    head = neutral_shape(Person())
    assert head[:, 1].max() - 1.4 < y < head[:, 1].max() - 0.9


def test_a_texture_of_another_scale_is_refused():
    with pytest.raises(ValueError, match="scale"):
        build_scene(FACE, texture_scale=3)
