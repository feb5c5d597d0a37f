"""discover_ssi: what a run leaves, what stops it, and that kill -9 changes nothing."""

import base64
import csv
import dataclasses
import fcntl
import functools
import io
import json
import os
import pathlib
import random
import re
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from matplotlib.figure import Figure
from PIL import Image

from experiments import discover_ssi
from experiments.discover_ssi import Config
from experiments.inputs import Source
from facedirs_jax import figures
from facedirs_jax.backbones import load_backbone
from facedirs_jax.directions.record import load_directions, model_of
from facedirs_jax.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
N, F = 10, 6  # portraits, face donors of the runs from the command line
FIGURES = {"blends", "stability", "variance"} | {
    f"{region}_{figure}"
    for region in ("nose", "eyes")
    for figure in ("scree", "component_1", "component_2", "component_3")
}


def command_line(portraits, out) -> list[str]:
    return [
        f"--images={portraits}",
        f"--out_dir={out}",
        "--regions=nose,eyes",
        f"--face_donors={F}",
        "--seed=3",
        "--chunk=1",
        "--save_templates",
    ]


def same_as_command_line(portraits, out) -> Config:
    return Config(
        Source((str(portraits),)),
        str(out),
        regions=("nose", "eyes"),
        face_donors=F,
        seed=3,
        chunk=1,
        save_templates=True,
    )


@pytest.fixture(scope="module")
def finished(portraits, environment, tmp_path_factory):
    """A whole run by `python -m`; its directory is `out` below the folder given."""
    folder = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "experiments.discover_ssi", "--processes=1"]
    command += command_line(portraits, folder / "made" / "out")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    (folder / "logged").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def out(finished):
    return finished / "made" / "out"


@pytest.fixture(scope="module")
def cache(environment):
    """Where landmarks are kept unless --cache_dir says otherwise."""
    return pathlib.Path(environment["XDG_CACHE_HOME"], "facedirs_jax")


@pytest.fixture
def quick(portraits, tmp_path, cache, monkeypatch):
    """Runs in this process, of one shape, so that only the first compiles anything.

    Noses of 6 donors in 4 faces, with but one figure.
    """
    known = functools.cache(load_backbone)
    monkeypatch.setattr(discover_ssi, "load_backbone", known)
    monkeypatch.setattr(
        figures,
        "draw_discoveries",
        lambda found, *_, **__: {"stability": figures.draw_stability(found)},
    )

    def run(images=portraits, limit=None, backbone="dlib_resnet", **settings):
        source = Source((str(images),), backbone, limit, cache_dir=str(cache))
        asked = {
            "out_dir": str(tmp_path / "out"),
            "regions": ("nose",),
            "face_donors": 4,
            "region_donors": 6,
            "chunk": 16,
            "save_templates": True,
        }
        assert discover_ssi.run(Config(source, **asked | settings)) == 0
        return tmp_path / "out"

    return run


def status_of(out) -> list[dict[str, str]]:
    with open(out / "status.csv", encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def tensors(out, name) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(out / f"{name}.safetensors")


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


def test_a_second_run_needs_resume(portraits, out):
    with pytest.raises(InputError, match=r"holds a run \(complete\); pass --resume"):
        discover_ssi.run(same_as_command_line(portraits, out))


def contents(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_resuming_a_complete_run_changes_nothing(portraits, out, capsys):
    before = contents(out)
    config = dataclasses.replace(same_as_command_line(portraits, out), resume=True)
    assert discover_ssi.run(config) == 0
    assert contents(out) == before
    assert f"{out} is complete already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("seed", 4, "seed was 3 and is now 4"),
        ("regions", ("nose",), r"regions was \{.*\.\.\. and is now \{.*\}"),
        ("face_donors", None, "face_donors was 6 and is now null"),
        ("color_transfer", "lab", 'color_transfer was "none" and is now "lab"'),
        ("chunk", 2, "chunk was 1 and is now 2"),
        ("save_templates", False, "save_templates was true and is now false"),
    ],
)
def test_a_run_of_other_settings_is_refused_by_name(
    portraits, out, setting, value, named
):
    before = contents(out)
    config = dataclasses.replace(
        same_as_command_line(portraits, out), resume=True, **{setting: value}
    )
    refusal = rf"holds a run with other settings: {named}\. .* another --out_dir"
    with pytest.raises(InputError, match=refusal):
        discover_ssi.run(config)
    assert contents(out) == before


def test_other_faces_are_refused_on_resume(portraits, out):
    config = dataclasses.replace(
        same_as_command_line(portraits, out),
        source=Source((str(portraits),), limit=9),
        resume=True,
    )
    with pytest.raises(InputError, match="other settings: faces_sha256 was"):
        discover_ssi.run(config)


# As the command line, but keeps the journal after every segment, says where each region
# begins, and draws nothing.
CAREFULLY = """
import runpy
from facedirs_jax import figures, journal
figures.draw_discoveries = lambda *_, **__: {}
journal.JOURNAL_SECONDS = 0.0
untouched = journal.run_grid
def run_grid(*args, start=None, **settings):
    print("begins at", start.next_cell if start else 0, flush=True)
    return untouched(*args, start=start, **settings)
journal.run_grid = run_grid
runpy.run_module("experiments.discover_ssi", run_name="__main__", alter_sys=True)
"""


def cells_done(out, region) -> int:
    path = out / "journal" / f"{region}.safetensors"
    if not path.exists():
        return 0
    with safetensors.safe_open(path, "numpy") as opened:
        return json.loads(opened.metadata()["journal"])["next_cell"]


def test_a_killed_run_resumes_to_the_same_bits(portraits, environment, out, tmp_path):
    killed = tmp_path / "out"
    command = [sys.executable, "-c", CAREFULLY, *command_line(portraits, killed)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while not (killed / "journal" / "nose.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(random.uniform(0, 1))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert json.loads((killed / "run.json").read_text())["state"] == "unfinished"
    reached = [cells_done(killed, region) for region in ("nose", "eyes")]
    assert reached[0] > 0

    command.append("--resume")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    begun = re.findall(r"^begins at (\d+)$", done.stdout, flags=re.M)
    assert list(map(int, begun)) == reached
    for name in ("directions.safetensors", "templates.safetensors"):
        assert (killed / name).read_bytes() == (out / name).read_bytes(), reached


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
    plain = quick(out_dir=str(tmp_path / "plain")).with_name("plain")
    out = quick(color_transfer="lab")
    assert load_directions(out / "directions.safetensors").data["color_transfer"] == (
        "lab"
    )
    pairs, before = (tensors(plain, "templates")[f"nose/{a}"] for a in _SAVED)
    same_pairs, after = (tensors(out, "templates")[f"nose/{a}"] for a in _SAVED)
    np.testing.assert_array_equal(pairs, same_pairs)
    moved = np.linalg.norm(before - after, axis=1)
    assert 0.01 < moved.mean() < 0.3  # dlib takes 0.6 for another person


_SAVED = ("pairs", "templates")


@pytest.fixture
def mixed(portraits, tmp_path):
    """A folder of ten good pictures of all sorts, and nine bad ones."""
    folder = tmp_path / "mixed"
    (folder / "deep" / "er").mkdir(parents=True)
    photos = [Image.open(path).convert("RGB") for path in sorted(portraits.iterdir())]
    sideways = Image.Exif()
    sideways[0x0112] = 6  # turn it clockwise to see it upright
    grey = np.asarray(photos[2].convert("L")).astype(np.uint16) * 257
    photos[0].save(folder / "same_name.png")
    photos[1].save(folder / "deep" / "same_name.png")
    Image.fromarray(grey).save(folder / "grey_16_bit.png")
    photos[3].convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    turned = photos[4].transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "sideways.jpg", exif=sideways, quality=95)
    photos[5].convert("RGBA").save(folder / "rgba.png")
    photos[6].save(folder / "capitals.JPG", quality=95)
    photos[7].save(folder / "photo.webp", quality=95)
    photos[8].save(folder / "photo.bmp")
    photos[0].save(folder / "deep" / "er" / "twin.png")

    (folder / "empty.jpg").touch()
    (folder / "letter.jpg").write_text("Dear Sir or Madam, this is no picture.")
    (folder / "labels.csv").write_text("file,age\n")
    photos[0].save(folder / "animated.gif", save_all=True, append_images=photos[1:3])
    Image.new("1", (20_000, 10_000)).save(folder / "bomb.png")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (200, 200), "gray").save(folder / "wall.png")
    jpeg = io.BytesIO()
    photos[9].save(jpeg, "JPEG")
    (folder / "cut.jpg").write_bytes(jpeg.getvalue()[: len(jpeg.getvalue()) // 2])
    two = np.concatenate([np.asarray(photos[0]), np.asarray(photos[1])], axis=1)
    Image.fromarray(two).save(folder / "two.png")
    return folder


WRONG = {
    "empty.jpg": ("unreadable", r"is empty \(0 bytes\); copy it anew"),
    "letter.jpg": ("unreadable", "is no picture; expected one of JPEG, PNG"),
    "labels.csv": ("skipped", r"\.csv: not the name of a picture"),
    "animated.gif": ("unreadable", "is a GIF, .* save it as PNG or JPEG"),
    "bomb.png": ("unreadable", "more than the 64 megapixels allowed; shrink it"),
    "dot.png": ("too_small", "1 x 1 px; a face needs at least 40 px a side"),
    "wall.png": ("no_face", "no face was found; use a frontal portrait"),
    "cut.jpg": ("unreadable", "is damaged or cut short .* save it anew as PNG"),
    "two.png": ("many_faces", "2 faces were found; crop the picture to one person"),
}


def test_bad_pictures_are_named_and_the_run_goes_on(quick, mixed, portraits):
    out = quick(mixed)
    rows = status_of(out)
    by_file = {str(pathlib.Path(row["file"]).relative_to(mixed)): row for row in rows}
    for file, (status, reason) in WRONG.items():
        row = by_file.pop(file)
        assert (row["status"], row["face"]) == (status, "")
        assert re.search(reason, row["reason"]), row
    assert {row["status"] for row in by_file.values()} == {"ok"} and len(by_file) == N
    twins = {
        file for file, row in by_file.items() if "the same picture" in row["reason"]
    }
    assert twins == {"same_name.png"}  # the second of the two in the order of paths
    assert int(by_file["sideways.jpg"]["width"]) == 240
    assert tensors(out, "templates")["nose/pairs"].max() < N


def test_strict_stops_at_the_first_bad_picture(quick, mixed, tmp_path):
    complaint = r"8 pictures do not show one face; .* --strict\n.*animated.gif: unread"
    for _ in range(2):  # a run that failed leaves nothing to be resumed
        with pytest.raises(InputError, match=complaint):
            quick(mixed, strict=True)
    assert len(status_of(tmp_path / "out")) == N + len(WRONG)
    assert not (tmp_path / "out" / "journal").exists()


def test_too_few_faces_stop_a_run(quick, mixed, tmp_path):
    for path in mixed.rglob("*"):
        if path.name not in (*WRONG, "cmyk.jpg", "rgba.png") and path.is_file():
            path.unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".run.json.x7y8z9").touch()  # of a run killed at its very start
    complaint = "at least 3 region donors and has 2; add portraits(?s:.*)dot.png: too_"
    with pytest.raises(InputError, match=complaint):
        quick(mixed, face_donors=None, region_donors=None)
    assert len(status_of(tmp_path / "out")) == 2 + len(WRONG)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"images": "gone"}, r"cannot read 'gone' \(No such file.*correct the path"),
        ({"images": "."}, "no picture in the folder '.'; it needs files that end in"),
        ({"backbone": "dlib_resnt"}, "known are: .*did you mean 'dlib_resnet'"),
        ({"regions": ("nosw",)}, "unknown region 'nosw'; known: nose, eyes"),
        ({"regions_file": "no.toml"}, r"no\.toml: not a readable TOML file"),
        ({"region_images": ("gone",)}, "cannot read 'gone'"),
        ({"region_donors": 11}, "11 region donors .* 10 usable .* ask for fewer or"),
        ({"out_dir": "taken"}, r"taken holds other files \(photo.png\) and no run"),
        ({"out_dir": "taken/photo.png"}, r"photo\.png: cannot be written"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(
    quick, tmp_path, monkeypatch, settings, complaint
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "photo.png").touch()
    if settings.get("images") == ".":
        (tmp_path / "taken" / "photo.png").rename(tmp_path / "taken" / "notes.txt")
    with pytest.raises(InputError, match=complaint):
        quick(**settings)


def test_a_folder_that_cannot_be_read_stops_a_run(quick, portraits, monkeypatch):
    untouched = os.scandir

    def refuse(path):  # chmod would not: tests may run as root
        if os.fspath(path) == str(portraits):
            raise PermissionError(13, "Permission denied", str(portraits))
        return untouched(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"\(Permission denied\); correct .* leave it"):
        quick()


def test_two_runs_do_not_share_a_directory(quick, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is working in it"):
            quick()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--regions=nosw"], "error: unknown region 'nosw'; known: nose, eyes"),
        (["portrait.png"], "error: unexpected argument 'portrait.png'; see --help"),
    ],
)
def test_a_users_mistake_ends_in_one_line_and_code_2(
    portraits, environment, tmp_path, arguments, complaint
):
    command = [sys.executable, "-m", "experiments.discover_ssi", *arguments]
    command += [f"--images={portraits}", f"--out_dir={tmp_path / 'out'}"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(complaint) and not done.stdout
