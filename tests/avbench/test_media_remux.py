"""Sound moves by exactly what was asked, and the picture not at all."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from media_maker import Recipe, listen, make

from avbench import media
from avbench.errors import DataError, UsageError
from avbench.media.remux import Delay, shift_sound

FRAME = Fraction(1, 25)
ROUNDING_MS = 1000 / 16_000 + 1e-6
"""One sample at the rate at which clicks are heard."""


def packets(path: Path) -> list[str]:
    """Hashes of the packets of the picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [hashlib.sha256(bytes(p)).hexdigest() for p in container.demux(stream) if p.size]


SOURCES = [
    ("a.mp4", Recipe()),
    ("a.mp4", Recipe(rate=48_000, layout="stereo", video_options={"bf": "2"})),
    ("a.mkv", Recipe(audio="flac", rate=22_255)),
    ("a.mpg", Recipe(video="mpeg1video", audio="mp2")),
    ("a.avi", Recipe(video="mpeg4", audio="pcm_s16le", rate=16_000)),
]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("name", "recipe"), SOURCES)
def test_click_moves_exactly_and_picture_stays(
    tmp_path: Path, name: str, recipe: Recipe, suffix: str
) -> None:
    source = make(tmp_path / name, recipe)
    before = listen(source)
    for frames in (-7, 4):
        out = tmp_path / f"moved{suffix}"
        moved = shift_sound(source, out, frames * FRAME)
        after = listen(out)
        change = np.subtract(after.clicks, before.clicks) * 1000
        assert change == pytest.approx([40.0 * frames] * 2, abs=ROUNDING_MS)
        assert after.flashes == pytest.approx(before.flashes, abs=1e-3)
        assert after.num_frames == before.num_frames
        assert after.warnings == []
        assert packets(out) == packets(source)
        assert moved.packets == len(packets(source)) == 75
        assert moved.sound_s == pytest.approx(3.0, abs=0.08)


def test_pictures_are_the_same_and_so_are_the_bytes_of_a_second_run(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Recipe(grain=90))
    held = source.read_bytes()
    first, second = (
        shift_sound(source, tmp_path / name, 3 * FRAME).path.read_bytes()
        for name in ("one.mp4", "two.mp4")
    )
    assert first == second
    assert source.read_bytes() == held
    assert np.array_equal(media.read_video(source), media.read_video(tmp_path / "one.mp4"))


def test_late_start_becomes_zero(tmp_path: Path) -> None:
    recipe = Recipe(pts=tuple(range(50, 125)), audio_start=Fraction(2))
    source = make(tmp_path / "a.ts", recipe)
    assert media.probe(source).video_start_s > 1
    out = shift_sound(source, tmp_path / "b.mp4", 5 * FRAME).path
    info = media.probe(out)
    assert (info.video_start_s, info.audio_start_s) == (0, 0)
    assert listen(out).lags() == pytest.approx([200, 200], abs=ROUNDING_MS)
    assert listen(out).num_frames == listen(source).num_frames


def test_lossless_sound_is_the_same_samples_later(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", Recipe(audio="pcm_s16le", rate=16_000))
    before = media.read_audio(source)
    later = media.read_audio(shift_sound(source, tmp_path / "b.mkv", 2 * FRAME).path)
    earlier = media.read_audio(shift_sound(source, tmp_path / "c.mkv", -2 * FRAME).path)
    assert len(before) == len(later) == len(earlier) == 48_000
    assert np.array_equal(later, np.concatenate([np.zeros(1280, np.float32), before[:-1280]]))
    assert np.array_equal(earlier, np.concatenate([before[1280:], np.zeros(1280, np.float32)]))


def test_turned_picture_stays_turned(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Recipe())
    turned = tmp_path / "turned.mp4"
    with av.open(str(source)) as given, av.open(str(turned), "w") as file:
        streams = {s.index: file.add_stream_from_template(s) for s in given.streams}
        picture = streams[given.streams.video[0].index]
        assert isinstance(picture, VideoStream)
        picture.set_display_rotation(90)
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                file.mux(packet)
    out = shift_sound(turned, tmp_path / "out.mp4", FRAME).path
    assert media.probe(out).rotation == media.probe(turned).rotation == 270


@pytest.mark.parametrize("samples", [-5000, -7, 0, 3, 1000, 5000])
def test_delay_of_blocks_is_delay_of_the_whole(samples: int) -> None:
    rng = np.random.default_rng(3)
    whole = rng.standard_normal((2, 4000)).astype(np.float32)
    delay = Delay(samples, 2)
    edges = [0, 1, 500, 501, 2222, 4000]
    parts = [delay.push(whole[:, a:b]) for a, b in pairwise(edges)]
    until = 4500
    got = np.concatenate([*parts, delay.finish(until)], axis=1)
    silence = np.zeros((2, abs(samples)), np.float32)
    if samples > 0:
        size = min(4000 + samples, max(4000, until))
        expected = np.concatenate([silence, whole], axis=1)[:, :size]
    else:
        expected = np.concatenate([whole[:, -samples:], silence], axis=1)[:, :4000]
    assert np.array_equal(got, expected)


def test_refusals_name_the_file_and_leave_nothing(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Recipe())
    mute = make(tmp_path / "mute.mp4", Recipe(audio=None))
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"no video at all" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    before = sorted(tmp_path.iterdir())
    for bad, words in (
        (mute, "has no sound"),
        (junk, "is not a video"),
        (empty, "is empty"),
        (tmp_path / "absent.mp4", "does not exist"),
    ):
        with pytest.raises(DataError, match=words) as error:
            shift_sound(bad, tmp_path / "out.mp4", FRAME)
        assert bad.name in str(error.value)
    with pytest.raises(UsageError, match="source itself"):
        shift_sound(source, source, FRAME)
    with pytest.raises(UsageError, match=r"end its name in \.mp4"):
        shift_sound(source, tmp_path / "out.xyz", FRAME)
    assert sorted(tmp_path.iterdir()) == before


def test_picture_that_does_not_fit_the_container_is_named(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", Recipe(video="libvpx", audio="flac"))
    with pytest.raises(DataError, match=r"does not go into b\.mp4.*try \.mkv"):
        shift_sound(source, tmp_path / "b.mp4", FRAME)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
    assert packets(shift_sound(source, tmp_path / "b.mkv", FRAME).path) == packets(source)
