"""bench_convolutions on small layers: every way gives the same, or it is not timed."""

import json

import pytest

from experiments import bench_convolutions
from experiments.bench_convolutions import Config, Layer

SMALL = (
    Layer("3x3", 3, 1, 7, 4, 5),
    Layer("halving", 3, 2, 8, 4, 5),
    Layer("1x1", 1, 1, 5, 3, 2),
    Layer("stem", 7, 2, 12, 3, 4),
)


def test_every_way_of_every_layer_is_timed(tmp_path, capsys):
    out = tmp_path / "out"
    assert bench_convolutions.run(Config(str(out), SMALL, batch=2, rounds=1)) == 0
    found = json.loads((out / "convolutions.json").read_text())["gflops"]
    assert list(found) == [layer.name for layer in SMALL]
    every = {"xla", "nchw", "cropped", "im2col", "places", "library"}
    every |= {"xla, gradients", "library, gradients"}
    assert found["3x3"].keys() == every | {"minimal"}
    assert all(found[layer.name].keys() == every for layer in SMALL[1:])
    assert (out / "convolutions.png").stat().st_size > 5000
    assert "halving: xla " in capsys.readouterr().out


def test_a_way_that_gives_something_else_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_convolutions, "_im2col", lambda x, kernel, **_: 0 * x)
    layer = Layer("3x3", 3, 1, 7, 4, 4)
    with pytest.raises(AssertionError, match="3x3: im2col is off by"):
        bench_convolutions.run(Config(str(tmp_path / "out"), (layer,), batch=2))
