"""Where everything in a drawing goes: pure geometry, which the templates turn into SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avbench.data import JSON
from avbench.pages.model import Source, Track
from avbench.timing import FPS

LONGEST = 16_000
"""Widest time line in pixels; longer sources get less than a pixel per frame."""
NARROWEST = 860
PLOT = 340
"""Width of a plot: that of a telephone."""
AXIS, SHOT, LANE, THIN = 36, 18, 22, 12
"""Heights in pixels of the axis, of the shots, of a lane of kept and of rejected tracks."""
_STEPS = (5, 10, 25, 50, 125, 250, 500, 750, 1500, 3000, 7500, 15_000, 45_000, 90_000)


@dataclass(frozen=True)
class Bar:
    """A rectangle with what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    css: str
    """Its class."""
    title: str = ""
    label: str = ""
    href: str = ""


@dataclass(frozen=True)
class Timeline:
    """Shots and tracks of one source over its frames."""

    width: int
    height: int
    ticks: Sequence[tuple[float, str, str]]
    """Place, time and frame number."""
    bars: Sequence[Bar]
    rows: Sequence[tuple[float, str]]
    """Place and name of what the bars of a row are."""


@dataclass(frozen=True)
class Plot:
    """Points, lines or columns between two axes."""

    width: int
    height: int
    ticks: Sequence[tuple[float, str]]
    """Along the horizontal axis."""
    levels: Sequence[tuple[float, str]] = ()
    """Along the vertical axis."""
    bars: Sequence[Bar] = ()
    dots: Sequence[tuple[float, float, str, str, str]] = ()
    """x, y, class, title and target."""
    line: str = ""
    """The ``points`` of a polyline."""
    marks: Sequence[float] = ()
    """Upright lines: a place of note."""
    rules: Sequence[float] = ()
    """Level lines: a threshold."""


def clock(frame: int) -> str:
    """Return the time of a frame from the start of its source.

    >>> clock(37), clock(25 * 3725)
    ('0:01.48', '1:02:05.00')
    """
    seconds, part = divmod(frame, FPS)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    rest = f"{seconds:02d}.{part * 100 // FPS:02d}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def percent(part: float) -> str:
    """Return a share of 0 to 100 as text; what is not nothing never reads as nothing.

    >>> percent(12.34), percent(0.01), percent(0)
    ('12.3 %', '< 0.1 %', '0 %')
    """
    if not part:
        return "0 %"
    return f"{part:.1f} %" if part >= 0.05 else "< 0.1 %"


def span_words(start: int, stop: int) -> str:
    """Say where something lies, in frames and in time."""
    return f"frames {start}–{stop - 1} ({stop - start}), {clock(start)}–{clock(stop)}"  # noqa: RUF001


def lanes(spans: Sequence[tuple[int, int]], gap: int = 0) -> list[int]:
    """Give every span the first lane in which it is free; spans sorted by their start.

    >>> lanes([(0, 10), (5, 15), (10, 20)])
    [0, 1, 0]
    """
    ends: list[int] = []
    places = []
    for start, stop in spans:
        place = next((n for n, end in enumerate(ends) if end + gap <= start), len(ends))
        ends[place:] = [stop, *ends[place + 1 :]]
        places.append(place)
    return places


def timeline(source: Source, anchors: Mapping[int, str]) -> Timeline:
    """Lay out shots, kept and rejected tracks of a source.

    Parameters
    ----------
    source
        The source; it has at least one frame.
    anchors
        Where on the page a track is described, by its place in ``source.tracks``.
    """
    frames = source.frames
    width = min(max(NARROWEST, frames), LONGEST)
    scale = width / frames
    step = next((s for s in _STEPS if s * scale >= 76), _STEPS[-1])
    ticks = [(round(f * scale, 1), clock(f), str(f)) for f in range(0, frames, step)]
    # The first always has room; the last may not.
    ticks = [tick for tick in ticks if tick[0] == 0 or tick[0] + 62 <= width]
    bars, rows, y = [], [], float(AXIS)
    if source.shots is not None:
        rows.append((y, "shots"))
        for number, (start, stop) in enumerate(source.shots):
            css = "shot odd" if number % 2 else "shot"
            title = f"shot {number}: {span_words(start, stop)}"
            bars.append(_bar(start, stop, scale, y, SHOT, css, title, str(number)))
        for start, stop in source.transitions:
            title = f"transition: {span_words(start, stop)}"
            bars.append(_bar(start, stop, scale, y, SHOT, "transition", title))
        y += SHOT + 8
    for name, height, chosen in (("kept", LANE, True), ("rejected", THIN, False)):
        own = [(n, t) for n, t in enumerate(source.tracks) if (not t.reason) == chosen]
        if not own:
            continue
        rows.append((y, name))
        places = lanes([(t.start, t.stop) for _, t in own])
        for (number, track), place in zip(own, places, strict=True):
            top = y + place * (height + 3)
            title = f"{_title(track)}: {span_words(track.start, track.stop)}"
            label = _label(track) if chosen else ""
            target = anchors.get(number, "")
            bars.append(
                _bar(track.start, track.stop, scale, top, height, name, title, label, target)
            )
        y += (max(places) + 1) * (height + 3) + 8
    return Timeline(width, int(y), ticks, bars, rows)


def _bar(
    start: int,
    stop: int,
    scale: float,
    y: float,
    height: int,
    css: str,
    title: str,
    label: str = "",
    href: str = "",
) -> Bar:
    width = max((stop - start) * scale, 1.5)
    fits = len(label) * 7.2 + 8 < width
    return Bar(
        round(start * scale, 2),
        round(y, 2),
        round(width, 2),
        height,
        css,
        title,
        label if fits else "",
        href,
    )


def _title(track: Track) -> str:
    name = track.key or "track"
    return f"{name}, {track.reason}" if track.reason else name


def _label(track: Track) -> str:
    offset = track.sync.get("offset")
    tail = "-".join(track.key.split("-")[-2:])
    return tail if offset is None else f"{tail} {offset:+d}"


def scatter(tracks: Sequence[Track], anchors: Mapping[int, str], rules: Mapping[str, JSON]) -> Plot:
    """Lay out measured offset against confidence, one dot a track.

    Parameters
    ----------
    tracks
        Any tracks; those without a measure are left out.
    anchors
        Where on the page a track is described, by its place in ``tracks``.
    rules
        ``min_confidence`` and ``max_offset``, where they decided anything.
    """
    measured = [(n, t) for n, t in enumerate(tracks) if "confidence" in t.sync]
    search = max([int(t.sync.get("search", 15)) for _, t in measured], default=15)
    least = float(rules.get("min_confidence", 0))
    top = max([0.1, 1.25 * least, *(1.1 * float(t.sync["confidence"]) for _, t in measured)])
    low = min([0.0, *(float(t.sync["confidence"]) for _, t in measured)])
    width, height, left, foot = PLOT, 200, 46, 26

    def across(offset: float) -> float:
        return round(left + (offset + search + 0.5) / (2 * search + 1) * (width - left - 8), 1)

    def up(confidence: float) -> float:
        return round((height - foot) - (confidence - low) / (top - low) * (height - foot - 10), 1)

    dots = []
    for number, track in measured:
        offset, confidence = int(track.sync["offset"]), float(track.sync["confidence"])
        title = f"{_title(track)}: offset {offset:+d}, confidence {confidence:.4f}"
        css = "rejected" if track.reason else "kept"
        dots.append((across(offset), up(confidence), css, title, anchors.get(number, "")))
    ticks = [(across(k), f"{k:+d}" if k else "0") for k in range(-search, search + 1, 5)]
    levels = [(up(v), f"{v:.2f}") for v in np.linspace(max(low, 0), top, 3)]
    limit = rules.get("max_offset")
    marks = [] if limit is None else [across(-limit - 0.5), across(limit + 0.5)]
    return Plot(
        width, height, ticks, levels, dots=dots, marks=marks, rules=[up(least)] if least else []
    )


def curve(distances: Sequence[float], offset: int) -> Plot:
    """Lay out the mean distance at every candidate offset, ascending; lower is better."""
    search = len(distances) // 2
    width, height, left, foot = PLOT, 110, 46, 20
    low, top = min(distances), max(distances)
    reach = (top - low) or 1.0

    def across(k: float) -> float:
        return round(left + (k + search) / (2 * search) * (width - left - 12), 1)

    def up(value: float) -> float:
        return round((height - foot) - (value - low) / reach * (height - foot - 12) - 4, 1)

    points = [
        (across(k), up(v)) for k, v in zip(range(-search, search + 1), distances, strict=True)
    ]
    best = points[offset + search]
    title = f"offset {offset:+d}, distance {distances[offset + search]:.4f}"
    return Plot(
        width,
        height,
        [(across(k), f"{k:+d}" if k else "0") for k in range(-search, search + 1, 5)],
        [(up(low), f"{low:.3f}"), (up(top), f"{top:.3f}")],
        dots=[(*best, "best", title, "")],
        line=" ".join(f"{x},{y}" for x, y in points),
        marks=[across(0)],
    )


def drift(index: Sequence[int]) -> Plot:
    """Lay out how far the picture is ahead of each frame of sound: video index - audio index."""
    values = [int(v) - n for n, v in enumerate(index)]
    width, height, left, foot = PLOT, 110, 46, 20
    low, top = min(*values, -1), max(*values, 1)

    def across(n: float) -> float:
        return round(left + n / max(len(values) - 1, 1) * (width - left - 12), 1)

    def up(value: float) -> float:
        return round((height - foot) - (value - low) / (top - low) * (height - foot - 12) - 4, 1)

    step = next((s for s in _STEPS if s * 6 >= len(values)), _STEPS[-1])
    return Plot(
        width,
        height,
        [(across(n), str(n)) for n in range(0, len(values), step)],
        [(up(v), f"{v:+d}" if v else "0") for v in dict.fromkeys((low, 0, top))],
        line=" ".join(f"{across(n)},{up(v)}" for n, v in enumerate(values)),
        rules=[up(0)],
    )


def histogram(counts: Mapping[int, int], title: str) -> Plot:
    """Lay out how often each whole number occurs; the numbers stand above the columns."""
    low, high = min([*counts, -5]), max([*counts, 5])
    width, height, foot, head = max(24 * (high - low + 1), 300), 150, 22, 16
    column = width / (high - low + 1)
    most = max(counts.values(), default=1)
    bars = []
    for value, count in sorted(counts.items()):
        tall = max((height - foot - head) * count / most, 1.0)
        bars.append(
            Bar(
                round((value - low) * column + 2, 1),
                round(height - foot - tall, 1),
                round(column - 4, 1),
                round(tall, 1),
                "column",
                f"{title} {value:+d}: {count}",
                str(count),
            )
        )
    places = [k for k in range(low, high + 1) if k % 5 == 0]
    ticks = [(round((k - low + 0.5) * column, 1), f"{k:+d}" if k else "0") for k in places]
    return Plot(width, height, ticks, bars=bars)


@dataclass(frozen=True)
class Step:
    """One step of the funnel: how many came this far, out of how many."""

    name: str
    count: int
    share: float
    shape: str
    """The ``points`` of its trapezium, in a box of 100 by 24."""
    lost: str = ""
    """What became of those who stayed behind."""


def funnel(steps: Sequence[tuple[str, int, str]]) -> list[Step]:
    """Lay out the funnel: each step as wide as its share of the first, narrowing to the next.

    >>> [step.shape for step in funnel([("a", 4, ""), ("b", 1, "")])]
    ['0.0,0 100.0,0 62.5,24 37.5,24', '37.5,0 62.5,0 62.5,24 37.5,24']
    """
    whole = max(steps[0][1], 1)
    shares = [count / whole for _, count, _ in steps]
    after = [*shares[1:], shares[-1]]
    found = []
    for (name, count, lost), here, below in zip(steps, shares, after, strict=True):
        a, b = 50 * here, 50 * below
        shape = f"{50 - a:.1f},0 {50 + a:.1f},0 {50 + b:.1f},24 {50 - b:.1f},24"
        found.append(Step(name, count, here, shape, lost))
    return found


@dataclass(frozen=True)
class Balance:
    """A total and the parts that it is made of."""

    whole: int
    parts: Sequence[tuple[str, int, float, float, str]] = field(default_factory=list)
    """Name, count, where its bar starts and how wide it is in percent, and its class."""

    @property
    def exact(self) -> bool:
        """Whether the parts make up the whole."""
        return self.whole == sum(count for _, count, *_ in self.parts)


def balance(
    whole: int, kept: int, lost: Iterable[Mapping[str, int]], colours: Sequence[str] = ()
) -> Balance:
    """Lay out a total: what was kept, then what was lost by reason, the most first.

    Parameters
    ----------
    whole, kept
        The total, and what was kept of it.
    lost
        Numbers by reason; they are added up.
    colours
        Reasons in the order in which they take colours, so that drawings agree; others follow.
    """
    reasons: Counter[str] = Counter()
    for each in lost:
        reasons.update(each)
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    taken = list(dict.fromkeys([*colours, *(name for name, _ in ordered)]))
    parts, place = [], 0.0
    for number, (name, count) in enumerate([("kept", kept), *ordered]):
        wide = 100 * count / whole if whole else 0.0
        css = f"lost lost-{taken.index(name) % 5}" if number else "kept"
        parts.append((name, count, round(place, 3), round(wide, 3), css))
        place += wide
    return Balance(whole, parts)
