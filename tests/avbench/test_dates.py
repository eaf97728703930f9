from __future__ import annotations

import pytest

from avbench.dates import date_of, parse, readings


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("20080511_172500_bbcone_bbc_london_news", "2008-05-11"),
        ("show.2016.05.31.mkv", "2016-05-31"),
        ("20160230_x_20160229.mp4", "2016-02-29"),
        ("2016-0531.mp4", None),
        ("120160531.mp4", None),
        ("bbaf2n.mpg", None),
    ],
)
def test_dates_are_read_from_names(name: str, date: str | None) -> None:
    assert date_of(name) == date


@pytest.mark.parametrize(
    ("name", "dates"),
    [
        ("2016-01-05 to 2016-02-05.mp4", ["2016-01-05", "2016-02-05"]),
        ("2016-01-05_20160105.mp4", ["2016-01-05"]),
        ("news-05-01-2016", ["2016-01-05", "2016-05-01"]),
        ("news_13_01_2016", ["2016-01-13"]),
        ("news_31.31.2016", []),
        ("05.05.2016", ["2016-05-05"]),
        ("112-05-2016", []),
    ],
)
def test_a_name_may_mean_several_dates(name: str, dates: list[str]) -> None:
    assert readings(name) == dates


def test_a_table_must_be_clear() -> None:
    assert parse(" 2016-02-29 ") == "2016-02-29"
    assert parse("2015-02-29") is None
    assert parse("03/04/2016") is None
