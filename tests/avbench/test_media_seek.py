"""Frames that come after seeking are those that come when the whole file is read."""

from __future__ import annotations

import hashlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from media_maker import Recipe, make

from avbench.media import Frame, has_index, open_frames
from avbench.media import packets as packets_module

COUNT = 150
GOP = {"g": "12", "bf": "3", "preset": "veryfast"}
rng = np.random.default_rng(3)
UNEVEN = tuple(np.cumsum(rng.integers(1, 9, COUNT)).tolist())
PAUSES = tuple(np.cumsum(rng.choice([1, 1, 1, 1, 40], COUNT)).tolist())

FILES = {
    "plain.mp4": Recipe(video_options=GOP),
    "ntsc.mp4": Recipe(tick=Fraction(1001, 30_000), video_options=GOP),
    "fast.mkv": Recipe(tick=Fraction(1, 60), video_options=GOP),
    "uneven.mp4": Recipe(pts=UNEVEN, tick=Fraction(1, 120), video_options=GOP),
    "uneven.mkv": Recipe(pts=UNEVEN, tick=Fraction(8, 1000), fps=Fraction(25), video_options=GOP),
    "pauses.mp4": Recipe(pts=PAUSES, video_options=GOP),
    "late.mp4": Recipe(pts=tuple(range(77, 77 + COUNT)), video_options=GOP),
    "edited.mp4": Recipe(
        pts=tuple(range(-9, COUNT - 9)),
        video_options=GOP,
        container_options={"avoid_negative_ts": "disabled", "use_editlist": "1"},
    ),
    "open-gop.mp4": Recipe(
        video_options={**GOP, "x264-params": "open-gop=1:keyint=14:bframes=3:b-adapt=0"}
    ),
    "open-gop.mkv": Recipe(
        video_options={**GOP, "x264-params": "open-gop=1:keyint=14:bframes=3:b-adapt=0"}
    ),
    "one-key.mp4": Recipe(video_options={**GOP, "g": "999"}),
    "old.mp4": Recipe(video="mpeg4", video_options={"g": "12", "bf": "2"}),
    "mpeg2.mkv": Recipe(video="mpeg2video", video_options={"g": "12", "bf": "2"}),
    "silent.mp4": Recipe(audio=None, video_options=GOP),
    "fragments.mp4": Recipe(
        video_options=GOP, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "slots.avi": Recipe(video="mpeg4", audio="mp2", video_options={"g": "12", "b": "4M"}),
    "stream.ts": Recipe(video_options=GOP),
}


def seen(frame: Frame) -> tuple[int, float, bool, str]:
    shown = b"".join(plane.tobytes() for plane in frame.whole.planes)
    return frame.index, frame.pts_s, frame.corrupt, hashlib.md5(shown).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_frames_after_seeking_are_those_of_a_whole_pass(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = FILES[name]
    pts = recipe.pts if len(recipe.pts) == COUNT else tuple(range(COUNT))
    path = make(tmp_path / name, Recipe(**{**vars(recipe), "pts": pts, "grain": 60}))
    with open_frames(path) as frames:
        whole = [seen(frame) for frame in frames]
        warnings = frames.warnings
    assert len({shown for *_, shown in whole}) > 40
    decoded = 0
    plain = packets_module.frames_of

    def counted(*arguments: object) -> list[object]:
        nonlocal decoded
        decoded += 1
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(packets_module, "frames_of", counted)
    for start in [*range(1, len(whole), 7), len(whole) - 1]:
        stop = start + 9
        with open_frames(path, start=start, stop=stop, seek=True) as frames:
            assert [seen(frame) for frame in frames] == whole[start:stop], start
    with open_frames(path, start=50, seek=True) as frames:
        assert [seen(frame) for frame in frames] == whole[50:]
        assert frames.warnings == warnings
    decoded = 0
    with open_frames(path, start=len(whole) - 2, seek=True) as frames:
        assert len(list(frames)) == 2
    everything = decoded > COUNT
    assert everything == (not has_index(path) or name == "one-key.mp4")


def test_past_the_end_nothing_comes(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", Recipe(video_options=GOP))
    with open_frames(path, start=500, seek=True) as frames:
        assert list(frames) == []
    with pytest.raises(ValueError, match="start"):
        open_frames(path, start=-1, seek=True)
