import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.clothing import (
    CHECKS,
    PLAIN,
    STRIPES,
    THICKNESS,
    Cloth,
    cloth_color,
    cloth_offsets,
    dress,
)
from facedirs_jax.rendering.factors import Look
from facedirs_jax.rendering.surface import head_surface

BASE = head_surface().base
RED, BLUE, WHITE = (0.4, 0.1, 0.1), (0.1, 0.1, 0.4), (0.7, 0.7, 0.7)


@pytest.mark.parametrize("detail", range(12))
def test_clothes_cover_the_shoulders_and_never_the_face(detail):
    _, reach = dress(Look(detail=detail), BASE)
    shoulders = (BASE[:, 1] < 5.7) & (np.abs(BASE[:, 0]) > 0.7)  # dm
    assert (reach[shoulders] > 0).all()
    assert (reach[BASE[:, 1] > 6.2] < 0).all()


def test_garments_are_alike_on_both_sides_and_differ_between_looks():
    _, reach = dress(Look(detail=3), BASE)
    _, mirrored = dress(Look(detail=3), BASE * np.array([-1, 1, 1], np.float32))
    np.testing.assert_array_equal(reach, mirrored)
    assert len({dress(Look(detail=d), BASE)[0] for d in range(30)}) == 30
    assert dress(Look(detail=3, hair_style="bob"), BASE)[0] == dress(Look(3), BASE)[0]


def test_cloth_is_as_thick_as_told_away_from_its_edge():
    np.testing.assert_allclose(
        cloth_offsets(np.array([-1, 0, 0.025, 0.05, 1], np.float32)),
        (0, 0, THICKNESS / 2, THICKNESS, THICKNESS),
        atol=1e-6,
    )


def test_patterns_repeat_with_their_period_and_borders_cover_them():
    def ground(pattern: int, x: float, y: float, reach: float = 0.5):
        cloth = Cloth((RED, BLUE, WHITE), pattern, 0.2, 0.1)
        return cloth_color(cloth, reach, (x, y, 0.0))[0]

    assert ground(PLAIN, 0.3, 5.5) == RED
    assert ground(STRIPES, 0.3, 5.62) == BLUE == ground(STRIPES, -0.1, 5.42)
    assert ground(STRIPES, 0.3, 5.55) == RED
    assert ground(CHECKS, 0.02, 5.62) == RED == ground(CHECKS, 0.15, 5.55)
    assert ground(STRIPES, 0.3, 5.62, reach=0.05) == WHITE


def test_a_seed_below_zero_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        dress(Look(detail=-1), BASE)
