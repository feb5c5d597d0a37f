"""Texels: each shows the point of the base head that the mesh puts there."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering import texels
from facedirs_jax.rendering.head_model import UV_WINDOW, load_head_model
from facedirs_jax.rendering.surface import SKIN, head_surface


@pytest.mark.parametrize("scale", texels.SCALES)
def test_a_triangles_middle_lies_at_the_texel_of_its_middle(scale):
    surface = head_surface()
    skin = surface.materials == SKIN
    middles = surface.base[surface.triangles[skin]].mean(axis=1)
    found = texels.head_texels(scale)
    places = texels.texel_places(surface.uvs[skin].mean(axis=1), found.inside.shape)
    columns, rows = places.astype(int).T
    assert found.inside[rows, columns].mean() > 0.99
    away = np.linalg.norm(found.positions[rows, columns] - middles, axis=1)
    assert np.median(away) < 0.008 * scale  # dm; a texel is 0.009 * scale wide
    assert np.percentile(away, 99) < 0.03 * scale


def test_the_window_spans_the_texture():
    low_u, high_u, low_v, high_v = UV_WINDOW
    corners = np.array([[low_u, low_v], [high_u, high_v]])
    np.testing.assert_allclose(
        texels.texel_places(corners, (980, 427)), [[0, 0], [427, 980]], atol=1e-9
    )


def test_skin_is_continued_beyond_its_edge():
    found = texels.head_texels(2)
    columns = np.arange(found.inside.shape[1])
    painted = (columns >= found.painted[:, :1]) & (columns < found.painted[:, 1:])
    assert painted[found.inside].all()
    grown = found.inside.copy()
    for axis, by in ((0, 1), (0, -1), (1, 1), (1, -1)):
        grown |= np.roll(found.inside, by, axis)
    assert painted[grown].all()
    assert (np.abs(found.positions[grown]).max(axis=-1) > 0.1).all()  # none left at 0


def test_random_fields_have_the_spread_they_claim_and_no_seam():
    fields = texels.cloud_fields(1) / texels.FIELD_STEPS
    found = texels.head_texels(1)
    assert len(fields) == sum(count for count, _ in texels.CLOUDS)
    spreads = fields[:, found.inside].std(axis=1)
    assert (np.abs(spreads - 1) < 0.25).all()  # few clouds fit on a head
    # Points at the crown that the texture keeps on opposite sides of its seam.
    points = found.positions[found.inside][::7]
    values = fields[0][found.inside][::7]
    crown = (np.abs(points[:, 0]) < 0.02) & (points[:, 1] > 8.3)
    left, right = (crown & (side * points[:, 0] > 0) for side in (1, -1))
    gaps = np.linalg.norm(points[left][:, None] - points[right][None], axis=-1)
    i, j = np.nonzero(gaps < 0.03)  # dm
    assert len(i) > 3
    assert np.abs(values[left][i] - values[right][j]).max() < 0.4


def test_grain_repeats_without_a_seam():
    for scale in texels.SCALES:
        fields = texels.grain(scale)
        side = fields.shape[1]
        assert side & (side - 1) == 0
        np.testing.assert_array_equal(fields[..., side:], fields[..., :-side])
        assert np.abs(np.std(fields / texels.FIELD_STEPS, axis=(1, 2)) - 1).max() < 0.3


def test_a_mask_keeps_its_area_at_the_coarser_scale():
    fine, coarse = (texels.head_mask("lips", scale) for scale in texels.SCALES)
    np.testing.assert_array_equal(fine, load_head_model().masks["lips"])
    assert coarse.mean() == pytest.approx(fine.mean(), rel=0.03)


def test_refuses_an_unknown_scale():
    with pytest.raises(ValueError, match="scale is 4"):
        texels.head_texels(4)
