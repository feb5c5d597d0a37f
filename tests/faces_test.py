"""Most of it with a detector that is told how many faces to see; then dlib's own."""

import csv
import dataclasses
import os
import pathlib
import stat
import time

import numpy as np
import pytest
import skimage.data
from PIL import Image

from facedirs_jax import alignment
from facedirs_jax.alignment import dlib_chip
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces, FaceStatus, join_faces, load_faces, status_table
from facedirs_jax.images import SourceError
from facedirs_jax.landmarks import DlibLandmarks, LandmarkDetector

FACE = np.zeros((68, 2))
FACE[alignment._ALIGNED] = np.stack(
    [alignment._MEAN_FACE.real, alignment._MEAN_FACE.imag], 1
)


@dataclasses.dataclass
class FakeDetector:
    """Sees as many faces as the first value of a picture says, in float64."""

    fingerprint: str = "fake"
    calls: int = 0

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        self.calls += 1
        side = min(image.shape[:2])
        return [side / 7 + side * (0.6 + i / 10) * FACE for i in range(image[0, 0, 0])]


class FatalDetector(FakeDetector):
    """Takes its process down with it."""

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        time.sleep(0.1)
        os._exit(9)


def picture(faces: int, *, seed: int = 0, width: int = 60, height: int = 50):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pixels[0, 0, 0] = faces
    return pixels


def save(path: pathlib.Path, pixels: np.ndarray) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def load(sources, detector: LandmarkDetector | None = None, **settings) -> Faces:
    detector = detector or FakeDetector()
    return load_faces(sources, detector=detector, **{"size": 20, **settings})


def same(first: Faces, second: Faces) -> bool:
    arrays = [(first.crops, second.crops), (first.landmarks, second.landmarks)]
    equal = all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in arrays)
    return equal and first.status == second.status


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    """Two faces of the same file name, and a file for each thing that can go wrong."""
    folder = tmp_path / "portraits"
    save(folder / "a.png", picture(1))
    save(folder / "b.png", picture(0))
    save(folder / "c.png", picture(2))
    save(folder / "d.png", picture(1, width=39))
    (folder / "e.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    (folder / "notes.txt").write_text("frontal, please")
    save(folder / "z" / "a.png", picture(1, seed=1, width=50, height=40))
    return folder


def test_every_file_has_a_row_that_tells_what_became_of_it(folder):
    faces = load(folder)
    rows = [
        (pathlib.Path(row.file).relative_to(folder).as_posix(), row.status)
        for row in faces.status
    ]
    assert rows == [
        ("a.png", "ok"),
        ("b.png", "no_face"),
        ("c.png", "many_faces"),
        ("d.png", "too_small"),
        ("e.jpg", "unreadable"),
        ("notes.txt", "skipped"),
        ("z/a.png", "ok"),
    ]
    reasons = [row.reason for row in faces.status]
    assert reasons[0] == reasons[6] == ""
    assert reasons[1] == "no face was found; use a frontal portrait"
    assert reasons[2] == "2 faces were found; crop the picture to one person"
    assert reasons[3] == "39 x 50 px; a face needs at least 40 px a side"
    assert "is damaged or cut short" in reasons[4]
    assert reasons[5] == ".txt: not the name of a picture"
    assert [(row.width, row.height) for row in faces.status] == (
        [(60, 50)] * 3 + [(39, 50), (0, 0), (0, 0), (50, 40)]
    )
    assert [bool(row.sha256) for row in faces.status] == [True] * 4 + [False] * 2 + [
        True
    ]
    assert len({row.sha256 for row in faces.status}) == 6


def test_the_usable_faces_are_cropped_in_the_order_of_their_rows(folder):
    faces = load(folder, size=30)
    assert faces.crops.shape == (2, 30, 30, 3) and faces.crops.dtype == np.uint8
    assert faces.landmarks.shape == (2, 68, 2) and faces.landmarks.dtype == np.float32
    assert faces.alignment == "dlib_chip"
    usable = [row for row in faces.status if row.status == "ok"]
    for i, row in enumerate(usable):
        image = np.array(Image.open(row.file))
        (points,) = FakeDetector()(image)
        crop = dlib_chip(image, points.astype(np.float32), size=30)
        np.testing.assert_array_equal(faces.crops[i], crop.image)
        np.testing.assert_array_equal(faces.landmarks[i], crop.landmarks)
        assert row.source_side == round(crop.source_side, 1) > 0


def test_no_usable_face_gives_empty_arrays(folder):
    faces = load([folder / "b.png", folder / "c.png"])
    assert faces.crops.shape == (0, 20, 20, 3) and faces.crops.dtype == np.uint8
    assert faces.landmarks.shape == (0, 68, 2)
    assert len(faces.fingerprint) == 64
    assert status_table(faces.status).count("\n") == 3


def test_the_same_picture_twice_is_kept_and_told(folder):
    twin = save(folder / "z" / "twin.bmp", picture(1))
    *_, row = load(folder).status
    assert row.file == str(twin) and row.status == "ok"
    assert row.reason == f"the same picture as {folder / 'a.png'}"
    assert len(load(folder).crops) == 3


def test_the_limit_counts_pictures_and_leaves_out_the_rest(folder):
    detector = FakeDetector()
    faces = load(folder, detector, limit=2)
    assert [pathlib.Path(row.file).name for row in faces.status] == [
        "a.png",
        "b.png",
        "notes.txt",
    ]
    assert detector.calls == 2 and len(faces.crops) == 1
    assert same(load(folder, limit=99), load(folder))


def test_files_may_be_named_one_by_one(folder):
    faces = load([folder / "z", str(folder / "a.png")])
    names = [str(folder / "a.png"), str(folder / "z" / "a.png")]
    assert [row.file for row in faces.status] == names


def test_a_second_run_finds_every_landmark_in_the_cache(folder, tmp_path):
    cache, first, second = tmp_path / "cache" / "faces", FakeDetector(), FakeDetector()
    faces = load(folder, first, cache_dir=cache)
    assert same(faces, load(folder))
    assert first.calls == 4  # of which one saw no face, and one two
    (folder / "a.png").rename(folder / "a2.png")
    again = load(folder, second, cache_dir=cache)
    assert second.calls == 0
    assert again.fingerprint == faces.fingerprint
    assert [row.status for row in again.status] == [row.status for row in faces.status]


def test_only_the_owner_may_read_the_cache(folder, tmp_path):
    load(folder, cache_dir=tmp_path / "cache")
    entries = [tmp_path / "cache", *(tmp_path / "cache").iterdir()]
    modes = [stat.S_IMODE(entry.stat().st_mode) for entry in entries]
    assert modes == [0o700] + [0o600] * 4


def test_another_detector_or_picture_is_looked_up_anew(folder, tmp_path):
    settings = {"cache_dir": tmp_path / "cache"}
    load(folder, **settings)
    other = FakeDetector("another version")
    load(folder, other, **settings)
    assert other.calls == 4
    changed = picture(1)
    changed[-1, -1, -1] ^= 1
    save(folder / "a.png", changed)
    detector = FakeDetector()
    load(folder, detector, **settings)
    assert detector.calls == 1


@pytest.mark.parametrize(
    "damage",
    [b"", b"[[[1.0, 2.", b"null", b"{}", b"3", b"[[[1, 2]]]", b"\xff", b'["a"]'],
)
def test_a_damaged_cache_entry_is_replaced(folder, tmp_path, damage):
    cache = tmp_path / "cache"
    expected = load(folder, cache_dir=cache)
    content = {entry: entry.read_bytes() for entry in cache.iterdir()}
    for entry in content:
        entry.write_bytes(damage)
    detector = FakeDetector()
    assert same(load(folder, detector, cache_dir=cache), expected)
    assert detector.calls == 4
    assert {entry: entry.read_bytes() for entry in cache.iterdir()} == content


def test_a_cache_entry_of_somebody_else_is_replaced(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    expected = load(folder, cache_dir=cache)

    def refuse(self, *args, **kwargs):  # as root, no permission would
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "read_text", refuse)
    assert same(load(folder, cache_dir=cache), expected)


def test_two_processes_give_the_same_as_one(folder, tmp_path):
    alone = load(folder)
    together = load(folder, processes=2, cache_dir=tmp_path / "cache")
    assert same(alone, together)
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_a_process_that_dies_is_told_with_the_remedy(folder):
    with pytest.raises(InputError, match=r"died.* near .*a\.png; use fewer processes"):
        load(folder, FatalDetector(), processes=2)


def test_what_cannot_be_loaded_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="unknown alignment 'arc'; known: dlib_chip"):
        load(folder, alignment="arc")
    with pytest.raises(SourceError, match="gone"):
        load(tmp_path / "gone")
    for limit in (0, -1):
        with pytest.raises(
            InputError, match=f"limit is {limit}; it must be at least 1"
        ):
            load(folder, limit=limit)
    with pytest.raises(InputError, match=r"e\.jpg: cannot be made .*another cache_dir"):
        load(folder, cache_dir=folder / "e.jpg")


@pytest.fixture
def two() -> Faces:
    rng = np.random.default_rng(0)
    return Faces(
        crops=rng.integers(0, 256, (2, 4, 4, 3), np.uint8),
        landmarks=rng.normal(size=(2, 68, 2)).astype(np.float32),
        status=(FaceStatus("a.png", "ok"), FaceStatus("b.png", "ok")),
        alignment="dlib_chip",
    )


def test_the_fingerprint_changes_with_any_pixel_or_landmark(two):
    found = {two.fingerprint}
    for name, count in (("crops", 2 * 48), ("landmarks", 2 * 136)):
        for i in range(count):
            changed = getattr(two, name).copy()
            changed.ravel()[i] += 1
            found.add(two._replace(**{name: changed}).fingerprint)
    assert len(found) == 1 + 2 * 48 + 2 * 136
    for change in (
        {"alignment": "arcface"},
        {"crops": two.crops[::-1]},
        {"crops": two.crops.reshape(2, 2, 8, 3)},
    ):
        assert two._replace(**change).fingerprint not in found


def test_the_fingerprint_does_not_tell_where_the_faces_come_from(two):
    assert two._replace(status=()).fingerprint == two.fingerprint
    copied = np.asfortranarray(two.crops)
    assert two._replace(crops=copied).fingerprint == two.fingerprint


def test_joined_faces_stand_one_behind_the_other(two):
    other = two._replace(crops=255 - two.crops[:1], landmarks=-two.landmarks[:1])
    joined = join_faces(two, other)
    np.testing.assert_array_equal(joined.crops[:2], two.crops)
    np.testing.assert_array_equal(joined.crops[2:], other.crops)
    np.testing.assert_array_equal(joined.landmarks[2:], other.landmarks)
    assert joined.status == two.status + other.status
    assert joined.alignment == "dlib_chip"


def test_faces_that_are_cropped_in_other_ways_are_not_joined(two):
    with pytest.raises(ValueError, match="cannot join dlib_chip and arcface crops"):
        join_faces(two, two._replace(alignment="arcface"))
    with pytest.raises(ValueError, match="must match"):
        join_faces(two, two._replace(crops=two.crops[:, :3, :3]))


def test_the_table_numbers_the_faces_and_quotes_what_needs_it():
    rows = [
        FaceStatus("no.png", "no_face", "none, sadly", "ab12", 60, 50),
        FaceStatus('the "best", 1.png', "ok", "", "cd34", 6, 5, 1.5),
        FaceStatus("two\nlines.png", "skipped", "why"),
        FaceStatus("Zoë.png", "ok"),
    ]
    lines = list(csv.DictReader(status_table(rows).splitlines(keepends=True)))
    assert list(lines[0]) == ["face", *FaceStatus._fields]
    assert [line["face"] for line in lines] == ["", "0", "", "1"]
    for line, row in zip(lines, rows, strict=True):
        assert list(line.values())[1:] == [str(value) for value in row]


def test_a_table_of_nothing_is_its_head():
    head = "face,file,status,reason,sha256,width,height,source_side\n"
    assert status_table([]) == head


def test_dlib_finds_the_face_by_default(tmp_path):
    photo = skimage.data.astronaut()
    save(tmp_path / "1.png", photo[20:260, 100:340])
    save(tmp_path / "2.png", photo[272:512, :240])
    save(tmp_path / "3.png", np.tile(photo[20:260, 100:340], (1, 2, 1)))
    faces = load_faces(tmp_path)
    found = [row.status for row in faces.status]
    assert found == ["ok", "no_face", "many_faces"]
    (points,) = DlibLandmarks()(photo[20:260, 100:340])
    crop = dlib_chip(photo[20:260, 100:340], points)
    np.testing.assert_array_equal(faces.crops, [crop.image])
    np.testing.assert_array_equal(faces.landmarks, [crop.landmarks])


def test_twins_count_as_the_first_of_them():
    rows = ["a", "b", "", "a", "", "b"]
    status = [FaceStatus(f"{i}.png", "ok", "", sha) for i, sha in enumerate(rows)]
    status.insert(1, FaceStatus("bad.png", "no_face", "", "a"))
    found = Faces(
        np.zeros((6, 4, 4, 3), np.uint8),
        np.zeros((6, 68, 2), np.float32),
        tuple(status),
        "dlib_chip",
    )
    np.testing.assert_array_equal(found.distinct, [0, 1, 2, 0, 4, 1])
