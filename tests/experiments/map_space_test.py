"""map_space on a small folder, with toy networks and told faces."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ssi_runs import ROOT
from told_faces import CONDITIONS, WholePicture, draw, named_network, table_of

from experiments import map_space, networks
from experiments.labelled import Source
from experiments.map_space import Config
from facedirs_jax import faces, picture_templates, runs
from facedirs_jax.errors import InputError
from facedirs_jax.manifold import distances

POSES = ("condition=frontal|yaw.*",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told") / "faces"
    draw(folder, table_of(12, CONDITIONS, 0), black=(6,))
    return folder


@pytest.fixture
def quick(folder, toy, tmp_path, monkeypatch):
    """Runs in this process; gives the run directory."""
    known = {
        "a": named_network("plain", toy, unit_norm=False, sha256="ab" * 32),
        "b": named_network("unit", toy, unit_norm=True, sha256="cd" * 32),
        "c": named_network("unit", toy, unit_norm=False, sha256="ef" * 32),
    }
    monkeypatch.setattr(networks, "load_backbone", known.__getitem__)
    monkeypatch.setattr(faces, "DlibLandmarks", WholePicture)

    def run(*, where=POSES, backbone=("a", "b"), out="out", **changes):
        out = tmp_path / out
        source = Source(str(folder), str(out), where=where, backbone=backbone)
        config = Config(source, **{"label": "yaw", "draws": 100, **changes})
        assert map_space.run(config) == 0
        return out

    return run


def rows_of(out):
    with open(out / "map.csv", encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def points_of(rows, network, axes="xy"):
    of = [row for row in rows if row["network"] == network]
    return np.array([[float(row[axis]) for axis in axes] for row in of])


def data_of(out):
    page = (out / "map.html").read_text()
    kept = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert kept is not None
    return json.loads(kept[1])


def test_centroids_of_all_networks_are_mapped_and_their_curve_is_judged(quick, capsys):
    out = quick()
    rows = rows_of(out)
    assert [row["value"] for row in rows] == 2 * ["-15", "0", "15"]
    plain = np.asarray(distances(points_of(rows, "plain")))
    # Brightness of one field: 0 degrees lies between the others.
    assert plain[0, 2] > max(plain[0, 1], plain[1, 2])
    data = data_of(out)
    assert [each["name"] for each in data["maps"]] == ["plain", "unit"]
    assert data["joined"] and data["captions"] == ["-15", "0", "15"]
    page = (out / "report.html").read_text()
    assert "3 values; 5 or more are needed" in page
    assert page.count("data:image/png") == 1 and (out / "map.png").exists()
    results = json.loads((out / "results.json").read_text())
    curves = results["Is the curve real?"]
    assert [row["verdict"] for row in curves] == 2 * ["cannot be said"]
    assert results["Maps"][1]["disparity"] >= 0
    printed = capsys.readouterr().out
    assert "disparity" in printed and "angular" in printed and "euclidean" in printed
    run = runs.read(out)
    assert run["state"] == runs.COMPLETE
    assert run["settings"]["networks"] == "plain, unit"
    assert run["settings"]["unit weights_sha256"] == "cd" * 32


def test_templates_are_mapped_in_three_dimensions_without_the_names_of_files(quick):
    out = quick(of="templates", dims=3, where=("condition=frontal|smile",),
                label="expression", backbone=("a",))  # fmt: skip
    rows = rows_of(out)
    assert len(rows) == 24 and {row["value"] for row in rows} == {"neutral", "smile"}
    assert points_of(rows, "plain", "xyz").shape == (24, 3)
    assert rows[3]["file"].startswith("images/") and rows[3]["picture"] == "3"
    data = data_of(out)
    assert data["dims"] == 3 and not data["joined"] and not data["ordered"]
    assert data["captions"][3].startswith("picture 3: expression ")
    assert "images/" not in (out / "map.html").read_text()
    assert "Is the curve real?" not in (out / "report.html").read_text()


@pytest.mark.parametrize("method", ["smacof", "tsne"])
def test_other_methods_give_other_maps_of_the_same_pictures(quick, method):
    classical = rows_of(quick(of="templates", out="first"))
    found = rows_of(quick(of="templates", method=method, perplexity=5))
    assert [row["file"] for row in found] == [row["file"] for row in classical]
    assert len(found) == 2 * 35  # a face was not found
    apart = points_of(found, "plain") - points_of(classical, "plain")
    assert np.abs(apart).max() > 0.01


def test_a_number_of_each_person_has_too_few_people(quick):
    out = quick(label="nose_length", backbone=("a",), where=())
    assert len(rows_of(out)) == 12
    assert (
        "has 1 people; each value needs 5 or more" in (out / "report.html").read_text()
    )


def test_the_metric_can_be_chosen(quick):
    one = quick(backbone=("b",), metric="euclidean", out="one")
    other = quick(backbone=("b",), out="other")
    assert rows_of(one) != rows_of(other)


def test_a_stopped_run_goes_on_with_the_templates_it_has(quick, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    expected = (quick(out="whole") / "map.csv").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(map_space, "make_map", stop)
        with pytest.raises(KeyboardInterrupt):
            quick()
    with pytest.raises(InputError, match="pass --resume"):
        quick()
    with pytest.raises(InputError, match=r"method was .* and is now"):
        quick(resume=True, method="smacof")
    monkeypatch.setattr(picture_templates, "embed", stop)
    out = quick(resume=True)
    assert (out / "map.csv").read_bytes() == expected
    monkeypatch.setattr(map_space, "make_map", stop)
    assert quick(resume=True) == out  # complete already


def test_two_networks_of_one_name_are_told_apart(quick):
    out = quick(backbone=("b", "c"))
    names = list(dict.fromkeys(row["network"] for row in rows_of(out)))
    assert names[0] == "unit" and re.fullmatch("unit-[0-9a-f]{6}", names[1])
    assert len(names) == 2


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"label": ""}, "give --label"),
        ({"dims": 4}, "--dims=4; maps have 2 or 3 dimensions"),
        ({"label": "nothing"}, "no label 'nothing'"),
        ({"backbone": ("a", "a")}, "--backbone=a is the same network as a"),
        ({"backbone": ()}, "give --backbone"),
        ({"where": ("condition=frontal|smile",)}, "a map of 1 points says nothing"),
        ({"where": ("condition=yaw.*",)}, "a map of 2 points says nothing"),
        ({"method": "tsne"}, "a perplexity of 30 is out of range"),
        ({"dims": 3}, "maps of 1 to 2 dimensions, not of 3"),
    ],
)
def test_what_cannot_be_mapped_is_refused(quick, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        quick(**changes)


def test_wrong_flags_end_with_one_line_and_code_2(environment, tmp_path):
    asked = [sys.executable, "-m", "experiments.map_space", "--label=height"]
    done = subprocess.run(
        [*asked, f"--out_dir={tmp_path / 'out'}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no label 'height'")
    assert done.stderr.count("\n") == 1
