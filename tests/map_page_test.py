"""The page of a map: what it holds, and that it turns, zooms and tells in a browser."""

import json
import re

import numpy as np
import pytest
from browser import complaints, requests, show
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from facedirs_jax.map_page import write_map
from facedirs_jax.maps import MapSet

NAMES = ("-30 </script>", "0", "30")


def shown(dims=3, *, joined=True):
    rng = np.random.default_rng(0)
    points = {f"net {n}": rng.normal(size=(3, dims)) for n in range(2)}
    return MapSet(points, NAMES, NAMES, np.arange(3), True, joined)


def written(path, maps):
    write_map(path / "map.html", maps, title="Pose & light", note="How to read it.")
    return (path / "map.html").read_text()


def data_of(page):
    kept = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert kept is not None
    return json.loads(kept[1])


@pytest.mark.parametrize("dims", [2, 3])
def test_a_page_holds_every_point_and_asks_for_nothing(tmp_path, dims):
    maps = shown(dims)
    page = written(tmp_path, maps)
    data = data_of(page)
    assert [each["name"] for each in data["maps"]] == ["net 0", "net 1"]
    assert data["captions"] == list(NAMES) and data["dims"] == dims
    points = np.array(data["maps"][1]["points"])
    assert points.shape == (3, 3) and (dims == 3 or not points[:, 2].any())
    np.testing.assert_allclose(np.linalg.norm(points, axis=1).max(), 1, atol=1e-3)
    given = maps.maps["net 1"]
    ratio = np.linalg.norm(np.diff(points, axis=0), axis=1) / np.linalg.norm(
        np.diff(given, axis=0), axis=1
    )
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert "<title>Pose &amp; light</title>" in page and "How to read it." in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)


@pytest.mark.parametrize("points", [np.zeros((3, 4)), np.full((3, 2), np.nan)])
def test_points_that_cannot_be_shown_are_refused(tmp_path, points):
    maps = shown()._replace(maps={"net": points})
    with pytest.raises(ValueError, match="point"):
        written(tmp_path, maps)


@pytest.fixture
def opened(tmp_path, browser):
    """Opens a page on a phone; gives a function that says where a point stands."""

    def at(point):
        found = browser.execute_script(f"return place({point})")
        return np.array([found["x"], found["y"]])

    def open_page(maps):
        written(tmp_path, maps)
        browser.set_window_size(390, 844)
        show(browser, tmp_path / "map.html")
        return at

    yield open_page
    assert complaints(browser) == []
    assert requests(browser) == []


def canvas_of(browser):
    return browser.find_element("id", "map")


def drag(browser, right, down):
    moves = ActionChains(browser, duration=20)
    moves.move_to_element(canvas_of(browser)).click_and_hold()
    moves.move_by_offset(right, down).release().perform()


def point_at(browser, place):
    canvas = canvas_of(browser)
    middle = np.array([canvas.size["width"], canvas.size["height"]]) / 2
    right, down = np.round(place - middle).astype(int).tolist()
    moves = ActionChains(browser, duration=20)
    moves.move_to_element_with_offset(canvas, right, down).perform()


def test_a_solid_map_turns_and_the_reset_turns_it_back(opened, browser):
    at = opened(shown(3))
    before = [at(point) for point in range(3)]
    drag(browser, 60, 20)
    after = [at(point) for point in range(3)]
    assert max(np.abs(a - b).max() for a, b in zip(after, before, strict=True)) > 10
    shifts = [a - b for a, b in zip(after, before, strict=True)]
    assert np.abs(np.diff(shifts, axis=0)).max() > 5  # turned, not moved
    browser.find_element("id", "reset").click()
    np.testing.assert_allclose(at(1), before[1])
    canvas_of(browser).send_keys(Keys.ARROW_LEFT)
    assert np.abs(at(1) - before[1]).max() > 1
    wide = "return document.documentElement.scrollWidth > window.innerWidth"
    assert not browser.execute_script(wide)


def test_a_flat_map_moves_and_zooms_about_the_middle(opened, browser):
    at = opened(shown(2, joined=False))
    before = [at(point) for point in range(3)]
    drag(browser, 30, -20)
    for point in range(3):
        np.testing.assert_allclose(at(point) - before[point], [30, -20], atol=1)
    browser.find_element("id", "reset").click()
    canvas = canvas_of(browser)
    middle = np.array([canvas.size["width"], canvas.size["height"]]) / 2
    canvas.send_keys("+")
    expected = middle + 1.2 * (before[2] - middle)
    np.testing.assert_allclose(at(2), expected, atol=1)
    origin = ScrollOrigin.from_element(canvas)
    ActionChains(browser).scroll_from_origin(origin, 0, 200).perform()
    assert np.linalg.norm(at(2) - middle) < np.linalg.norm(before[2] - middle)


def test_a_point_tells_its_label_until_its_class_is_hidden(opened, browser):
    at = opened(shown(2))
    told = browser.find_element("id", "told")
    assert not told.is_displayed()
    point_at(browser, at(0))
    assert told.is_displayed() and told.text == NAMES[0]
    buttons = browser.find_elements("css selector", "#legend button")
    assert [button.text for button in buttons] == list(NAMES)
    buttons[0].click()
    assert buttons[0].get_attribute("aria-pressed") == "false"
    assert not told.is_displayed()
    point_at(browser, at(0) + 1)
    assert told.text != NAMES[0] or not told.is_displayed()
    browser.find_element("id", "all").click()
    assert buttons[0].get_attribute("aria-pressed") == "true"


def test_a_tap_tells_a_label_too(opened, browser):
    at = opened(shown(2))
    place = at(2) + browser.execute_script(
        "const b = canvas.getBoundingClientRect(); return [b.left, b.top]"
    )
    for kind in ("pointerdown", "pointerup"):
        browser.execute_script(
            "const [kind, x, y] = arguments;"
            "canvas.setPointerCapture = () => {};"
            "canvas.dispatchEvent(new PointerEvent(kind, {pointerId: 7, pointerType:"
            " 'touch', clientX: x + 5, clientY: y}));",
            *(kind, *place.tolist()),
        )
    assert browser.find_element("id", "told").text == NAMES[2]


def test_two_fingers_zoom(opened, browser):
    at = opened(shown(3))
    drawn = browser.execute_script("return view.zoom")
    browser.execute_script(
        "canvas.setPointerCapture = () => {};"
        "const go = (kind, id, x) => canvas.dispatchEvent(new PointerEvent(kind,"
        " {pointerId: id, pointerType: 'touch', clientX: x, clientY: 100}));"
        "go('pointerdown', 1, 100); go('pointerdown', 2, 200);"
        "go('pointermove', 2, 300); go('pointerup', 1, 100); go('pointerup', 2, 300);"
    )
    assert drawn == 1 and browser.execute_script("return view.zoom") == 2
    assert np.isfinite(at(0)).all()


def test_another_network_shows_its_own_map(opened, browser):
    at = opened(shown(2))
    before = at(0)
    browser.find_element("id", "network").send_keys("net 1")
    assert np.abs(at(0) - before).max() > 1
