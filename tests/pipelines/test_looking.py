"""The first look: stretches that come as soon as their shots are over, whatever the length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.media import Frame, iter_frames
from pipelines.faces import DETECTORS, Detections
from pipelines.facetracks import process_video
from pipelines.looking import Looking
from pipelines.settings import FacetrackSettings
from pipelines.shots import ShotDetector

SETTINGS = FacetrackSettings(detector="middle", min_track=10, max_track=60)


class Middle:
    """A detector that always finds one face in the middle, and counts its looks."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def __call__(self, image: UInt8Array) -> Detections:
        self.looks.append("all")
        return self._found()

    def near(self, image: UInt8Array, boxes: FloatArray) -> Detections:
        self.looks.append("near")
        return self._found()

    def _found(self) -> Detections:
        return Detections(np.array([[60.0, 20, 100, 70]]), np.ones(1), np.array([[80.0, 60]]))


@pytest.fixture
def middle(monkeypatch: pytest.MonkeyPatch) -> Middle:
    detector = Middle()
    monkeypatch.setattr("pipelines.looking.load_detector", lambda *_: detector)
    monkeypatch.setitem(DETECTORS, "middle", lambda confidence: detector)
    return detector


def film(*lengths: int) -> Iterator[Frame]:
    rng = np.random.default_rng(5)
    index = 0
    for length in lengths:
        room = rng.integers(0, 256, (12, 20, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        for _ in range(length):
            noise = rng.integers(0, 5, room.shape, np.uint8)
            yield Frame(index, index / 25, np.minimum(room, 250) + noise)
            index += 1


def test_every_frame_is_in_one_stretch_and_shots_keep_their_numbers(middle: Middle) -> None:
    looking = Looking("v", SETTINGS, with_faces=True)
    stretches = [stretch.shot for stretch in looking.over(film(70, 90, 30))]
    shots = [(shot.index, shot.start, shot.stop) for shot in looking.boundaries.shots("v")]
    assert shots == [(0, 0, 70), (1, 70, 160), (2, 160, 190)]
    assert [(shot.index, shot.start, shot.stop) for shot in stretches] == shots


def test_a_shot_comes_out_before_the_video_ends(middle: Middle) -> None:
    looking, frames = Looking("v", SETTINGS, with_faces=True), film(70, 400)
    first = next(looking.over(frames))
    assert (first.shot.start, first.shot.stop) == (0, 70)
    assert min(first.faces) == 0
    assert next(frames).index < 70 + 2 * 48


def test_a_long_shot_comes_out_in_parts_that_begin_with_a_look(middle: Middle) -> None:
    looking = Looking("v", SETTINGS, with_faces=True)
    parts, held = [], []
    for stretch in looking.over(film(400)):
        parts.append((stretch.shot.index, stretch.shot.start, stretch.shot.stop))
        assert stretch.shot.start in stretch.faces
        held.append(stretch.held.find(stretch.shot.start, np.array([70.0, 30, 5])) is not None)
    assert all(held)
    assert [part[0] for part in parts] == [0] * len(parts)
    assert [a[2] for a in parts[:-1]] == [b[1] for b in parts[1:]]
    assert (parts[0][1], parts[-1][2]) == (0, 400)
    assert all(stop - start <= 60 for _, start, stop in parts[:-1])
    assert len(parts) > 4


def test_the_whole_picture_is_searched_now_and_then(middle: Middle) -> None:
    looking = Looking("v", SETTINGS, with_faces=True)
    for _ in looking.over(film(61)):
        pass
    assert middle.looks == ["all", "near", "near"] * 2 + ["all"]
    assert looking.shown == list(range(0, 61, 10))


def test_without_faces_only_shots_are_told(middle: Middle) -> None:
    looking = Looking("v", SETTINGS, with_faces=False)
    (stretch,) = looking.over(film(200))
    assert (stretch.shot.stop, len(stretch.faces), middle.looks) == (200, 0, [])


@pytest.mark.parametrize("seed", range(3))
def test_settled_boundaries_are_those_of_the_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    detector, settled = ShotDetector(), []
    rooms = rng.integers(0, 256, (9, 6, 8, 3)).repeat(12, axis=1).repeat(12, axis=2).astype(float)
    for room, following in pairwise(rooms):
        mix = int(rng.choice([0, 8, 12, 16]))
        shares = [0.0] * int(rng.integers(20, 90)) + list(np.arange(1, mix + 1) / (mix + 1))
        for share in shares:
            image = room * (1 - share) + following * share + rng.normal(0, 2, room.shape)
            detector.push(image.clip(0, 255).astype(np.uint8))
            settled.append(detector.settled())
    found = detector.finish()
    assert len(found.cuts) + len(found.transitions) >= 6
    for part in settled:
        assert part.cuts == tuple(cut for cut in found.cuts if cut < part.num_frames)
        spans = tuple(span for span in found.transitions if span[1] <= part.num_frames)
        assert part.transitions == spans
    assert settled[-1].num_frames > len(settled) - 100


@pytest.mark.media
def test_what_is_not_held_is_read_again_with_the_same_result(
    shared_media: Path, tmp_path: Path
) -> None:
    path = shared_media / "grid" / "others" / "f1_brbk7n.mpg"
    files = []
    for held in (512, 0):
        out = tmp_path / str(held)
        out.mkdir()
        settings = FacetrackSettings()
        process_video(path, "v", out, replace(settings, flow=replace(settings.flow, held_mb=held)))
        files.append({file.name: file.read_bytes() for file in out.iterdir()})
    assert len(files[0]) == 3
    assert files[0] == files[1]
    assert sum(1 for _ in iter_frames(path, stop=3)) == 3
