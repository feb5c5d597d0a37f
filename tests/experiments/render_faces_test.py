"""render_faces from the command line to pictures, a table, sheets and records."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from ssi_runs import ROOT

pytest.importorskip("numba", reason="needs the extra `synth`")

from experiments import render_faces
from experiments.render_faces import Config
from facedirs_jax import datasets
from facedirs_jax.errors import InputError
from facedirs_jax.rendering import produce
from facedirs_jax.rendering.factor_table import read_factor_table

SMALL = {"preset": "portraits", "identities": 10, "size": 64}


def pictures(folder):
    return {path.name: path.read_bytes() for path in (folder / "images").iterdir()}


@pytest.fixture(scope="module")
def out(tmp_path_factory, environment):
    """A run by `python -m` in two processes."""
    folder = tmp_path_factory.mktemp("faces") / "out"
    command = [sys.executable, "-m", "experiments.render_faces", "--preset=portraits"]
    command += ["--identities=10", "--size=64", "--processes=2", f"--out_dir={folder}"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "10 pictures in" in done.stdout
    return folder


def test_a_run_leaves_pictures_a_table_sheets_and_what_it_was_asked(out):
    assert len(pictures(out)) == len(read_factor_table(out / "factors.csv").files) == 10
    run = json.loads((out / "run.json").read_text())
    assert run["state"] == "complete"
    assert run["settings"]["preset"] == "portraits"
    assert run["pictures_per_second"] > 0
    with Image.open(out / "sheets" / "people.png") as sheet:
        assert sheet.width > 10 * 100


def test_the_same_settings_give_the_same_pictures_in_any_number_of_processes(
    out, tmp_path
):
    assert render_faces.run(Config(str(tmp_path / "again"), **SMALL)) == 0
    assert pictures(tmp_path / "again") == pictures(out)


def test_a_run_that_was_stopped_goes_on_to_the_same_pictures(
    out, tmp_path, monkeypatch
):
    written = []
    write = produce._write_png

    def stopping(path, image):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        write(path, image)

    config = Config(str(tmp_path / "again"), **SMALL)
    monkeypatch.setattr(produce, "_write_png", stopping)
    with pytest.raises(KeyboardInterrupt):
        render_faces.run(config)
    assert not (tmp_path / "again" / "factors.csv").exists()
    monkeypatch.setattr(produce, "_write_png", write)
    with pytest.raises(InputError, match="pass --resume"):
        render_faces.run(config)
    resumed = Config(str(tmp_path / "again"), **SMALL, resume=True)
    assert render_faces.run(resumed) == 0
    assert pictures(tmp_path / "again") == pictures(out)
    with pytest.raises(InputError, match="seed was 0 and is now 1"):
        render_faces.run(Config(str(tmp_path / "again"), **SMALL, resume=True, seed=1))


def test_records_hold_the_pictures_with_their_labels_split_by_person(out, tmp_path):
    config = Config(str(tmp_path / "out"), **SMALL, format="array_record")
    assert render_faces.run(config) == 0
    assert not (tmp_path / "out" / "images").exists()
    table = read_factor_table(out / "factors.csv")
    found = {}
    for split, people in (("train", 8), ("validation", 1), ("test", 1)):
        faces = datasets.open_split(
            "rendered", split, data_dir=tmp_path / "out" / "data", config="portraits"
        )
        assert len(faces) == people
        found |= {face["id"]: face for face in faces}
    before = pictures(out)
    for row, name in enumerate(table.files):
        face = found[name]
        assert face["image"] == before[name.rpartition("/")[2]]
        assert face["identity"] == str(table.identities[row])
        assert face["condition"] == "frontal"
        assert face["iris"] == table.columns["iris"][row]
        assert face["melanin"] == table.columns["melanin"][row]
        assert face["nose_width_mm"] == table.columns["nose_width_mm"][row]


def test_a_table_can_be_had_without_pictures(out, tmp_path):
    config = Config(str(tmp_path / "out"), **SMALL, format="table")
    assert render_faces.run(config) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("factors.csv", "run.json", ".lock"),
    }
    table = (tmp_path / "out" / "factors.csv").read_bytes()
    assert table == (out / "factors.csv").read_bytes()


def test_a_sweep_draws_a_sheet_for_its_factor(tmp_path):
    config = Config(
        str(tmp_path / "out"),
        preset="sweeps",
        identities=1,
        size=64,
        factors=("melanin", "glasses"),
    )
    assert render_faces.run(config) == 0
    names = {path.name for path in (tmp_path / "out" / "sheets").iterdir()}
    assert names == {
        *("people.png", "sweeps.png"),
        *("sweep_melanin.png", "sweep_glasses.png"),
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give --preset, --out_dir, or --list"),
        (["--preset=party", "--out_dir=x"], "unknown preset 'party'; known: portraits"),
        (["--preset=portraits", "--out_dir=x", "--identities=0"], "identities is 0"),
        (["--preset=portraits", "--out_dir=x", "--size=9"], "size is 9; it must lie"),
        (["--preset=sweeps", "--out_dir=x", "--factors=wit"], "unknown factor 'wit'"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(
    arguments, complaint, environment, tmp_path
):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.render_faces", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
