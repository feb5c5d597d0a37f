"""traverse with the networks that ship, on a face of the gallery."""

import csv
import json

import numpy as np
import pytest
from browser import complaints, requests, show
from PIL import Image

from experiments import traverse
from experiments.traverse import Config
from facedirs_jax import load_backbone
from facedirs_jax.directions.record import (
    DirectionFile,
    Directions,
    model_of,
    save_directions,
)
from facedirs_jax.errors import InputError

NETWORK = "iresnet_arcface_small"


@pytest.fixture(scope="module")
def directions(tmp_path_factory):
    """A file of two sets, one of which reads a label; not of what anything means."""
    backbone = load_backbone(NETWORK)
    rng = np.random.default_rng(0)
    rows = np.linalg.qr(rng.normal(size=(128, 4)))[0].T.astype(np.float32)
    plain = Directions(rows, np.full(4, 0.01, np.float32), np.zeros(128, "f4"), {})
    reading = Directions(
        *(rows[:1], np.full(1, 0.01, np.float32), np.zeros(128, "f4")),
        {"labels": ["age"]},
        weights=40 * rows[:1],
        intercepts=np.array([30.0]),
    )
    path = tmp_path_factory.mktemp("found") / "directions.safetensors"
    sets = {"nose": plain, "label": reading}
    save_directions(path, DirectionFile(sets, model_of(NETWORK, backbone), {}))
    return str(path)


@pytest.fixture
def quick(directions, tmp_path):
    def run(**changes):
        config = Config((directions,), str(tmp_path / "out"), **changes)
        assert traverse.run(config) == 0
        return tmp_path / "out"

    return run


def rows_of(out):
    with open(out / "traversals.csv", encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_frames_sheet_table_and_page_are_written(quick, browser):
    out = quick(direction=("nose:2", "label"), start=-1.0, end=2.0, steps=4)
    rows = rows_of(out)
    assert [row["step"] for row in rows[:4]] == ["-1 sd", "0", "+1 sd", "+2 sd"]
    assert {row["direction"] for row in rows} == {"nose:2", "label:age"}
    frames = sorted((out / "frames").iterdir())
    assert [frame.name for frame in frames][:2] == ["001_001.png", "001_002.png"]
    with Image.open(frames[0]) as frame, Image.open(out / "sheet.png") as sheet:
        assert len(frames) == 8 and frame.size == (80, 80) and sheet.width > 100
    assert rows[1]["recovered"] == ""  # of the probe itself
    assert all(float(row["cosine"]) > 0.5 for row in rows)
    show(browser, out / "report.html")
    assert len(browser.find_elements("css selector", ".slider")) == 2
    assert complaints(browser) == [] and requests(browser) == []


def test_a_reading_is_brought_to_the_labels_asked_for(quick):
    rows = rows_of(quick(direction=("label",), to=(20.0, 30.0, 45.0)))
    read = [float(row["label_read"]) for row in rows]
    np.testing.assert_allclose(read, [20, 30, 45], rtol=1e-4)
    again = [float(row["label_read_in_decode"]) for row in rows]
    assert again[0] < again[1] < again[2]


def test_a_great_circle_is_another_way(quick):
    out = quick(direction=("nose:1",), step="geodesic", steps=3)
    assert json.loads((out / "run.json").read_text())["settings"]["step"] == "geodesic"


def test_a_complete_run_is_left_alone(quick, capsys):
    quick(direction=("nose:1",), steps=2)
    quick(direction=("nose:1",), steps=2, resume=True)
    assert "complete already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"probe": ("nobody.png",)}, "unknown probe 'nobody.png'"),
        ({"direction": ("mouth",)}, "no direction 'mouth'"),
        ({"start": 2.0, "end": 1.0}, "steps go up"),
        ({"end": 1000.0}, "within 100 standard deviations"),
        ({"end": float("nan")}, "within 100"),
        ({"steps": 1}, "must be 2 to 101"),
        ({"direction": ("nose",), "to": (3.0,)}, "read no label"),
        ({"direction": ("label",), "to": (1e6,)}, "can be reached"),
        ({"backbone": "dlib_resnet"}, "belongs to iresnet_arcface_small"),
        ({"decoder": "nothing"}, "nothing"),
        ({"images": "/nowhere"}, "cannot read '/nowhere'"),
    ],
)
def test_what_cannot_be_shown_is_refused(quick, changes, told):
    with pytest.raises(InputError, match=told):
        quick(**changes)


def test_directions_must_be_given(tmp_path):
    with pytest.raises(InputError, match="give --directions"):
        Config((), str(tmp_path))
