"""Templates of many pictures do not depend on how they are cut into chunks."""

import numpy as np
import pytest
from PIL import Image

from facedirs_jax.errors import InputError
from facedirs_jax.faces import load_faces
from facedirs_jax.picture_templates import embed_pictures, pictures_fingerprint
from facedirs_jax.templates import embed


@pytest.fixture
def paths(portraits, tmp_path):
    """Six pictures, not in order, of which the third shows no face."""
    Image.new("RGB", (100, 100), "gray").save(tmp_path / "wall.png")
    found = sorted(portraits.iterdir())[:5][::-1]
    return [*found[:2], tmp_path / "wall.png", *found[2:]]


def test_a_row_stands_for_each_picture_in_the_order_given(
    toy, paths, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    made = embed_pictures(toy, paths, tmp_path / "whole", cache_dir=cache)
    assert [row.file for row in made.status] == [str(path) for path in paths]
    assert list(made.usable) == [True, True, False, True, True, True]
    assert np.isnan(made.templates[2]).all() and made.status[2].status == "no_face"
    faces = [load_faces(path, size=24, cache_dir=cache) for path in paths]
    expected = embed(
        toy.network, toy.preprocess, np.concatenate([face.crops for face in faces])
    )
    np.testing.assert_allclose(made.templates[made.usable], expected, atol=1e-6)

    parts = embed_pictures(toy, paths, tmp_path / "parts", cache_dir=cache, chunk=3)
    np.testing.assert_array_equal(parts.templates, made.templates)
    assert parts.status == made.status
    kept = sorted((tmp_path / "parts").iterdir())
    kept[1].write_bytes(kept[1].read_bytes()[:100])  # cut short: made again
    monkeypatch.setattr("facedirs_jax.picture_templates.embed", once(embed))
    again = embed_pictures(toy, paths, tmp_path / "parts", cache_dir=cache, chunk=3)
    np.testing.assert_array_equal(again.templates, made.templates)


def once(function):
    calls = []

    def call(*arguments):
        assert not calls
        calls.append(arguments)
        return function(*arguments)

    return call


def test_pictures_that_are_missing_or_named_twice_are_refused(toy, paths, tmp_path):
    with pytest.raises(InputError, match=r"1 pictures are not there: .*gone\.png"):
        pictures_fingerprint([*paths, tmp_path / "gone.png"])
    with pytest.raises(InputError, match="2 pictures are 1 different files"):
        embed_pictures(toy, paths[2:3] * 2, tmp_path / "twice")


def test_the_fingerprint_is_that_of_the_bytes(paths, tmp_path):
    before = pictures_fingerprint(paths)
    assert before == pictures_fingerprint(paths)
    Image.new("RGB", (100, 100), "white").save(tmp_path / "wall.png")
    assert before != pictures_fingerprint(paths)
