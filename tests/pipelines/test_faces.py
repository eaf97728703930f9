"""Faces: boxes by hand, then the real network on drawn and recorded faces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avbench.data import UInt8Array
from avbench.errors import MissingDependency, UnknownName
from avbench.media import iter_frames
from avbench.synthetic import render_talking
from pipelines.faces import (
    DETECTORS,
    BlazeFace,
    Detections,
    corners,
    face_box,
    iou,
    load_detector,
    merge,
    squares,
)


def boxes(*rows: tuple[float, ...]) -> Detections:
    """Detections from rows (x0, y0, x1, y1, score)."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], (table[:, :2] + table[:, 2:4]) / 2)


def test_iou_by_hand() -> None:
    one = np.array([[0.0, 0, 10, 10]])
    two = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 5, 5]])
    np.testing.assert_allclose(iou(one, two), [[1, 1 / 3, 0, 0.25]])
    assert iou(one, np.zeros((0, 4))).shape == (1, 0)


def test_boxes_of_one_face_become_their_weighted_mean() -> None:
    found = merge(boxes((0, 0, 100, 100, 0.9), (10, 0, 110, 100, 0.6), (300, 0, 400, 100, 0.95)))
    assert found.scores.tolist() == [0.95, 0.9]
    np.testing.assert_allclose(found.boxes[1], [4, 0, 104, 100])
    np.testing.assert_allclose(found.mouths[1], [54, 50])


def test_a_box_inside_a_surer_one_is_dropped() -> None:
    found = merge(boxes((0, 0, 100, 100, 0.9), (20, 20, 60, 60, 0.8)))
    assert found.boxes.tolist() == [[0, 0, 100, 100]]


def test_merging_does_not_depend_on_the_order() -> None:
    rows = [
        (0, 0, 90, 90, 0.7),
        (10, 0, 99, 90, 0.7),
        (50, 0, 140, 90, 0.7),
        (400, 0, 450, 60, 0.9),
    ]
    one, two = merge(boxes(*rows)), merge(boxes(*rows[::-1]))
    np.testing.assert_allclose(one.boxes, two.boxes)
    assert len(merge(boxes())) == 0


def test_face_boxes_are_taller_and_higher_than_squares() -> None:
    ((x0, y0, x1, y1),) = face_box(np.array([[100.0, 100, 200, 200]]))
    assert (x1 - x0, y1 - y0) == pytest.approx((85.4, 120.3))
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((150, 141.5))


@pytest.mark.parametrize("size", [(720, 1280), (1920, 1080), (1080, 2560), (288, 360), (99, 101)])
def test_squares_and_corners_cover_the_picture(size: tuple[int, int]) -> None:
    height, width = size
    seen = np.zeros(size, bool)
    for x, y, side in squares(height, width) or corners(height, width):
        assert min(x, y) >= 0
        assert x + side <= width
        assert y + side <= height
        seen[y : y + side, x : x + side] = True
    assert seen.all()


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'blazeface'"):
        load_detector("blazefase", 0.5)


def test_a_detector_is_made_once_and_anew_for_other_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[float] = []

    def make(confidence: float) -> BlazeFace:
        made.append(confidence)
        return object.__new__(BlazeFace)

    monkeypatch.setitem(DETECTORS, "counted", make)
    assert load_detector("counted", 0.5) is load_detector("counted", 0.5)
    load_detector("counted", 0.6)
    assert made == [0.5, 0.6]


def test_a_missing_package_is_one_sentence_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_detection", None)
    with pytest.raises(MissingDependency, match=r"pip install 'avbench\[face\]'"):
        BlazeFace()


@pytest.fixture(scope="module")
def drawn() -> UInt8Array:
    return render_talking(3, pool="test", seconds=1.0).frames


@pytest.fixture(scope="module")
def blazeface() -> BlazeFace:
    return BlazeFace()


def test_drawn_faces_are_found_where_they_are(blazeface: BlazeFace, drawn: UInt8Array) -> None:
    truth = render_talking(3, pool="test", seconds=1.0).truth.shots[0].faces[0].drawn
    overlaps = []
    for t in range(0, 25, 4):
        found = blazeface(drawn[t])
        assert len(found) == 1
        overlaps.append(iou(found.boxes, face_box(truth.boxes[t : t + 1]))[0, 0])
        height = truth.boxes[t, 3] - truth.boxes[t, 1]
        assert np.linalg.norm(found.mouths[0] - truth.mouth_centre[t]) < 0.12 * height
    assert np.mean(overlaps) > 0.8


def test_nothing_is_found_where_nothing_is(blazeface: BlazeFace) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    assert len(blazeface(noise)) == 0
    assert len(blazeface(np.zeros((64, 200, 3), np.uint8))) == 0


def test_a_small_face_in_a_long_picture_is_found(blazeface: BlazeFace, drawn: UInt8Array) -> None:
    small = drawn[0][::3, ::3]
    wide = np.full((360, 1000, 3), 90, np.uint8)
    wide[200 : 200 + len(small), 800 : 800 + small.shape[1]] = small
    (box,) = blazeface(wide).boxes
    assert 800 < (box[0] + box[2]) / 2 < 800 + small.shape[1]
    assert 200 < (box[1] + box[3]) / 2 < 200 + len(small)


def test_boxes_do_not_depend_on_what_was_seen_before(
    blazeface: BlazeFace, drawn: UInt8Array
) -> None:
    forwards = [blazeface(image) for image in drawn[:5]]
    backwards = [blazeface(image) for image in drawn[:5][::-1]][::-1]
    for one, two in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one.boxes, two.boxes)
        np.testing.assert_array_equal(one.scores, two.scores)


def test_another_process_finds_the_same_boxes_without_a_sound(
    blazeface: BlazeFace, drawn: UInt8Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "image.npy", drawn[0])
    code = (
        "import sys, numpy as np; from pipelines.faces import BlazeFace;"
        "print(BlazeFace()(np.load(sys.argv[1])).boxes.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "image.npy")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str(blazeface(drawn[0]).boxes.tolist())


@pytest.mark.media
def test_a_real_face_that_fills_the_picture_is_found(
    blazeface: BlazeFace, shared_media: Path
) -> None:
    frames = iter_frames(shared_media / "wild" / "opentalker_face__5.mp4", stop=60)
    assert all(len(blazeface(frame.image)) == 1 for frame in frames if frame.index % 4 == 0)
