"""Headless Chromium, for tests of pages; without it they are skipped."""

import pathlib
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def open_browser(profile: pathlib.Path) -> Iterator[webdriver.Chrome]:
    """Yields a browser that logs what pages say and ask for; ends it afterwards."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver; on Debian: chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()


def show(browser: webdriver.Chrome, page: pathlib.Path) -> None:
    """Opens a page and waits for all of it: `get` alone may return before that."""
    browser.get("about:blank")  # so that an earlier page is not taken for this one
    browser.get(page.as_uri())
    whole = "return location.href != 'about:blank' && document.readyState == 'complete'"
    WebDriverWait(browser, 60).until(lambda found: found.execute_script(whole))


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the console holds."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requests(browser: webdriver.Chrome) -> list[str]:
    """Addresses of all that the page has fetched, itself left out."""
    script = "return performance.getEntriesByType('resource').map(e => e.name)"
    found = browser.execute_script(script)
    return [name for name in found if not name.startswith("data:")]
