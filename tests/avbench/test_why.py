"""What a build knows about one file: planted fates, and advice that is followed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from avbench.cli import main
from avbench.cli.why import Failure, Story, advise, find_entry, read_story, tell
from avbench.data import UInt8Array
from avbench.errors import DataError, UnknownName, UsageError
from avbench.media import write_video
from avbench.pages.model import Entry, Track
from pipelines.build import BuildReport, build
from pipelines.faces import DETECTORS, Detections

BLUE = (20, 20, 250)


def find_squares(image: UInt8Array) -> Detections:
    """A detector of bright red patches that breaks down on a blue picture."""
    if image[0, 0, 2] > 200:
        raise KeyError("never seen so much blue")
    mask = (image[..., 0] > 190) & (image[..., 1] < 120)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = [row for row in range(1, count) if stats[row, cv2.CC_STAT_AREA] > 60]
    x, y, w, h = stats[large, :4].astype(np.float64).T.reshape(4, -1)
    boxes = np.stack([x, y, x + w, y + h], axis=1)
    return Detections(boxes, np.full(len(boxes), 0.9), (boxes[:, :2] + boxes[:, 2:]) / 2)


def film(
    path: Path,
    side: Callable[[int], int],
    length: int = 60,
    ground: tuple[int, int, int] = (60, 90, 60),
    sound: bool = True,
) -> None:
    """Write a video with one square face of ``side(t)`` pixels, 0 for none."""
    frames = np.full((length, 120, 200, 3), ground, np.uint8)
    for t, frame in enumerate(frames):
        if half := side(t) // 2:
            middle = 40 + t, 60
            corners = [tuple(c + d for c in middle) for d in (-half, half)]
            cv2.rectangle(frame, corners[0], corners[1], (250, 20, 20), -1)
            cv2.circle(frame, middle, 2 + t % 4, (250, 90, 60), -1)
    noise = np.random.default_rng(length).uniform(-0.5, 0.5, length * 640).astype(np.float32)
    write_video(path, frames, noise if sound else None)


@pytest.fixture(autouse=True)
def _squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "squares", lambda confidence: find_squares)


def make(sources: Path, out: Path, **settings: str) -> BuildReport:
    chosen = {"detector": "squares", "min_face": "30", **settings}
    return build([sources], out, engine="local", sync="off", split="test", settings=chosen)


def ask(file: str, out: Path) -> Result:
    return CliRunner().invoke(main, ["why", file, "--shards", str(out)])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set built from files of every fate."""
    folder = tmp_path_factory.mktemp("why")
    videos = folder / "videos"
    (videos / "day").mkdir(parents=True)
    film(videos / "good.mp4", lambda t: 40)
    film(videos / "day" / "small.mp4", lambda t: 20, length=61)
    film(videos / "mute.mp4", lambda t: 40, length=62, sound=False)
    film(videos / "blue.mp4", lambda t: 40, length=63, ground=BLUE)
    (videos / "junk.mp4").write_bytes(b"this is no video" * 100)
    (videos / "notes.txt").write_text("no video by its name")
    (videos / "twin.mkv").write_bytes((videos / "good.mp4").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "squares", lambda confidence: find_squares)
        make(videos, folder / "out")
    return folder


def test_a_kept_file_is_told_from_hash_to_shard(built: Path) -> None:
    done = ask("good.mp4", built / "out")
    assert done.exit_code == 0, done.output
    (row,) = (e for e in read_story(built / "out", "good.mp4").clips.values())
    for said in (
        "videos/good.mp4: kept, 1 clip in split test",
        "attempts 1",
        "file: h264, 200x120 at 25 fps",
        "decoder: no complaint",
        "shots: 1, dissolves between them: 0",
        "frames 60 = 60 in clips + 0 rejected",
        "tracks 1 = 1 kept + 0 rejected",
        f"pack: 1 in {row['shard']}",
        row["key"],
    ):
        assert said in done.output
    assert re.search(r"sha256 [0-9a-f]{64}\n", done.output)
    assert "to keep" not in done.output


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        ("day/small.mp4", 3, "rejected at facetracks: no facetrack: face-too-small (61 frames)"),
        ("mute.mp4", 3, "no-audio (62 frames): nothing: without sound"),
        ("junk.mp4", 3, "mend or convert the file"),
        ("twin.mkv", 3, "rejected at discover: the same bytes as videos/good.mp4"),
        ("blue.mp4", 1, "failed at facetracks: KeyError: 'never seen so much blue'"),
    ],
)
def test_every_fate_has_its_words_and_its_exit_code(
    built: Path, file: str, code: int, said: str
) -> None:
    done = ask(file, built / "out")
    assert done.exit_code == code, done.output
    assert said in done.output
    assert "to keep it:" in done.output
    assert "Traceback" not in done.output


def test_a_failure_names_its_attempts_and_its_stack(built: Path) -> None:
    done = ask("blue.mp4", built / "out")
    assert "failed 1 time at facetracks, the last time: KeyError" in done.output
    assert "run the same command again" in done.output
    stack = re.search(r"the stack is in (.+)\n", done.output)
    assert stack is not None
    assert "never seen so much blue" in Path(stack[1]).read_text()


def test_advice_that_is_followed_keeps_the_file(built: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    film(videos / "small.mp4", lambda t: 20)
    film(videos / "brief.mp4", lambda t: 40 if 20 <= t < 38 else 0)
    film(videos / "seldom.mp4", lambda t: 40 if t % 8 == 0 else 0, length=80)
    given = {"min_found": "0.6", "detect_every": "2"}
    made = make(videos, tmp_path / "out", **given)
    assert made.clips == 0
    for name, reason in (
        ("small", "face-too-small"),
        ("brief", "track-too-short"),
        ("seldom", "too-few-detections"),
    ):
        done = ask(f"{name}.mp4", tmp_path / "out")
        assert done.exit_code == 3
        advice = re.search(rf"{reason} \(\d+ frames\): --set (\w+)=([\d.]+)", done.output)
        assert advice is not None, done.output
        one = tmp_path / name
        one.mkdir()
        (one / f"{name}.mp4").write_bytes((videos / f"{name}.mp4").read_bytes())
        again = make(one, tmp_path / f"out-{name}", **(given | {advice[1]: advice[2]}))
        assert again.clips == 1, done.output


def test_a_file_is_found_by_name_path_id_or_bytes(built: Path, tmp_path: Path) -> None:
    out = built / "out"
    wanted = read_story(out, "day/small.mp4").entry
    copy = tmp_path / "elsewhere.bin"
    copy.write_bytes((built / "videos" / "day" / "small.mp4").read_bytes())
    whole = str(built / "videos" / "day" / "small.mp4")
    for name in ("videos/day/small.mp4", "small.mp4", "day-small", whole, str(copy)):
        assert read_story(out, name).entry == wanted


def test_what_is_not_there_is_a_usage_error(built: Path, tmp_path: Path) -> None:
    done = ask("god.mp4", built / "out")
    assert done.exit_code == 2
    assert "Did you mean 'good.mp4'" in done.output
    passed = ask("notes.txt", built / "out")
    assert passed.exit_code == 2
    assert "passed over (not a video (.txt))" in passed.output
    with pytest.raises(DataError, match=r"holds no ledger\.parquet"):
        read_story(tmp_path, "good.mp4")
    entries = [Entry("a", "x.mp4"), Entry("b", "x.mp4")]
    assert find_entry(entries, "a/x.mp4") is entries[0]
    with pytest.raises(UsageError, match=r"may be 2 files of this build: a/x\.mp4, b/x\.mp4"):
        find_entry(entries, "x.mp4")
    with pytest.raises(UnknownName, match="Available: none"):
        find_entry([], "x.mp4")


def test_a_build_without_its_work_still_tells_what_it_knows(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    film(tmp_path / "videos" / "good.mp4", lambda t: 40)
    settings = {"detector": "squares", "min_face": "30"}
    options: dict[str, Any] = {"engine": "local", "sync": "off", "settings": settings}
    build([tmp_path / "videos"], tmp_path / "out", keep_work=False, split="test", **options)
    done = ask("good.mp4", tmp_path / "out")
    assert done.exit_code == 0
    assert "no receipt is left below 'work'" in done.output
    assert "tracks 1 = 1 kept + 0 rejected" in done.output


def test_damage_and_sync_are_told() -> None:
    report = {
        "source": {
            "video_codec": "h264",
            "width": 640,
            "height": 360,
            "fps": 25.0,
            "duration_s": 4.0,
            "audio_codec": None,
            "audio_rate": 0,
        },
        "warnings": ["picture 40 is damaged"],
        "shots": [[0, 100]],
        "transitions": [],
        "tracks": [{}, {}],
        "rejected": [],
    }
    entry = Entry("v", "a.mp4", "a", "rejected", "sync", "no facetrack passed", frames=100)
    entry = replace(entry, rejected_frames={"sync: confidence below 0.2": 60})
    low = {"offset": 1, "confidence": 0.1234}
    late = {"offset": -7, "confidence": 0.5}
    tracks = [
        Track(0, 60, "sync: confidence below 0.2", "a-0000-00", sync=low),
        Track(60, 100, "sync: offset beyond 3 frames", "a-0000-01", sync=late),
    ]
    lines = list(tell(Story(entry, {}, report, tracks, [Failure("sync", 2, "why", Path("n"))])))
    assert "decoder: picture 40 is damaged" in lines
    assert "sync: 2 measured, 2 rejected" in lines
    assert "failed 2 times at sync, the last time: why" in lines
    assert any(line.endswith("sync -7 frames, confidence 0.500, a-0000-01") for line in lines)
    changes = "\n".join(advise(Story(entry, {}, report, tracks)))
    assert "(60 frames): --min-confidence=0.123, or --sync record" in changes
    assert "(no frame of its own): --max-sync-offset=7, or --sync record" in changes
