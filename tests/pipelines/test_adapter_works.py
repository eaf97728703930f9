"""Corpora that bring facetracks of their own: boxes by frame, and the output of another tool."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from corpus_trees import FRAMES, Tree
from fake_facetracks import make_process

from avbench import media
from avbench.shards import open_set
from pipelines.adapters import columbia, syncnet_python
from pipelines.adapters.pickles import Record
from pipelines.build import BuildReport, build

WIDTH, HEIGHT = 320, 180
"""Size of the panel's picture; the labels count a width of 640."""


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


def make(root: Path, layout: str, out: Path, **options: Any) -> BuildReport:
    chosen = {"engine": "local", "sync": "off", "process": make_process(), **options}
    return build([root], out, layout=layout, **chosen)


def test_label_frames_are_mapped_from_29_97_to_25_fps() -> None:
    rows = [(frame, 10.0, 20.0, 30.0, frame % 2) for frame in range(1, 301)]
    (track,) = columbia.tracks_of("bell", rows)
    # int(n / 29.97 * 25): frame 1 shows at 0, frame 300 at 250, and no frame of 25 fps is left out.
    assert (track.start, len(track.boxes)) == (0, 251)
    assert track.boxes[0] == [10 / 640, 20 / 640, 40 / 640, 50 / 640]
    shown = {int(frame / 29.97 * 25): frame % 2 for frame in range(1, 301)}
    assert track.by_frame["speaking"] == [shown[frame] for frame in range(251)]


def test_runs_with_a_gap_are_tracks_of_their_own() -> None:
    rows = [(frame, 0.0, 0.0, 9.0, 1) for frame in [*range(60), *range(120, 180)]]
    first, second = columbia.tracks_of("long", rows)
    assert (first.start, second.start) == (0, int(120 / 29.97 * 25))
    assert first.facts == {"speaker": "long", "role": "test"}
    assert columbia.tracks_of("abbas", rows)[0].facts["role"] == "threshold"


def panel(root: Path) -> None:
    """Write two grey people in front of black, boxed as the corpus does."""
    frames = np.zeros((90, HEIGHT, WIDTH, 3), np.uint8)
    frames[:, 40:80, 60:100] = 100
    frames[:, 60:100, 200:240] = 200
    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.5, 0.5, round(90 / 29.97 * 16_000)).astype(np.float32)
    root.mkdir(parents=True)
    media.write_video(root / "col.mp4", frames, sound, fps=Fraction(30000, 1001))
    folder = root / "col_labels" / "fusion"
    folder.mkdir(parents=True)
    for name, x, y in (("bell", 60, 40), ("abbas", 200, 60)):
        lines = [f"{n}\t{2 * x}\t{2 * y}\t{80}\t{int(n > 45)}" for n in range(1, 80)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_columbia_cuts_the_faces_that_its_labels_box(tmp_path: Path) -> None:
    panel(tmp_path / "corpus")
    make(tmp_path / "corpus", "columbia", tmp_path / "out")
    found = open_set(tmp_path / "out")
    assert found.splits == ["test"]
    clips = {clip.meta["speaker"]: clip for clip in found.clips()}
    assert set(clips) == {"abbas", "bell"}
    for name, grey in (("bell", 100), ("abbas", 200)):
        clip = clips[name]
        track = clip.meta["facetrack"]
        assert track["role"] == ("threshold" if name == "abbas" else "test")
        assert len(track["speaking"]) == len(clip) == 66
        assert track["speaking"][:37] == [0] * 37
        assert track["speaking"][38:] == [1] * 28
        # SyncNet's crop of a face of side 2 s shows it from 0.4 s to 2.4 s of 2.8 s across.
        middle = clip.frames[:, 90:130, 60:160].astype(float).mean()
        assert middle == pytest.approx(grey, abs=12)
        assert clip.frames[0, 5, 5].max() < 30
    index = found.index()
    assert sorted(index["speaker"]) == ["abbas", "bell"]


def work(tree: Tree, protocol: int) -> np.ndarray[Any, Any]:
    """Write what syncnet_python leaves behind for one video with two tracks."""
    rng = np.random.default_rng(3)
    tracks, distances = [], []
    for number, start in enumerate((10, 100)):
        tree.clip(f"pycrop/talk/{number:05d}.avi")
        frames = np.arange(start, start + FRAMES)
        boxes = np.tile([100.0, 50.0, 180.0, 140.0], (FRAMES, 1)) + number
        dets = {name: np.full(FRAMES, 9.0) for name in "sxy"}
        tracks.append({"track": {"frame": frames, "bbox": boxes}, "proc_track": dets})
        distance = rng.uniform(9, 10, (FRAMES - 5, 31)).astype(np.float32)
        distance[:, 15 - (3 - number)] = 4
        distances.append(distance)
    folder = tree.root / "pywork" / "talk"
    folder.mkdir(parents=True)
    faces = [
        [{"frame": n, "bbox": [1.0, 2.0, 3.0, 4.0], "conf": np.float32(0.99)}] for n in range(200)
    ]
    faces[110].append(faces[110][0])
    for name, value in (("tracks", tracks), ("activesd", distances), ("faces", faces)):
        (folder / f"{name}.pckl").write_bytes(pickle.dumps(value, protocol))
    return np.array(distances)


@pytest.mark.parametrize("protocol", [2, 4])
def test_syncnet_python_brings_crops_boxes_and_measures(
    protocol: int, tmp_path: Path, drawn: Path
) -> None:
    tree = Tree(tmp_path / "work", drawn)
    distances = work(tree, protocol)
    report = make(tree.root, "syncnet-python", tmp_path / "out")
    assert report.clips == 2
    first, second = (s.info["corpus"] for s in open_set(tmp_path / "out").samples())
    assert (first["start"], second["start"]) == (10, 100)
    assert first["face_boxes"][0] == [100, 50, 180, 140]
    assert (first["measured_offset"], second["measured_offset"]) == (3, 2)
    mean = distances[0].mean(axis=0)
    assert first["measured_confidence"] == pytest.approx(np.median(mean) - mean.min(), abs=1e-3)
    assert (first["most_faces_in_view"], second["most_faces_in_view"]) == (1, 2)
    clip = next(open_set(tmp_path / "out").clips())
    assert clip.alignment is not None
    assert clip.alignment.offset == 0, "a measurement is no truth"


def test_shots_are_read_from_time_codes_and_offsets_from_the_printed_ones(
    tmp_path: Path, drawn: Path
) -> None:
    detect = pytest.importorskip("scenedetect")
    tree = Tree(tmp_path / "work", drawn)
    work(tree, 4)
    folder = tree.root / "pywork" / "talk"
    scenes = [tuple(detect.FrameTimecode(n, 25.0) for n in span) for span in ((0, 82), (82, 200))]
    (folder / "scene.pckl").write_bytes(pickle.dumps(scenes))
    (folder / "offsets.txt").write_text("FILENAME\tOFFSET\tCONF\n00000.avi\t-4\t7.125\n")
    read = syncnet_python.read_work(folder)
    assert read.shots == ((0, 82), (82, 200))
    facts = [syncnet_python.facts_of(read, number, "talk") for number in (0, 1)]
    assert [f["shot"] for f in facts] == [[0, 82], [82, 200]]
    assert (facts[0]["measured_offset"], facts[0]["measured_confidence"]) == (-4, 7.125)
    assert facts[1]["measured_offset"] == 2


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("frame_timecode", {"framerate": 25.0, "frame_num": 82}),
        ("common", {"_time": Record("Timecode", {"pts": 82, "time_base": Fraction(1, 25)})}),
        ("common", {"_time": Record("common._FrameNumber", {"value": 82})}),
        ("common", {"_time": Record("common._Seconds", {"value": 3.28})}),
    ],
)
def test_time_codes_of_every_version_are_understood(name: str, attributes: dict[str, Any]) -> None:
    assert syncnet_python.frame_of(Record(name, attributes)) == 82


class Nasty:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, ("never-made",)


def test_a_pickle_that_would_run_code_rejects_its_clips(tmp_path: Path, drawn: Path) -> None:
    tree = Tree(tmp_path / "work", drawn)
    work(tree, 4)
    (tree.root / "pywork/talk/tracks.pckl").write_bytes(pickle.dumps([Nasty()]))
    report = make(tree.root, "syncnet-python", tmp_path / "out")
    assert report.clips == 0
    assert all("tracks.pckl: asks for posix.mkdir" in row.reason for row in report.rows)
    assert not list(tmp_path.rglob("never-made"))
    (tree.root / "pywork/talk/tracks.pckl").unlink()
    report = make(tree.root, "syncnet-python", tmp_path / "out")
    assert "holds no tracks.pckl" in report.rows[0].reason


def test_pictures_that_are_not_square_are_not_stretched(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    disc = np.zeros((120, 200, 3), np.uint8)
    cv2.circle(disc, (100, 60), 40, (255, 255, 255), -1)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 640).astype(np.float32)
    (root / "ABOUT/train").mkdir(parents=True)
    media.write_video(root / "ABOUT/train/ABOUT_00001.mp4", [disc] * 30, sound)
    make(root, "lrw", tmp_path / "out")
    frame = next(open_set(tmp_path / "out").clips()).frames[5]
    white = frame.mean(axis=2) > 180
    tall, wide = white.any(axis=1).sum(), white.any(axis=0).sum()
    assert abs(int(tall) - int(wide)) <= 3
    assert tuple(frame[2, 110]) == pytest.approx((110, 110, 110), abs=6)
