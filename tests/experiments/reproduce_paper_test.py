"""reproduce_paper on few faces with one network that ships; its page in a browser."""

import csv
import json

import pytest
from browser import complaints, requests, show
from selenium.webdriver.common.keys import Keys

from experiments import reproduce_paper
from experiments.reproduce_paper import Config
from facedirs_jax import runs
from facedirs_jax.errors import InputError

NETWORK = "iresnet_arcface_small:iresnet_arcface_small_decoder"
FIGURES = {"1", *map(str, range(4, 15))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run on 24 portraits."""
    out = tmp_path_factory.mktemp("paper") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduce_paper, "QUICK_PORTRAITS", 24)
        config = Config(str(out), network=(NETWORK,), quick=True)
        assert reproduce_paper.run(config) == 0
    return out


def claims_of(out):
    with open(out / "claims.csv", encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_every_figure_has_a_part_a_picture_and_claims_with_verdicts(finished):
    claims = claims_of(finished)
    several = {"13"}  # claims of two networks or more
    assert {claim["figure"] for claim in claims} == FIGURES - several
    verdicts = {claim["verdict"] for claim in claims}
    assert verdicts <= {"holds", "does not hold", "cannot be said"}
    assert len(list((finished / "parts").iterdir())) == len(FIGURES)
    drawn = {path.name.split("_")[1] for path in (finished / "figures").iterdir()}
    assert drawn == {f"{int(figure):02d}" for figure in FIGURES}
    run = runs.read(finished)
    assert run["state"] == runs.COMPLETE
    assert sum(run["verdicts"].values()) == len(claims)


def test_the_corrected_step_reaches_its_label_and_the_papers_does_not(finished):
    told = {
        claim["network"].split(", ")[1]: claim
        for claim in claims_of(finished)
        if claim["claim"] == "the edited template reads the wanted light"
    }
    assert float(told["corrected"]["value"]) < 1e-4
    assert float(told["paper"]["value"]) > 0.1
    assert told["paper"]["verdict"] == "does not hold"


def test_pixels_outside_of_a_region_are_untouched(finished):
    first = next(claim for claim in claims_of(finished) if claim["figure"] == "1")
    assert float(first["value"]) == 0 and first["verdict"] == "holds"


@pytest.mark.parametrize("size", [(390, 844), (1400, 900)])
def test_the_page_shows_figures_and_moves_its_sliders(finished, browser, size):
    browser.set_window_size(*size)
    show(browser, finished / "report.html")
    images = browser.find_elements("css selector", "figure img")
    loaded = "return arguments[0].complete && arguments[0].naturalWidth > 0"
    assert len(images) > 12
    assert all(browser.execute_script(loaded, image) for image in images)
    row = browser.find_element("css selector", ".slider")
    picture, handle = (row.find_element("css selector", t) for t in ("img", "input"))
    before = picture.get_attribute("src")
    handle.send_keys(Keys.ARROW_RIGHT)
    assert picture.get_attribute("src") != before
    wide = "return document.documentElement.scrollWidth > window.innerWidth"
    assert not browser.execute_script(wide)
    assert complaints(browser) == [] and requests(browser) == []


def test_a_stopped_run_makes_only_what_is_missing(finished, monkeypatch):
    part = finished / "parts" / "08.json"
    before = json.loads(part.read_text())
    part.unlink()
    run = runs.read(finished)
    runs.write(finished, run | {"state": runs.UNFINISHED})
    monkeypatch.setattr(reproduce_paper, "region_part", None)  # must not be called
    config = Config(str(finished), network=(NETWORK,), quick=True, resume=True)
    assert reproduce_paper.run(config) == 0
    assert json.loads(part.read_text())["claims"] == before["claims"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": ("iresnet_arcface_small",)}, "write BACKBONE:DECODER"),
        ({"network": ("dlib_resnet:iresnet_arcface_small_decoder",)}, "it inverts"),
        ({"controlled": "/nowhere"}, "no such folder"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(tmp_path, changes, told):
    with pytest.raises(InputError, match=told):
        reproduce_paper.run(Config(str(tmp_path / "out"), **{"quick": True, **changes}))
