"""Mouth crops: the square by laws and planted points, and whole clips of drawn heads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_facetracks import SQUARES, drifting, find_squares, make, scene

from avbench.data import FloatArray, UInt8Array
from avbench.errors import UnknownName, UsageError
from avbench.media import encode_sound, join, read_video, write_video
from avbench.shards import open_set
from avbench.synthetic import render_talking
from pipelines import mouths
from pipelines.adapters.given import process_given
from pipelines.build import build
from pipelines.faces import DETECTORS
from pipelines.facetracks import process_video
from pipelines.mouths import Mouth, MouthSettings, find_mouth
from pipelines.options import BuildOptions
from pipelines.settings import FacetrackSettings

SETTINGS = MouthSettings(112)
WITH_MOUTHS = replace(FacetrackSettings(), mouth=SETTINGS)


def face(x: float, y: float, eyes: float = 60.0, mouth: float = 30.0) -> FloatArray:
    """Lips around (x, y), and eyes above them as far apart and as high as in a face from ahead."""
    turn = np.arange(12) * 2 * np.pi / 12
    lips = np.stack([x + mouth / 2 * np.cos(turn), y + mouth / 4 * np.sin(turn)], axis=1)
    above = y - 60 / 1.27
    return np.concatenate([lips, [[x - eyes / 2, above], [x + eyes / 2, above]]])


def squares_of(points: list[FloatArray]) -> FloatArray:
    found = find_mouth(np.stack(points), SETTINGS, 13)
    assert found is not None
    return found.squares


def test_the_square_lies_around_the_lips_and_its_side_is_that_of_the_eyes() -> None:
    squares = squares_of([face(200, 150)] * 20)
    np.testing.assert_allclose(squares, np.tile([200 - 33, 150 - 33, 66], (20, 1)))


def test_a_mouth_that_opens_or_a_head_that_turns_is_no_zoom() -> None:
    still = squares_of([face(200, 150)] * 20)
    np.testing.assert_allclose(squares_of([face(200, 150, mouth=45)] * 20), still)
    np.testing.assert_allclose(squares_of([face(200, 150, eyes=25)] * 20), still, rtol=1e-3)


def test_a_wild_find_is_smoothed_away() -> None:
    points = [face(200 + t, 150) for t in range(40)]
    points[20] = face(90, 300, eyes=200)
    clean = squares_of([face(200 + t, 150) for t in range(40)])
    np.testing.assert_allclose(squares_of(points), clean, atol=1.01)


def test_frames_without_points_are_interpolated_and_named() -> None:
    points = np.stack([face(200 + 2 * t, 150) for t in range(60)])
    points[30:40] = np.nan
    points[0] = np.nan
    found = find_mouth(points, SETTINGS, 1)
    assert found is not None
    assert list(found.missed) == [0, *range(30, 40)]
    expected = 200 - 33 + 2 * np.arange(60.0)
    np.testing.assert_allclose(found.squares[1:, 0], expected[1:])
    assert found.squares[0, 0] == found.squares[1, 0]


def test_points_found_too_seldom_give_no_mouth() -> None:
    points = np.stack([face(200, 150)] * 10)
    points[:5] = np.nan
    assert find_mouth(points, SETTINGS, 13) is not None
    points[5] = np.nan
    assert find_mouth(points, SETTINGS, 13) is None
    assert find_mouth(np.full((10, 14, 2), np.nan), MouthSettings(96, min_found=0.01), 13) is None


@pytest.mark.parametrize("wrong", [{"size": -2}, {"size": 97}, {"reach": 0}, {"min_found": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        MouthSettings(**{"size": 96, **wrong})  # type: ignore[arg-type]


def test_only_where_mouths_are_cut_do_results_depend_on_how() -> None:
    assert "mouth" not in FacetrackSettings().as_json()
    recipes = [BuildOptions(crop=name).recipe() for name in ("face", "mouth96", "mouth112")]
    sizes = [recipe["facetracks"].get("mouth", {}).get("size") for recipe in recipes]
    assert sizes == [None, 96, 112]
    with pytest.raises(UnknownName, match="crop"):
        BuildOptions(crop="lips")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FloatArray]:
    """A drawn head that talks, and the planted centres of its mouth."""
    path = tmp_path_factory.mktemp("talking") / "v.mp4"
    made = render_talking(3, pool="test", seconds=1.6)
    write_video(path, made.pictures(), made.audio)
    return path, made.truth.shots[0].faces[0].drawn.mouth_centre


def cut_from(path: Path, out: Path, settings: FacetrackSettings) -> dict[str, FloatArray]:
    """Process a video of one track; return the squares and the pictures of its mouth."""
    out.mkdir()
    (track,) = process_video(path, "v", out, settings).tracks
    record = json.loads((out / f"{track['key']}.json").read_text())["mouth"]
    pictures = read_video(out / f"{track['key']}.mouth.mp4").astype(float)
    assert len(pictures) == track["stop"] - track["start"] == len(record["squares"])
    return {"squares": np.array(record["squares"]), "pictures": pictures}


@pytest.mark.parametrize("size", [96, 112])
def test_a_drawn_mouth_is_in_the_middle_of_its_crop(
    talking: tuple[Path, FloatArray], tmp_path: Path, size: int
) -> None:
    path, planted = talking
    settings = replace(WITH_MOUTHS, mouth=MouthSettings(size))
    found = cut_from(path, tmp_path / "out", settings)
    assert found["pictures"].shape == (len(planted), size, size, 3)
    squares = found["squares"]
    places = (planted - squares[:, :2]) / squares[:, 2:]
    np.testing.assert_allclose(places.mean(axis=0), 0.5, atol=0.05)
    np.testing.assert_allclose(places, 0.5, atol=0.1)
    # Steady: from one frame to the next it moves no more than a head does.
    assert np.abs(np.diff(squares[:, :2], axis=0)).max() < 0.1 * squares[:, 2].mean()


def test_held_or_read_again_the_mouth_is_the_same(
    talking: tuple[Path, FloatArray], tmp_path: Path
) -> None:
    held = cut_from(talking[0], tmp_path / "held", WITH_MOUTHS)
    flow = replace(WITH_MOUTHS.flow, held_mb=0)
    again = cut_from(talking[0], tmp_path / "again", replace(WITH_MOUTHS, flow=flow))
    np.testing.assert_array_equal(held["squares"], again["squares"])
    np.testing.assert_array_equal(held["pictures"], again["pictures"])


def test_the_mouth_is_cut_from_the_source_and_coded_once(
    talking: tuple[Path, FloatArray], tmp_path: Path
) -> None:
    """A mouth cut out of the coded face differs more from the source than this one does."""
    from avbench.media import iter_frames
    from pipelines.crops import cut

    settings = replace(WITH_MOUTHS, crops=replace(WITH_MOUTHS.crops, crf=30))
    out = tmp_path / "out"
    found = cut_from(talking[0], out, settings)
    record = json.loads(next(out.glob("*.json")).read_text())
    once, twice = [], []
    coded = read_video(next(path for path in out.glob("*.mp4") if "mouth" not in path.name))
    for frame, square, around, face_crop, mouth in zip(
        iter_frames(talking[0]),
        found["squares"],
        np.array(record["squares"]),
        coded,
        found["pictures"],
        strict=True,
    ):
        source = cut(frame.image, square, 112).astype(float)
        inner = np.r_[(square[:2] - around[:2]), square[2]] / around[2] * 224
        once.append(np.abs(mouth - source).mean())
        twice.append(np.abs(cut(face_crop, inner, 112).astype(float) - source).mean())
    assert np.mean(once) < np.mean(twice)


def test_crops_that_a_corpus_brings_give_mouths_and_stay_as_they_are(
    talking: tuple[Path, FloatArray], tmp_path: Path
) -> None:
    cut_from(talking[0], tmp_path / "first", WITH_MOUTHS)
    (crop,) = (path for path in (tmp_path / "first").glob("*.mp4") if "mouth" not in path.name)
    given, out = tmp_path / "given.mp4", tmp_path / "out"
    sound = encode_sound(np.full(40 * 640, 0.1, np.float32))
    given.write_bytes(join(crop.read_bytes(), sound))
    out.mkdir()
    (track,) = process_given(given, "g", out, WITH_MOUTHS).tracks
    np.testing.assert_array_equal(read_video(out / f"{track['key']}.mp4"), read_video(crop))
    assert read_video(out / f"{track['key']}.mouth.mp4").shape == (40, 112, 112, 3)
    record = json.loads((out / f"{track['key']}.json").read_text())
    assert record["mouth"]["interpolated"] == []
    assert sorted(path.suffix for path in out.iterdir()) == [".flac", ".json", ".mp4", ".mp4"]


def test_what_has_no_mouth_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DETECTORS, "squares", lambda confidence: find_squares)
    path = make(tmp_path / "v.mp4", scene(2, 40, drifting(60)))
    out = tmp_path / "out"
    out.mkdir()
    report = process_video(path, "v", out, replace(SQUARES, mouth=SETTINGS))
    assert [r["reason"] for r in report.rejected] == ["no-mouth"]
    assert report.frames["no-mouth"] == report.num_frames == 40
    assert not list(out.iterdir())


def test_a_build_stores_mouths_that_follow_the_fault(
    talking: tuple[Path, FloatArray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def seldom(crop: UInt8Array) -> FloatArray:
        seen.append(crop)
        return np.full((14, 2), np.nan) if len(seen) == 5 else mouths_look(crop)

    mouths_look = mouths.look
    monkeypatch.setattr("pipelines.cutting.look", seldom)
    build(
        [talking[0]],
        tmp_path / "set",
        engine="local",
        sync="off",
        split="test",
        crop="mouth96",
        distort="drop-duplicate",
    )
    found = open_set(tmp_path / "set")
    (sample,) = found.samples()
    assert set(sample.more) == {"mouth.mp4"}
    faces, small = read_video(sample.video), read_video(sample.more["mouth.mp4"])
    assert small.shape == (len(faces), 96, 96, 3)
    shown = np.array(sample.info["distortion"]["shown"])
    held = np.flatnonzero(np.diff(shown) == 0)
    assert len(held)
    for pictures in (faces, small):
        np.testing.assert_array_equal(pictures[held], pictures[held + 1])
    assert sample.info["facetrack"]["mouth"]["interpolated"] == [4]
    assert found.manifest["recipe"]["facetracks"]["mouth"]["size"] == 96
    card = (tmp_path / "set" / "README.md").read_text()
    assert "shows the mouth of each clip, 96 x 96 pixels" in card


def test_what_is_recorded_can_be_written_as_json() -> None:
    mouth = Mouth(np.array([[1.23456, 2, 30]]), [0])
    said = json.loads(json.dumps(mouth.as_json(112)))
    assert said["squares"] == [[1.235, 2.0, 30.0]]
    assert (said["size"], said["interpolated"]) == (112, [0])
