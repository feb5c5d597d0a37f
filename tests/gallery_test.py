"""The gallery that ships is whole, small, and what its command makes."""

import numpy as np
import pytest
from PIL import Image

from experiments.make_gallery import PLANS, QUALITY, SIZE, gallery_shots
from facedirs_jax.errors import InputError
from facedirs_jax.gallery import NAMES, gallery_folder
from facedirs_jax.rendering.factor_table import read_factor_table
from facedirs_jax.rendering.factors import FACTORS


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_of_the_table_is_there_and_no_other(name):
    folder = gallery_folder(name=name)
    table = read_factor_table(folder / "factors.csv")
    there = {str(p.relative_to(folder)) for p in folder.rglob("*.webp")}
    assert there == set(table.files)
    for file in table.files:
        with Image.open(folder / file) as picture:
            assert picture.size == (SIZE, SIZE)


def test_it_is_small_enough_to_ship():
    paths = [path for name in NAMES for path in gallery_folder(name=name).rglob("*")]
    assert sum(path.stat().st_size for path in paths if path.is_file()) < 8e6


@pytest.mark.parametrize("name", NAMES)
def test_its_table_is_what_its_plan_says(name):
    table = read_factor_table(gallery_folder(name=name) / "factors.csv")
    wanted = gallery_shots(name)
    assert table.identities.tolist() == [shot.identity for shot in wanted]
    assert table.conditions.tolist() == [shot.condition for shot in wanted]
    assert set(table.splits) == {"test"}
    for factor in FACTORS:
        part = next(p for p in wanted[0].face if hasattr(p, factor))
        place = wanted[0].face.index(part)
        expected = [getattr(shot.face[place], factor) for shot in wanted]
        if FACTORS[factor].choices:
            assert table.columns[factor].tolist() == expected
        else:
            np.testing.assert_array_equal(
                table.columns[factor], np.array(expected, np.float32), factor
            )


def test_its_people_are_many_and_each_has_one_portrait():
    people = read_factor_table(gallery_folder() / "factors.csv").identities
    assert len(people) == len(set(people)) == 200
    assert set(NAMES) == set(PLANS)


@pytest.mark.parametrize("name", NAMES)
def test_its_pictures_are_those_that_the_renderer_makes(name):
    pytest.importorskip("numba", reason="needs the extra `synth`")
    from facedirs_jax.rendering.render import render

    folder = gallery_folder(name=name)
    table = read_factor_table(folder / "factors.csv")
    row = len(table.files) // 2
    with Image.open(folder / table.files[row]) as opened:
        shipped = np.asarray(opened.convert("RGB"), float)
    made = render(gallery_shots(name)[row].face, size=SIZE).astype(float)
    error = np.sqrt(np.square(shipped - made).mean())
    assert error < 6, f"WebP at quality {QUALITY} loses less than {error} grey levels"


def test_a_gallery_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no gallery 'holidays'; known: portraits"):
        gallery_folder(name="holidays")
