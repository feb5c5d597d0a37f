"""A benchmark of a few small templates: what it writes, and that both sides agree."""

import json

import numpy as np
import pytest

from experiments import bench_directions
from experiments.bench_directions import Config
from facedirs_jax.errors import InputError

NAMES = ["regression", "pca", "centroid", "bootstrap"]


def test_both_sides_agree_and_all_is_written(tmp_path, capsys):
    out = tmp_path / "out"
    assert bench_directions.run(Config(str(out), samples=300, dim=20, rounds=2)) == 0
    written = json.loads((out / "bench.json").read_text())
    assert list(written["contests"]) == NAMES
    assert written["settings"]["samples"] == 300
    for name, contest in written["contests"].items():
        assert contest["agree"], contest
        ours, theirs = contest["ms"].values()
        assert len(ours) == len(theirs) == 2 and min(ours + theirs) > 0
        low, high = contest["ratio_range"]
        assert low <= contest["ratio_median"] <= high
        assert (out / f"bench_{name}.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in NAMES)
    with pytest.raises(InputError, match="choose another"):
        bench_directions.run(Config(str(out), samples=300, dim=20))


def test_a_side_that_disagrees_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench_directions, "_centroids", lambda *_: np.zeros((2, 4)))
    config = Config(str(tmp_path / "out"), samples=300, dim=20, rounds=1)
    assert bench_directions.run(config) == 1
    assert capsys.readouterr().out.count("DISAGREE") == 1


def test_too_few_samples_are_refused(tmp_path):
    with pytest.raises(InputError, match="--samples=49; at least 50"):
        Config(str(tmp_path), samples=49)
