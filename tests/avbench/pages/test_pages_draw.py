from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.pages import draw
from avbench.pages.model import Entry, Source, Track
from avbench.pages.render import page_of

spans = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 80)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=12,
).map(sorted)


@given(spans)
def test_tracks_of_one_lane_never_overlap(found: list[tuple[int, int]]) -> None:
    places = draw.lanes(found)
    for n, (start, stop) in enumerate(found):
        for m, (other, end) in enumerate(found[:n]):
            if places[n] == places[m]:
                assert end <= start or stop <= other
    deepest = max((sum(a <= f < b for a, b in found) for f in range(400)), default=0)
    assert len(set(places)) == deepest  # no lane more than are needed


@given(spans, st.integers(400, 60_000))
def test_every_bar_lies_where_its_frames_do(found: list[tuple[int, int]], frames: int) -> None:
    tracks = [Track(a, b, "why" if n % 2 else "") for n, (a, b) in enumerate(found)]
    source = Source(Entry("s", "f.mp4", frames=frames), tracks, shots=[(0, frames)])
    drawn = draw.timeline(source, {0: "#first"})
    scale = drawn.width / frames
    bars = [bar for bar in drawn.bars if bar.css in ("kept", "rejected")]
    assert len(bars) == len(tracks)
    for bar in drawn.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= drawn.width + 1.6
        assert 0 <= bar.y < bar.y + bar.height <= drawn.height
    starts = sorted(round(track.start * scale, 2) for track in tracks)
    assert sorted(bar.x for bar in bars) == pytest.approx(starts)
    assert all(x + 62 <= drawn.width or x == 0 for x, _, _ in drawn.ticks)
    assert sum(bar.href == "#first" for bar in bars) == min(len(tracks), 1)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6).map(lambda n: sorted(n, reverse=True)))
def test_the_funnel_is_as_wide_as_its_shares(counts: list[int]) -> None:
    steps = draw.funnel([(str(n), n, "") for n in counts])
    for step in steps:
        (x1, _), (x2, _) = (map(float, p.split(",")) for p in step.shape.split()[:2])
        assert x2 - x1 == pytest.approx(100 * step.count / max(counts[0], 1), abs=0.11)
        assert x1 + x2 == pytest.approx(100, abs=0.11)


def test_a_balance_says_when_the_parts_are_not_the_whole() -> None:
    lost = [{"a": 1, "b": 5}, {"a": 2}]
    exact = draw.balance(10, 2, lost)
    assert exact.exact
    assert [(name, count) for name, count, *_ in exact.parts] == [("kept", 2), ("b", 5), ("a", 3)]
    assert sum(width for *_, width, _ in exact.parts) == pytest.approx(100)
    assert not draw.balance(11, 2, lost).exact
    colours = {name: css for name, *_, css in draw.balance(10, 2, lost, ["x", "a"]).parts}
    assert colours == {"kept": "kept", "a": "lost lost-1", "b": "lost lost-2"}
    assert draw.balance(0, 0, []).exact


def test_the_lowest_point_of_a_curve_is_at_its_offset() -> None:
    values = [1.0, 0.9, 0.8, 0.2, 0.7, 0.9, 1.1]
    plot = draw.curve(values, 0)
    points = [tuple(map(float, point.split(","))) for point in plot.line.split()]
    lowest = max(points, key=lambda point: point[1])  # y grows downwards
    assert (lowest[0], lowest[1]) == plot.dots[0][:2] == (plot.marks[0], lowest[1])
    assert draw.curve([1.0, 1.0, 1.0], -1).line  # flat ones divide by nothing


def test_drift_is_drawn_upwards_where_the_picture_is_ahead() -> None:
    plot = draw.drift([0, 1, 4, 5, 4])
    heights = [float(point.split(",")[1]) for point in plot.line.split()]
    assert heights[0] == heights[1] == heights[4] == plot.rules[0]
    assert heights[2] == heights[3] < plot.rules[0]


def test_thresholds_stand_between_what_is_kept_and_what_is_not() -> None:
    rules = {"min_confidence": 0.12, "max_offset": 3}
    offsets = (-4, -3, 3, 4)
    tracks = [Track(0, 9, sync={"offset": k, "confidence": 0.3}) for k in offsets]
    low = Track(0, 9, "sync", sync={"offset": 0, "confidence": 0.1})
    plot = draw.scatter([*tracks, low, Track(0, 9, "no measure")], {}, rules)
    across = [dot[0] for dot in plot.dots]
    assert across[0] < plot.marks[0] < across[1] < across[2] < plot.marks[1] < across[3]
    assert plot.dots[4][1] > plot.rules[0] > plot.dots[0][1]
    assert [dot[2] for dot in plot.dots] == ["rejected" if n == 4 else "kept" for n in range(5)]


@pytest.mark.parametrize("name", ["", "../up", "a/b", "index", "A", "a.b", "é", "x" * 120])
def test_strange_ids_get_plain_names_of_their_own(name: str) -> None:
    made = page_of(name)
    assert made.startswith("source-")
    assert made.isascii()
    assert made != page_of(name + "!")
    assert page_of("a-film-0001") == "a-film-0001.html"
