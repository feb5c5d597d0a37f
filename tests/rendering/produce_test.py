import contextlib
import errno
import importlib.util

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("numba", reason="needs the extra `synth`")

from facedirs_jax import files
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import read_factor_table, write_factor_table
from facedirs_jax.rendering.factors import FACTORS
from facedirs_jax.rendering.measures import MEASURES, measure
from facedirs_jax.rendering.morphs import neutral_shape
from facedirs_jax.rendering.presets import Plan, shots
from facedirs_jax.rendering.produce import file_names, render_shots, table_of
from facedirs_jax.rendering.render import render

SHOTS = shots(Plan("controlled", identities=2))[20:26]  # of two people


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rendered")
    assert render_shots(SHOTS, path, size=64) == len(SHOTS)
    return path


def test_every_shot_becomes_the_picture_of_its_face(folder):
    for name, shot in zip(file_names(len(SHOTS)), SHOTS, strict=True):
        with Image.open(folder / name) as opened:
            picture = np.asarray(opened)
            assert "no person" in opened.info["Source"]
        np.testing.assert_array_equal(picture, render(shot.face, size=64))


def test_only_what_is_missing_is_rendered_again_and_comes_out_the_same(folder):
    before = {name: (folder / name).read_bytes() for name in file_names(len(SHOTS))}
    lost = file_names(len(SHOTS))[3]
    (folder / lost).unlink()
    assert render_shots(SHOTS, folder, size=64) == 1
    assert {n: (folder / n).read_bytes() for n in before} == before


def test_the_table_tells_all_that_is_known(folder, tmp_path):
    table = table_of(SHOTS)
    write_factor_table(tmp_path / "factors.csv", table)
    back = read_factor_table(tmp_path / "factors.csv")
    assert back.files == tuple(file_names(len(SHOTS)))
    assert {*FACTORS, *(f"{name}_mm" for name in MEASURES)} <= back.columns.keys()
    for row, shot in enumerate(SHOTS):
        assert back.identities[row] == shot.identity
        assert back.conditions[row] == shot.condition
        assert back.columns["yaw"][row] == np.float32(shot.face.photo.yaw)
        assert back.columns["iris"][row] == shot.face.person.iris
        lengths = measure(neutral_shape(shot.face.person))
        assert back.columns["nose_length_mm"][row] == np.float32(lengths["nose_length"])


@pytest.mark.parametrize("size", [0, 63, 257])
def test_a_size_out_of_range_is_refused(size, tmp_path):
    with pytest.raises(InputError, match=f"size is {size}; it must lie within 64 and"):
        render_shots(SHOTS, tmp_path, size=size)


def test_without_numba_the_extra_to_install_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs numba.*facedirs-jax\[synth\]"):
        render_shots(SHOTS, tmp_path)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some room and go on"), (errno.EACCES, "another folder")],
)
def test_a_full_disk_is_told_and_leaves_no_half_picture(
    number, remedy, monkeypatch, tmp_path
):
    @contextlib.contextmanager
    def failing(path):
        raise OSError(number, "the disk says no")
        yield path

    monkeypatch.setattr(files, "replaced", failing)
    with pytest.raises(InputError, match=f"000000.png: cannot be written.*{remedy}"):
        render_shots(SHOTS[:1], tmp_path, size=64)
    assert not list((tmp_path / "images").iterdir())
