"""discover_labelled on a small folder, with a toy network and told faces."""

import csv

import numpy as np
import pytest
from told_faces import CONDITIONS, WholePicture, draw, table_of

from experiments import discover_labelled
from experiments.discover_labelled import Config
from experiments.labelled import Source
from facedirs_jax import faces, runs
from facedirs_jax.directions.record import load_directions
from facedirs_jax.errors import InputError

POSES = ("condition=frontal|yaw.*",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told") / "faces"
    draw(folder, table_of(12, CONDITIONS, 0), black=(6,))
    return folder


@pytest.fixture
def quick(folder, toy, tmp_path, monkeypatch):
    """Runs in this process; gives the run directory."""
    monkeypatch.setattr(discover_labelled, "load_backbone", lambda _: toy)
    monkeypatch.setattr(faces, "DlibLandmarks", WholePicture)

    def run(*, where=POSES, backbone=("toy",), out="out", **changes):
        source = Source(
            str(folder), str(tmp_path / out), where=where, backbone=backbone
        )
        config = Config(source, **{"label": ("yaw",), **changes})
        assert discover_labelled.run(config) == 0
        return tmp_path / out

    return run


def sets_of(out):
    return load_directions(out / "directions.safetensors").sets


def test_centroids_lead_to_each_class_but_the_neutral_one(quick):
    out = quick(neutral="0")
    found = sets_of(out)["yaw"]
    assert found.about["labels"] == ["-15", "15"]
    assert found.directions.shape == (2, 12)
    assert found.directions[0] @ found.directions[1] < 0  # the brightness of one field
    with open(out / "status.csv", encoding="utf-8", newline="") as opened:
        status = list(csv.DictReader(opened))
    assert len(status) == 36
    assert sum(row["status"] == "no_face" for row in status) == 1
    assert (out / "report.html").exists() and (out / "figures").is_dir()
    assert runs.read(out)["state"] == runs.COMPLETE


def test_a_regression_reads_the_label_of_people_it_has_not_seen(quick):
    out = quick(method="regression")
    found = sets_of(out)["yaw"]
    assert found.weights is not None and found.about["held_out"]["correlation"] > 0.9
    with open(out / "labels.csv", encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    along = [float(row["along_1"]) for row in rows]
    values = [float(row["value"]) for row in rows]
    assert np.corrcoef(along, values)[0, 1] > 0.9


def test_a_boundary_parts_words(quick):
    where = ("condition=frontal|smile",)
    out = quick(label=("expression",), method="svm", where=where)
    found = sets_of(out)["expression"]
    assert found.about["labels"] == ["smile"]
    assert found.about["held_out"]["auc"][0] > 0.9


def test_several_labels_are_several_sets_of_one_embedding(quick):
    out = quick(label=("yaw", "condition"))
    assert set(sets_of(out)) == {"yaw", "condition"}
    assert len(list((out / "templates").iterdir())) == 1
    with open(out / "status.csv", encoding="utf-8", newline="") as opened:
        assert len(list(csv.DictReader(opened))) == 36


def test_other_directions_are_taken_out(quick):
    first = quick(neutral="0")
    without = (f"{first / 'directions.safetensors'}:yaw",)
    second = quick(
        out="second",
        label=("light",),
        where=("condition=frontal|light.*",),
        without=without,
    )
    pose, light = sets_of(first)["yaw"], sets_of(second)["light"]
    np.testing.assert_allclose(
        pose.directions @ light.directions.T, 0, atol=1e-5
    )  # float32 rounding


def test_a_run_is_done_once_and_resumed_to_the_same_bytes(quick, capsys):
    out = quick(neutral="0")
    before = (out / "directions.safetensors").read_bytes()
    with pytest.raises(InputError, match="holds a run"):
        quick(neutral="0")
    quick(neutral="0", resume=True)
    assert "complete already" in capsys.readouterr().out
    run = runs.read(out)
    runs.write(out, run | {"state": runs.UNFINISHED})
    quick(neutral="0", resume=True)
    assert (out / "directions.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="neutral was"):
        quick(neutral="15", resume=True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label": ("mood",)}, "no label 'mood'"),
        ({"label": ()}, "give --label"),
        ({"label": ("expression",), "method": "regression"}, "needs numbers"),
        ({"label": ("flash",)}, "of one class"),
        ({"label": ("flash",), "method": "regression"}, "is the same in all"),
        ({"neutral": "7"}, "neutral class '7'"),
        ({"where": ("identity=1",)}, "no label 'identity'"),
        ({"where": ("yaw=99",)}, "no picture of 60 has yaw=99"),
        ({"backbone": ("a", "b")}, "give one --backbone"),
        ({"without": ("yaw",)}, "write FILE:SET"),
    ],
)
def test_what_cannot_be_found_is_refused(quick, changes, told):
    with pytest.raises(InputError, match=told):
        quick(**changes)
