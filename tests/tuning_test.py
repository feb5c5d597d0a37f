"""The chunk of a run is measured where that pays, and remembered."""

import json
import types
from typing import Any

import numpy as np
import pytest
from absl import logging

from facedirs_jax import grid, tuning
from facedirs_jax.devices import data_mesh
from facedirs_jax.grid_run import CHUNK


class Timer:
    """A device that needs `fixed` seconds a chunk, and `each` a blend, up to `most`."""

    def __init__(self, fixed, each, most=10**6):
        self.now, self.sizes = 0.0, []
        self.fixed, self.each, self.most = fixed, each, most

    def seconds_of(self, size):
        self.sizes.append(size)
        if size > self.most:
            return None
        taken = self.fixed + self.each * size
        self.now += 4 * taken
        return taken / size

    def tuned(self, blends=10**9):
        sizes = tuning.sizes_up_to(10**6)
        return tuning.tuned(
            self.seconds_of, sizes, blends=blends, clock=lambda: self.now
        )


def test_sizes_double_until_one_holds_all():
    assert tuning.sizes_up_to(5) == [8]
    assert tuning.sizes_up_to(64) == [8, 16, 32, 64]
    assert tuning.sizes_up_to(65)[-1] == 128
    assert tuning.sizes_up_to(10**6)[-1] == 4096


@pytest.mark.parametrize(
    ("fixed", "each", "chunk", "last"),
    [
        (0.0, 1.0, 8, 32),  # nothing to gain
        (1.0, 1.0, 32, 64),  # 2.9 % gained by 32, 1.5 % by 64
        (99.0, 1.0, 2048, 4096),
    ],
)
def test_the_smallest_of_nearly_the_best_is_taken(fixed, each, chunk, last):
    timer = Timer(fixed, each)
    found = timer.tuned()
    assert timer.sizes == tuning.sizes_up_to(last) and found.settled
    assert found.chunk == chunk


def test_memory_ends_the_growth():
    timer = Timer(99.0, 1.0, most=100)
    assert timer.tuned()[:2] == (64, True)
    assert timer.sizes[-1] == 128
    assert Timer(1.0, 1.0, most=4).tuned()[:2] == (1, False)


def test_time_for_measuring_is_a_small_part_of_the_run():
    timer = Timer(99.0, 1.0)
    found = timer.tuned(blends=20_000)
    assert not found.settled
    run = 20_000 * min(found.seconds.values())
    before = sum(4 * n * s for n, s in found.seconds.items()) - 4 * (
        99 + max(timer.sizes)
    )
    assert before < tuning.SHARE * run
    hurried = Timer(99.0, 1.0).tuned(blends=2_000)
    assert hurried.chunk == CHUNK and max(hurried.seconds) < CHUNK


@pytest.fixture
def tune(toy, toy_faces, tmp_path, monkeypatch):
    """Tunes with a fake timer; gives the chunk and the sizes that were timed."""
    monkeypatch.setattr(tuning, "_pays", lambda *_: True)
    masks = np.zeros(toy_faces.crops.shape[:3], np.float32)

    def call(blends=10**9, people=20, cache_dir=tmp_path / "cache", **options):
        timer = Timer(9.0, 1.0)
        monkeypatch.setattr(tuning, "_seconds", lambda *of: timer.seconds_of(of[-1]))
        asked: Any = {"regional": "off"} | options
        chunk = tuning.tune_chunk(
            *(toy, toy_faces, masks, grid.make_grid(people)),
            blends=blends,
            cache_dir=cache_dir,
            mesh=data_mesh(devices=1),
            **asked,
        )
        return chunk, timer.sizes

    return call


def test_a_measurement_is_remembered(tune, tmp_path):
    chunk, sizes = tune()
    assert chunk == 256 and sizes == tuning.sizes_up_to(400)
    assert tune() == (chunk, [])
    (path,) = (tmp_path / "cache").iterdir()
    content = json.loads(path.read_text())
    assert content["chunk"] == chunk and content["of"]["network"] == "ToyNetwork"
    assert path.stat().st_mode & 0o077 == 0
    assert tune(color_transfer="lab")[1]  # another computation
    assert tune(cache_dir=None)[1]


@pytest.mark.parametrize("content", ["", "[1]", '{"chunk": 0}', '{"chunk": "8"}', "\0"])
def test_a_damaged_file_is_measured_anew(tune, tmp_path, content):
    chunk, _ = tune()
    (path,) = (tmp_path / "cache").iterdir()
    path.write_text(content)
    assert tune()[1] and tune() == (chunk, [])


def test_a_file_in_place_of_the_cache_is_told_of(tune, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *of: said.append(text % of))
    (tmp_path / "cache").write_text("")
    assert tune()[0] == 256
    assert len(said) == 1 and "cannot be written" in said[0]


def test_small_grids_are_not_measured(tune):
    assert tune(blends=tuning.SMALL - 1) == (CHUNK, [])
    assert tune(blends=20, people=5) == (25, [])


def test_a_run_that_ends_before_measuring_pays_takes_the_usual_chunk(tune, monkeypatch):
    monkeypatch.setattr(tuning, "_pays", lambda *_: False)
    assert tune() == (CHUNK, [])


def test_real_chunks_are_timed(toy, toy_faces):
    masks = np.zeros(toy_faces.crops.shape[:3], np.float32)
    mesh = data_mesh(devices=1)
    shape = grid.make_grid(20)
    own = np.zeros((1, 1), np.float32)
    embedder = tuning.Embedder(
        *(toy.network, toy.preprocess, toy_faces.crops, masks, shape, own), mesh=mesh
    )
    taken = tuning._seconds(embedder, 20, 8)
    assert taken is not None and 0 < taken < 10


@pytest.mark.parametrize(("blends", "pays"), [(300_000, True), (280_000, False)])
def test_three_compilations_must_be_a_small_part_of_a_run(
    toy, toy_faces, monkeypatch, blends, pays
):
    """Here 9 s each, of a run of 0.1 s for every 32 blends."""
    ticks = iter([0.0, 9.1, 10.0, 10.1])
    clock = types.SimpleNamespace(monotonic=lambda: next(ticks))
    monkeypatch.setattr(tuning, "time", clock)
    assert tuning._pays(toy, toy_faces, blends) == pays
