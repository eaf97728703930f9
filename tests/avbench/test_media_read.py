"""Reading: the 25 fps grid, upright pictures, every kind of sound, and every kind of junk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import Recipe, make

from avbench import media
from avbench.errors import DataError
from avbench.media.decode import on_grid
from avbench.media.packets import Damage


def _picture(pts: int | None, duration: int = 0) -> VideoFrame:
    frame = VideoFrame(2, 2)
    frame.pts, frame.time_base, frame.duration = pts, Fraction(1, 1000), duration
    return frame


@given(
    start=st.integers(-5000, 5000),
    steps=st.lists(st.integers(1, 300), max_size=60),
    last=st.integers(1, 200),
)
@settings(max_examples=100, deadline=None)
def test_every_instant_of_the_grid_shows_the_nearest_picture(
    start: int, steps: list[int], last: int
) -> None:
    times = np.cumsum([start, *steps])
    pictures = [_picture(int(time)) for time in times]
    pictures[-1].duration = last
    shown = list(on_grid(pictures, Fraction(1, 25), Damage()))
    assert [index for index, _, _ in shown] == list(range(len(shown)))
    for index, picture, time in shown:
        assert time == Fraction(picture.pts, 1000)
        instant = start + 40 * index
        distance = np.abs(times - instant)
        assert abs(picture.pts - instant) == distance.min()
        assert picture is pictures[int(distance.argmin())]  # a tie goes to the earlier one
    end = times[-1] + last
    assert len(shown) == max(1, -((start + 1 - end) // 40))


def test_pictures_out_of_order_or_absurdly_late_are_left_out_and_counted() -> None:
    damage = Damage()
    pictures = [_picture(t) for t in (0, 40, 20, 80, 10**9, 120, -(10**9), 160)]
    shown = list(on_grid(pictures, Fraction(1, 25), damage))
    assert [picture.pts for _, picture, _ in shown] == [0, 40, 80, 120, 160]
    assert damage.disordered == 3
    assert "3 frame(s) left out" in damage.sentences()[0]


def test_pictures_without_times_follow_at_the_nominal_rate() -> None:
    shown = list(on_grid([_picture(None) for _ in range(10)], Fraction(1, 50), Damage()))
    assert len(shown) == 5


def test_raw_stream_without_times_is_read_at_its_own_rate(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h264", Recipe(pts=range(60), tick=Fraction(1, 50), audio=None))
    frames = list(media.iter_frames(path))
    assert len(frames) == 30
    assert [frame.pts_s for frame in frames[:3]] == pytest.approx([0, 0.04, 0.08])


def test_a_range_of_frames_equals_the_same_frames_of_the_whole(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", Recipe(pts=range(60), tick=Fraction(1, 30)))
    whole = list(media.iter_frames(path))
    part = list(media.iter_frames(path, start=7, stop=19))
    assert [frame.index for frame in part] == list(range(7, 19))
    for ours, theirs in zip(part, whole[7:19], strict=True):
        assert ours.pts_s == theirs.pts_s
        assert np.array_equal(ours.image, theirs.image)
    assert list(media.iter_frames(path, start=5, stop=5)) == []
    assert len(list(media.iter_frames(path, start=45, stop=999))) == len(whole) - 45
    with pytest.raises(ValueError, match="start"):
        next(media.iter_frames(path, start=3, stop=1))


def test_frames_own_their_pixels(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", Recipe(pts=range(10), tick=Fraction(1, 10), flashes=()))
    for frame in media.iter_frames(path):
        assert frame.image.max() < 60
        frame.image[:] = 255  # each source picture serves several frames of the grid


def test_frames_of_an_rgb_source_own_their_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=5)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
        for _ in range(3):
            blank = VideoFrame.from_ndarray(np.full((16, 16, 3), 7, np.uint8), format="rgb24")
            container.mux(stream.encode(blank))
    for frame in media.iter_frames(path):
        assert frame.image.max() == 7
        frame.image[:] = 255


def _quarters(width: int, height: int) -> np.ndarray:
    """White, red, green, blue: no turn or mirroring leaves this the same."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    image[: height // 2, width // 2 :, 0] = 255
    image[height // 2 :, : width // 2, 1] = 255
    image[height // 2 :, width // 2 :, 2] = 255
    return image


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pictures_come_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    path = tmp_path / "turned.mp4"
    stored = _quarters(64, 48)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        for _ in range(3):
            container.mux(stream.encode(VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode(None))
    upright = np.rot90(stored, degrees // 90)
    upright = upright[:, ::-1] if mirrored else upright
    info = media.probe(path)
    assert (info.height, info.width) == upright.shape[:2]
    if not mirrored:
        assert info.rotation == -degrees % 360
    frames = list(media.iter_frames(path))
    assert len(frames) == 3
    for frame in frames:
        assert frame.image.shape == upright.shape
        assert frame.image.flags.c_contiguous
        middles = np.s_[upright.shape[0] // 4 :: upright.shape[0] // 2, upright.shape[1] // 4 : :]
        difference = frame.image[middles].astype(int) - upright[middles]
        assert np.median(np.abs(difference)) < 30


def test_odd_size_reads_exactly(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.mkv",
        Recipe(pts=range(3), flashes=(), size=(63, 47), video="ffv1", audio=None),
    )
    assert next(media.iter_frames(path)).image.shape == (47, 63, 3)
    assert media.read_video(path).shape == (3, 47, 63, 3)


def test_pictures_that_change_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    codecs = {"video": "mpeg2video", "audio": "mp2", "flashes": ()}
    small = make(tmp_path / "0.ts", Recipe(pts=range(25), size=(64, 48), **codecs))
    large = make(tmp_path / "1.ts", Recipe(pts=range(25, 50), size=(128, 96), **codecs))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with media.open_frames(joined) as stream:
        assert {frame.image.shape for frame in stream} == {(48, 64, 3)}
    assert "scaled to the size of the first" in " ".join(stream.warnings)


@pytest.mark.parametrize(("layout", "codec", "name"), [
    ("stereo", "pcm_s16le", "a.mov"),
    ("2.1", "flac", "a.mkv"),
    ("quad", "pcm_s24le", "a.mov"),
    ("5.1", "flac", "a.mkv"),
])  # fmt: skip
def test_channels_that_say_the_same_keep_their_level(
    tmp_path: Path, layout: str, codec: str, name: str
) -> None:
    path = make(
        tmp_path / name,
        Recipe(audio=codec, layout=layout, rate=16_000, flashes=(25,)),
    )
    audio = media.read_audio(path)
    assert 0.85 < audio[16_000 : 16_000 + 64].mean() < 0.91
    assert np.abs(audio).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 9, 16])
def test_sound_of_unknown_layout_keeps_its_level(tmp_path: Path, channels: int) -> None:
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.full((16_000, channels), 8192, "<i2").tobytes())
    path = tmp_path / "a.mkv"
    with av.open(str(sound)) as source, av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        copied = container.add_stream_from_template(source.streams.audio[0])
        for _ in range(25):
            blank = np.zeros((16, 16, 3), np.uint8)
            container.mux(video.encode(VideoFrame.from_ndarray(blank, format="rgb24")))
        container.mux(video.encode(None))
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = copied
                container.mux(packet)
    assert media.read_audio(path, 25) == pytest.approx(np.full(16_000, 0.25), abs=1e-4)


def test_exact_number_of_samples_with_zeros_after_the_end(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", Recipe(audio="flac", rate=16_000))
    whole = media.read_audio(path)
    assert np.array_equal(media.read_audio(path, 30), whole[: 30 * 640])
    padded = media.read_audio(path, 100)
    assert padded.shape == (64_000,)
    assert np.array_equal(padded[: len(whole)], whole)
    assert not padded[len(whole) :].any()
    assert media.read_audio(path, 0).shape == (0,)


def test_no_sound(tmp_path: Path) -> None:
    path = make(tmp_path / "mute.mp4", Recipe(audio=None))
    info = media.probe(path)
    assert (info.audio_codec, info.audio_rate, info.audio_start_s) == (None, None, None)
    with pytest.raises(DataError, match=r"mute\.mp4: has no sound .*; leave it out"):
        media.read_audio(path)


def test_probe_agrees_with_what_comes_out(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", Recipe(pts=range(90), tick=Fraction(1, 30)))
    info = media.probe(path)
    assert (info.width, info.height, info.rotation) == (64, 48, 0)
    assert (info.video_codec, info.audio_codec, info.audio_rate) == ("h264", "aac", 44_100)
    assert info.fps == pytest.approx(30)
    assert info.duration_s == pytest.approx(3, abs=0.01)
    assert info.num_frames == len(list(media.iter_frames(path))) == 75
    assert info.path == path


# --- Junk. Every file here ends in one sentence, never in a traceback.

READERS = [
    media.probe,
    lambda path: list(media.iter_frames(path)),
    media.read_audio,
    media.read_video,
]


def _refused(path: Path) -> str:
    """Return the one sentence with which every reader refuses ``path``."""
    messages = set()
    for reader in READERS:
        with pytest.raises(DataError) as caught:
            reader(path)
        messages.add(str(caught.value))
    for message in messages:
        assert message.startswith(str(path))
        assert message.count("\n") == 0
        assert message.endswith(".")
        assert ";" in message  # the remedy follows
    return min(messages)


def test_missing_empty_folder_and_pipe(tmp_path: Path) -> None:
    assert "does not exist" in _refused(tmp_path / "none.mp4")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "is empty (0 bytes)" in _refused(empty)
    assert "is a folder" in _refused(tmp_path)
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    assert "not a regular file" in _refused(pipe)  # and does not wait for a writer


@pytest.mark.parametrize("content", [
    b"x",
    b"This is a text file, whatever its name says.\n" * 200,
    b"#EXTM3U\n#EXTINF:10,\nother.ts\n",
    b"ffconcat version 1.0\nfile other.mp4\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    b"\0" * 5000,
    bytes(range(256)) * 40,
])  # fmt: skip
def test_text_and_noise_named_mp4(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fake.mp4"
    path.write_bytes(content)
    assert "not a video file" in _refused(path)
    with pytest.raises(DataError, match="clip in memory"):
        media.read_video(content)


def test_sound_only_and_still_picture(tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    sound.write_bytes(media.encode_sound(np.zeros(16_000, np.float32)))
    assert "sound but no picture" in _refused(sound)
    for suffix, codec in ((".png", "png"), (".jpg", "mjpeg")):
        still = tmp_path / f"still{suffix}"
        with av.open(str(still), "w", format="image2") as container:
            stream = container.add_stream(codec, rate=1)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = 32, 32
            stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
            blank = VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(blank))
            container.mux(stream.encode(None))
        assert "still picture" in _refused(still)


def test_a_name_with_odd_characters_is_only_a_name(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", Recipe(pts=range(5), flashes=()))
    for name in ("100%d:x?.mp4", "http:a.mp4", "ä ü\n.mp4", "-i.mp4"):
        odd = tmp_path / name
        shutil.copy(path, odd)
        assert len(list(media.iter_frames(odd))) == 5


@pytest.mark.parametrize(("name", "recipe"), [
    ("a.mp4", Recipe(grain=20, container_options={"movflags": "+faststart"})),
    ("a.mkv", Recipe(grain=20)),
    ("a.avi", Recipe(grain=20, video="mpeg4", audio="pcm_s16le")),
    ("a.ts", Recipe(grain=20)),
    ("a.mpg", Recipe(grain=20, video="mpeg1video", audio="mp2", video_options={"qmax": "3"})),
])  # fmt: skip
def test_a_truncated_file_yields_what_decodes(tmp_path: Path, name: str, recipe: Recipe) -> None:
    content = make(tmp_path / name, recipe).read_bytes()
    counts = []
    for tenths in range(1, 10):
        cut = tmp_path / f"cut{name}"
        cut.write_bytes(content[: len(content) * tenths // 10])
        try:
            with media.open_frames(cut) as stream:
                counts.append(sum(1 for _ in stream))
                assert stream.lost_frames <= stream.info.num_frames
            audio = media.read_audio(cut, counts[-1])
            assert len(audio) == 640 * counts[-1]
        except DataError:
            counts.append(0)
    assert counts == sorted(counts)
    assert counts[0] < 50 < counts[-1] <= 75


def test_what_a_truncated_file_lacks_is_told(tmp_path: Path) -> None:
    recipe = Recipe(grain=20, container_options={"movflags": "+faststart"})
    whole = make(tmp_path / "a.mp4", recipe)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with media.open_frames(cut) as stream:
        count = sum(1 for _ in stream)
    assert 0 < count < 75
    assert stream.lost_frames == 75 - count
    assert any(f"({75 - count} frames lost)" in warning for warning in stream.warnings)
    with pytest.raises(DataError, match="is damaged"):
        media.reorder_video(cut, np.arange(3))


def test_index_lost_with_the_tail_is_named(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.mp4", Recipe())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "index (moov) is missing" in _refused(cut)


def test_damage_in_the_middle_is_counted(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mpg", Recipe(video="mpeg1video", audio="mp2", grain=20))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(content)
    warnings: list[str] = []
    with media.open_frames(path) as stream:
        frames = list(stream)
    media.read_audio(path, warnings=warnings)
    assert len(frames) > 60
    assert stream.warnings or warnings


@pytest.mark.parametrize("seed", range(3))
def test_noise_anywhere_never_ends_in_a_traceback(tmp_path: Path, seed: int) -> None:
    """In a process of its own, so that a crash of the decoder would be seen."""
    recipes = {
        "a.mp4": Recipe(pts=range(25), flashes=(10,)),
        "a.mkv": Recipe(pts=range(25), flashes=(10,)),
        "a.flv": Recipe(pts=range(25), flashes=(10,)),
        "a.ts": Recipe(pts=range(25), flashes=(10,), video="mpeg2video", audio="mp2"),
        "a.avi": Recipe(pts=range(25), flashes=(10,), video="mpeg4", audio="pcm_s16le"),
        "a.mpg": Recipe(pts=range(25), flashes=(10,), video="mpeg1video", audio="mp2"),
    }
    rng = np.random.default_rng(seed)
    for name, recipe in recipes.items():
        content = make(tmp_path / name, recipe).read_bytes()
        (tmp_path / name).unlink()
        for trial in range(6):
            spoilt = bytearray(content[: rng.integers(1, len(content) + 1)])
            for place in rng.integers(0, len(spoilt), rng.choice([0, 1, 10, 100])):
                spoilt[place] = rng.integers(256)
            (tmp_path / f"{trial}-{name}").write_bytes(spoilt)
    script = (
        "import sys; from pathlib import Path; from avbench import media\n"
        "from avbench.errors import DataError\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    for read in (media.probe, lambda p: list(media.iter_frames(p)), media.read_audio,\n"
        "                 media.read_video):\n"
        "        try: read(path)\n"
        "        except DataError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


def test_absurd_size_is_refused_before_memory_is_spent(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", Recipe(video="rawvideo", audio=None, size=(64, 48), flashes=()))
    content = path.read_bytes()
    stored = (64).to_bytes(4, "little") + (48).to_bytes(4, "little")
    assert stored in content
    for width, height in ((40_000, 48), (16_000, 16_000)):
        declared = width.to_bytes(4, "little") + height.to_bytes(4, "little")
        path.write_bytes(content.replace(stored, declared))
        message = _refused(path)
        assert f"{width}x{height}" in message or "no picture size, or one of more" in message


def test_absurd_duration_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", Recipe(video="mpeg4", audio=None))
    content = bytearray(path.read_bytes())
    place = content.index(b"strh") + 40  # the number of pictures
    assert int.from_bytes(content[place : place + 4], "little") == 75
    content[place : place + 4] = (25 * 3600 * 100).to_bytes(4, "little")
    path.write_bytes(content)
    assert "declares a duration of 100 hours" in _refused(path)


def test_a_picture_that_claims_to_last_for_hours_ends_with_its_video(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", Recipe(audio=None, flashes=()))
    content = bytearray(path.read_bytes())
    place = content.index(b"stts") + 16  # the ticks that each picture lasts
    content[place : place + 4] = (200_000_000).to_bytes(4, "big")
    path.write_bytes(content)
    assert len(list(media.iter_frames(path))) <= 75
