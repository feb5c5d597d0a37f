"""Sliders: pictures as text, and the page that moves through them."""

import base64
import io
import json
import re

import numpy as np
import pytest
from browser import complaints, requests, show
from PIL import Image
from selenium.webdriver.common.keys import Keys

from facedirs_jax.report import Section, write_sections
from facedirs_jax.sliders import data_uri, make_slider


def ramp(level: float) -> np.ndarray:
    return np.full((16, 16, 3), level, np.float32)


def test_a_picture_survives_as_text():
    picture = np.linspace(0, 1, 16, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(picture, (16, 16, 3))
    head, data = data_uri(picture).split(",")
    assert head == "data:image/webp;base64"
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), np.float32)
    assert np.abs(back / 255 - picture).max() < 0.05  # WebP loses a little


def test_a_page_holds_every_frame_and_its_caption(tmp_path):
    frames = [ramp(0.1), ramp(0.5), ramp(0.9)]
    slider = make_slider("nose </script>", frames, ["a", "b", "c"], start=1)
    section = Section("Moves", "", [], sliders=[slider])
    write_sections(tmp_path / "x.html", title="T", facts={}, sections=[section])
    page = (tmp_path / "x.html").read_text()
    kept = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert kept is not None
    assert json.loads(kept[1]) == {
        "frames": [data_uri(frame) for frame in frames],
        "captions": ["a", "b", "c"],
    }
    assert "nose &lt;/script&gt;" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_page_without_sliders_runs_no_script(tmp_path):
    section = Section("Only a table", "", [{"a": 1}])
    write_sections(tmp_path / "x.html", title="T", facts={}, sections=[section])
    assert "<script" not in (tmp_path / "x.html").read_text()


@pytest.mark.parametrize(("captions", "start"), [(["a"], 0), (["a", "b"], 2)])
def test_captions_and_start_must_fit(captions, start):
    with pytest.raises(ValueError, match="2 pictures"):
        make_slider("t", [ramp(0), ramp(1)], captions, start=start)


def test_a_slider_moves_the_picture_in_a_browser(tmp_path, browser):
    frames = [ramp(0.1), ramp(0.5), ramp(0.9)]
    slider = make_slider("nose", frames, ["low", "0", "high"], start=1)
    section = Section("Moves", "", [{"a": 1.0}], sliders=[slider])
    write_sections(tmp_path / "x.html", title="T", facts={}, sections=[section])
    browser.set_window_size(390, 844)  # a phone
    show(browser, tmp_path / "x.html")
    picture = browser.find_element("css selector", ".slider img")
    assert picture.get_attribute("src") == data_uri(frames[1])
    assert picture.size["width"] > 100
    handle = browser.find_element("css selector", ".slider input")
    handle.send_keys(Keys.ARROW_RIGHT)
    assert picture.get_attribute("src") == data_uri(frames[2])
    assert browser.find_element("css selector", ".slider output").text == "high"
    wide = "return document.documentElement.scrollWidth > window.innerWidth"
    assert not browser.execute_script(wide)
    assert complaints(browser) == []
    assert requests(browser) == []
