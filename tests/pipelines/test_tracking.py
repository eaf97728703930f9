"""Tracking: planted boxes that move, vanish, cross and multiply."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.data import FloatArray, Shot
from pipelines.faces import Detections, assign, assign_again
from pipelines.flow import Flows
from pipelines.tracking import LinkedFaces, TrackSettings, link, split

SETTINGS = TrackSettings()


def face(x: float, y: float = 100.0, size: float = 60.0) -> list[float]:
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2]


def found(*boxes: list[float], score: float = 0.9) -> Detections:
    table = np.array(boxes, np.float64).reshape(-1, 4)
    return Detections(table, np.full(len(table), score), (table[:, :2] + table[:, 2:]) / 2)


def shot(start: int, stop: int) -> Shot:
    return Shot("v", 0, start, stop)


def centres(track: LinkedFaces) -> FloatArray:
    return (track.boxes[:, 0] + track.boxes[:, 2]) / 2


def test_no_faces_no_tracks() -> None:
    assert link({}, shot(0, 10), SETTINGS) == []
    assert link({t: Detections.none() for t in range(10)}, shot(0, 10), SETTINGS) == []


def test_two_faces_give_two_tracks_from_left_to_right() -> None:
    seen = {t: found(face(400 - t), face(100 + t)) for t in range(40)}
    left, right = link(seen, shot(0, 40), SETTINGS)
    np.testing.assert_allclose(centres(left), 100 + np.arange(40))
    np.testing.assert_allclose(centres(right), 400 - np.arange(40))


def test_a_gap_is_interpolated_and_marked() -> None:
    seen = {t: found(face(100 + 2 * t)) for t in range(30) if not 10 <= t < 17}
    seen |= {t: Detections.none() for t in range(10, 17)}
    (track,) = link(seen, shot(0, 30), SETTINGS)
    np.testing.assert_allclose(centres(track), 100 + 2 * np.arange(30))
    np.testing.assert_allclose(track.mouths[:, 0], 100 + 2 * np.arange(30))
    assert np.flatnonzero(np.isnan(track.scores)).tolist() == list(range(10, 17))
    assert track.found(seen) == pytest.approx(23 / 30)


@pytest.mark.parametrize(("missing", "tracks"), [(25, 1), (26, 2)])
def test_a_gap_beyond_the_limit_ends_a_track(missing: int, tracks: int) -> None:
    seen = {t: Detections.none() for t in range(60)}
    seen |= {t: found(face(100)) for t in (*range(20), *range(20 + missing, 60))}
    assert len(link(seen, shot(0, 60), SETTINGS)) == tracks


def test_frames_that_nobody_looked_at_are_filled_up_to_the_ends_of_the_shot() -> None:
    seen = {t: found(face(100 + t)) for t in range(0, 40, 3)}
    (track,) = link(seen, shot(5, 38), SETTINGS)
    assert (track.start, track.stop) == (5, 38)
    assert np.flatnonzero(np.isfinite(track.scores)).tolist() == list(range(1, 33, 3))
    assert track.found(seen) == 1


def test_frames_looked_at_in_vain_are_not_filled_at_the_ends() -> None:
    seen = {t: found(face(100)) if 10 <= t < 30 else Detections.none() for t in range(40)}
    (track,) = link(seen, shot(0, 40), SETTINGS)
    assert (track.start, track.stop) == (10, 30)


def test_no_identity_crosses_a_cut() -> None:
    seen = {t: found(face(100)) for t in range(60)}
    first = link(seen, shot(0, 25), SETTINGS)
    second = link(seen, shot(25, 60), SETTINGS)
    assert [(t.start, t.stop) for t in first + second] == [(0, 25), (25, 60)]


def test_assignment_is_best_as_a_whole_not_first_come() -> None:
    # The first track overlaps both boxes and prefers the one that the second needs.
    last = np.array([face(100), face(130)])
    boxes = np.array([face(118), face(76)])
    assert assign(last, boxes, 0.2) == [(0, 1), (1, 0)]


def test_assignment_makes_no_pair_without_overlap() -> None:
    assert assign(np.array([face(100)]), np.array([face(300)]), 0.3) == []


def test_only_what_is_left_over_is_assigned_by_a_second_guess() -> None:
    boxes = np.array([face(0), face(1000), face(500)])
    first = np.array([face(0), face(300), face(700)])
    second = np.array([face(1000), face(0), face(1000)])
    assert assign_again(first, second, boxes, 0.3) == [(0, 0), (2, 1)]
    assert assign_again(first, first, boxes, 0.3) == assign(first, boxes, 0.3) == [(0, 0)]
    none = np.zeros((0, 4))
    assert assign_again(none, none, boxes, 0.3) == assign_again(first, second, none, 0.3) == []


def test_a_hand_that_carries_a_box_away_does_not_end_the_track() -> None:
    seen = {0: found(face(100)), 10: found(face(110)), 20: found(face(120))}
    away = [np.array(face(100 + 30 * t)) for t in range(1, 11)]
    flows = Flows(ahead={(0, 0): away, (10, 0): [np.array(face(110 + t)) for t in range(1, 11)]})
    (track,) = link(seen, shot(0, 21), SETTINGS, flows)
    np.testing.assert_allclose(centres(track), np.arange(21) + centres(track)[0])


def test_who_stands_where_a_box_was_carried_is_asked_first() -> None:
    seen = {0: found(face(100)), 10: found(face(100), face(400))}
    flows = Flows(ahead={(0, 0): [np.array(face(100 + 30 * t)) for t in range(1, 11)]})
    moving, new = link(seen, shot(0, 11), SETTINGS, flows)
    np.testing.assert_allclose(centres(moving), 100 + 30 * np.arange(11))
    assert set(centres(new)) == {100}


def test_a_second_box_of_the_same_frame_never_joins_a_track() -> None:
    seen = {t: found(face(100), face(125)) for t in range(30)}
    tracks = link(seen, shot(0, 30), SETTINGS)
    assert [len(track) for track in tracks] == [30, 30]


@given(
    st.lists(
        st.tuples(st.integers(0, 29), st.integers(0, 600), st.integers(0, 300)),
        max_size=60,
    ),
    st.integers(0, 12),
)
def test_every_detection_is_in_exactly_one_track(
    points: list[tuple[int, int, int]], max_gap: int
) -> None:
    seen = {t: Detections.none() for t in range(30)}
    for t, x, y in points:
        seen[t] = Detections.join(seen[t], found(face(float(x), float(y))))
    tracks = link(seen, shot(0, 30), TrackSettings(max_gap=max_gap))
    assert sum(int(np.isfinite(track.scores).sum()) for track in tracks) == len(points)
    for track in tracks:
        assert len(track.boxes) == len(track.scores) == len(track.mouths)
        assert np.isfinite(track.scores[[0, -1]]).all()
        gaps = np.diff(np.flatnonzero(np.isfinite(track.scores))) - 1
        assert (gaps <= max_gap).all()


@given(st.integers(1, 400), st.integers(1, 90))
def test_split_parts_make_up_the_track(length: int, longest: int) -> None:
    track = LinkedFaces(
        7, np.zeros((length, 4)), np.arange(length, dtype=float), np.zeros((length, 2))
    )
    parts = split(track, longest)
    assert np.concatenate([part.scores for part in parts]).tolist() == list(range(length))
    assert max(map(len, parts)) <= longest
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_facts_are_plain_json() -> None:
    seen = {t: found(face(100), score=0.75) for t in range(10)}
    (track,) = link(seen, shot(0, 10), SETTINGS)
    assert track.facts(seen) == {"start": 0, "stop": 10, "face": 60.0, "score": 0.75, "found": 1.0}
