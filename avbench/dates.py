"""Recording dates out of file names, and what is doubtful about them."""

from __future__ import annotations

import datetime
import re

_YEAR_FIRST = re.compile(
    r"(?<!\d)(19\d\d|20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)"
)
_YEAR_LAST = re.compile(r"(?<!\d)(\d\d)([-_.])(\d\d)\2(19\d\d|20\d\d)(?!\d)")


def readings(name: str) -> list[str]:
    """Return every date that a text may mean, ISO, in the order of the text, each once.

    A date begins with its year (``20160105``, ``2016-01-05``), or ends with it and may then have
    the day or the month in front.

    >>> readings("20160105_172500_bbcone_bbc_london_news.mp4"), readings("31-05-2016")
    (['2016-01-05'], ['2016-05-31'])
    >>> readings("news 02.01.2016"), readings("clip_20161399.mp4")
    (['2016-01-02', '2016-02-01'], [])
    """
    found: dict[str, None] = {}
    matches = [*_YEAR_FIRST.finditer(name), *_YEAR_LAST.finditer(name)]
    for match in sorted(matches, key=lambda match: match.start()):
        one, two, three = (int(match[group]) for group in (1, 3, 4))
        orders = [(one, two, three)] if one > 31 else [(three, two, one), (three, one, two)]
        for order in orders:
            try:
                found[datetime.date(*order).isoformat()] = None
            except ValueError:
                continue  # such as 30 February
    return list(found)


def date_of(name: str) -> str | None:
    """Return the date that a file name begins with or holds, ISO, or None.

    Where several are possible, it is the first; `readings` returns all.

    >>> date_of("20160105_172500_bbcone_bbc_london_news.mp4"), date_of("day 2016-01-05")
    ('2016-01-05', '2016-01-05')
    >>> date_of("clip_20161399.mp4") is None, date_of("s1/bbaf2n.mpg") is None
    (True, True)
    """
    return next(iter(readings(name)), None)


def readings_of_path(path: str) -> list[str]:
    """Return what the name of a file may mean, or else the innermost folder that tells a date.

    >>> readings_of_path("2015-08-31/late/20160101.mp4"), readings_of_path("2015-08-31/late/a.mp4")
    (['2016-01-01'], ['2015-08-31'])
    """
    return next(filter(None, map(readings, reversed(path.split("/")))), [])


def parse(text: str) -> str | None:
    """Return a date as a table gives it, ISO: one that can be read in one way only, else None.

    >>> parse("2013-07-01"), parse("31.08.2015"), parse("01/07/2013"), parse("summer")
    ('2013-07-01', '2015-08-31', None, None)
    """
    found = readings(text.strip().replace("/", "-"))
    return found[0] if len(found) == 1 else None
