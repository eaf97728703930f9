"""Phones say which picture belongs to another's voice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avbench.errors import DataError
from avbench.redub.truth import Planted, Spoken, frame_map, read_planted


def said(*phones: tuple[str, int]) -> Planted:
    """Make a recording of phones with their lengths in frames."""
    at, spoken = 0, []
    for name, frames in phones:
        spoken.append(Spoken(name, at / 25, (at + frames) / 25))
        at += frames
    return Planted(tuple(spoken), np.zeros(at), np.zeros(at))


PLAIN = said(("_", 5), ("h", 4), ("@", 6), ("l", 4), ("oU", 8), ("_", 5))


def test_a_recording_belongs_to_itself() -> None:
    assert frame_map(PLAIN, PLAIN).tolist() == list(range(32))


def test_a_voice_twice_as_slow_shows_every_picture_twice() -> None:
    slow = said(("_", 10), ("h", 8), ("@", 12), ("l", 8), ("oU", 16), ("_", 10))
    found = frame_map(PLAIN, slow)
    assert len(found) == 64
    assert np.array_equal(found[::2], np.arange(32))
    assert frame_map(slow, PLAIN).tolist() == list(range(0, 64, 2))


def test_a_longer_phone_moves_only_what_follows() -> None:
    longer = said(("_", 5), ("h", 4), ("@", 12), ("l", 4), ("oU", 8), ("_", 5))
    found = frame_map(PLAIN, longer)
    assert found[:9].tolist() == list(range(9))
    assert found[21:].tolist() == list(range(15, 32))
    assert np.all(np.diff(found) >= 0)


def test_what_only_one_says_is_passed_over() -> None:
    more = said(("_", 5), ("h", 4), ("@", 6), ("_", 7), ("l", 4), ("oU", 8), ("_", 5))
    found = frame_map(PLAIN, more)
    assert found[:15].tolist() == list(range(15))
    assert set(found[15:22]) <= {14, 15}  # a pause that the picture does not have
    assert found[22:].tolist() == list(range(15, 32))
    back = frame_map(more, PLAIN)
    assert back[15] in (15, 22)
    assert back[16:].tolist() == list(range(23, 39))


def test_another_sentence_is_refused() -> None:
    with pytest.raises(DataError, match="share 2 of 6 phones"):
        frame_map(PLAIN, said(("_", 5), ("k", 4), ("a", 6), ("t", 4), ("_", 5)))


def test_a_truth_file_is_read(tmp_path: Path) -> None:
    face = {
        "boxes": [[0, 0, 50, 60]] * 3,
        "mouth_width_px": [10, 20, 15],
        "mouth": {"opening": [0.1, 0.9, 0.2]},
    }
    shot = {"phones": [["_", 0.0, 0.12]], "faces": [face]}
    path = tmp_path / "a.truth.json"
    path.write_text(json.dumps({"shots": [shot]}), "utf-8")
    found = read_planted(path)
    assert found.width.tolist() == [0.2, 0.4, 0.3]
    assert found.height.tolist() == [0.1, 0.9, 0.2]
    assert found.phones == (Spoken("_", 0.0, 0.12),)
    for broken in ({"shots": []}, {"shots": [shot, shot]}, {"shots": [{**shot, "faces": []}]}):
        path.write_text(json.dumps(broken), "utf-8")
        with pytest.raises(DataError, match="no truth file of one speaker"):
            read_planted(path)
    with pytest.raises(DataError, match="no truth file of one speaker"):
        read_planted(tmp_path / "absent.json")
