"""Sound and picture stay together through every container, rate and clock."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_maker import Recipe, listen, make

from avbench import media

LIMIT_MS = 10

CONTAINERS = [
    ("a.mp4", Recipe()),
    ("a.mp4", Recipe(audio="libmp3lame")),
    ("a.mov", Recipe(audio="pcm_s16le", rate=48_000)),
    ("a.mkv", Recipe()),
    ("a.mkv", Recipe(audio="libopus", rate=48_000)),
    ("a.mkv", Recipe(audio="flac", rate=96_000)),
    ("a.mkv", Recipe(audio="ac3", layout="5.1")),
    ("a.webm", Recipe(video="libvpx", audio="libopus", rate=48_000)),
    ("a.flv", Recipe()),
    ("a.ts", Recipe()),
    ("a.ts", Recipe(video="mpeg2video", audio="mp2", video_options={"bf": "2"})),
    ("a.mpg", Recipe(video="mpeg1video", audio="mp2")),
    ("a.mpg", Recipe(video="mpeg2video", audio="mp2", video_options={"bf": "2"})),
    ("a.avi", Recipe(video="mpeg4", audio="pcm_s16le", rate=16_000)),
    ("a.avi", Recipe(video="mpeg4", audio="pcm_s16le", video_options={"bf": "2"})),
    ("a.avi", Recipe(audio="pcm_s16le", layout="stereo")),
    ("a.avi", Recipe(video="mjpeg", audio="pcm_u8", rate=11_025)),
]


def _id(value: object) -> str:
    if isinstance(value, Recipe):
        order = "-b" if value.video_options else ""
        return f"{value.video}{order}-{value.audio}-{value.rate}"
    return str(value)


@pytest.mark.parametrize(("name", "recipe"), CONTAINERS, ids=_id)
def test_click_meets_flash_in_every_container(tmp_path: Path, name: str, recipe: Recipe) -> None:
    if recipe.video == "mjpeg":
        recipe = replace(recipe, video_options={"strict": "unofficial"})
    heard = listen(make(tmp_path / name, recipe))
    assert heard.flashes == pytest.approx([1, 2], abs=1e-3)
    assert heard.num_frames == 75
    assert np.abs(heard.lags()).max() < LIMIT_MS
    assert len(heard.clicks) == 2
    assert heard.warnings == []


RATES = ["1350/61", "24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "12.5", "7"]


@pytest.mark.parametrize(
    ("name", "rate"),
    [("a.mp4", rate) for rate in RATES]
    + [(name, rate) for name in ("a.mkv", "a.ts") for rate in ("24000/1001", "30000/1001", "50")],
)
def test_no_frame_rate_drifts(tmp_path: Path, name: str, rate: str) -> None:
    fps = Fraction(rate)
    count = int(10 * fps)
    flashes = [round(second * fps) for second in (1, 4, 9)]  # nearest to an instant of the grid
    recipe = Recipe(pts=range(count), tick=1 / fps, flashes=flashes, size=(32, 32))
    heard = listen(make(tmp_path / name, recipe))
    assert heard.flashes == pytest.approx([float(k / fps) for k in flashes], abs=1e-3)
    assert np.abs(heard.lags()).max() < LIMIT_MS
    assert abs(heard.num_frames - float(25 * count / fps)) <= 1
    # The picture nearest to an instant is at most half a picture away from it.
    off = np.array(heard.grid) - np.array(heard.flashes)
    assert np.abs(off).max() <= max(0.5 / float(fps), 0.02) + 1e-3


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    pts = np.cumsum(rng.integers(17, 140, 120)).tolist()
    recipe = Recipe(pts=pts, tick=Fraction(1, 1000), flashes=(20, 60, 100), fps=Fraction(13))
    heard = listen(make(tmp_path / name, recipe))
    expected = [(pts[k] - pts[0]) / 1000 for k in (20, 60, 100)]
    assert heard.flashes == pytest.approx(expected, abs=2e-3)
    assert np.abs(heard.lags()).max() < LIMIT_MS


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.mpg"])
@pytest.mark.parametrize("start", ["0.3", "1.37", "-0.5"])
def test_sound_that_starts_late_or_early(tmp_path: Path, name: str, start: str) -> None:
    first = 20 if start.startswith("-") else 0
    codecs = {"video": "mpeg1video", "audio": "mp2"} if name == "a.mpg" else {}
    recipe = Recipe(
        pts=range(first, first + 75),
        flashes=(40, 60),
        audio_start=Fraction(start) + Fraction(first, 25),
        **codecs,
    )
    path = make(tmp_path / name, recipe)
    heard = listen(path)
    assert len(heard.clicks) == 2
    assert np.abs(heard.lags()).max() < LIMIT_MS
    silent = max(round((float(start) - 0.05) * 16_000), 0)
    assert not media.read_audio(path)[:silent].any()
    info = media.probe(path)
    assert info.audio_start_s is not None
    # A container that stores no priming keeps up to one block of it before the sound.
    assert info.audio_start_s - info.video_start_s == pytest.approx(float(start), abs=0.03)


@pytest.mark.parametrize(("name", "codec", "rate"), [
    ("a.mp4", "aac", 16_000),
    ("a.mp4", "aac", 48_000),
    ("a.mp4", "flac", 16_000),
    ("a.mov", "pcm_s16le", 16_000),
    ("a.mkv", "aac", 22_050),
    ("a.mkv", "ac3", 44_100),
    ("a.avi", "pcm_s16le", 16_000),
    ("a.ts", "aac", 44_100),
])  # fmt: skip
def test_written_video_reads_back_in_sync(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    frames = np.full((75, 48, 64, 3), 16, np.uint8)
    audio = np.zeros(3 * rate, np.float32)
    for flash in (25, 50):
        frames[flash] = 235
        audio[flash * rate // 25 :][: rate // 250] = 0.9
    media.write_video(tmp_path / name, frames, audio, audio_codec=codec, sample_rate=rate)
    heard = listen(tmp_path / name)
    assert heard.grid == [1, 2]
    assert heard.num_frames == 75
    assert np.abs(heard.lags()).max() < 1.5
    assert len(heard.clicks) == 2
    assert heard.warnings == []


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 192_000])
def test_a_tone_keeps_its_phase_for_a_minute_at_any_rate(tmp_path: Path, rate: int) -> None:
    seconds, tone = 60, 440
    time = np.arange(seconds * rate) / rate
    frames = (np.zeros((16, 16, 3), np.uint8) for _ in range(seconds))
    path = tmp_path / "a.mkv"
    sound = 0.5 * np.sin(2 * np.pi * tone * time).astype(np.float32)
    media.write_video(path, frames, sound, fps=Fraction(1), audio_codec="flac", sample_rate=rate)
    read = media.read_audio(path)
    expected = 0.5 * np.sin(2 * np.pi * tone * np.arange(seconds * 16_000) / 16_000)
    assert abs(len(read) - len(expected)) <= 1
    assert np.abs(read[800 : len(expected) - 800] - expected[800:-800]).max() < 2e-3


@pytest.mark.parametrize("speed", [0.998, 1.0015])
def test_sound_whose_clock_drifts_is_followed(tmp_path: Path, speed: float) -> None:
    recipe = Recipe(
        pts=range(1000),
        flashes=(25, 300, 600, 900),
        size=(16, 16),
        audio="pcm_s16le",
        clock=lambda sample: round(sample * speed),
    )
    heard = listen(make(tmp_path / "a.mkv", recipe))
    # The clicks lie at flash times by the count of samples, hence at `speed` times that by stamps.
    expected = [flash * speed for flash in heard.flashes]
    assert heard.clicks == pytest.approx(expected, abs=0.010)


def test_a_gap_in_the_sound_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    recipe = Recipe(
        pts=range(150),
        flashes=(25, 50, 75),
        audio="pcm_s16le",
        rate=16_000,
        clock=lambda sample: sample + (16_000 if sample >= 24_576 else 0),
    )
    heard = listen(make(tmp_path / "a.mkv", recipe))
    assert heard.clicks == pytest.approx([1, 3, 4], abs=2e-3)


@pytest.mark.parametrize(("name", "codecs"), [
    ("a.ts", {"video": "libx264", "audio": "aac"}),
    ("a.ts", {"video": "mpeg2video", "audio": "mp2"}),
    ("a.mpg", {"video": "mpeg1video", "audio": "mp2"}),
])  # fmt: skip
def test_recordings_joined_end_to_end_stay_in_sync(
    tmp_path: Path, name: str, codecs: dict[str, str]
) -> None:
    # Start times 0 and 3000 s: the clock of the joined file falls back, then leaps ahead.
    early = make(tmp_path / f"0{name}", Recipe(size=(160, 120), **codecs))
    late = Recipe(pts=range(75_000, 75_075), audio_start=Fraction(3000), size=(160, 120), **codecs)
    other = make(tmp_path / f"1{name}", late)
    joined = tmp_path / name
    joined.write_bytes(early.read_bytes() + early.read_bytes() + other.read_bytes())
    heard = listen(joined)
    assert len(heard.flashes) == 6
    assert len(heard.clicks) == 6
    assert abs(heard.num_frames - 225) <= 5
    assert np.abs(heard.lags()).max() < LIMIT_MS
    assert any("jump" in warning for warning in heard.warnings)
    assert not any("lost" in warning for warning in heard.warnings)


@pytest.mark.parametrize("codecs", [
    {"video": "libx264", "audio": "aac"},
    {"video": "mpeg2video", "audio": "mp2"},
])  # fmt: skip
def test_recording_that_begins_between_key_pictures(tmp_path: Path, codecs: dict[str, str]) -> None:
    """The sound is there at once, the picture only from the next key picture on."""
    recipe = Recipe(
        pts=range(150), flashes=(80, 120), grain=20, video_options={"g": "50"}, **codecs
    )
    content = make(tmp_path / "a.ts", recipe).read_bytes()
    head = tmp_path / "head.ts"
    head.write_bytes(content[len(content) // 10 // 188 * 188 :])
    heard = listen(head)
    assert len(heard.flashes) == 2
    assert len(heard.clicks) == 2
    assert np.abs(heard.lags()).max() < LIMIT_MS
    assert heard.num_frames < 130


@pytest.mark.parametrize("codecs", [
    {"video": "mpeg4", "video_options": {"bf": "2"}},
    {"video": "libx264"},
    {"video": "mjpeg", "video_options": {"strict": "unofficial"}},
])  # fmt: skip
def test_lost_pictures_of_an_avi_leave_the_others_in_place(
    tmp_path: Path, codecs: dict[str, object]
) -> None:
    recipe = Recipe(pts=range(100), flashes=(80,), grain=20, audio="pcm_s16le", **codecs)
    path = make(tmp_path / "a.avi", recipe)
    with av.open(str(path)) as container:
        chunks = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    for chunk in chunks[30:33] + chunks[50:52]:
        content = content.replace(chunk, bytes(len(chunk)))
    path.write_bytes(content)
    heard = listen(path)
    assert heard.warnings
    assert len(heard.clicks) == 1
    assert heard.grid == pytest.approx([3.2], abs=0.041)
    assert np.abs(heard.lags()).max() < 41


def test_sound_that_starts_minutes_late(tmp_path: Path) -> None:
    recipe = Recipe(
        pts=range(0, 200, 2), tick=Fraction(1), flashes=(70, 90), audio_start=Fraction(130)
    )
    path = make(tmp_path / "a.mkv", replace(recipe, size=(16, 16), rate=16_000, audio="flac"))
    heard = listen(path)
    assert heard.clicks == pytest.approx([140, 180], abs=0.01)
    assert abs(heard.num_frames - 25 * 199) <= 25
