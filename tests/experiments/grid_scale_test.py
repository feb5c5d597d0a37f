"""bench_grid --scale with a tiny network on a few faces; no time is tested."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import sys

import jax
import numpy as np
import pytest
from staged import staged_network

from experiments import grid_scale, grid_worker, inputs
from experiments.inputs import Source
from experiments.talking import answer, started
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces


@pytest.fixture
def in_threads(monkeypatch):
    """Threads instead of processes, of a tiny network and nine faces."""
    backbone, faces = staged_network()

    @contextlib.contextmanager
    def started(target, *given):
        pipe, its = multiprocessing.Pipe()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            done = pool.submit(target, its, *given)
            yield pipe
            pipe.close()
            done.result()

    monkeypatch.setattr(grid_scale, "started", started)
    monkeypatch.setattr(grid_worker, "_set_up", lambda work: None)
    monkeypatch.setattr(grid_worker, "_leave_gpu_memory", lambda: None)
    monkeypatch.setattr(grid_worker, "backbone_of", lambda name: backbone)
    monkeypatch.setattr(inputs, "load", lambda source, backbone: faces)


def test_sizes_devices_and_processes_are_measured_and_agree(in_threads, tmp_path):
    out = tmp_path / "out"
    config = grid_scale.Config(
        Source(("portraits",)),
        str(out),
        sizes=(12, 7),  # of nine faces
        devices=(1, 2),
        chunk=2,
        blends=8,
        rounds=1,
    )
    assert grid_scale.run(config) == 0
    found = json.loads((out / "scale.json").read_text())
    assert list(found["sizes"]) == ["7", "12"]
    for faces, row in found["sizes"].items():
        assert len(row["ms_a_blend"]) == 1 and row["ms_a_blend"][0] > 0
        crops_and_masks = 7 * int(faces) * 32 * 32 / 1e6
        assert crops_and_masks < row["resident_mb"] < crops_and_masks + 0.1
        assert row["early_peak_mb"] <= row["peak_mb"]
        assert 1 <= row["blends"] <= int(faces) * (int(faces) - 1)
    assert found["sizes"]["7"]["growth_mb"] == 0
    assert found["sizes"]["7"]["ratio"]["median"] == 1
    assert list(found["devices"]) == ["1", "2"]
    assert found["devices"]["1"]["apart"] == 0
    assert found["devices"]["2"]["apart"] <= 1e-6
    assert list(found["processes"]["blends_a_second"]) == ["1", "2"]
    assert found["holds"]["devices_agree"]
    assert (out / "scale.png").stat().st_size > 5000


def measured_cores(pipe):
    work = grid_worker.Work("", "", 4, 4, 4, devices=2, part=(1, 2), one_core=True)
    grid_worker._set_up(work)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    pipe.send((len(cores), [device.platform for device in jax.devices()]))


def test_a_process_of_one_core_is_pinned_before_jax_starts():
    with started(measured_cores) as pipe:
        assert answer(pipe) == (1, ["cpu", "cpu"])


def a_death(pipe):
    sys.exit(0)


def test_a_process_that_dies_is_no_silence():
    with started(a_death) as pipe, pytest.raises(RuntimeError, match="process died"):
        answer(pipe)


def test_what_a_process_cannot_use_is_told_by_the_first(portraits, tmp_path):
    asked = Source((str(portraits),)), str(tmp_path / "out")
    config = grid_scale.Config(*asked, network="alexnet")
    with pytest.raises(InputError, match="alexnet"):
        grid_scale.run(config)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sizes": (40,)}, "at least two of at least 4"),
        ({"chunk": 512}, "--chunk=512 is too large to time a grid of 40 faces"),
        ({"sizes": (20, 22)}, "--chunk=16 is too large to time a grid of 22 faces, or"),
    ],
)
def test_grids_that_cannot_be_timed_are_refused(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        grid_scale.Config(Source(("x",)), "out", **settings)


def test_sizes_that_are_no_numbers_are_refused():
    assert grid_scale.sizes_of(["40", "80"]) == (40, 80)
    with pytest.raises(InputError, match="--sizes=40,-8 are not numbers"):
        grid_scale.sizes_of(["40", "-8"])


def test_two_processes_are_as_fast_as_the_time_they_share():
    def a_round(start: float, end: float, blends: int) -> grid_worker.Round:
        return grid_worker.Round(start, end, blends, 0, 0)

    assert grid_scale._speed([a_round(1, 3, 10)]) == 5
    assert grid_scale._speed([a_round(1, 3, 10), a_round(2, 6, 10)]) == 4


@pytest.mark.parametrize(("faces", "chunk"), [(40, 16), (575, 16), (12, 2)])
def test_rows_are_whole_and_hold_the_blends_asked_for(faces, chunk):
    cells = grid_worker.cells_needed(100, faces, chunk)
    assert cells % faces == 0
    most = grid_worker.segment_cells(faces, chunk)
    assert 100 + most <= cells < 100 + most + faces


def test_faces_come_again_a_little_brighter():
    crops = np.full((2, 4, 4, 3), 10, np.uint8)
    crops[1] = 252
    landmarks = np.arange(2 * 68 * 2, dtype=np.float32).reshape(2, 68, 2)
    found, points = grid_worker.repeated(Faces(crops, landmarks, (), "dlib_chip"), 5)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[:, 0, 0, 0], [10, 252, 16, 255, 22])
    np.testing.assert_array_equal(points, landmarks[[0, 1, 0, 1, 0]])
