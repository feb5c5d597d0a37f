"""The binary: several processes, exit codes, and what it prints."""

import os
import pathlib
import subprocess
import sys

import pytest
from absl import flags
from trees import plant

from experiments import build_dataset
from facedirs_jax import datasets
from facedirs_jax.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
NAMES = [f"p{person}/{shot}.png" for person in range(12) for shot in range(2)]


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "in", NAMES)


def test_it_builds_with_several_processes_and_without_tensorflow(source, tmp_path):
    arguments = ["--dataset=image_folder", f"--manual_dir={source}"]
    arguments += [f"--data_dir={tmp_path / 'out'}", "--processes=2"]
    script = (
        "import sys; from absl import app; from experiments import build_dataset as b\n"
        "if __name__ == '__main__':\n"
        "    b._define_flags()\n"
        "    try:\n"
        "        b.launch(b._run_flags)\n"
        "    finally:\n"
        "        assert 'tensorflow' not in sys.modules\n"
    )
    (tmp_path / "main.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "main.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "split       images  identities" in done.stdout
    assert "labels: none" in done.stdout and "Downloading" not in done.stdout
    faces = datasets.open_split("image_folder", "train", data_dir=tmp_path / "out")
    assert len(faces) > 0


def test_it_tells_what_was_left_out(source, tmp_path, capsys):
    (source / NAMES[0]).write_bytes(b"junk")
    config = build_dataset.Config(
        "image_folder", str(source), str(tmp_path / "out"), skip_unreadable=True
    )
    assert build_dataset.run(config) == 0
    told = capsys.readouterr().out.splitlines()
    counts = [line.split() for line in told if line.startswith(("t", "validation"))]
    assert sum(int(images) for _, images, _ in counts) == len(NAMES) - 1
    assert sum(int(people) for *_, people in counts) == 12
    assert told[-1] == "left out: 1 files; status.csv says why"


def test_it_lists_every_data_set(capsys):
    assert build_dataset._list() == 0
    listed = capsys.readouterr().out
    assert all(f"{name}\n" in listed for name in datasets.DATASETS)


def test_labels_are_for_the_folder_of_ones_own(source, tmp_path):
    config = build_dataset.Config("lfw", str(source), str(tmp_path), "labels.csv")
    with pytest.raises(InputError, match="--labels_csv is for --dataset=image_folder"):
        build_dataset.run(config)


def test_missing_flags_are_named(monkeypatch):
    given = flags.FlagValues()
    flags.DEFINE_bool("list", False, "", flag_values=given)
    for name in ("dataset", "manual_dir", "data_dir"):
        flags.DEFINE_string(name, None, "", flag_values=given)
    given(["build_dataset", "--dataset=lfw"])
    monkeypatch.setattr(flags, "FLAGS", given)
    with pytest.raises(InputError, match="give --manual_dir, --data_dir, or --list"):
        build_dataset._run_flags()
