import numpy as np
import pytest
from scipy import spatial

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.facial_hair import LONGEST, SHORTEST, grow_facial_hair
from facedirs_jax.rendering.factors import Look, Person, Photo
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.morphs import expressed_shape, neutral_shape
from facedirs_jax.rendering.strands import Strands, head_skin

MODEL = load_head_model()
MAN = Person(8, gender=1.0)
SCREAM = Photo(expression="scream", expression_amount=1.0)


def grown(kind: str, amount: float = 0.5, photo: Photo | None = None, detail: int = 0):
    look = Look(detail, facial_hair=kind, facial_hair_amount=amount)
    shape = expressed_shape(MAN, photo or Photo())
    return grow_facial_hair(MODEL, shape, MAN, look)


def lengths(strands: Strands) -> np.ndarray:
    steps = np.diff(strands.points, axis=1).astype(np.float64)
    return np.sqrt((steps**2).sum(axis=-1)).sum(axis=-1)


@pytest.mark.parametrize("kind", ["none", "stubble"])
def test_no_strands_grow_of_what_is_painted_or_absent(kind):
    assert len(grown(kind).points) == 0


@pytest.mark.parametrize("photo", [Photo(), SCREAM], ids=["neutral", "scream"])
def test_a_beard_grows_from_the_skin_of_the_expression_and_lies_close_to_it(photo):
    strands = grown("beard", 1.0, photo)
    assert 1500 < len(strands.points) < 3500
    shape = expressed_shape(MAN, photo)
    corners = shape[head_skin(MODEL).quads]
    shares = (np.arange(6) + 0.5) / 6
    s, t = (grid.reshape(-1, 1, 1) for grid in np.meshgrid(shares, shares))
    weights = ((1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t)
    skin = np.sum([w * corners[:, k] for k, w in enumerate(weights)], axis=0)
    tree = spatial.KDTree(skin.reshape(-1, 3))
    assert tree.query(strands.points[:, 0])[0].max() < 0.02
    assert np.quantile(tree.query(strands.points[:, -1])[0], 0.9) < 0.12


def test_a_beard_hangs_less_below_the_chin_than_it_is_long():
    chin = neutral_shape(MAN)[head_skin(MODEL).quads]
    chin = chin[chin[..., 2].min(axis=1) > 1.2, :, 1].min()
    tips = grown("beard", 1.0).points[:, -1]
    assert tips[tips[:, 2] > 1.2, 1].min() > chin - 0.8 * LONGEST


def test_facial_hair_grows_with_its_amount():
    for kind in ("beard", "moustache"):
        found = [lengths(grown(kind, amount)) for amount in (0.0, 0.3, 0.6, 1.0)]
        means = [float(length.mean()) for length in found]
        assert means == sorted(means)
        assert means[-1] > 2 * means[0]
        assert found[0].max() < 2 * SHORTEST
        assert found[-1].max() < 1.3 * LONGEST


def test_no_hair_crosses_the_mouth():
    mouth = MODEL.vertices[head_skin(MODEL).quads].mean(axis=1)
    mouth = (np.abs(mouth[:, 0]) < 0.2) & (mouth[:, 1] > 6.54) & (mouth[:, 1] < 6.63)
    lips = head_skin(MODEL).quads[mouth]
    lips = neutral_shape(MAN)[lips].mean(axis=1)
    for kind in ("beard", "moustache"):
        x, y, z = np.moveaxis(grown(kind, 1.0).points, -1, 0)
        before = (np.abs(x) < 0.15) & (z > 1.2)
        within = (y > np.median(lips[:, 1]) - 0.02) & (y < np.median(lips[:, 1]) + 0.02)
        assert not (before & within).any()


def test_a_moustache_stays_above_the_mouth_and_a_beard_has_one():
    moustache, beard = grown("moustache", 0.2), grown("beard", 0.2)
    assert moustache.points[:, 0, 1].min() > beard.points[:, 0, 1].min() + 0.4
    assert 100 < len(moustache.points) < len(beard.points) / 3


def test_the_same_seeds_give_the_same_strands():
    one, again, other = (grown("beard", detail=detail) for detail in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one.points[:100], other.points[:100])


def test_vertices_must_be_finite_and_of_the_model():
    vertices = MODEL.vertices.copy()
    look = Look(facial_hair="beard")
    with pytest.raises(ValueError, match="must be"):
        grow_facial_hair(MODEL, vertices[1:], MAN, look)
    vertices[7, 1] = np.inf
    with pytest.raises(ValueError, match="finite"):
        grow_facial_hair(MODEL, vertices, MAN, look)
