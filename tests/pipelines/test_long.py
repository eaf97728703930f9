"""Long videos that several workers share: nothing is lost at the seams, whoever works on what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_build import hashes
from test_facetracks import drifting, find_squares, scene

from avbench.data import UInt8Array
from avbench.media import write_video
from avbench.shards import read_clips
from avbench.synthetic import render_talking
from pipelines import parts, preparing, scoring, stretches, units
from pipelines.build import BuildReport, build
from pipelines.faces import DETECTORS
from pipelines.settings import FacetrackSettings
from pipelines.stretches import count_parts, find_place, find_seams

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SETTINGS = {
    "detector": "squares",
    "detect_every": "1",
    "min_face": "20",
    "min_track": "10",
    "max_track": "20",
    "crops.size": "64",
    "stretch": "160",
}
WHOLE = {**SETTINGS, "stretch": "0"}
PARTS = 4
"""So many make up a video here, rather than twelve."""
CHOSEN = FacetrackSettings(min_track=10, max_track=20, stretch=160)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "TOGETHER", PARTS)
    monkeypatch.setitem(DETECTORS, "squares", lambda confidence: find_squares)


def film(path: Path, lengths: Sequence[int], **options: Any) -> Path:
    """Write shots of one square, of two, and of none."""
    kinds = ([drifting(60)], [drifting(50), drifting(130)], [], [drifting(90, y=70)])
    shots = [scene(n, length, *kinds[n % 4]) for n, length in enumerate(lengths)]
    return write(path, np.concatenate(shots), **options)


def write(path: Path, frames: UInt8Array, seconds: float | None = None, **options: Any) -> Path:
    """Write frames with noise for sound, as long or of so many seconds; 0 for no sound at all."""
    size = len(frames) * 640 if seconds is None else round(seconds * 16_000)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, size).astype(np.float32)
    options = {"crf": 12, "audio_codec": "flac", **options}
    write_video(path, frames, noise if size else None, **options)
    return path


def make(source: Path, out: Path, settings: dict[str, str] = SETTINGS, **more: Any) -> BuildReport:
    chosen = {"engine": "local", "sync": "off", "split": "test", "settings": settings, **more}
    return build([source], out, **chosen)


def receipt(out: Path) -> dict[str, Any]:
    (found,) = (out / "work" / "facetracks").glob("*/receipt.json")
    read: dict[str, Any] = json.loads(found.read_text())
    return read


def starts(out: Path) -> list[int]:
    """The first frames of the parts that a video was divided into; none where it stayed whole."""
    found: list[int] = receipt(out).get("parts", [])
    return found


def tars(out: Path) -> str:
    return (out / "SHA256SUMS").read_text()


LENGTHS = np.random.default_rng(8).integers(27, 39, 12).tolist()


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of about four hundred frames, none of whose shots is looked at in parts."""
    return film(tmp_path_factory.mktemp("film") / "film.mp4", LENGTHS)


@pytest.fixture(scope="module")
def divided(shots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set that undisturbed parts make of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "TOGETHER", PARTS)
        patch.setitem(DETECTORS, "squares", lambda confidence: find_squares)
        make(shots, tmp_path_factory.mktemp("divided") / "out")
    return tmp_path_factory.getbasetemp() / "divided0" / "out"


def test_parts_make_what_the_whole_makes(shots: Path, divided: Path, tmp_path: Path) -> None:
    make(shots, tmp_path, WHOLE)
    assert starts(tmp_path) == []
    edges = np.cumsum([0, *LENGTHS]).tolist()
    assert len(starts(divided)) == PARTS
    assert set(starts(divided)) <= set(edges)
    one, other = receipt(divided)["report"], receipt(tmp_path)["report"]
    assert one == other
    assert [stop for _, stop in one["shots"]] == edges[1:]
    assert tars(divided) == tars(tmp_path)
    assert len(list(read_clips(divided))) > 10
    assert not list((divided / "work" / "parts").iterdir())


@pytest.mark.parametrize("kind", ["read-again", "sound-ends", "silent"])
def test_parts_of_other_films_make_what_the_whole_makes(tmp_path: Path, kind: str) -> None:
    more = {"read-again": {"flow.held_mb": "0"}}.get(kind, {})
    path = tmp_path / "v.mkv"
    film(path, LENGTHS, seconds={"sound-ends": 9.7, "silent": 0.0}.get(kind))
    for name, settings in (("parts", SETTINGS), ("whole", WHOLE)):
        make(path, tmp_path / name, {**settings, **more})
    one, other = receipt(tmp_path / "parts"), receipt(tmp_path / "whole")
    assert len(one["parts"]) == PARTS
    assert one["report"] == other["report"]
    counts = one["report"]["frames"]
    if kind == "silent":
        assert counts["no-audio"] == sum(LENGTHS)
        return
    assert (counts["no-sound"] > 50) == (kind == "sound-ends")
    assert tars(tmp_path / "parts") == tars(tmp_path / "whole")


def test_a_place_is_the_first_cut_that_stands_alone(tmp_path: Path) -> None:
    lengths = [120, 9, 80, 61, 30, 200, 300]
    path = film(tmp_path / "v.mp4", lengths)
    edges = np.cumsum(lengths)  # 120 129 209 270 300 500 800
    wide = replace(CHOSEN, max_track=80)
    assert find_place(path, 100, wide) == (154, False)
    assert find_place(path, 115, wide) == (edges[2], True)
    assert find_place(path, 250, CHOSEN) == (edges[3], True)
    assert find_place(path, 350, wide) == (350, False)
    assert find_place(path, 450, wide) == (edges[5], True)
    assert find_place(path, 490, wide) == (edges[5], True)
    assert find_place(path, 490, CHOSEN).cut


def test_a_shot_across_many_parts_keeps_its_number_and_its_frames(tmp_path: Path) -> None:
    def swaying(t: int) -> tuple[float, float, int]:
        return 100 + 40 * np.sin(t / 30), 60, 40

    frames = np.concatenate([scene(1, 33, drifting(60)), scene(2, 350, swaying)])
    path = write(tmp_path / "v.mp4", frames)
    make(path, tmp_path / "out", {**SETTINGS, "detect_every": "4"})
    report = receipt(tmp_path / "out")["report"]
    places = starts(tmp_path / "out")
    assert len(places) == PARTS
    assert report["shots"] == [[0, 33], [33, 383]]
    long = [track for track in report["tracks"] if track["shot"] == 1]
    spans = [(track["start"], track["stop"]) for track in long]
    assert spans[0][0] == 33
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert [track["track"] for track in long] == list(range(len(long)))
    assert {start for start, _ in spans} >= {place for place in places if place > 33}
    assert spans[-1][1] == report["num_frames"] == 383
    keys = [clip.key for clip in read_clips(tmp_path / "out")]
    assert keys == sorted(track["key"] for track in report["tracks"])


def test_scores_of_shots_are_those_of_all_frames(shots: Path, tmp_path: Path) -> None:
    for name, settings in (("parts", SETTINGS), ("whole", WHOLE)):
        make(shots, tmp_path / name, {**settings, "shot_scores": "true"})
    one, other = (
        pd.read_parquet(next((tmp_path / name / "work").glob("facetracks/*/shots.parquet")))
        for name in ("parts", "whole")
    )
    assert one["frame"].tolist() == list(range(sum(LENGTHS)))
    assert one[["frame", "cut", "transition"]].equals(other[["frame", "cut", "transition"]])
    assert (one["step"] == other["step"]).mean() > 0.98


@pytest.mark.parametrize("ending", ["avi", "ts"])
def test_where_one_cannot_seek_a_video_stays_whole(tmp_path: Path, ending: str) -> None:
    path = film(tmp_path / f"v.{ending}", LENGTHS, audio_codec="mp2")
    make(path, tmp_path / "out")
    assert starts(tmp_path / "out") == []
    assert receipt(tmp_path / "out")["report"]["num_frames"] >= sum(LENGTHS) - 2


def test_short_videos_are_not_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "v.mp4", LENGTHS[:4])
    for number, stretch in enumerate(("160", "9000")):
        make(path, tmp_path / str(number), {**SETTINGS, "stretch": stretch})
    assert tars(tmp_path / "0") == tars(tmp_path / "1")
    monkeypatch.undo()
    assert "stretch" not in FacetrackSettings().as_json()
    assert not parts.may_be_long(1_000_000, FacetrackSettings())
    assert parts.may_be_long(2_000_000, FacetrackSettings())
    assert not parts.may_be_long(10**12, FacetrackSettings(stretch=0))


def test_the_number_of_parts_follows_the_length_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings = FacetrackSettings()
    assert find_seams(20_000, settings) == []
    for frames in range(27_500, 400_000, 12_345):
        seams = [0, *find_seams(frames, settings), frames]
        lengths = np.diff(seams)
        assert len(lengths) == count_parts(frames, settings)
        assert len(lengths) % 12 == 0
        assert 2250 <= lengths.min() <= lengths.max() <= 6750
        assert lengths.min() > 2 * settings.longest_shot


def damage(path: Path, target: Path, frame: int) -> Path:
    """Write noise over one coded picture of a video."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        hit = packets[frame]
        assert hit.pos is not None
        noise = np.random.default_rng(1).bytes(hit.size // 2)
    data[hit.pos + hit.size // 4 : hit.pos + hit.size // 4 + len(noise)] = noise
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("frame", [11, 200, 351])
def test_damage_comes_to_the_same_in_parts(shots: Path, tmp_path: Path, frame: int) -> None:
    path = damage(shots, tmp_path / "v.mp4", frame)
    make(path, tmp_path / "parts")
    make(path, tmp_path / "whole", WHOLE)
    tables = [pd.read_parquet(tmp_path / n / "ledger.parquet") for n in ("parts", "whole")]
    # The decoder's own words follow avbench's, and libavcodec never says the same twice.
    words = [table.pop("decoder")[0].partition("; ")[0] for table in tables]
    assert words[0] == words[1] != ""
    assert tables[0].equals(tables[1])
    assert tars(tmp_path / "parts") == tars(tmp_path / "whole")
    assert len(starts(tmp_path / "parts")) == PARTS


def test_a_file_that_was_cut_short_is_taken_as_a_whole(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    film(source, LENGTHS)
    path = tmp_path / "v.mkv"
    path.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    for name, settings in (("parts", SETTINGS), ("whole", WHOLE)):
        make(path, tmp_path / name, settings)
    assert starts(tmp_path / "parts") == []
    assert tars(tmp_path / "parts") == tars(tmp_path / "whole")


def test_pictures_that_depend_on_where_one_begins_are_noticed(
    shots: Path, divided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, place = parts._Counted.__init__, starts(divided)[2]

    def begin(self: parts._Counted, stream: Any, start: int, stop: int | None) -> None:
        plain(self, stream, start, stop)
        if start == place:
            self.first.update(b"another picture")

    monkeypatch.setattr(parts._Counted, "__init__", begin)
    make(shots, tmp_path)
    assert starts(tmp_path) == []
    assert tars(tmp_path) == tars(divided)


class Broken(RuntimeError):
    """What no part should raise."""


def test_a_part_that_fails_is_done_again_and_no_other(
    shots: Path, divided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    plain, broken = parts.take_apart, [starts(divided)[2]]

    def counted(frames: Any, *others: Any) -> Any:
        calls.append(frames._start)
        if frames._start in broken:
            raise Broken("something unforeseen")
        return plain(frames, *others)

    monkeypatch.setattr(parts, "take_apart", counted)
    report = make(shots, tmp_path)
    (row,) = report.rows
    assert (row.status, row.step) == ("failed", "facetracks")
    assert "something unforeseen" in row.reason
    assert sorted(calls) == starts(divided)
    planned = "\n".join(make(shots, tmp_path, plan=True).lines())
    assert f"{PARTS - 1} of its {PARTS} parts are done" in planned
    calls.clear()
    broken.clear()
    assert make(shots, tmp_path).rows[0].status == "kept"
    assert calls == [starts(divided)[2]]
    assert tars(tmp_path) == tars(divided)


def test_clips_that_several_units_prepare_are_those_of_one(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = {"distort": "drop-duplicate", "seed": 5}
    (row,) = make(shots, tmp_path / "whole", **fault).rows
    monkeypatch.setattr(scoring, "TOGETHER", 1)
    monkeypatch.setattr(scoring, "GROUP", 3)
    calls: list[list[str]] = []
    plain, failing = preparing.prepare_unit, [True]

    def broken(payload: dict[str, Any]) -> Any:
        calls.append(payload["keys"])
        if len(calls) == 2 and failing:
            raise Broken("something unforeseen")
        return plain(payload)

    monkeypatch.setattr(preparing, "prepare_unit", broken)
    (failed,) = make(shots, tmp_path / "parts", **fault).rows
    assert (failed.status, failed.step) == ("failed", "pack")
    groups, kept = calls.copy(), read_clips(tmp_path / "whole")
    assert [key for group in groups for key in group] == sorted(clip.key for clip in kept)
    assert {len(group) for group in groups} <= {2, 3, 4}
    assert len(groups) > 2
    calls.clear()
    failing.clear()
    (again,) = make(shots, tmp_path / "parts", **fault).rows
    assert calls == [groups[1]]
    assert tars(tmp_path / "parts") == tars(tmp_path / "whole")
    assert replace(again, attempts=row.attempts) == row


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_facetracks import find_squares
from test_long import PARTS, make
from pipelines import parts, stretches
from pipelines.faces import DETECTORS

DETECTORS["squares"] = lambda confidence: find_squares
stretches.TOGETHER = PARTS
plain = parts._run

def slow(work, payload):
    with Path(sys.argv[4]).open("a") as file:
        file.write(Path(payload["folder"]).name + chr(10))
    time.sleep(0.05)
    return plain(work, payload)

parts._run = slow
make(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_the_bytes_survive_kills_in_every_round(shots: Path, divided: Path, tmp_path: Path) -> None:
    script, out, log = tmp_path / "driver.py", tmp_path / "out", tmp_path / "log"
    script.write_text(SCRIPT)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, script, shots, out, HERE, log],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )

    def done(kind: str) -> int:
        return len(list(out.glob(f"work/parts/*-{kind}*/receipt.json")))

    moments = [
        lambda: done("seam") >= 2,
        lambda: done("part-") >= 2,
        lambda: any(out.glob("work/facetracks/*.part")),
    ]
    for moment in moments:
        run = start()
        end = time.monotonic() + 100
        while not moment() and run.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    assert start().wait(100) == 0
    assert hashes(out)["faces-test-000000.tar"] == hashes(divided)["faces-test-000000.tar"]
    assert hashes(out) == hashes(divided)
    begun = log.read_text().split()
    # At each kill at most the one unit in hand is lost.
    assert len(begun) - len(set(begun)) <= 2
    assert len(set(begun)) == 2 * PARTS
    assert not list(out.rglob("*.part"))
    assert units.read_receipt(next(out.glob("work/facetracks/*"))) is not None


@pytest.mark.slow
@pytest.mark.ray
def test_the_bytes_are_the_same_for_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    head = [cv2.resize(each, (192, 192)) for each in render_talking(3, seconds=1.4).pictures()]
    shades = np.random.default_rng(2).uniform(0.3, 1, (29, 3))
    lit = [(np.stack(head) * shade).astype(np.uint8) for shade in shades]
    path = write(tmp_path / "v.mp4", np.concatenate(lit))
    settings = {**SETTINGS, "detector": "blazeface", "detect_every": "10"}
    made = []
    for name, workers in (("local", 1), ("ray", 1), ("ray", 3)):
        out = tmp_path / f"{name}-{workers}"
        monkeypatch.setattr(scoring, "GROUP", 2 if workers > 1 else 1000)
        make(path, out, settings, engine=name, workers=workers, sync="record")
        assert len(starts(out)) == 12
        made.append(hashes(out))
    assert made[0] == made[1] == made[2]
    assert len(list(read_clips(tmp_path / "local-1"))) > 40
