"""compare_networks on small folders, with toy networks and with dlib's."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from filled import filled
from PIL import Image
from ssi_runs import ROOT
from told_faces import CONDITIONS, WholePicture, draw, named_network, rows_of, table_of

from experiments import compare_networks, networks
from experiments.compare_networks import Config
from facedirs_jax import faces, network_checks, picture_templates
from facedirs_jax.backbones import vgg16
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.errors import InputError
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.rendering.factor_table import read_factor_table, write_factor_table

ROWS = ("plain", "plain (cosine)", "unit")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of three: people under conditions, several photos of each, and one."""
    folder = tmp_path_factory.mktemp("folders")
    draw(folder / "controlled", table_of(30, CONDITIONS, 0), black=(1, 6, 9))
    table = table_of(20, ("frontal", "smile"), 1)
    draw(folder / "drawn", table, black=(4,))
    (folder / "several").mkdir()
    (folder / "alone").mkdir()
    for number, file in enumerate(table.files):
        person, photo = divmod(number, 2)
        name = f"p{person:02d}_{photo}.png"
        shutil.copy(folder / "drawn" / file, folder / "several" / name)
        if not photo:
            shutil.copy(folder / "drawn" / file, folder / "alone" / name)
    return folder


@pytest.fixture
def quick(folders, toy, tmp_path, monkeypatch):
    """Runs in this process, with toy networks and a detector that is told."""
    known = {
        "a": named_network("plain", toy, unit_norm=False, sha256="ab" * 32),
        "b": named_network("unit", toy, unit_norm=True, sha256="cd" * 32),
        "c": named_network("unit", toy, unit_norm=False, sha256="ef" * 32),
    }
    monkeypatch.setattr(networks, "load_backbone", known.__getitem__)
    monkeypatch.setattr(faces, "DlibLandmarks", WholePicture)

    def run(**changes):
        config = Config(
            out_dir=str(tmp_path / "out"),
            backbone=("a", "b"),
            controlled=(str(folders / "controlled"),),
            photos=(str(folders / "several"), str(folders / "alone")),
            person="([^_]+)_",
            resamples=30,
        )
        assert compare_networks.run(dataclasses.replace(config, **changes)) == 0
        return tmp_path / "out"

    return run


def test_every_folder_has_its_tables_and_every_network_its_row(quick, capsys):
    out = quick()
    pooled = rows_of(out / "controlled_verification.csv", "network")
    assert tuple(pooled) == ROWS
    for row in pooled.values():
        assert row["genuine_pairs"] == pooled["plain"]["genuine_pairs"]
        assert float(row["auc_low"]) <= float(row["auc"]) <= float(row["auc_high"])
        assert float(row["auc"]) > 0.7 and float(row["auc_all_with_all"]) > 0.7
        assert 0 < float(row["tar_at_far_0.001"]) <= float(row["tar_at_far_0.01"])
    conditions = rows_of(out / "controlled_conditions.csv", "condition")
    assert list(conditions) == list(CONDITIONS[1:])
    assert conditions["yaw+15"]["left_out"] == "2"
    assert {"plain", "plain (cosine)_low", "unit_high"} < conditions["smile"].keys()

    photos = rows_of(out / "several_verification.csv", "network")
    assert photos["unit"]["identities"] == "20"
    assert photos["unit"]["genuine_pairs"] == "19"  # one was not found
    assert not (out / "alone_verification.csv").exists()
    for name, pairs in (("several", 39 * 38 // 2 - 19), ("alone", 19 * 18 // 2)):
        impostors = rows_of(out / f"{name}_impostors.csv", "network")
        assert tuple(impostors) == ROWS
        for row in impostors.values():
            assert row["impostor_pairs"] == str(pairs)
            share = float(row["accepted_at_far_0.01"])
            assert float(row["times_far_0.01"]) == pytest.approx(100 * share, abs=1e-3)

    assert json.loads((out / "run.json").read_text())["state"] == "complete"
    results = json.loads((out / "results.json").read_text())
    assert [table for table in results if table.startswith("several")] == [
        "several_verification",
        "several_impostors",
    ]
    page = (out / "report.html").read_text()
    assert page.count("<h2>") == 5 and page.count("data:image/png") == 10
    assert "147 of 30 people are compared" in page and "3 no_face" in page
    assert (out / "templates" / "unit" / "several" / "0000000.safetensors").exists()
    assert "alone,p02_0.png,p02,,no_face," in (out / "status.csv").read_text()
    assert "several: all with all" in capsys.readouterr().out


def test_a_stopped_run_goes_on_with_the_templates_it_has(quick, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    whole = quick()
    expected = {path.name: path.read_bytes() for path in whole.glob("*.csv")}
    whole.rename(whole.with_name("whole"))
    with monkeypatch.context() as patched:
        patched.setattr(network_checks, "check_conditions", stop)
        with pytest.raises(KeyboardInterrupt):
            quick()
    with pytest.raises(InputError, match=r"holds a run .unfinished.; pass --resume"):
        quick()
    with pytest.raises(InputError, match=r"person was .* and is now"):
        quick(resume=True, person="p.")
    monkeypatch.setattr(picture_templates, "embed", stop)
    out = quick(resume=True)
    assert {p.name: p.read_bytes() for p in out.glob("*.csv")} == expected


def test_two_networks_of_one_name_are_told_apart_by_their_weights(quick):
    out = quick(backbone=("b", "c"), photos=())
    pooled = rows_of(out / "controlled_verification.csv", "network")
    first, second, cosine = pooled
    assert first == "unit" and re.fullmatch("unit-[0-9a-f]{6}", second)
    assert cosine == f"{second} (cosine)"


def test_without_a_controlled_folder_no_threshold_is_tried(quick, folders):
    out = quick(controlled=(), photos=(str(folders / "alone"),))
    row = rows_of(out / "alone_impostors.csv", "network")["unit"]
    assert float(row["mean_low"]) < float(row["mean"]) < float(row["mean_high"])
    assert "accepted_at_far_0.01" not in row


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"controlled": (), "photos": ()}, "give --controlled or --photos"),
        ({"backbone": ("a", "a")}, "--backbone=a is the same network as a; give each"),
        ({"person": "p"}, "several: all 40 pictures are of one person, 'p'; give"),
    ],
)
def test_what_cannot_be_compared_is_refused(quick, tmp_path, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        quick(**changes)
    assert not (tmp_path / "out").exists()


def test_an_out_dir_among_the_pictures_is_refused(quick, folders):
    with pytest.raises(InputError, match="lies inside the pictures of"):
        quick(out_dir=str(folders / "several" / "out"))


def test_a_folder_without_a_face_is_named(quick, tmp_path):
    folder = tmp_path / "dark"
    folder.mkdir()
    for name in ("a_1", "b_1"):
        Image.new("L", (50, 50)).save(folder / f"{name}.png")
    with pytest.raises(InputError, match=r"dark: no face .* of 2 .*a_1\.png: no"):
        quick(photos=(str(folder),), controlled=())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder of a checkpoint of a tiny network."""
    recipe = vgg16.recipe("dag", vgg16.VGG16Config.tiny())
    card = WeightCard("tiny", "ab" * 32, "unknown", False, "a test")
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    made = filled(vgg16.VGG16, recipe.config, card)
    save_checkpoint(folder, made, preprocess=recipe.preprocess)
    return folder


@pytest.fixture
def command(environment):
    """Runs the binary in a process of its own."""

    def run(*flags):
        asked = [sys.executable, "-m", "experiments.compare_networks", *flags]
        return subprocess.run(
            asked, cwd=ROOT, env=environment, capture_output=True, text=True
        )

    return run


def test_the_command_compares_networks_on_the_gallery(
    command, tiny, portraits, tmp_path
):
    source, folder = gallery_folder(name="controlled"), tmp_path / "faces"
    table = read_factor_table(source / "factors.csv")
    people = np.unique(table.identities)[:5]
    asked = ("frontal", "yaw+15", "light-30", "smile", "scream", "yaw-30")
    kept = table.take(
        np.isin(table.identities, people) & np.isin(table.conditions, asked)
    )
    (folder / "images").mkdir(parents=True)
    for file in kept.files:
        shutil.copy(source / file, folder / file)
    write_factor_table(folder / "factors.csv", kept)
    out = tmp_path / "out"
    done = command(
        *("--backbone=dlib_resnet", f"--backbone={tiny}", f"--controlled={folder}"),
        *(f"--photos={portraits}", f"--out_dir={out}", "--processes=1"),
        "--resamples=20",
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    pooled = rows_of(out / "faces_verification.csv", "network")
    assert list(pooled) == [
        *("dlib_resnet", "dlib_resnet (cosine)"),
        *("tiny", "tiny (cosine)"),
    ]
    # The real network knows people in other poses; the other holds random numbers.
    assert float(pooled["dlib_resnet"]["auc"]) > 0.98
    assert float(pooled["dlib_resnet"]["auc"]) > float(pooled["tiny"]["auc"])
    (impostors,) = out.glob("*_impostors.csv")
    assert rows_of(impostors, "network")["tiny"]["impostor_pairs"] == "45"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "give --controlled or --photos"),
        (["--controlled=gone"], "gone/factors.csv: cannot be read"),
        (["--photos=gone"], "gone: no such folder of pictures"),
        (["--photos=PORTRAITS", "--person=("], "'(' is no regular expression"),
        (
            ["--photos=PORTRAITS", "--backbone=dlib_resnt"],
            "did you mean 'dlib_resnet'?",
        ),
    ],
)
def test_wrong_flags_end_with_one_line_and_code_2(
    command, portraits, tmp_path, flags, complaint
):
    given = [flag.replace("PORTRAITS", str(portraits)) for flag in flags]
    done = command(*given, f"--out_dir={tmp_path / 'out'}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert complaint in done.stderr


@pytest.mark.shared
def test_real_photos_are_told_apart_by_the_names_of_their_files(quick, cmu, tmp_path):
    folder = tmp_path / "cmu"
    folder.mkdir()
    for picture in sorted(cmu.glob("*_straight_*.pgm")):
        shutil.copy(picture, folder)
    out = quick(photos=(str(folder),), person="^[^_]+")
    row = rows_of(out / "cmu_verification.csv", "network")["unit"]
    names = {picture.name.split("_")[0] for picture in folder.iterdir()}
    assert row["identities"] == str(len(names))
