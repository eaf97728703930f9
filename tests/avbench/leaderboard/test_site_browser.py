"""The site in headless Chromium, opened from the disk as anyone would."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import site_folder
from browsing import DESKTOP, PHONE, chromium, show, wait
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from avbench.leaderboard.site import write_site

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all of them

BOARD = "boards/kim-strict-5-v1-lrs2-test.html"

CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("main *, header *, footer *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.checkVisibility()) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push(`${element.outerHTML.slice(0, 80)} ${ratio.toFixed(2)}`);
}
return poor;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = site_folder.make(tmp_path_factory.mktemp("data") / "leaderboards")
    out = tmp_path_factory.mktemp("out") / "site"
    write_site(folder, out)
    return out


@pytest.fixture
def opened(browser: webdriver.Chrome, site: Path) -> Callable[..., webdriver.Chrome]:
    """Return a function that opens a page afresh, and hold that nothing was complained of."""

    def open_page(
        name: str, state: str = "", size: tuple[int, int] = DESKTOP, root: Path = site
    ) -> webdriver.Chrome:
        return show(browser, (root / name).as_uri() + (f"#{state}" if state else ""), size)

    return open_page


def visible(driver: webdriver.Chrome, selector: str) -> list[WebElement]:
    return [e for e in driver.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()]


def lines(driver: webdriver.Chrome, table: int = 0) -> list[str]:
    """Return the methods of a board's table, in the order shown."""
    found = driver.find_elements(By.CSS_SELECTOR, "table.numbers")[table]
    names = found.find_elements(By.CSS_SELECTOR, "tbody tr:not([hidden]) .method")
    return [name.text for name in names]


def heading(driver: webdriver.Chrome, column: int) -> WebElement:
    table = driver.find_element(By.CSS_SELECTOR, "table.numbers")
    return table.find_elements(By.CSS_SELECTOR, "thead tr:last-child th")[column]


def field(driver: webdriver.Chrome, name: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, f"#filters [name={name}]")


def choose(driver: webdriver.Chrome, name: str, value: str) -> None:
    Select(field(driver, name)).select_by_value(value)


def state(driver: webdriver.Chrome) -> str:
    return driver.current_url.partition("#")[2]


PAGES = ("index.html", BOARD, "boards/kim-strict-5-v1-demo-test-drawn.html", "runs/lrs2.html")


@pytest.mark.parametrize("name", PAGES)
def test_pages_load_without_complaint_or_a_request_to_elsewhere(
    opened: Callable[..., webdriver.Chrome], name: str
) -> None:
    driver = opened(name)
    assert driver.execute_script("return document.readyState") == "complete"
    assert driver.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert len(asked) >= 3  # page, style and script
    assert all(address.startswith("file://") for address in asked), asked
    font = "return getComputedStyle(document.querySelector('.top')).borderBottomStyle"
    assert driver.execute_script(font) == "solid", "the style was not applied"


def test_scripts_from_a_name_never_run(
    opened: Callable[..., webdriver.Chrome], tmp_path: Path
) -> None:
    write_site(site_folder.make_hostile(tmp_path / "leaderboards"), tmp_path / "site")
    root = tmp_path / "site"
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.html"))
    assert len(names) > 6
    for name in names:
        driver = opened(name, root=root)
        assert driver.execute_script("return window.owned === undefined")
        assert driver.find_elements(By.CSS_SELECTOR, "main img, main script") == []
        assert driver.get_log("browser") == []
    driver = opened("index.html", root=root)
    field(driver, "method").send_keys(site_folder.HOSTILE)
    shown = wait(lambda: visible(driver, "tr[data-entry] a"))
    assert driver.execute_script("return window.owned === undefined")
    shown[0].click()
    wait(lambda: "/boards/" in driver.current_url)
    assert field(driver, "method").get_attribute("value") == site_folder.HOSTILE
    assert driver.execute_script("return window.owned === undefined")


def test_the_text_filter_narrows_the_lines(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened(BOARD)
    assert lines(driver) == ["alpha", "beta", "gamma", "oracle", "constant", "delta"]
    field(driver, "method").send_keys("ET")
    assert wait(lambda: lines(driver) == ["beta"])
    assert driver.find_element(By.ID, "status").text == "1 of 7 lines"
    assert len(visible(driver, "main section[data-section]")) == 1
    assert state(driver) == "method=ET"
    field(driver, "method").send_keys("x")
    assert wait(lambda: not visible(driver, "main section[data-section]"))
    driver.find_element(By.CSS_SELECTOR, "#filters button").click()
    assert wait(lambda: len(lines(driver)) == 6)
    assert state(driver) == ""


@pytest.mark.parametrize(
    ("kind", "names", "columns"),
    [
        ("measured", ["alpha", "beta", "gamma", "oracle", "constant"], ["11", "15"]),
        ("reported", ["alpha", "delta"], ["11", "20"]),
    ],
)
def test_the_kind_filter_leaves_one_side(
    opened: Callable[..., webdriver.Chrome], kind: str, names: list[str], columns: list[str]
) -> None:
    driver = opened(BOARD)
    choose(driver, "kind", kind)
    assert wait(lambda: lines(driver) == names)
    heads = visible(driver, "section:not([hidden]) table.numbers th[data-window]")
    assert [re.findall(r"\d+", head.text)[0] for head in heads[:2]] == columns
    assert {side.text.split(",")[0] for side in visible(driver, "th.side")} == {kind}


def test_window_and_metric_filters_narrow_columns_and_sections(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened(BOARD)
    choose(driver, "window", "20")
    assert wait(lambda: lines(driver) == ["delta"])
    assert len(visible(driver, "table.numbers th[data-window]")) == 1
    choose(driver, "window", "")
    choose(driver, "metric", "mean_absolute_error")
    assert wait(lambda: len(visible(driver, "main section[data-section]")) == 1)
    assert lines(driver, table=1) == ["alpha"]
    assert state(driver) == "metric=mean_absolute_error"


def test_the_filters_of_the_index_travel_to_the_board(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened("index.html")
    before = len(visible(driver, "tr[data-entry]"))
    choose(driver, "protocol", "kim-strict-5")
    choose(driver, "dataset", "lrs2")
    choose(driver, "metric", "accuracy@0")
    field(driver, "method").send_keys("gam")
    rows = wait(lambda: [r for r in [visible(driver, "tr[data-entry]")] if len(r) == 1])[0]
    assert before > 1
    rows[0].find_element(By.TAG_NAME, "a").click()
    assert wait(lambda: driver.current_url.split("#")[0].endswith(BOARD))
    assert lines(driver) == ["gamma"]
    assert field(driver, "metric").get_attribute("value") == "accuracy@0"
    driver.find_element(By.CSS_SELECTOR, ".crumb a").click()
    assert wait(lambda: "index.html" in driver.current_url)
    assert field(driver, "method").get_attribute("value") == "gam"
    driver.back()
    driver.back()
    assert wait(lambda: field(driver, "dataset").get_attribute("value") == "lrs2")
    assert len(visible(driver, "tr[data-entry]")) == 1


def test_a_group_of_the_index_opens_on_its_own_metric(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened("index.html", "method=alpha")
    driver.find_element(By.CSS_SELECTOR, "a[data-metric=mean_absolute_error]").click()
    assert wait(lambda: "/boards/" in driver.current_url)
    assert len(visible(driver, "main section[data-section]")) == 1
    values = [field(driver, name).get_attribute("value") for name in ("metric", "method")]
    assert values == ["mean_absolute_error", "alpha"]


def test_any_column_sorts_with_the_empty_cells_last(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened(BOARD)
    descending = ["oracle", "beta", "alpha", "gamma", "constant", "delta"]
    heading(driver, 1).find_element(By.TAG_NAME, "button").click()
    assert lines(driver) == descending
    assert heading(driver, 1).get_attribute("aria-sort") == "descending"
    heading(driver, 1).find_element(By.TAG_NAME, "button").click()
    assert lines(driver) == [*reversed(descending[:5]), "delta"]
    assert heading(driver, 1).get_attribute("aria-sort") == "ascending"
    heading(driver, 0).find_element(By.TAG_NAME, "button").click()
    assert lines(driver) == sorted(descending)
    assert heading(driver, 1).get_attribute("aria-sort") == "none"
    assert heading(driver, 0).get_attribute("aria-sort") == "ascending"


def test_sorting_works_from_the_keyboard(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened(BOARD)
    button = heading(driver, 2).find_element(By.TAG_NAME, "button")
    heading(driver, 1).find_element(By.TAG_NAME, "button").send_keys(Keys.TAB)
    assert driver.switch_to.active_element == button
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert lines(driver)[:3] == ["oracle", "alpha", "beta"]
    assert heading(driver, 2).get_attribute("aria-sort") == "descending"
    driver.switch_to.active_element.send_keys(Keys.SPACE)
    assert heading(driver, 2).get_attribute("aria-sort") == "ascending"


def test_every_number_can_be_read_and_sorted(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened(BOARD)
    driver.find_element(By.CSS_SELECTOR, "details.every summary").click()
    table = driver.find_element(By.CSS_SELECTOR, "table.full")
    heads = table.find_elements(By.CSS_SELECTOR, "thead th")
    failed = next(head for head in heads if head.text.startswith("Failed"))
    failed.find_element(By.TAG_NAME, "button").click()
    first = table.find_element(By.CSS_SELECTOR, "tbody tr").text
    assert first.startswith("gamma accuracy@0")
    assert "cluster-bootstrap" in first
    assert "4,000 7" in first


def test_the_address_restores_filters_and_order(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened(BOARD)
    heading(driver, 1).find_element(By.TAG_NAME, "button").click()
    choose(driver, "kind", "measured")
    choose(driver, "window", "11")
    field(driver, "method").send_keys("a")
    kept = state(driver)
    shown = lines(driver)
    assert shown == ["oracle", "beta", "alpha", "gamma", "constant"]
    driver = opened(BOARD, kept)
    assert lines(driver) == shown
    assert heading(driver, 1).get_attribute("aria-sort") == "descending"
    values = [field(driver, name).get_attribute("value") for name in ("kind", "window", "method")]
    assert values == ["measured", "11", "a"]
    assert len(visible(driver, "table.numbers")[0].find_elements(
        By.CSS_SELECTOR, "thead th[data-window]:not([hidden])")) == 1  # fmt: skip


@pytest.mark.parametrize(
    "strange",
    [
        "method=%3Cimg%20src%3Dx%3E",
        "kind=nothing&window=x",
        "sort=9.9.up",
        "sort=a.b",
        "%",
        "note-1",
    ],
)
def test_strange_addresses_do_no_harm(
    opened: Callable[..., webdriver.Chrome], strange: str
) -> None:
    driver = opened(BOARD, strange)
    assert driver.get_log("browser") == []
    assert len(lines(driver)) == (0 if strange.startswith("method") else 6)


def test_a_note_is_reached_without_losing_the_filters(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened(BOARD, "kind=reported")
    visible(driver, "sup a")[0].click()
    assert driver.switch_to.active_element.get_attribute("id") == "note-1"
    assert state(driver) == "kind=reported"


def test_the_run_card_and_the_raw_rows_open(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened(BOARD)
    driver.find_element(By.PARTIAL_LINK_TEXT, "run 3fa94c0b12de").click()
    assert wait(lambda: driver.find_element(By.TAG_NAME, "h1").text == "Run card of lrs2")
    assert "0123456789abcdef" in driver.find_element(By.TAG_NAME, "main").text
    driver.find_element(By.PARTIAL_LINK_TEXT, "run.json").click()
    assert wait(lambda: driver.current_url.endswith("data/measured/lrs2/run.json"))


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 640)], ids=["desktop", "phone", "narrow"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_window(
    opened: Callable[..., webdriver.Chrome], name: str, size: tuple[int, int]
) -> None:
    driver = opened(name, size=size)
    driver.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    width = driver.execute_script("return document.documentElement.scrollWidth")
    assert driver.execute_script("return window.innerWidth") == size[0]
    assert width <= size[0]


def test_the_method_stays_in_view_on_a_phone(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened(BOARD, size=PHONE)
    script = (
        "const box = document.querySelector('.scroll'); box.scrollLeft = 1000;"
        "const head = box.querySelector('tbody th').getBoundingClientRect();"
        "return [box.scrollLeft, head.left - box.getBoundingClientRect().left]"
    )
    moved, left = driver.execute_script(script)
    assert moved > 50
    assert 0 <= left < 3


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(
    opened: Callable[..., webdriver.Chrome], scheme: str, name: str
) -> None:
    driver = opened(name)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", ground)[0]) < 100) == (scheme == "dark")
        assert driver.execute_script(CONTRAST) == []
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_what_cannot_work_without_the_script_is_not_shown(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened("index.html")
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(BOARD)
        assert not field(driver, "method").is_displayed()
        assert len(driver.find_elements(By.CSS_SELECTOR, "table.numbers tbody tr")) == 7
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_paper_gets_the_numbers_without_the_controls(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened(BOARD)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not driver.find_element(By.ID, "filters").is_displayed()
        assert len(visible(driver, "table.numbers .figure")) > 10
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
