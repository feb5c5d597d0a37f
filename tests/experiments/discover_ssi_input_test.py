"""discover_ssi names what is wrong with its input, and goes on or stops."""

import io
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from ssi_runs import ROOT, N, status_of, tensors

from facedirs_jax.errors import InputError


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
    (tmp_path / "out" / ".run.json.x7.unfinished").touch()  # of a run killed early
    complaint = "at least 3 region donors and has 2; add portraits(?s:.*)dot.png: too_"
    with pytest.raises(InputError, match=complaint):
        quick(mixed, face_donors=None, region_donors=None)
    assert len(status_of(tmp_path / "out")) == 2 + len(WRONG)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"images": "gone"}, r"cannot read 'gone' \(No such file.*correct the path"),
        ({"images": "taken"}, "no picture in the folder 'taken'; it needs files that"),
        ({"images": "."}, r"out lies inside the pictures of \.; choose one outside"),
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
    if settings.get("images") == "taken":
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
