"""Eyebrows: hairs on a canvas along the brow's line."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering import brows
from facedirs_jax.rendering.factors import Person
from facedirs_jax.rendering.texels import SCALES, head_texels

PERSON = Person(detail=4)


def canvas(scale=1, /, **factors):
    return brows.brow_canvas(dataclasses.replace(PERSON, **factors), scale)


def test_the_middle_line_is_the_table_moved_as_a_whole_when_straight():
    x = brows.MIDDLE[:, 0]
    moved = brows.brow_line(PERSON, x) - brows.MIDDLE[:, 1]
    np.testing.assert_allclose(moved, moved[0])
    assert abs(moved[0]) <= 2 * brows.END_SPREADS[2]


def test_an_arch_lifts_the_outer_half_over_both_ends():
    x = np.array([0.06, 0.42, 0.66])
    lifts = [
        brows.brow_line(dataclasses.replace(PERSON, brow_arch=arch), x)
        for arch in (-1.0, 0.0, 1.0)
    ]
    inner, peak, outer = lifts[2] - lifts[1]
    assert peak > 0.04 > 0 > max(inner, outer)
    np.testing.assert_allclose(lifts[1] - lifts[0], lifts[2] - lifts[1])


def test_brows_fade_at_both_ends():
    for brow in canvas(brow_thickness=1.3):
        along = brow.max(axis=0)
        full = along > 0.5 * along.max()
        first, last = full.argmax(), len(full) - full[::-1].argmax()
        assert along[:2].max() < 0.01 > along[-2:].max()
        assert first > 5
        assert last < len(full) - 5
        assert brow[:2].max() < 0.01 > brow[-2:].max()


@pytest.mark.parametrize("factor", ["brow_thickness", "brow_density"])
def test_more_of_a_factor_only_adds_hair(factor):
    values = {"brow_thickness": (0.4, 1.0, 1.8), "brow_density": (0.7, 0.9, 1.1)}[
        factor
    ]
    covers = [canvas(**{factor: value}) for value in values]
    assert covers[0].sum() < 0.8 * covers[1].sum() < 0.7 * covers[2].sum()
    if factor == "brow_density":  # the same hairs, and some more
        assert (covers[0] <= covers[1] + 1e-6).all()


def test_inner_hairs_rise_and_outer_ones_lie():
    """The cover changes least along the hairs."""
    cover = canvas(brow_density=0.8).astype(np.float64)

    def steepness(low, high):
        part = cover[..., int(low * cover.shape[2]) : int(high * cover.shape[2])]
        across, up = np.diff(part, axis=2), np.diff(part, axis=1)
        return (across**2).mean() / (up**2).mean()

    assert steepness(0.14, 0.28) > 2 * steepness(0.6, 0.75)


def test_left_and_right_differ_hair_by_hair_only():
    left, right = canvas()
    covered = np.maximum(left, right) > 0.3
    assert (left != right)[covered].mean() > 0.9
    assert left.mean() == pytest.approx(right.mean(), rel=0.1)


def test_a_coarser_canvas_covers_as_much():
    fine, coarse = (canvas(scale) for scale in SCALES)
    assert coarse.mean() == pytest.approx(fine.mean(), rel=0.1)


def test_painting_mixes_skin_and_hair_by_the_cover():
    texels = head_texels(2)
    texture = np.ones((*texels.inside.shape, 5), np.float32)
    brows.paint_brows(texture, texels, PERSON, 2, np.zeros(3))
    cover = 1 - texture[..., 0]
    for c in (1, 2):
        np.testing.assert_array_equal(texture[..., c], texture[..., 0])
    np.testing.assert_allclose(
        texture[..., 4], 1 - brows.HAIR_DULLNESS * cover, rtol=1e-5
    )
    np.testing.assert_array_equal(texture[..., 3], 1)
    highest = brows.brow_canvas(PERSON, 2).max()
    assert 0.5 * highest < cover.max() <= highest
    assert 0.001 < (cover > 0.2).mean() < 0.02


def test_refuses_a_seed_below_zero():
    with pytest.raises(ValueError, match="non-negative"):
        canvas(detail=-1)
