import dataclasses

import numpy as np
import pytest
from scipy import spatial

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax.rendering.factors import HAIR_COLORS, HAIR_STYLES, Look, Person
from facedirs_jax.rendering.hair import grow_hair
from facedirs_jax.rendering.haircuts import CUTS
from facedirs_jax.rendering.hairline import hair_rgb
from facedirs_jax.rendering.head_model import load_head_model
from facedirs_jax.rendering.morphs import neutral_shape
from facedirs_jax.rendering.strands import Strands, head_skin, vertex_normals

MODEL = load_head_model()
PEOPLE = [
    Person(3, gender=0.05, african=1.0, caucasian=0.0, age=25.0),
    Person(4, gender=0.95, caucasian=1.0, age=60.0, face_width=0.8),
    Person(5, gender=0.5, asian=1.0, caucasian=0.0, age=40.0, face_width=-0.8),
]
HAIRY = [style for style in HAIR_STYLES if style != "bald"]
ON_SKIN = 0.02  # dm, how far a smooth point of a quad lies off its flat halves
INSIDE = 0.06  # dm, of the map of the head's radius, whose cells measure 0.07


def grown(style: str, person: Person = PEOPLE[0], **look: float) -> Strands:
    detail = int(look.pop("detail", 0))
    styled = Look(detail, hair_style=style, **look)  # pyright: ignore[reportArgumentType]
    return grow_hair(MODEL, neutral_shape(person), person, styled)


def eyes_of(person: Person) -> np.ndarray:
    joints = [MODEL.points[f"joint-{side}-eye"] for side in "lr"]
    return neutral_shape(person)[np.concatenate(joints)].mean(axis=0)


def lengths(strands: Strands) -> np.ndarray:
    steps = np.diff(strands.points, axis=1).astype(np.float64)
    return np.sqrt((steps**2).sum(axis=-1)).sum(axis=-1)


def skin_points(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points strewn over the skull, and the outward normal at each."""
    quads = head_skin(MODEL).skull
    normals = vertex_normals(quads, vertices)
    shares = (np.arange(6) + 0.5) / 6
    s, t = (grid.reshape(-1, 1, 1) for grid in np.meshgrid(shares, shares))
    weights = ((1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t)
    points, facing = (
        np.sum([w * v[quads[:, k]] for k, w in enumerate(weights)], axis=0)
        for v in (vertices, normals)
    )
    points, facing = points.reshape(-1, 3), facing.reshape(-1, 3)
    return points, facing / np.linalg.norm(facing, axis=1, keepdims=True)


@pytest.mark.parametrize("person", PEOPLE, ids=["african", "caucasian", "asian"])
@pytest.mark.parametrize("style", HAIRY)
def test_strands_start_on_the_skin_and_keep_out_of_the_head(style, person):
    strands = grown(style, person)
    points, normals = skin_points(neutral_shape(person))
    tree = spatial.KDTree(points)

    _, nearest = tree.query(strands.points[:, 0])
    apart = strands.points[:, 0] - points[nearest]
    off = (apart * normals[nearest]).sum(axis=-1)
    assert np.abs(off).max() < ON_SKIN

    above = strands.points[:, 1:].reshape(-1, 3)[::7]
    # Lower down hair hangs, and the neck may hide some.
    above = above[above[:, 1] > eyes_of(person)[1] - 0.35]
    distance, nearest = tree.query(above)
    depth = ((above - points[nearest]) * normals[nearest]).sum(axis=-1)
    assert depth[distance < 0.3].min() > -INSIDE


@pytest.mark.parametrize("person", PEOPLE, ids=["african", "caucasian", "asian"])
@pytest.mark.parametrize("style", HAIRY)
def test_hair_leaves_the_face_free(style, person):
    for detail in range(3):
        points = grown(style, person, detail=detail).points - eyes_of(person)
        x, y, z = np.moveaxis(points, -1, 0)
        before = (np.abs(x) < 0.45) & (z > -0.2) & (y > -0.75) & (y < 0.3)
        assert not before.any()


def test_there_are_some_thousand_strands_of_every_style_but_bald():
    for style in HAIRY:
        strands = grown(style)
        count = len(strands.points)
        assert 4500 < count < 6500
        assert strands.points.shape == (count, 12, 3)
        assert strands.color.shape == (count, 3)
        assert strands.width.shape == strands.gloss.shape == (count,)
        assert all(values.dtype == np.float32 for values in strands)
        assert all(np.isfinite(values).all() for values in strands)
    assert len(grown("bald").points) == 0


def test_hair_moves_with_the_head():
    person, look = PEOPLE[1], Look(hair_style="short")
    shape = neutral_shape(person)
    moved = np.array([0.2, -0.1, 0.3], np.float32)
    here = grow_hair(MODEL, shape, person, look)
    there = grow_hair(MODEL, shape + moved, person, look)
    np.testing.assert_allclose(there.points[:, 0], here.points[:, 0] + moved, atol=1e-5)
    assert np.median(np.abs(there.points - here.points - moved)) < 1e-4


def test_the_same_seeds_give_the_same_strands_and_others_the_same_cut():
    one, again, other = (grown("side", detail=detail) for detail in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert one.points.shape != other.points.shape or not np.allclose(
        one.points, other.points, atol=0.05
    )
    for axis in range(3):
        ends = [
            np.quantile(strands.points[..., axis], [0.01, 0.5, 0.99])
            for strands in (one, other)
        ]
        np.testing.assert_allclose(ends[0], ends[1], atol=0.05)


@pytest.mark.parametrize("style", HAIRY)
def test_hair_length_makes_hair_longer(style):
    found = [lengths(grown(style, hair_length=f)).mean() for f in (0.75, 1.0, 1.3)]
    assert found[0] < 0.95 * found[1] < 0.9 * found[2]


def test_every_style_has_a_silhouette_of_its_own():
    silhouettes = {}
    for style in HAIRY:
        points = grown(style).points.reshape(-1, 3)
        low = np.quantile(points[:, 1], 0.01)
        back, top = points[:, 2].min(), points[:, 1].max()
        width = np.quantile(np.abs(points[:, 0]), 0.99)
        silhouettes[style] = np.array(
            [low, back, top, width, lengths(grown(style)).mean()]
        )
    for style, one in silhouettes.items():
        others = [two for name, two in silhouettes.items() if name != style]
        assert min(np.abs(one - two).max() for two in others) > 0.05, style
    low = {style: found[0] for style, found in silhouettes.items()}
    assert low["long"] < low["bob"] - 0.3 < low["short"] - 0.4


def test_strands_vary_around_the_color_of_the_hair():
    for color in HAIR_COLORS:
        strands = grown("short", hair_color=color)  # pyright: ignore[reportArgumentType]
        expected = hair_rgb(PEOPLE[0], Look(hair_color=color))
        np.testing.assert_allclose(strands.color.mean(axis=0), expected, rtol=0.15)
        spread = np.log(strands.color[:, 1]).std()
        assert 0.1 < spread < (0.5 if color == "grey" else 0.3)


def test_a_receded_hairline_grows_fewer_strands():
    man = dataclasses.replace(PEOPLE[1], gender=1.0)
    counts = [
        len(grown("short", dataclasses.replace(man, age=age)).points)
        for age in (25.0, 85.0)
    ]
    assert counts[1] < 0.95 * counts[0]


def test_every_style_has_a_cut():
    assert set(CUTS) == set(HAIR_STYLES)


def test_vertices_must_be_finite_and_of_the_model():
    vertices = MODEL.vertices.copy()
    with pytest.raises(ValueError, match="must be"):
        grow_hair(MODEL, vertices[1:], PEOPLE[0], Look(hair_style="short"))
    vertices[7, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        grow_hair(MODEL, vertices, PEOPLE[0], Look(hair_style="short"))
