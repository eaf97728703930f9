from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import ledger
from pipelines.ledger import LedgerError, Row


def row(**values: Any) -> Row:
    return Row("films", "a.mp4", "", video_id="a", **values)


def track(key: str, start: int, stop: int) -> dict[str, Any]:
    return {"key": key, "start": start, "stop": stop}


def test_frames_that_only_rejected_tracks_show_go_to_their_reason() -> None:
    tracks = [track("a-0", 0, 40), track("a-1", 20, 60), track("a-2", 50, 90)]
    closed = ledger.account(
        row(frames=100),
        {"no-face": 10},
        tracks,
        {"a-1": "sync: offset", "a-2": "sync: confidence"},
        "train",
    )
    assert (closed.status, closed.clips, closed.tracks, closed.split) == ("kept", 1, 3, "train")
    assert closed.kept_frames == 40
    assert closed.rejected_frames == {"no-face": 10, "sync: offset": 20, "sync: confidence": 30}
    ledger.check([closed])


def test_a_video_whose_tracks_all_fail_is_rejected_with_the_reasons() -> None:
    closed = ledger.account(
        row(frames=30), {}, [track("a-0", 0, 30)], {"a-0": "sync: too short to score"}, "val"
    )
    assert (closed.status, closed.step, closed.split) == ("rejected", "sync", "")
    assert "too short to score" in closed.reason
    ledger.check([closed])


def test_a_video_without_tracks_says_why_commonest_first() -> None:
    closed = ledger.account(row(frames=30), {"no-face": 10, "no-sound": 20}, [], {}, "val")
    assert closed.reason == "no facetrack: no-sound (20 frames), no-face (10 frames)"
    ledger.check([closed])


@given(
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20), st.booleans()), max_size=6),
)
def test_every_frame_is_counted_once(spans: list[tuple[int, int, bool]]) -> None:
    tracks = [track(f"a-{n}", start, start + size) for n, (start, size, _) in enumerate(spans)]
    shown = {f for t in tracks for f in range(t["start"], t["stop"])}
    decisions = {f"a-{n}": f"why {n % 2}" for n, (_, _, out) in enumerate(spans) if out}
    rejected = {"no-face": 100 - len(shown)}
    ledger.check([ledger.account(row(frames=100), rejected, tracks, decisions, "test")])


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 101},
        {"kept_frames": 39},
        {"rejected_frames": {"no-face": 70, "other": -10}},
        {"clips": 0},
        {"reason": "none"},
        {"status": ""},
        {"status": "rejected"},
    ],
)
def test_books_that_do_not_add_up_are_refused(change: dict[str, Any]) -> None:
    good = row(frames=100, kept_frames=40, rejected_frames={"no-face": 60}, clips=1)
    good = replace(good, status="kept")
    ledger.check([good])
    with pytest.raises(LedgerError, match=r"a\.mp4"):
        ledger.check([replace(good, **change)])


def test_the_yield_shows_every_reason_and_share() -> None:
    rows = [
        replace(row(frames=75, kept_frames=50, clips=2), status="kept"),
        replace(row(reason="no picture"), status="rejected"),
    ]
    rows[0] = replace(rows[0], rejected_frames={"no-face": 25})
    text = "\n".join(ledger.funnel(rows, {"not a video (.txt)": 4}))
    assert "videos 2 = 1 kept + 1 rejected + 0 failed" in text
    assert "frames 75 (3.0 s) = 50 in clips (66.7 %)" in text
    assert "no-face" in text
    assert "33.3 %" in text
    assert "4 not a video (.txt)" in text
    assert ledger.rejections(rows) == ["rejected films/a.mp4: no picture"]


def test_both_files_hold_the_same_rows(tmp_path: Path) -> None:
    rows = [replace(row(frames=3, rejected_frames={"no-face": 3}, reason="x"), status="rejected")]
    ledger.write(rows, tmp_path)
    assert ledger.read(tmp_path) == rows
    table = pd.read_parquet(tmp_path / "ledger.parquet")
    assert list(table.columns) == list(Row.__dataclass_fields__)
    assert json.loads(table["rejected_frames"][0]) == {"no-face": 3}
    ledger.write([], tmp_path)
    assert ledger.read(tmp_path) == []
