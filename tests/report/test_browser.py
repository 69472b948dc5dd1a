"""The page in a real browser; where there is none, nothing is tested."""

import base64
import re
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
def page(trained, study, tmp_path_factory):
    """Six copies of a run, with what its images show, and a study of nine."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    (record,), (table, runs) = of_folders(trained), study
    path.write_text(html("digits", [record] * 6 + runs, [table], [("run", details(trained))], 150))
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
    browser.execute_script(f"{rows}.forEach((row, i) => row.cells[6].textContent = `${{i}}.5 %`)")
    click = "document.querySelectorAll('#all-runs th button')[6].click();"
    column = f"return {rows}.map(row => row.cells[6].textContent)"
    down = browser.execute_script(click + column)
    assert down == [f"{i}.5 %" for i in range(14, -1, -1)]
    assert browser.execute_script(click + column) == down[::-1]
    browser.find_element("css selector", "input[type=search]").send_keys("13.5 SIMSIAM")
    assert browser.execute_script(f"return {rows}.filter(row => !row.hidden).length") == 1


def test_days_sort_as_such(browser, page):
    opened(browser, page, 1200)
    rows = "[...document.querySelectorAll('#all-runs tbody tr')]"
    days = "row.querySelector('.date').textContent"
    browser.execute_script(f"{rows}.forEach((row, i) => {days} = `2026-11-${{10 + i * 7 % 15}}`)")
    click = "document.querySelector('#all-runs th.date button').click();"
    down = browser.execute_script(f"{click}return {rows}.map(row => {days})")
    assert down == [f"2026-11-{day}" for day in range(24, 9, -1)]


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


def test_a_tap_shows_a_picture_and_a_tap_elsewhere_hides_it(browser, page):
    opened(browser, page, 390)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        tip = browser.find_element("css selector", ".map .tip")
        dot = browser.find_element("css selector", ".map circle[data-index='42']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", dot)
        middle = "const at = arguments[0].getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]"
        tapped(browser, *browser.execute_script(middle, dot))
        assert tip.is_displayed()
        assert tip.text == dot.get_attribute("aria-label")
        box = "const at = arguments[0].getBoundingClientRect(); return [at.left, at.right]"
        left, right = browser.execute_script(box, tip)
        assert 0 <= left < right <= 390
        top = browser.execute_script("return document.querySelector('.map').getBoundingClientRect().top")
        tapped(browser, 200, top - 20)
        assert not tip.is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def tapped(browser, x, y):
    point = {"x": x, "y": y}
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_keys_go_through_the_map(browser, page):
    from selenium.webdriver import ActionChains, Keys

    opened(browser, page, 1200)
    tip, words = browser.find_element("css selector", ".map .tip"), []
    before = "const a = document.querySelector('.map').previousElementSibling; a.tabIndex = 0; a.focus()"
    browser.execute_script(before)
    for key in (Keys.TAB, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        ActionChains(browser).send_keys(key).perform()
        words.append(tip.text)
    labels = [each.get_attribute("aria-label") for each in browser.find_elements("css selector", ".map circle")[:2]]
    assert words == [labels[0], labels[1], labels[0]]
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


def test_wide_tables_scroll_within_the_page(browser, page):
    opened(browser, page, 390)
    tables = "return [...document.querySelectorAll('.scroll')].map(each => [each.scrollWidth, each.clientWidth])"
    found = browser.execute_script(tables)
    assert any(inside > outside for inside, outside in found)
    assert all(outside <= 390 for _, outside in found)
    assert browser.execute_script("return document.querySelectorAll('#study-mine strong').length") >= 2


A4 = {"paperWidth": 210 / 25.4, "paperHeight": 297 / 25.4}
INSIDE = round((210 - 2 * 12) / 25.4 * 96)  # px between the margins


def test_it_prints_on_a4(browser, page):
    opened(browser, page, INSIDE, "dark", "print")
    right = "return [...document.querySelectorAll('main *')].filter(each => each.getClientRects().length)"
    right += ".map(each => [each.getBoundingClientRect().right, each.tagName, each.textContent.slice(0, 40)])"
    beyond = [each for each in browser.execute_script(right) if each[0] > INSIDE + 0.5]
    assert beyond == []
    sizes = "return [...document.querySelectorAll('td')].map(each => parseFloat(getComputedStyle(each).fontSize))"
    assert min(browser.execute_script(sizes)) >= 8
    for hidden in ("nav", "label.screen", ".tip", "span.screen"):
        assert not browser.find_element("css selector", hidden).is_displayed()
    link = "return getComputedStyle(document.querySelector('#all-runs a')).color"
    assert browser.execute_script(link) == "rgb(0, 0, 0)"
    pdf = browser.execute_cdp_cmd("Page.printToPDF", A4 | {"preferCSSPageSize": True})["data"]
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(pdf))
    assert 2 <= len(pages) <= 12
