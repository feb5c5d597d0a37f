"""check_rendered_faces on small folders whose pictures hold what their tables say."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from told_faces import CONDITIONS, SIDE, WholePicture, draw, rows_of, table_of

from experiments import check_rendered_faces
from experiments.check_rendered_faces import Config
from facedirs_jax import faces, picture_templates
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import read_factor_table, write_factor_table
from tests.astronaut import portrait


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Folder of three folders: controlled, portraits, independent."""
    folder = tmp_path_factory.mktemp("rendered")
    draw(folder / "controlled", table_of(30, CONDITIONS, 0), black=(1, 6, 9))
    draw(folder / "portraits", table_of(150, ("frontal",), 1), black=(5,))
    independent = table_of(400, ("frontal",), 2)
    age, hidden = independent.columns["age"], np.random.default_rng(0).normal(0, 9, 400)
    independent.columns["under_eye"][:] = np.clip((age + hidden - 25) / 60, 0, 1)
    (folder / "independent").mkdir()
    write_factor_table(folder / "independent" / "factors.csv", independent)
    return folder


@pytest.fixture
def quick(rendered, toy, tmp_path, monkeypatch):
    """Runs in this process, with a toy network and a detector that is told."""
    monkeypatch.setattr(check_rendered_faces, "load_backbone", lambda _: toy)
    monkeypatch.setattr(faces, "DlibLandmarks", WholePicture)

    def run(**changes):
        config = Config(
            out_dir=str(tmp_path / "out"),
            controlled=str(rendered / "controlled"),
            portraits=str(rendered / "portraits"),
            independent=str(rendered / "independent"),
            backbone="toy",
            train_identities=100,
            resamples=50,
        )
        assert check_rendered_faces.run(dataclasses.replace(config, **changes)) == 0
        return tmp_path / "out"

    return run


def test_the_tables_tell_what_was_planted(quick, capsys):
    out = quick()
    found = rows_of(out / "detection_controlled.csv", "condition")
    assert list(found) == [*CONDITIONS, "all"]
    assert (found["yaw+15"]["found"], found["yaw+15"]["no_face"]) == ("28", "2")
    assert float(found["smile"]["rate"]) == pytest.approx(29 / 30, abs=1e-5)
    assert found["all"]["pictures"] == "150"

    verified = rows_of(out / "verification.csv", "condition")
    assert list(verified)[-1] == "all with all"
    rates = [float(row["eer"]) for row in verified.values()][:-1]
    assert rates == sorted(rates)
    assert verified["yaw+15"]["probes"] == "28" and verified["yaw+15"]["missed"] == "2"
    assert float(verified["smile"]["auc"]) > 0.8
    for row in verified.values():
        assert float(row["auc_low"]) <= float(row["auc"]) <= float(row["auc_high"])

    photo = rows_of(out / "photo_factors.csv", "factor")
    assert min(float(photo[n]["r2"]) for n in ("yaw", "light", "smile_amount")) > 0.6
    assert int(photo["|yaw|"]["train_identities"]) == 20
    factors = rows_of(out / "factors.csv", "factor")
    assert float(factors["melanin"]["r2"]) > 0.8 > 0.3 > float(factors["age"]["r2"])
    assert int(factors["melanin"]["test_identities"]) == 49  # one was not found
    assert "nose_length_mm" in factors and "yaw" not in factors
    glasses = factors["glasses"]
    assert float(glasses["accuracy"]) > float(glasses["chance"]) > 0.3
    bearded = int(factors["facial_hair_amount"]["train_identities"])
    assert 30 < bearded < 70  # of the half that have such hair

    together = rows_of(out / "correlations.csv", "second")
    assert together["under_eye"]["first"] == "age"
    assert float(together["nose_length_mm"]["correlation"]) == pytest.approx(1)
    assert together["nose_length_mm"]["kind"] == "factor and measure"

    printed = capsys.readouterr().out
    assert re.search(
        r"Not asked, since they do not vary: .*yaw, \|yaw\|, pitch", printed
    )
    assert re.search(r"^smile +30 +29 +0\.9667 +1", printed, re.M)
    page = (out / "report.html").read_text()
    assert page.count("<h2>") == 6 and page.count("data:image/png") == 7
    assert 'src="http' not in page and "all with all" in page
    results = json.loads((out / "results.json").read_text())
    assert results["detection_controlled"][0]["pictures"] == 30
    assert json.loads((out / "run.json").read_text())["state"] == "complete"
    status = rows_of(out / "status.csv", "reason")
    assert "no face was found" in "".join(status)


def test_a_stopped_run_goes_on_with_the_templates_it_has(quick, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    whole = quick()
    expected = {path.name: path.read_bytes() for path in whole.glob("*.csv")}
    whole.rename(whole.with_name("whole"))
    with monkeypatch.context() as patched:
        patched.setattr(check_rendered_faces, "check_verification", stop)
        with pytest.raises(KeyboardInterrupt):
            quick()
    with pytest.raises(InputError, match=r"holds a run .unfinished.; pass --resume"):
        quick()
    monkeypatch.setattr(picture_templates, "embed", stop)
    out = quick(resume=True)
    assert {p.name: p.read_bytes() for p in out.glob("*.csv")} == expected


def test_other_pictures_are_not_taken_for_those_of_the_run(quick, rendered, tmp_path):
    folder = tmp_path / "small"
    draw(folder, table_of(12, CONDITIONS, 3))
    alone = {"controlled": str(folder), "portraits": None, "independent": None}
    quick(**alone)
    Image.new("L", (SIDE, SIDE), 9).save(folder / "images" / "000.png")
    with pytest.raises(InputError, match=r"controlled_sha256 was .* and is now"):
        quick(**alone, resume=True)


def test_too_few_people_are_told_of_in_the_table(quick, tmp_path):
    folder = tmp_path / "small"
    draw(folder, table_of(12, CONDITIONS, 3), black=(4, 9, 14))
    out = quick(controlled=str(folder), portraits=None, independent=None)
    photo = rows_of(out / "photo_factors.csv", "factor")
    assert "12 identities, of which 8 to fit on" in photo["yaw"]["note"]
    assert not (out / "factors.csv").exists()
    smile = rows_of(out / "verification.csv", "condition")["smile"]
    assert (smile["probes"], smile["missed"]) == ("9", "3")


def test_a_condition_without_a_face_has_no_rates_and_says_so(quick, tmp_path):
    folder = tmp_path / "small"
    draw(folder, table_of(12, CONDITIONS, 3), black=range(4, 60, 5))
    out = quick(controlled=str(folder), portraits=None, independent=None)
    verified = rows_of(out / "verification.csv", "condition")
    assert list(verified)[-2:] == ["smile", "all with all"]
    assert verified["smile"]["missed"] == "12" and not verified["smile"]["auc"]
    assert "0 probes" in verified["smile"]["note"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("nothing", "give --controlled, --portraits or --independent"),
        ("no folder", r"factors\.csv: cannot be read as a table"),
        ("no column", r"has no column melanin; make it with render_faces"),
        ("no picture", r"2 pictures are not there: .*003\.png, .*004\.png"),
        ("no frontal", "no picture of the condition 'frontal' has a template"),
    ],
)
def test_what_cannot_be_checked_is_refused(quick, tmp_path, change, complaint):
    folder = tmp_path / "faces"
    draw(folder, table_of(12, CONDITIONS, 3))
    table = read_factor_table(folder / "factors.csv")
    if change == "no column":
        del table.columns["melanin"]
    if change == "no frontal":
        table = table._replace(conditions=np.full(60, "random"))
    write_factor_table(folder / "factors.csv", table)
    if change == "no picture":
        (folder / "images" / "003.png").unlink()
        (folder / "images" / "004.png").unlink()
    given = {"nothing": None, "no folder": str(tmp_path / "gone")}
    with pytest.raises(InputError, match=complaint):
        quick(
            controlled=given.get(change, str(folder)), portraits=None, independent=None
        )


def test_the_command_looks_at_real_pictures(environment, tmp_path, rendered):
    folder, out = tmp_path / "faces", tmp_path / "out"
    table = table_of(3, ("frontal", "blurred"), 4)
    (folder / "images").mkdir(parents=True)
    for number, file in enumerate(table.files):
        image = Image.fromarray(portrait(number // 2))
        small = image.resize((120, 120)) if number % 2 else image
        small.resize((240, 240)).save(folder / file)
    write_factor_table(folder / "factors.csv", table)
    command = [
        *(sys.executable, "-m", "experiments.check_rendered_faces"),
        *(f"--controlled={folder}", f"--independent={rendered / 'independent'}"),
        *(f"--out_dir={out}", "--processes=1", "--resamples=20"),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert f"report: {out / 'report.html'}" in done.stdout
    blurred = rows_of(out / "verification.csv", "condition")["blurred"]
    assert blurred["probes"] == "3" and float(blurred["auc"]) > 0.9
    assert float(blurred["genuine_mean"]) < float(blurred["impostor_mean"])
