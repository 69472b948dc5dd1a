"""The page in a real browser; where there is none, nothing is tested."""

import shutil

import pytest

from simsiam_tf.report.page import html
from simsiam_tf.report.pictures import details
from simsiam_tf.report.records import of_folders

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    (record,) = of_folders(trained)
    path.write_text(html("digits", [record] * 6, [], [("run", details(trained))], 150))
    return path


def opened(browser, page, width, scheme="light", media="screen"):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(page.as_uri())
    return browser


@pytest.mark.parametrize("width", [390, 1200])
def test_no_errors_and_no_scrolling_sideways(browser, page, width):
    opened(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    broken = "return [...document.images].filter(each => !each.naturalWidth).length"
    assert browser.execute_script(broken) == 0


def test_dark_and_print(browser, page):
    colours = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    light = opened(browser, page, 800).execute_script(colours)
    dark = opened(browser, page, 800, "dark").execute_script(colours)
    assert (light[1], dark[1]) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)")
    printed = opened(browser, page, 800, "dark", "print").execute_script(colours)
    assert printed == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_columns_sort_and_rows_are_filtered(browser, page):
    opened(browser, page, 1200)
    rows = "[...document.querySelectorAll('#all-runs tbody tr')]"
    browser.execute_script(f"{rows}.forEach((row, i) => row.cells[4].textContent = `${{i}}.5 %`)")
    click = "document.querySelectorAll('#all-runs th button')[4].click();"
    column = f"return {rows}.map(row => row.cells[4].textContent)"
    down = browser.execute_script(click + column)
    assert down == [f"{i}.5 %" for i in range(5, -1, -1)]
    assert browser.execute_script(click + column) == down[::-1]
    browser.find_element("css selector", "input[type=search]").send_keys("3.5 SIMSIAM")
    assert browser.execute_script(f"return {rows}.filter(row => !row.hidden).length") == 1


def test_a_dot_of_the_map_shows_its_picture(browser, page):
    from selenium.webdriver import ActionChains

    opened(browser, page, 1200)
    tip = browser.find_element("css selector", ".map .tip")
    assert not tip.is_displayed()
    dot = browser.find_element("css selector", ".map circle[data-index='42']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", dot)
    ActionChains(browser).move_to_element(dot).perform()
    assert tip.is_displayed()
    picture = browser.find_element("css selector", ".map .tip div")
    assert "data:image/jpeg" in picture.value_of_css_property("background-image")
    assert len(tip.text) > 3
