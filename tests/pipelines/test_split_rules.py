"""By date, by speaker: planted names and tables."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from avbench.census import take
from avbench.errors import DataError, UsageError
from avbench.shards import open_set
from pipelines import ledger
from pipelines.build import BuildReport, build
from pipelines.options import BuildOptions
from pipelines.splits import ByDate, ByShares, read_list, read_periods
from pipelines.units import Source

NAMES = {
    "20130701_172500_bbcone_news.mp4": "train",
    "late/2015-08-31.mp4": "train",
    "2015.09.01/morning.mp4": "val",
    "31-12-2015.mp4": "val",
    "20160101-a.mp4": "test",
    "news_20160531.mp4": "test",
    "20160601-b.mp4": "recorded on 2016-06-01, in no period of bbc2016",
    "05-04-2016.mp4": "its name may mean 2016-04-05 or 2016-05-04",
    "20160102-20160203.mp4": "its name may mean 2016-01-02 or 2016-02-03",
    "undated.mp4": "its name tells no date",
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number, name in enumerate(NAMES):
        write_source(folder / name, seed=number, frames=30)
    return folder


def make(films: Path, out: Path, **options: Any) -> BuildReport:
    return build([films], out, process=make_process(), engine="local", sync="off", **options)


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_the_dates_of_the_paper_divide_the_files(films: Path, tmp_path: Path) -> None:
    make(films, tmp_path, split_dates="bbc2016")
    rows = {row.path: row for row in ledger.read(tmp_path)}
    for name, where in NAMES.items():
        row = rows[name]
        if where in ("train", "val", "test"):
            assert (row.status, row.split) == ("kept", where)
        else:
            assert (row.status, row.step) == ("rejected", "discover")
            assert row.reason.startswith(where)
            assert len(row.sha256) == 64
    counts = {count.split: (count.first, count.last) for count in take(open_set(tmp_path)).splits}
    assert counts == {
        "train": ("2013-07-01", "2015-08-31"),
        "val": ("2015-09-01", "2015-12-31"),
        "test": ("2016-01-01", "2016-05-31"),
    }
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "train 2013-07-01 to 2015-08-31" in card


def test_a_table_tells_the_dates_that_names_do_not(films: Path, tmp_path: Path) -> None:
    about = table(
        tmp_path / "about.csv",
        "file,date,speaker",
        "undated.mp4,2014-02-03,anna",
        "05-04-2016.mp4,2016-05-04,",
        "20160102-20160203.mp4,2016-01-02,",
        "20160601-b.mp4,,bo",
    )
    make(films, tmp_path / "set", split_dates="bbc2016", about=about)
    rows = {row.path: row for row in ledger.read(tmp_path / "set")}
    found = {name: rows[name].split for name in ("undated.mp4", "05-04-2016.mp4")}
    assert found == {"undated.mp4": "train", "05-04-2016.mp4": "test"}
    assert rows["20160601-b.mp4"].status == "rejected"
    index = open_set(tmp_path / "set").index().set_index("path")
    assert index["date"]["undated.mp4"] == "2014-02-03"
    assert index["speaker"]["undated.mp4"] == "anna"


def source(number: int) -> Source:
    name = f"v{number}.mp4"
    return Source(Path(name), "films", name, video_id=f"v{number}")


def test_whole_speakers_are_drawn_and_stay(tmp_path: Path) -> None:
    lines = [f"v{n}.mp4,speaker {n % 300}" for n in range(900)]
    about = read_list(table(tmp_path / "who.csv", "file,speaker", *lines), with_splits=False)
    rule = ByShares("80/10/10", "speaker", 0, about)
    places = {n: rule.place(source(n)).split for n in range(900)}
    for n in range(300):
        assert places[n] == places[n + 300] == places[n + 600]
    counts = Counter(places[n] for n in range(300))
    assert counts["train"] == pytest.approx(240, abs=25)
    assert min(counts["val"], counts["test"]) > 10
    other = ByShares("80/10/10", "speaker", 1, about)
    assert sum(other.place(source(n)).split != places[n] for n in range(300)) > 40
    # Who else is there changes nothing.
    few = read_list(table(tmp_path / "few.csv", "file,speaker", *lines[:5]), with_splits=False)
    for n in range(5):
        assert ByShares("80/10/10", "speaker", 0, few).place(source(n)).split == places[n]
    assert "speaker is not known (not in few.csv)" in (
        ByShares("80/10/10", "speaker", 0, few).place(source(7)).objection
    )


def test_periods_can_be_given(tmp_path: Path) -> None:
    path = table(tmp_path / "p.csv", "split,first,last", "train,2001-01-01,2001-06-30",
                 "test,2001-07-01,2001-07-01")  # fmt: skip
    rule = read_periods(str(path))
    assert rule.periods["test"] == ("2001-07-01", "2001-07-01")
    dated = Source(Path("a"), "films", "20010701.mp4")
    assert rule.place(dated).split == "test"
    assert ByDate("x", rule.periods).recipe()["periods"]["train"] == ["2001-01-01", "2001-06-30"]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["split,first", "train,2001-01-01"], "no column last"),
        (["split,first,last", "train,2001-01-01,2001-02-30"], "line 2.*2001-02-30"),
        (["split,first,last", "train,2001-02-01,2001-01-01"], "first day before"),
        (["split,first,last", "exam,2001-01-01,2001-02-01"], "exam"),
        (
            ["split,first,last", "train,2001-01-01,2001-02-01", "val,2001-02-01,2001-03-01"],
            "line 3: val and train share days",
        ),
        (["split,first,last"], "no period"),
    ],
)
def test_wrong_periods_get_one_sentence(tmp_path: Path, lines: list[str], complaint: str) -> None:
    with pytest.raises((DataError, UsageError), match=complaint):
        read_periods(str(table(tmp_path / "p.csv", *lines)))


def test_wrong_requests_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bbc2016"):
        read_periods("bbc2017")
    with pytest.raises(UsageError, match="needs --about"):
        BuildOptions(split_by="speaker").split_rule()
    with pytest.raises(UsageError, match="leave out"):
        BuildOptions(split="x.csv", split_dates="bbc2016").split_rule()
    doubtful = table(tmp_path / "d.csv", "file,date", "a.mp4,01/02/2016")
    with pytest.raises(DataError, match=r"line 2: got date '01/02/2016'"):
        read_list(doubtful, with_splits=False)
