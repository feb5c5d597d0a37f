"""The paper's data sets: pictures in which one thing varies, by its name."""

import numpy as np
import pytest
from PIL import Image

from facedirs_jax.errors import InputError
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE
from facedirs_jax.paper.own_data import multi_pie_pictures

SHOTS = {  # session, recording, camera, illumination -> condition
    ("01", "01", "05_1", "07"): "frontal",
    ("01", "01", "05_0", "07"): "yaw+15",
    ("01", "01", "14_0", "07"): "yaw-15",
    ("01", "01", "24_0", "07"): "",
    ("01", "01", "05_1", "01"): "light-90",
    ("01", "01", "05_1", "00"): "",
    ("01", "01", "05_0", "01"): "",
    ("01", "02", "05_1", "07"): "smile",
    ("01", "02", "05_0", "07"): "",
    ("02", "03", "05_1", "07"): "squint",
}


@pytest.fixture
def folder(tmp_path):
    for person in ("001", "002"):
        for session, recording, camera, light in SHOTS:
            place = tmp_path / f"pie/session{session}/multiview/{person}/{recording}"
            (place / camera).mkdir(parents=True, exist_ok=True)
            name = f"{person}_{session}_{recording}_{camera.replace('_', '')}_{light}"
            Image.new("RGB", (8, 8)).save(place / camera / f"{name}.png")
    (tmp_path / "flashes.csv").write_text("flash,degrees\n1,-90\n7,0\n")
    return tmp_path


def test_each_condition_has_its_pictures(folder):
    found = multi_pie_pictures(folder / "pie", folder / "flashes.csv")
    wanted = sorted(2 * [c for c in SHOTS.values() if c])
    assert sorted(found.values("condition")) == wanted
    assert set(found.identities) == {"001", "002"}
    assert set(POSE.texts(found)[POSE.rows(found)]) == {"0", "15", "-15"}
    assert set(LIGHT.texts(found)[LIGHT.rows(found)]) == {"0", "-90"}
    assert set(EXPRESSION.texts(found)[EXPRESSION.rows(found)]) == {
        *("frontal", "smile", "squint")
    }
    assert np.isfinite(found.values("light")).all()


@pytest.mark.parametrize(
    "table", ["flash,degrees\n", "flash,degrees\n1,17\n", "flash,angle\n1,15\n", "x"]
)
def test_a_table_of_flashes_that_is_none_is_refused(folder, table):
    (folder / "wrong.csv").write_text(table)
    with pytest.raises(InputError, match=r"wrong.csv"):
        multi_pie_pictures(folder / "pie", folder / "wrong.csv")
