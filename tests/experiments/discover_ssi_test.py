"""discover_ssi: what a run leaves, and that its numbers are right."""

import base64
import json
import pathlib
import re
import stat

import numpy as np
import pytest
import safetensors
from matplotlib.figure import Figure
from PIL import Image
from ssi_runs import F, N, status_of, tensors

from facedirs_jax import figures
from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.directions.record import load_directions, model_of

FIGURES = {"blends", "stability", "variance"} | {
    f"{region}_{figure}"
    for region in ("nose", "eyes")
    for figure in ("scree", "component_1", "component_2", "component_3")
}


def test_a_run_leaves_all_that_it_promises(finished, out):
    assert {path.name for path in out.iterdir()} == {
        *(".lock", "run.json", "status.csv", "report.html", "figures", "journal"),
        *("directions.safetensors", "templates.safetensors"),
    }
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{name}.png" for name in FIGURES
    }
    run = json.loads((out / "run.json").read_text())
    assert run["state"] == "complete"
    assert run["settings"]["seed"] == 3
    assert run["grid"] == {"face_donors": F, "region_donors": N, "blends": F * N - F}
    assert len(run["input_sha256"]) == N
    assert {"jax", "dlib-bin", "python"} <= run["versions"].keys()
    printed = (finished / "printed").read_text()
    assert f"nose: {F * N - F} blends" in printed and f"report: {out}" in printed


def test_a_run_is_for_the_eyes_of_its_owner(out, cache):
    assert len(list(cache.iterdir())) >= N
    private = [out, *out.rglob("*"), cache, *cache.iterdir()]
    for path in private:
        if path.name != ".lock":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_progress_bar_is_for_terminals(finished):
    logged = (finished / "logged").read_text()
    assert f"pictures: {N} ok" in logged
    assert not {"\r", "%|", "it/s"} & set(re.findall(r"\r|%\||it/s", logged))
    assert "Traceback" not in logged and "Warning" not in logged


def test_every_picture_has_a_row_in_the_status(portraits, out):
    rows = status_of(out)
    assert [row["file"] for row in rows] == sorted(map(str, portraits.iterdir()))
    assert [row["face"] for row in rows] == [str(face) for face in range(N)]
    for row in rows:
        assert (row["status"], row["reason"]) == ("ok", "")
        assert (row["width"], row["height"]) == ("240", "240")
        assert re.fullmatch("[0-9a-f]{64}", row["sha256"])
        assert 100 < float(row["source_side"]) < 240


def test_directions_are_as_the_format_says(out):
    found = tensors(out, "directions")
    assert found.keys() == {
        f"{region}/{array}"
        for region in ("nose", "eyes")
        for array in ("directions", "eigenvalues", "mean")
    }
    for region in ("nose", "eyes"):
        directions, eigenvalues = (
            found[f"{region}/{array}"] for array in ("directions", "eigenvalues")
        )
        assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
        assert directions.shape == (len(eigenvalues), 128) and len(directions) >= 3
        assert found[f"{region}/mean"].shape == (128,)
        gram = directions @ directions.T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
        assert (np.diff(eigenvalues) <= 0).all() and eigenvalues[-1] > 0
        largest = np.abs(directions).argmax(axis=1)
        assert (directions[np.arange(len(directions)), largest] > 0).all()


def test_directions_say_what_they_belong_to(out):
    model = model_of("dlib_resnet", load_backbone("dlib_resnet"))
    found = load_directions(out / "directions.safetensors", model=model)
    assert list(found.sets) == ["eyes", "nose"]
    assert (found.data["seed"], found.data["color_transfer"]) == (3, "none")
    assert found.data["blends"] == F * N - F
    for name, directions in found.sets.items():
        about = directions.about
        assert (about["region"], about["mode"]) == (name, "corrected")
        assert len(about["explained_variance"]) == len(directions.eigenvalues)
        assert about["split_half_over_region_donors"]["donors_in_half"] == 4
        total = sum(about["variance_shares"].values())
        assert total == pytest.approx(1, abs=2e-4)  # each is rounded to 4 places
    with safetensors.safe_open(out / "directions.safetensors", "numpy") as opened:
        assert json.loads(opened.metadata()["facedirs"])["model"] == model


def test_templates_come_with_the_pairs_they_are_of(out):
    found = tensors(out, "templates")
    assert found.keys() == {
        f"{region}/{array}"
        for region in ("nose", "eyes")
        for array in ("templates", "pairs")
    }
    for region in ("nose", "eyes"):
        templates, pairs = found[f"{region}/templates"], found[f"{region}/pairs"]
        assert (templates.shape, templates.dtype) == ((F * N - F, 128), np.float32)
        assert (pairs.shape, pairs.dtype) == ((F * N - F, 2), np.int32)
        faces = np.unique(pairs[:, 0])
        assert len(faces) == F
        expected = {(m, k) for m in faces for k in range(N) if m != k}
        assert len(expected) == len(pairs) and set(map(tuple, pairs)) == expected
    assert not np.allclose(found["nose/templates"], found["eyes/templates"], atol=0.01)


def assert_is_pca(out, region, mode):
    """Compares a run's directions with PCA of its templates by plain numpy."""
    found, saved = tensors(out, "directions"), tensors(out, "templates")
    templates = saved[f"{region}/templates"].astype(np.float64)
    _, row = np.unique(saved[f"{region}/pairs"][:, 0], return_inverse=True)
    means = np.stack([templates[row == face].mean(axis=0) for face in np.unique(row)])
    divisor = len(templates) - (len(means) if mode == "corrected" else 1)
    _, scales, axes = np.linalg.svd((templates - means[row]) / np.sqrt(divisor))
    directions, eigenvalues = (
        found[f"{region}/{array}"] for array in ("directions", "eigenvalues")
    )
    kept = len(eigenvalues)
    # The covariance is float32, whose rounding is a share of the largest eigenvalue.
    np.testing.assert_allclose(
        eigenvalues, scales[:kept] ** 2, rtol=1e-4, atol=1e-6 * scales[0] ** 2
    )
    outside = directions[:3] - directions[:3] @ axes[:3].T @ axes[:3]
    sine = np.linalg.norm(outside, ord=2)  # of the largest principal angle
    assert np.degrees(np.arcsin(sine)) < 0.1
    assert (np.abs((directions[:3] * axes[:3]).sum(axis=1)) > 0.99999).all()
    np.testing.assert_allclose(
        found[f"{region}/mean"], templates.mean(axis=0), atol=1e-5
    )


@pytest.mark.parametrize("region", ["nose", "eyes"])
def test_directions_are_the_pca_of_the_templates(out, region):
    assert_is_pca(out, region, "corrected")


def test_the_papers_divisor_is_blends_less_one(quick):
    assert_is_pca(quick(mode="paper"), "nose", "paper")


def test_the_report_is_one_page_that_asks_for_nothing(portraits, out):
    page = (out / "report.html").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in page
    assert not re.search(r"https?://|<script|<link|url\(", page)
    assert not re.search(r"sitter|\.jpg|\.png|" + re.escape(str(portraits)), page)
    embedded = re.findall(r'alt="([^"]*)" src="data:image/png;base64,([^"]+)"', page)
    assert {name.replace(" ", "_") for name, _ in embedded} == FIGURES
    stored = {path.read_bytes() for path in (out / "figures").iterdir()}
    assert {base64.b64decode(picture) for _, picture in embedded} == stored


def test_figures_are_pictures(out):
    for path in (out / "figures").iterdir():
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG" and min(picture.size) > 100
            assert len(picture.convert("L").getcolors(256) or ()) > 20, path


def test_donors_are_as_many_as_asked_for(quick):
    out = quick(resume=True)  # there is nothing to resume yet: it begins
    pairs = tensors(out, "templates")["nose/pairs"]
    faces, regions = (set(column) for column in pairs.T)
    assert (len(faces), len(regions), len(pairs)) == (4, 6, 24)
    assert not faces & regions  # ten portraits are enough to keep them apart


def test_regions_of_ones_own_come_from_a_file(quick, tmp_path, monkeypatch):
    own = tmp_path / "own.toml"
    own.write_text(
        "[eye]\nlandmarks = [36, 37, 38, 39, 40, 41]\n"
        "[eye_left]\nlandmarks = [[42, 43, 44], [45, 46, 47]]\n"
    )
    drawn = {stem: Figure() for stem in ("blends", "eye_scree", "eye_left_scree")}
    monkeypatch.setattr(figures, "draw_discoveries", lambda *_, **__: drawn)
    out = quick(regions=(), regions_file=str(own))
    found = load_directions(out / "directions.safetensors")
    assert {name: s.about["landmarks"] for name, s in found.sets.items()} == {
        "eye": [[36, 37, 38, 39, 40, 41]],
        "eye_left": [[42, 43, 44], [45, 46, 47]],
    }
    page = (out / "report.html").read_text(encoding="utf-8")
    places = re.findall(r'<h2>(\w+)</h2>|<img alt="([\w ]+)"', page)
    assert ["".join(place) for place in places] == [
        *("blends", "eye", "eye scree", "eye_left", "eye left scree")
    ]


def test_region_donors_come_from_a_folder_of_their_own(quick, portraits, tmp_path):
    for row, path in enumerate(sorted(portraits.iterdir())):
        folder = tmp_path / ("faces" if row < 4 else "regions")
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    out = quick(
        tmp_path / "faces",
        region_images=(str(tmp_path / "regions"),),
        face_donors=None,
        region_donors=None,
    )
    rows = status_of(out)
    folders = [pathlib.Path(row["file"]).parent.name for row in rows]
    assert folders == ["faces"] * 4 + ["regions"] * 6
    assert [row["face"] for row in rows] == [str(face) for face in range(N)]
    pairs = tensors(out, "templates")["nose/pairs"]
    assert set(pairs[:, 0]) == set(range(4)) and set(pairs[:, 1]) == set(range(4, N))


def test_colours_are_matched_where_asked_for(quick, tmp_path):
    plain = quick(out_dir=str(tmp_path / "plain"))
    out = quick(color_transfer="lab")
    found = load_directions(out / "directions.safetensors")
    assert found.data["color_transfer"] == "lab"
    assert len(found.sets["nose"].about["variance_lost_to_color"]) == 3
    before, after = (tensors(folder, "templates") for folder in (plain, out))
    np.testing.assert_array_equal(before["nose/pairs"], after["nose/pairs"])
    moved = np.linalg.norm(before["nose/templates"] - after["nose/templates"], axis=1)
    assert 0.01 < moved.mean() < 0.3  # dlib takes 0.6 for another person
