"""The recipe: on squares whose every frame is planted, on drawn heads, and on real files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.errors import DataError, UsageError
from avbench.media import iter_frames, probe, read_sound, read_video, write_video
from avbench.synthetic import render_programme, render_talking
from pipelines.faces import DETECTORS, Detections, face_box, iou
from pipelines.facetracks import FacetrackSettings, UnitReport, process_video
from pipelines.planted import tally_tracks

HEIGHT, WIDTH = 120, 200
SQUARES = FacetrackSettings(detector="squares", min_face=20, detect_every=2)


def find_squares(image: UInt8Array) -> Detections:
    """A detector of bright red patches."""
    mask = (image[..., 0] > 190) & (image[..., 1] < 100)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = [row for row in range(1, count) if stats[row, cv2.CC_STAT_AREA] > 100]
    x, y, w, h = stats[large, :4].astype(np.float64).T.reshape(4, -1)
    boxes = np.stack([x, y, x + w, y + h], axis=1)
    return Detections(boxes, np.full(len(boxes), 0.9), (boxes[:, :2] + boxes[:, 2:]) / 2)


@pytest.fixture(autouse=True)
def _squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "squares", lambda confidence: find_squares)


def scene(seed: int, length: int, *faces: Callable[[int], tuple[float, float, int]]) -> UInt8Array:
    """A room of its own colours with squares; a face says where it is, or side 0 for nowhere."""
    rng = np.random.default_rng(seed)
    back = cv2.resize(rng.uniform(0, 170, (4, 6, 3)).astype(np.uint8), (WIDTH, HEIGHT))
    frames = np.tile(back, (length, 1, 1, 1))
    for face in faces:
        for t in range(length):
            x, y, side = face(t)
            if side:
                corner = round(x - side / 2), round(y - side / 2)
                end = corner[0] + side, corner[1] + side
                cv2.rectangle(frames[t], corner, end, (250, 20, 20), -1)
                # A mouth that moves, or it would be a photograph.
                cv2.circle(frames[t], (round(x), round(y)), 2 + t % 6, (250, 90, 60), -1)
    return frames


def make(path: Path, *scenes: UInt8Array, sound: bool = True) -> Path:
    frames = np.concatenate(scenes)
    ramp = np.linspace(-0.9, 0.9, len(frames) * 640).astype(np.float32) if sound else None
    write_video(path, frames, ramp, crf=5, audio_codec="flac")
    return path


def run(path: Path, settings: FacetrackSettings = SQUARES, name: str = "v") -> UnitReport:
    out = path.parent / f"out-{name}"
    out.mkdir()
    report = process_video(path, name, out, settings)
    json.dumps(report.as_json(), allow_nan=False)
    assert sum(report.frames.values()) == report.num_frames
    for track in report.tracks:
        members = sorted(file.name for file in out.glob(f"{track['key']}.*"))
        assert members == [f"{track['key']}.{kind}" for kind in ("flac", "json", "mp4")]
    assert len(list(out.iterdir())) == 3 * len(report.tracks)
    return report


def drifting(x: float, y: float = 60, side: int = 40) -> Callable[[int], tuple[float, float, int]]:
    return lambda t: (x + t / 3, y, side)


def test_every_frame_is_kept_or_has_its_reason(tmp_path: Path) -> None:
    def blinking(t: int) -> tuple[float, float, int]:
        return 150, 90, 40 * (t < 11)

    path = make(
        tmp_path / "v.mp4",
        scene(1, 40),
        scene(2, 50, drifting(60)),
        scene(3, 15, drifting(60)),
        scene(4, 40, blinking),
        scene(5, 45, drifting(60, side=14)),
        scene(6, 40, drifting(50), drifting(130)),
    )
    report = run(path)
    assert report.shots == [[0, 40], [40, 90], [90, 105], [105, 145], [145, 190], [190, 230]]
    assert {name: count for name, count in report.frames.items() if count} == {
        "kept": 50 + 40,
        "no-face": 40 + 29,
        "shot-too-short": 15,
        "track-too-short": 11,
        "face-too-small": 45,
    }
    keys = [track["key"] for track in report.tracks]
    assert keys == ["v-0001-00", "v-0005-00", "v-0005-01"]
    assert [(t["start"], t["stop"], t["others"]) for t in report.tracks] == [
        (40, 90, 0),
        (190, 230, 1),
        (190, 230, 1),
    ]
    assert Counter(r["reason"] for r in report.rejected) == {
        "track-too-short": 1,
        "face-too-small": 1,
    }


def test_a_clip_is_crop_sound_and_facts_of_the_same_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", scene(1, 30), scene(2, 60, drifting(60)))
    (track,) = run(path).tracks
    facts = json.loads((tmp_path / "out-v" / "v-0001-00.json").read_text())
    video = read_video(tmp_path / "out-v" / "v-0001-00.mp4")
    sound = read_sound(tmp_path / "out-v" / "v-0001-00.flac")

    assert {name: facts[name] for name in track} == track
    assert video.shape == (60, 224, 224, 3)
    assert len(sound) == (60 + 2 * 25) * 640
    assert facts["context"] == {"before": 25, "after": 0}
    assert facts["num_frames"] == len(facts["boxes"]) == len(facts["scores"]) == 60
    assert facts["scores"][:2] == [0.9, None]
    np.testing.assert_allclose(facts["pts_s"], 1.2 + np.arange(60) / 25, atol=1e-6)
    assert facts["source"]["path"] == "v.mp4"
    assert (facts["source"]["width"], facts["source"]["height"]) == (WIDTH, HEIGHT)

    # The sound is the source's own ramp at the frames [30 - 25, 90), silence after its end.
    ramp = np.linspace(-0.9, 0.9, 90 * 640)
    np.testing.assert_allclose(sound[: 85 * 640], ramp[5 * 640 :], atol=1e-4)
    assert not sound[85 * 640 :].any()

    # The face is 2 s of the 2.8 s that a crop is wide, and in its middle.
    red = (video[..., 0] > 180) & (video[..., 1] < 110)
    width = red.any(axis=1).sum(axis=1)
    np.testing.assert_allclose(width, 224 / 1.4, atol=10)
    middle = [np.flatnonzero(row).mean() for row in red.any(axis=1)]
    np.testing.assert_allclose(middle, 112, atol=5)


def test_the_sound_of_a_track_may_be_missing_in_part(tmp_path: Path) -> None:
    frames = scene(2, 80, drifting(60))
    path = tmp_path / "v.mp4"
    write_video(path, frames, np.full(50 * 640, 0.5, np.float32), audio_codec="flac")
    report = run(path)
    assert report.frames["kept"] == 50
    assert report.frames["no-sound"] == 30
    assert [(t["start"], t["stop"]) for t in report.tracks] == [(0, 50)]


def test_a_video_without_sound_is_refused_frame_by_frame(tmp_path: Path) -> None:
    report = run(make(tmp_path / "v.mp4", scene(2, 40, drifting(60)), sound=False))
    assert report.tracks == []
    assert report.frames == {**dict.fromkeys(report.frames, 0), "no-audio": 40}


def test_a_photograph_is_no_track(tmp_path: Path) -> None:
    frames = scene(2, 50, drifting(50))
    still = scene(2, 1, lambda t: (150, 60, 40))[0]
    frames[:, :, 110:] = still[:, 110:]
    report = run(make(tmp_path / "v.mp4", frames))
    assert len(report.tracks) == 1
    assert [r["reason"] for r in report.rejected] == ["still-picture"]
    assert report.frames["kept"] == 50


def test_long_tracks_are_divided_without_a_gap(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", scene(2, 130, lambda t: (60 + t / 4, 60, 40)))
    report = run(path, replace(SQUARES, max_track=60))
    spans = [(track["start"], track["stop"]) for track in report.tracks]
    assert spans == [(0, 43), (43, 86), (86, 130)]
    assert report.frames["kept"] == 130


def test_a_face_seen_too_seldom_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", scene(2, 80, lambda t: (60, 60, 40 * (t % 10 < 2))))
    report = run(path)
    assert {r["reason"] for r in report.rejected} == {"too-few-detections"}
    assert report.frames["kept"] == 0


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", scene(1, 40, drifting(60)), scene(2, 40, drifting(90)))
    before = path.read_bytes()
    reports = [run(path, name=name) for name in ("a", "b")]
    assert path.read_bytes() == before
    first, second = (sorted((tmp_path / f"out-{name}").iterdir()) for name in ("a", "b"))
    assert len(first) == 6
    for one, two in zip(first, second, strict=True):
        if one.suffix != ".json":
            assert one.read_bytes() == two.read_bytes()
    assert reports[0].frames == reports[1].frames


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="max_track 40 and min_track 25"):
        FacetrackSettings(max_track=40)
    with pytest.raises(UsageError, match="detect_every 0"):
        FacetrackSettings(detect_every=0)


def test_settings_say_everything_as_json() -> None:
    plain = json.loads(json.dumps(FacetrackSettings().as_json()))
    assert plain["step_version"] == 4
    assert plain["shots"]["threshold"] == FacetrackSettings().shots.threshold
    assert plain["min_track"] == 25


def test_what_is_not_a_video_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video")
    with pytest.raises(DataError, match=r"notes\.mp4"):
        process_video(path, "notes", tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def drawn(index: int, seconds: float) -> tuple[UInt8Array, FloatArray, FloatArray]:
    """Pictures, sound and planted boxes of a drawn head."""
    made = render_talking(index, pool="test", seconds=seconds)
    image = np.stack([cv2.resize(frame, (256, 256)) for frame in made.pictures()])
    scale = 256 / np.array([made.truth.width, made.truth.height] * 2)
    return image, made.audio, made.truth.shots[0].faces[0].drawn.boxes * scale


def test_drawn_heads_give_one_track_each_where_they_were_planted(tmp_path: Path) -> None:
    parts = [drawn(index, seconds) for index, seconds in ((0, 2.0), (1, 1.6))]
    path = tmp_path / "v.mp4"
    audio = np.concatenate([part[1] for part in parts])
    write_video(path, np.concatenate([part[0] for part in parts]), audio)
    report = run(path, FacetrackSettings())
    assert report.shots == [[0, 50], [50, 90]]
    assert [(track["start"], track["stop"]) for track in report.tracks] == [(0, 50), (50, 90)]
    for track, part in zip(report.tracks, parts, strict=True):
        facts = json.loads((tmp_path / "out-v" / f"{track['key']}.json").read_text())
        overlap = np.diag(iou(np.array(facts["boxes"]), face_box(part[2])))
        assert overlap.mean() > 0.8


def mouths(out: Path, key: str) -> FloatArray:
    """Where the mouth lies in the crop, x and y in pixels of 224; shape (T, 2)."""
    facts = json.loads((out / f"{key}.json").read_text())
    squares = np.array(facts["squares"])
    places: FloatArray = (np.array(facts["mouths"]) - squares[:, :2]) / squares[:, 2:] * 224
    return places


GRID = ("f1_brbk7n", "f3_lrwp9a", "m2_pwij3p", "m3_lbax4n", "m5_sbwe5n", "m6_swiz3n")


@pytest.mark.media
@pytest.mark.parametrize("name", GRID)
def test_a_grid_sentence_is_one_track(shared_media: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    report = process_video(shared_media / "grid" / "others" / f"{name}.mpg", "grid", out)
    assert report.num_frames == 75
    (track,) = report.tracks
    assert track["stop"] - track["start"] >= 0.95 * 75
    place = mouths(out, track["key"])
    np.testing.assert_allclose(place.mean(axis=0), (112, 121), atol=9)
    assert (place.std(axis=0) < 3).all()


def wild(shared_media: Path, tmp_path: Path, name: str) -> UnitReport:
    out = tmp_path / "out"
    out.mkdir()
    path = shared_media / "wild" / name
    report = process_video(path, "wild", out)
    assert report.num_frames == sum(1 for _ in iter_frames(path))
    assert sum(report.frames.values()) == report.num_frames
    assert report.tracks or any(report.frames[name] for name in report.frames if name != "kept")
    for track in report.tracks:
        assert read_video(out / f"{track['key']}.mp4").shape[0] == track["stop"] - track["start"]
    return report


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "cuts", "rate"),
    [
        ("ageitgey_short_hamilton_clip.mp4", (82, 211), 30000 / 1001),
        ("sindhu-hegde_asd_sample_2.mp4", (62,), 30000 / 1001),
        pytest.param("modelscope_data__video3.mp4", (103,), 24.0, marks=pytest.mark.slow),
    ],
)
def test_no_real_track_crosses_a_cut(
    shared_media: Path, tmp_path: Path, name: str, cuts: tuple[int, ...], rate: float
) -> None:
    report = wild(shared_media, tmp_path, name)
    for cut in (round(cut / rate * 25) for cut in cuts):
        for track in report.tracks:
            assert not track["start"] < cut - 1 < cut + 1 < track["stop"]
        assert any(abs(track["start"] - cut) <= 3 for track in report.tracks)


@pytest.mark.media
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "faces"),
    [("afourast_demo.mp4", 4), ("modelscope_path_to_input_videos_tse__001.avi", 2)],
)
def test_split_screens_give_one_track_for_every_live_face(
    shared_media: Path, tmp_path: Path, name: str, faces: int
) -> None:
    report = wild(shared_media, tmp_path, name)
    whole = (0, report.num_frames)
    assert [(track["start"], track["stop"]) for track in report.tracks] == [whole] * faces
    assert all(track["found"] > 0.95 for track in report.tracks)


@pytest.mark.media
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bytedance_demo2_video.mp4",
        "bytedance_demo3_video.mp4",
        "meigen-ai_single__ref_video.mp4",
        "opentalker_face__1.mp4",
        "opentalker_face__2.mp4",
        "opentalker_face__3.mp4",
        "opentalker_face__5.mp4",
        "opentalker_ref_video__WDA_AlexandriaOcasioCortez_000.mp4",
        "r-v-abhishek_example.avi",
        "tanshuai0219_pose_source2.mp4",
        "yerfor_examples__German_20s.mp4",
    ],
)
def test_one_speaker_is_kept_from_end_to_end(shared_media: Path, tmp_path: Path, name: str) -> None:
    report = wild(shared_media, tmp_path, name)
    assert len(report.shots) == 1
    assert report.frames["kept"] >= 0.95 * report.num_frames
    assert all(track["others"] == 0 for track in report.tracks)
    assert report.num_frames == pytest.approx(probe(shared_media / "wild" / name).num_frames, abs=2)


@pytest.mark.slow
def test_a_programme_is_taken_apart_as_it_was_planted(tmp_path: Path) -> None:
    made = render_programme(11, pool="val", seed=1, seconds=9)
    path, truth = tmp_path / "v.mp4", made.truth
    write_video(path, made.pictures(), made.audio)
    report = run(path, FacetrackSettings())
    edges = {shot[0] for shot in report.shots} - {0}
    assert all(min(abs(cut - edge) for edge in edges) <= 1 for cut in truth.cuts)
    assert len(report.transitions) == len(truth.dissolves)
    assert len(report.shots) == len(truth.shots)
    out = tmp_path / "out-v"
    facts = [json.loads((out / f"{track['key']}.json").read_text()) for track in report.tracks]
    spans = [(fact["start"], np.array(fact["boxes"])) for fact in facts]
    # Frames of planted dissolves show two shots, and are not counted.
    tally = tally_tracks(spans, truth, FacetrackSettings().min_track)
    assert tally.tracks == tally.faces == sum(len(shot.faces) for shot in truth.shots)
    assert tally.coverage >= 0.97
    assert tally.purity >= 0.99
    assert tally.mean_iou >= 0.8
