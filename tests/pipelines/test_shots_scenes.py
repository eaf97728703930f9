"""PySceneDetect behind our calls, and against our detector on planted cuts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scenedetect
from click.testing import CliRunner
from scenedetect import HashDetector, HistogramDetector, SceneManager

from avbench.cli import main
from avbench.cli.build_shards import NOTHING_USABLE
from avbench.data import UInt8Array
from avbench.errors import MissingDependency, UnknownName
from avbench.media import iter_frames, write_video
from avbench.synthetic import render_programme
from pipelines.options import BuildOptions
from pipelines.settings import FacetrackSettings
from pipelines.shots import (
    FINDERS,
    Boundaries,
    SceneSettings,
    ShotDetector,
    ShotFinder,
    ShotSettings,
    open_finder,
    write_scores,
)
from pipelines.shots.scenes import SceneFinder

FRESH = 20_261_121
"""A seed that no threshold was chosen on."""


def rooms(*lengths: int) -> list[UInt8Array]:
    """Shots of still coloured noise, each of its own."""
    frames = []
    for number, length in enumerate(lengths):
        rng = np.random.default_rng(number)
        picture = rng.integers(0, 256, (9, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)
        frames += [picture] * length
    return frames


def watch(finder: ShotFinder, frames: Iterable[UInt8Array]) -> Boundaries:
    for frame in frames:
        finder.push(frame)
    return finder.finish()


def finder(name: str, scenes: SceneSettings | None = None) -> ShotFinder:
    return open_finder(name, ShotSettings(), scenes or SceneSettings())


@pytest.mark.parametrize("name", FINDERS)
def test_every_detector_finds_a_plain_cut_and_keeps_its_scores(name: str) -> None:
    detector = finder(name)
    found = watch(detector, rooms(40, 50, 30))
    assert found.cuts == (40, 90)
    assert found.num_frames == 120
    assert [len(shot) for shot in found.shots("v")] == [40, 50, 30]
    scores = detector.table()
    assert {len(column) for column in scores.values()} == {120}
    peak = {"histogram": "hard", "content": "content_val", "adaptive": "content_val"}[name]
    assert set(np.argsort(np.nan_to_num(scores[peak]))[-2:]) == {40, 90}


def test_settings_reach_the_detectors() -> None:
    frames = rooms(40, 10, 40)
    assert watch(finder("adaptive"), frames).cuts == (40,)
    assert watch(finder("adaptive", SceneSettings(min_scene=5)), frames).cuts == (40, 50)
    assert watch(finder("content", SceneSettings(content_threshold=250)), frames).cuts == ()
    deaf = SceneSettings(adaptive_threshold=1e6, adaptive_content=200)
    assert watch(finder("adaptive", deaf), frames).cuts == ()
    assert set(finder("adaptive", SceneSettings(adaptive_window=4)).table()) > {
        "adaptive_ratio (w=4)"
    }


def test_a_video_without_frames_has_no_boundary() -> None:
    for name in FINDERS:
        assert finder(name).finish() == Boundaries(0, (), ())


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("programme") / "v.mp4"
    made = render_programme(1, pool="test", seed=FRESH, seconds=8)
    assert made.truth.cuts
    write_video(path, made.pictures(), made.audio)
    return path


@pytest.mark.parametrize("name", ["content", "adaptive"])
def test_cuts_are_those_of_the_program_itself(name: str, programme: Path) -> None:
    manager = SceneManager()
    manager.add_detector(getattr(scenedetect, f"{name.capitalize()}Detector")())
    manager.detect_scenes(scenedetect.open_video(str(programme)))
    starts = [start.frame_num for start, _ in manager.get_scene_list()][1:]
    found = watch(finder(name), (frame.image for frame in iter_frames(programme)))
    assert found.cuts == tuple(starts)
    assert starts


def test_a_missing_package_is_one_sentence_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    with pytest.raises(MissingDependency, match=r"pip install 'avbench\[shots\]'"):
        BuildOptions(settings={"shot_detector": "content"}).facetrack_settings()
    BuildOptions().facetrack_settings()
    with pytest.raises(UnknownName, match="Did you mean 'content'"):
        BuildOptions(settings={"shot_detector": "contents"}).facetrack_settings()


def test_what_is_not_asked_for_is_not_imported() -> None:
    code = "import sys, pipelines.facetracks; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scenedetect", "torch", "dlib", "retinaface"} & set(done.stdout.split())


def test_the_recipe_says_which_thresholds_counted() -> None:
    ours, theirs = FacetrackSettings(), FacetrackSettings(shot_detector="adaptive")
    assert "shots" in ours.as_json()
    assert "scenes" not in ours.as_json()
    assert theirs.as_json()["scenes"]["adaptive_threshold"] == 3.0
    assert "shots" not in theirs.as_json()


def test_scores_are_written_frame_by_frame(tmp_path: Path) -> None:
    detector = ShotDetector()
    found = watch(detector, rooms(30, 30))
    write_scores(tmp_path / "shots.parquet", found, detector.table())
    table = pq.read_table(tmp_path / "shots.parquet").to_pydict()
    assert table["frame"] == list(range(60))
    assert [t for t, cut in enumerate(table["cut"]) if cut] == [30]
    assert not any(table["transition"])
    assert max(range(60), key=lambda t: table["hard"][t]) == 30
    assert {"step", "spread_8", "blend_16", "change_16"} < table.keys()


def test_the_scores_are_kept_on_request(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "silent.mp4", rooms(30, 12, 30))
    ask = ["build-shards", str(tmp_path / "videos"), "--engine", "local", "--sync", "off"]
    ask += ["--shots", "content", "--shot-scores", "--set", "scenes.min_scene=10"]
    done = CliRunner().invoke(main, [*ask, "--out", str(tmp_path / "out")])
    assert done.exit_code == NOTHING_USABLE, done.output
    (path,) = (tmp_path / "out" / "work" / "facetracks").glob("*/shots.parquet")
    table = pq.read_table(path).to_pydict()
    assert len(table["content_val"]) == 72
    assert [t for t, cut in enumerate(table["cut"]) if cut] == [30, 42]
    refused = CliRunner().invoke(main, [*ask, "--no-keep-work", "--out", str(tmp_path / "other")])
    assert refused.exit_code == 2
    assert "leave out --no-keep-work or --shot-scores" in refused.output


def hits(truth: Sequence[int], found: Sequence[int], gradual: Sequence[tuple[int, int]]) -> float:
    """F1 of cuts within a frame; what is found inside a dissolve counts neither way."""
    left = [cut for cut in found if not any(a - 1 <= cut <= b + 1 for a, b in gradual)]
    wanted = len(truth) + len(left)
    met = 0
    for cut in truth:
        near = [other for other in left if abs(other - cut) <= 1]
        if near:
            left.remove(min(near, key=lambda other: abs(other - cut)))
            met += 1
    return 2 * met / wanted if wanted else 1.0


def test_f1_by_hand() -> None:
    assert hits([10, 50], [11, 50], []) == 1
    assert hits([10, 50], [12], []) == 0
    assert hits([10, 50], [10], []) == pytest.approx(2 / 3)
    assert hits([10], [10, 11], []) == pytest.approx(2 / 3)
    assert hits([10], [10, 30], [(25, 35)]) == 1
    assert hits([], [], []) == 1


def compare(path: Path, index: int, seconds: float) -> dict[str, float]:
    """F1 of every detector on one written programme."""
    made = render_programme(index, pool="test", seed=FRESH, seconds=seconds)
    write_video(path, made.pictures(), made.audio)
    detectors: dict[str, Callable[[], ShotFinder]] = {
        "ours": ShotDetector,
        "content": lambda: finder("content"),
        "adaptive": lambda: finder("adaptive"),
        "histogram": lambda: SceneFinder(HistogramDetector()),
        "hash": lambda: SceneFinder(HashDetector()),
    }
    running = {name: make() for name, make in detectors.items()}
    for frame in iter_frames(path):
        for detector in running.values():
            detector.push(frame.image)
    truth = made.truth
    return {
        name: hits(truth.cuts, detector.finish().cuts, truth.dissolves)
        for name, detector in running.items()
    }


def test_ours_is_never_below_the_best_of_theirs(tmp_path: Path) -> None:
    scores = compare(tmp_path / "v.mp4", 2, seconds=12)
    assert scores.pop("ours") >= max(0.95, *scores.values())


@pytest.mark.slow
def test_ours_is_never_below_the_best_of_theirs_on_long_programmes(tmp_path: Path) -> None:
    rows = [compare(tmp_path / f"{index}.mp4", index, seconds=20) for index in range(10, 14)]
    assert all(row["ours"] >= max(row.values()) for row in rows)
    means = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    assert means.pop("ours") >= 0.95
    assert min(means.values()) < 0.95, "too easy to tell anything"
