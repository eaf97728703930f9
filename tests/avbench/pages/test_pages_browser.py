"""The pages of a set in headless Chromium, opened from the disk as anyone would."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pages_maker
import pytest
from browsing import DESKTOP, NARROW, PHONE, chromium, show, wait
from selenium import webdriver
from selenium.webdriver.common.by import By

from avbench.pages import write_pages

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all of them

PAGES = ("index.html", "two-faces.html", "none-here.html")
POOR_CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
const paper = parse(getComputedStyle(document.body).backgroundColor);
const ground = (element) => {
  if (element.tagName === "text") {
    const rect = element.parentElement.querySelector(":scope > rect");
    const inside = rect && element.y.baseVal[0].value > rect.y.baseVal.value;
    return inside ? parse(getComputedStyle(rect).fill) : paper;
  }
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return paper;
};
const poor = [];
let seen = 0;
for (const element of document.querySelectorAll("main *, header *, footer *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || element.tagName === "title" || !element.checkVisibility()) continue;
  seen += 1;
  const style = getComputedStyle(element);
  const ink = parse(element.tagName === "text" ? style.fill : style.color);
  if (ratio(ink, ground(element)) < 4.5) poor.push(element.outerHTML.slice(0, 90));
}
return [seen, poor];
"""
PLAY = """
const done = arguments[0], video = document.querySelector("video");
const tell = () => done({
  time: video.currentTime, width: video.videoWidth, duration: video.duration,
  heard: video.webkitAudioDecodedByteCount, seen: video.webkitDecodedFrameCount, error: "",
});
video.addEventListener("error", () => done({ error: video.error.message }));
video.addEventListener("timeupdate", () => {
  if (video.currentTime > 0.3) { video.pause(); tell(); }
});
video.play().catch((error) => done({ error: String(error) }));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return pages_maker.make(tmp_path_factory.mktemp("built"), patch)


@pytest.fixture(scope="module")
def pages(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pages") / "a folder"
    write_pages(built, out)
    return out


@pytest.fixture
def opened(browser: webdriver.Chrome, pages: Path) -> Callable[..., webdriver.Chrome]:
    """Return a function that opens a page afresh."""

    def open_page(
        name: str, size: tuple[int, int] = DESKTOP, root: Path = pages
    ) -> webdriver.Chrome:
        return show(browser, (root / name).as_uri(), size)

    return open_page


@pytest.mark.parametrize("name", PAGES)
def test_pages_load_alone_and_without_complaint(
    opened: Callable[..., webdriver.Chrome], pages: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes((pages / name).read_bytes())
    driver = opened(name, root=tmp_path)
    assert driver.execute_script("return document.readyState") == "complete"
    assert driver.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert {address for address in asked if not address.startswith("data:")} == {
        (tmp_path / name).as_uri()
    }
    styled = "return getComputedStyle(document.querySelector('.top')).borderBottomStyle"
    assert driver.execute_script(styled) == "solid", "the style was not applied"


def test_scripts_from_a_name_never_run(
    opened: Callable[..., webdriver.Chrome], pages: Path
) -> None:
    for path in sorted(pages.glob("*.html")):
        driver = opened(path.name)
        assert driver.execute_script("return window.owned === undefined")
        assert driver.find_elements(By.CSS_SELECTOR, "img:not([src^='data:image/jpeg'])") == []
        assert driver.get_log("browser") == []
    assert pages_maker.HOSTILE in opened("index.html").find_element(By.TAG_NAME, "main").text


@pytest.mark.parametrize("films", ["embed", "beside"])
def test_a_clip_plays_with_its_sound(
    opened: Callable[..., webdriver.Chrome], built: Path, tmp_path: Path, films: Any
) -> None:
    write_pages(built, tmp_path / "pages", sources=["plain"], films=films)
    driver = opened("plain.html", root=tmp_path / "pages")
    told = driver.execute_async_script(PLAY)
    assert told["error"] == ""
    assert told["time"] > 0.3
    assert told["width"] == 32
    assert told["duration"] == pytest.approx(55 / 25, abs=0.001)
    assert told["heard"] > 1000
    assert told["seen"] >= 5
    assert driver.get_log("browser") == []


def test_a_clip_steps_by_one_frame(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened("plain.html")
    at = driver.find_element(By.CSS_SELECTOR, ".at")
    back, on = driver.find_elements(By.CSS_SELECTOR, "[data-step]")
    assert at.text == "frame 0 \N{MIDDLE DOT} source 5"
    on.click()
    wait(lambda: at.text == "frame 1 \N{MIDDLE DOT} source 6")
    for number in range(2, 5):
        on.click()
        wait(lambda number=number: at.text.startswith(f"frame {number} "))
    back.click()
    wait(lambda: at.text.startswith("frame 3 "))


def test_a_track_of_the_time_line_leads_to_its_numbers(
    opened: Callable[..., webdriver.Chrome],
) -> None:
    driver = opened("two-faces.html")
    bars = driver.find_elements(By.CSS_SELECTOR, ".timeline a")
    assert len(bars) == 4
    targets = [bar.get_dom_attribute("href") for bar in bars]
    assert "#clip-two-faces-0000-00" in targets
    driver.get(driver.current_url + "#rejected-1")
    assert "#rejected-1" in targets
    row = driver.find_element(By.CSS_SELECTOR, "tr:target")
    assert "two-faces-0000-01" in row.text
    ground = "return getComputedStyle(document.querySelector('tr:target td')).backgroundColor"
    assert driver.execute_script(ground) != "rgba(0, 0, 0, 0)"


def test_the_list_of_sources_can_be_searched(opened: Callable[..., webdriver.Chrome]) -> None:
    driver = opened("index.html")

    def shown() -> list[str]:
        rows = driver.find_elements(By.CSS_SELECTOR, "table.list tbody tr:not([hidden]) th")
        return [row.text for row in rows]

    assert len(shown()) == 5
    driver.find_element(By.ID, "find").send_keys("REJECTED junk")
    assert wait(lambda: shown() == ["films/junk.mp4"])
    assert driver.find_element(By.ID, "found").text == "1 of 5"


@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW], ids=["desktop", "phone", "narrow"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_window(
    opened: Callable[..., webdriver.Chrome], name: str, size: tuple[int, int]
) -> None:
    driver = opened(name, size)
    driver.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert driver.execute_script("return window.innerWidth") == size[0]
    assert driver.execute_script("return document.documentElement.scrollWidth") <= size[0]


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
        seen, poor = driver.execute_script(POOR_CONTRAST)
        assert seen > 20
        assert poor == []
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
