"""``avbench study``: balance, blindness, the page in a browser, and the table."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import DESKTOP, chromium, show, wait
from click.testing import CliRunner, Result
from media_maker import Recipe, make
from selenium import webdriver
from selenium.webdriver.common.by import By

from avbench.cli import main
from avbench.errors import UsageError
from avbench.study.answers import Answer, results
from avbench.study.design import VERSIONS, assign

ITEMS = [f"clip-{n}" for n in range(8)]


def study(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["study", *map(str, arguments)])


@pytest.mark.parametrize(("participants", "per"), [(20, 4), (6, 3), (2, 8), (40, 5)])
def test_every_video_is_seen_as_often_real_as_modified(participants: int, per: int) -> None:
    trials = assign(ITEMS, participants, per, seed=3)
    assert len(trials) == participants * per
    seen = Counter((t.item, t.version) for t in trials)
    for item in {t.item for t in trials}:
        assert seen[item, "real"] == seen[item, "modified"]
    by_item = Counter(t.item for t in trials)
    assert max(by_item.values()) - min(by_item[i] for i in ITEMS) <= 2
    for person in range(1, participants + 1):
        own = [t for t in trials if t.participant == person]
        assert sorted(t.position for t in own) == list(range(1, per + 1))
        assert len({t.item for t in own}) == per
        count = Counter(t.version for t in own)
        assert abs(count["real"] - count["modified"]) == per % 2


def test_the_order_says_nothing_and_the_seed_everything() -> None:
    trials = assign(ITEMS, 400, 4, seed=0)
    assert trials == assign(ITEMS, 400, 4, seed=0)
    assert trials != assign(ITEMS, 400, 4, seed=1)
    for position in range(1, 5):
        real = sum(t.version == "real" for t in trials if t.position == position)
        assert real == pytest.approx(200, abs=40)  # four standard deviations


@pytest.mark.parametrize(
    ("items", "participants", "per"), [(ITEMS, 5, 4), (ITEMS, 4, 9), ([*ITEMS, ITEMS[0]], 4, 4)]
)
def test_what_cannot_be_balanced_is_refused(items: list[str], participants: int, per: int) -> None:
    with pytest.raises(UsageError):
        assign(items, participants, per, seed=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("pairs")
    for version in VERSIONS:
        (root / version).mkdir()
        for n in range(4):
            recipe = Recipe(pts=tuple(range(8 + n)), flashes=(2 + (version == "real"),))
            make(root / version / f"talk-{n}.mp4", recipe)
    return root / "real", root / "modified"


@pytest.fixture(scope="module")
def made(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "study"
    result = study(
        "make", "--real", folders[0], "--modified", folders[1], "--out", out, "--participants", 2,
        "--per", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"Page for the participants: {out / 'page' / 'index.html'}" in result.stdout
    return out


def test_nothing_that_participants_get_says_which_is_which(made: Path) -> None:
    key = json.loads((made / "key.json").read_text("utf-8"))
    page = (made / "page" / "index.html").read_text("utf-8")
    held = sorted(path.name for path in (made / "page" / "media").iterdir())
    assert held == sorted(key["videos"])
    assert "talk-" not in page
    assert '"version"' not in page
    order = [key["videos"][name]["version"] for name in held]
    assert sorted(order) == ["modified"] * 2 + ["real"] * 2
    assert {v["item"] for v in key["videos"].values()} <= {f"talk-{n}" for n in range(4)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.mark.xdist_group("browser")
def test_a_participant_watches_answers_and_saves(
    made: Path, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    key = json.loads((made / "key.json").read_text("utf-8"))
    saved = []
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    for person, words in (("1", ["real", "modified"]), ("2", ["real", "real"])):
        show(browser, (made / "page" / "index.html").as_uri(), DESKTOP)
        number = browser.find_element(By.ID, "number")
        if person == "1":
            number.send_keys("77")
            browser.find_element(By.ID, "begin").click()
            alert = browser.find_element(By.ID, "wrong").text
            assert alert == "There is no such number; it is one from 1 to 2."
            number.clear()
        number.send_keys(person)
        browser.find_element(By.ID, "begin").click()
        for place, word in enumerate(words, 1):
            told = browser.find_element(By.ID, "place").text
            assert told == f"Video {place} of 2"
            button = browser.find_element(By.ID, word)
            assert not button.is_enabled()
            browser.execute_script("document.querySelector('video').play()")
            wait(button.is_enabled)
            button.click()
        for kind in ("csv", "json"):
            link = browser.find_element(By.ID, kind)
            name = f"answers-{key['study']}-{person}.{kind}"
            assert link.get_attribute("download") == name
            link.click()
            wait((tmp_path / name).exists)
        saved.append(
            tmp_path / f"answers-{key['study']}-{person}.{'csv' if person == '1' else 'json'}"
        )
        assert browser.get_log("browser") == []
    with saved[0].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["answer"] for row in rows] == ["real", "modified"]
    assert [row["video"] for row in rows] == key["plan"]["1"]
    assert all(int(row["plays"]) >= 1 for row in rows)

    result = study("table", made, *saved, "--json", tmp_path / "table.json")
    assert result.exit_code == 0, result.output
    table = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert (table["answers"], table["participants"], table["missing"]) == (4, 2, [])
    truth = [key["videos"][v]["version"] for p in "12" for v in key["plan"][p]]
    said_real = [True, False, True, True]
    for version in VERSIONS:
        of = [s for s, t in zip(said_real, truth, strict=True) if t == version]
        assert table["called_real"][version]["value"] == pytest.approx(sum(of) / len(of))


def simulated(people: int, real: float, modified: float) -> list[Answer]:
    """Answers of people of whom an exact share calls each kind real."""
    share = {"real": real, "modified": modified}
    return [
        Answer(str(p), f"{v}-{k}", v, (p * 2 + k) / (2 * people) < share[v])
        for p in range(people)
        for v in VERSIONS
        for k in range(2)
    ]


def test_the_table_finds_planted_shares_with_their_intervals() -> None:
    answers = simulated(50, real=0.86, modified=0.43)
    key = {"plan": {str(p): ["a", "b", "c", "d"] for p in range(51)}}
    found = results(answers, key)
    assert found.called_real["real"].value == pytest.approx(0.86)
    assert found.called_real["modified"].value == pytest.approx(0.43)
    assert found.difference.value == pytest.approx(0.43)
    low, high = found.difference.low, found.difference.high
    assert low is not None
    assert high is not None
    assert 0.2 < low < 0.43 < high < 0.7
    assert found.correct.value == pytest.approx((0.86 + 0.57) / 2)
    assert found.missing == ("50",)
    assert found == results(answers, key)


def test_wrong_files_are_refused_in_one_sentence(
    made: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    key = json.loads((made / "key.json").read_text("utf-8"))
    row = {"study": key["study"], "participant": "1", "position": "1", "answer": "real"}
    row["video"] = key["plan"]["1"][0]

    def saved(name: str, *rows: dict[str, str]) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(rows), "utf-8")
        return path

    other = next(v for v in key["videos"] if v not in key["plan"]["1"])
    cases = {
        saved("other.json", row | {"study": "abc"}): "is of study abc",
        saved("twice.json", row, row): "a second time",
        saved("word.json", row | {"answer": "maybe"}): "expected real or modified",
        saved("video.json", row | {"video": other}): "was not to see",
        saved("half.json", {"study": key["study"]}): "holds no answers of a study",
        saved("few.json", row): "there is no answer about a",
        tmp_path / "absent.csv": "cannot be read",
    }
    for path, words in cases.items():
        result = study("table", made, path)
        assert result.exit_code == 3, result.output
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
    assert study("table", made).exit_code == 2
    again = study("make", "--real", folders[0], "--modified", folders[1], "--out", made)
    assert again.exit_code == 2
    assert "holds something already" in again.stderr
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    make(lonely / "alone.mp4", Recipe(pts=tuple(range(5)), flashes=(2,)))
    result = study("make", "--real", folders[0], "--modified", lonely, "--out", tmp_path / "new")
    assert result.exit_code == 3
    assert "holds no video" in result.stderr
