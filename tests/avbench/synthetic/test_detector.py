"""A face detector made for photographs finds the drawn faces where the truth says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.media import read_video, write_video
from avbench.synthetic import Rendered, render_programme, render_talking
from avbench.synthetic.corpus import CRF

face_detection = pytest.importorskip("mediapipe.python.solutions.face_detection")

# mediapipe calls what its own protobuf has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


@pytest.fixture(scope="module")
def detector() -> Iterator[Any]:
    with face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5) as found:
        yield found


def detect(detector: Any, image: UInt8Array) -> list[FloatArray]:
    height, width = image.shape[:2]
    boxes = []
    for detection in detector.process(image).detections or []:
        box = detection.location_data.relative_bounding_box
        corners = (box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height)
        boxes.append(np.array(corners) * (width, height, width, height))
    return boxes


def overlap(a: FloatArray, b: FloatArray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def found(detector: Any, made: Rendered, path: Path, step: int) -> tuple[int, list[float]]:
    """Return how many faces a written video asks for, and the overlaps of those found."""
    write_video(path, made.pictures(), crf=CRF)
    asked, overlaps = 0, []
    for t, image in enumerate(read_video(path)):
        if t % step:
            continue
        (shot,) = (shot for shot in made.truth.shots if shot.start <= t < shot.stop)
        boxes = detect(detector, image)
        for face in shot.faces:
            if face.occluder is not None:
                continue
            asked += 1
            truth = face.drawn.boxes[t - shot.start]
            best = max((overlap(box, truth) for box in boxes), default=0.0)
            if best > 0.4:
                overlaps.append(best)
    return asked, overlaps


def test_talking_heads_are_found(detector: Any, tmp_path: Path) -> None:
    asked, overlaps = 0, []
    for index in range(24):
        made = render_talking(index, pool="test", seconds=1.0)
        count, there = found(detector, made, tmp_path / "talking.mp4", step=5)
        asked, overlaps = asked + count, overlaps + there
    assert asked >= 60
    assert len(overlaps) >= 0.98 * asked
    assert np.mean(overlaps) > 0.85


def test_faces_in_programmes_are_found(detector: Any, tmp_path: Path) -> None:
    asked, overlaps = 0, []
    for index in range(2):
        made = render_programme(index, preset="easy-v1", seconds=10.0)
        count, there = found(detector, made, tmp_path / "programme.mp4", step=16)
        asked, overlaps = asked + count, overlaps + there
    assert asked >= 30
    assert len(overlaps) >= 0.95 * asked
    assert np.mean(overlaps) > 0.8
