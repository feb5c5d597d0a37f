"""Whole or not at all: what is refused, swept and noticed."""

import csv
import io
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys

import grain
import pytest
from trees import picture, plant, read_all

from facedirs_jax import datasets
from facedirs_jax.datasets import labels
from facedirs_jax.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
NAMES = [f"p{person}/{shot}.png" for person in range(12) for shot in range(2)]


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "in", NAMES)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A data directory that is complete, to be copied."""
    folder = tmp_path_factory.mktemp("kept")
    build(plant(folder / "in", NAMES), folder / "out")
    return folder


@pytest.fixture
def complete(kept, tmp_path):
    return pathlib.Path(shutil.copytree(kept / "out", tmp_path / "out"))


def build(source, data_dir, **options):
    return datasets.build(
        "image_folder", manual_dir=source, data_dir=data_dir, **options
    )


def open_train(data_dir):
    return datasets.open_split("image_folder", "train", data_dir=data_dir)


def version(data_dir: pathlib.Path) -> pathlib.Path:
    return data_dir / "image_folder" / "1.0.0"


def records(data_dir: pathlib.Path) -> pathlib.Path:
    return next(version(data_dir).glob("*-train.array_record-*"))


def test_nobody_is_in_two_splits_and_a_rebuild_is_the_same(source, tmp_path):
    first = read_all("image_folder", build(source, tmp_path / "a"), tmp_path / "a")
    again = read_all("image_folder", build(source, tmp_path / "b"), tmp_path / "b")
    assert sorted(first) == sorted(NAMES) and first == again
    splits = {}
    for face in first.values():
        splits.setdefault(face["identity"], set()).add(face["split"])
    assert all(len(of) == 1 for of in splits.values())
    assert {split for of in splits.values() for split in of} > {"train"}
    assert records(tmp_path / "a").read_bytes() == records(tmp_path / "b").read_bytes()


def test_the_splits_hold_their_shares():
    people = [labels.split_of(f"person {number}") for number in range(4000)]
    for name, share in datasets.SHARES.items():
        # Five standard deviations of a binomial count.
        margin = 5 * (share * (1 - share) / len(people)) ** 0.5
        assert people.count(name) / len(people) == pytest.approx(share, abs=margin)


def test_grain_reads_it_at_random(complete):
    faces = open_train(complete)
    named = grain.MapDataset.source(faces).map(lambda face: face["id"])
    shuffled = named.shuffle(seed=0)
    ids = [str(shuffled[index]) for index in range(len(shuffled))]
    in_order = [face["id"] for face in faces]
    assert sorted(ids) == sorted(in_order) and ids != in_order
    with pytest.raises(IndexError, match="item -1"):
        faces[-1]


def test_data_is_for_its_owner_alone(complete, source, tmp_path):
    build(source, tmp_path / "new")
    folder = tmp_path / "new" / "image_folder"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "1.0.0"]


def test_a_second_build_checks_and_keeps_what_is_there(kept, complete):
    before = records(complete).stat().st_mtime_ns
    summary = build(kept / "in", complete)
    assert summary.splits["train"].images == len(open_train(complete))
    assert records(complete).stat().st_mtime_ns == before


def test_another_source_does_not_pass_for_the_first(complete, source, tmp_path):
    (source / NAMES[0]).unlink()
    with pytest.raises(InputError, match="built from other files or labels; delete it"):
        build(source, complete)


def test_leftovers_of_a_kill_are_swept(source, tmp_path):
    script = (
        "from facedirs_jax import datasets\n"
        "from facedirs_jax.datasets.builder import FaceDataset\n"
        "import sys, time\n"
        "def stuck(self, faces):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "    yield\n"
        "FaceDataset._generate_examples = stuck\n"
        "datasets.build('image_folder', manual_dir=sys.argv[1], data_dir=sys.argv[2])\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", script, str(source), str(out)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert any("writing" in line for line in process.stdout)
        with pytest.raises(InputError, match="another process is building it"):
            build(source, out)
        process.send_signal(signal.SIGKILL)
    assert list((out / "image_folder").glob("incomplete.*_1.0.0"))
    with pytest.raises(InputError, match="was not finished; build it first"):
        open_train(out)
    build(source, out)
    assert not list((out / "image_folder").glob("incomplete.*"))
    assert len(open_train(out)) > 0


def test_what_is_not_built_is_said(tmp_path, complete):
    with pytest.raises(InputError, match="is not built; build it first"):
        open_train(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no split 'dev'; it has: "):
        datasets.open_split("image_folder", "dev", data_dir=complete)
    with pytest.raises(InputError, match="unknown data set 'nix'; known: image_folder"):
        datasets.open_split("nix", "test", data_dir=complete)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_records_that_are_cut_short_are_refused(complete, share):
    path = records(complete)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(
        InputError, match=rf"{path.name}: is damaged .*; delete .*1.0.0"
    ):
        open_train(complete)


def test_missing_records_are_refused(complete):
    records(complete).unlink()
    with pytest.raises(InputError, match=r"it is missing\); delete"):
        open_train(complete)


def test_a_damaged_record_names_its_file(complete):
    path = records(complete)
    damaged = bytearray(path.read_bytes())
    image = open_train(complete)[3]["image"]
    damaged[damaged.index(image) + 40] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=rf"{path.name}: is damaged .*hash mismatch"):
        list(open_train(complete))


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "summary.json"])
@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_damaged_descriptions_are_refused(kept, complete, name, text):
    path = version(complete) / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"is damaged .*delete the folder"):
        open_train(complete)
    with pytest.raises(InputError, match=r"is damaged .*delete the folder"):
        build(kept / "in", complete)


def test_unreadable_pictures_are_all_told_at_once(source, tmp_path):
    whole = picture(0)
    for name in NAMES[:6]:
        (source / name).write_bytes(whole[: len(whole) // 2])
    (source / NAMES[6]).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        build(source, tmp_path / "out")
    text = str(caught.value)
    assert "7 problems; mend or remove these pictures" in text and "and 2 more" in text
    assert f"{NAMES[0]} is damaged or cut short" in text and text.count("\n") == 6
    left = (tmp_path / "out" / "image_folder").iterdir()
    assert [path.name for path in left] == [".lock"]


def test_unreadable_pictures_can_be_skipped_and_are_told(source, tmp_path):
    (source / NAMES[0]).write_bytes(b"junk")
    (source / "notes.txt").write_text("mine")
    summary = build(source, tmp_path / "out", skip_unreadable=True)
    assert sum(split.images for split in summary.splits.values()) == len(NAMES) - 1
    status = (summary.folder / "status.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(status)))
    told = {row["file"]: row["status"] for row in rows}
    assert told[NAMES[0]] == "unreadable" and told["notes.txt"] == "skipped"
    assert list(told.values()).count("ok") == len(NAMES) - 1


def test_a_folder_with_nothing_to_read_is_refused(tmp_path):
    source = plant(tmp_path / "in", ["a.png"])
    (source / "a.png").write_bytes(b"junk")
    with pytest.raises(InputError, match="1 problem;"):
        build(source, tmp_path / "out", skip_unreadable=True)
    (source / "a.png").rename(source / "a.txt")
    with pytest.raises(InputError, match="no picture in the folder"):
        build(source, tmp_path / "out")
    (source / "a.txt").unlink()
    with pytest.raises(InputError, match="a folder that is not empty"):
        build(source, tmp_path / "out")


def test_a_missing_folder_is_told_with_what_it_should_hold(tmp_path):
    with pytest.raises(InputError, match=r"nix: no such folder; .*\nany/sub/folder"):
        build(tmp_path / "nix", tmp_path / "out")
    with pytest.raises(InputError, match="is made from a folder"):
        datasets.build("image_folder", data_dir=tmp_path / "out")


def test_a_data_dir_that_cannot_be_is_refused(source):
    with pytest.raises(InputError, match=r"cannot be written .*choose another"):
        build(source, source / NAMES[0])


def test_a_name_that_is_no_text_is_refused(source, tmp_path):
    odd = os.fsencode(source) + b"/p\xff.png"
    pathlib.Path(os.fsdecode(odd)).write_bytes(picture(0))
    with pytest.raises(InputError, match="is no UTF-8 text; rename it"):
        build(source, tmp_path / "out")
