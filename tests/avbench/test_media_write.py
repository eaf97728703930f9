"""Writing: the same bytes in every process, lossless where promised, nothing half written."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avbench import media
from avbench.errors import DataError, UsageError


def _pictures(count: int = 20, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth moving colours with some noise: neither trivial nor impossible to code."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    time = np.arange(count)[:, None, None, None]
    waves = np.stack([np.sin(x / 7 + 1), np.cos(y / 5), np.sin((x + y) / 9)], -1)
    clean = 128 + 90 * waves[None] * np.cos(time / 6)
    return np.clip(clean + rng.normal(0, 4, clean.shape), 0, 255).astype(np.uint8)


def _yuv(source: Path | bytes) -> np.ndarray:
    target = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(target) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])


def _write(path: Path, pictures: Iterable[np.ndarray], **settings: object) -> None:
    with media.VideoWriter(path, **settings) as writer:  # type: ignore[arg-type]
        for picture in pictures:
            writer.write(picture)


def test_writer_returns_what_was_written(tmp_path: Path) -> None:
    pictures = _pictures()
    _write(tmp_path / "a.mp4", pictures)
    read = media.read_video(tmp_path / "a.mp4")
    assert read.shape == pictures.shape
    error = read.astype(float) - pictures
    assert np.abs(error.mean((0, 1, 2))).max() < 1.5  # no shift of any colour
    assert np.sqrt((error**2).mean()) < 9
    assert np.array_equal(read, media.read_video((tmp_path / "a.mp4").read_bytes()))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 25
        assert not container.streams.audio


def test_lossless_is_lossless(tmp_path: Path) -> None:
    pictures = _pictures()
    _write(tmp_path / "a.mp4", pictures, lossless=True)
    once = media.read_video(tmp_path / "a.mp4")
    reordered = media.reorder_video(tmp_path / "a.mp4", np.arange(len(pictures)))
    stored = _yuv(tmp_path / "a.mp4")
    assert np.array_equal(_yuv(reordered), stored)
    assert np.array_equal(media.read_video(reordered), once)
    # What is stored is the plain conversion of the pictures, with nothing lost to coding.
    convert = av.VideoFrame.from_ndarray(pictures[3], format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace="ITU601",
        dst_color_range="MPEG",
        interpolation=0x40002,  # bilinear, accurately rounded
        threads=1,
    )
    assert np.array_equal(convert.to_ndarray(), stored[3])


@pytest.mark.parametrize(("height", "width"), [(47, 63), (48, 63), (1, 1), (17, 2)])
def test_odd_sizes_are_padded_by_repeating_the_edge(
    tmp_path: Path, height: int, width: int
) -> None:
    pictures = _pictures(5, height, width)
    _write(tmp_path / "a.mp4", pictures, crf=1)
    read = media.read_video(tmp_path / "a.mp4")
    assert read.shape == (5, height + height % 2, width + width % 2, 3)
    if height == 47:
        shown = read[:, :height, :width].astype(float)
        assert np.sqrt(((shown - pictures) ** 2).mean()) < 9
        assert np.abs(read[:, 47].astype(int) - read[:, 46]).mean() < 6


def test_frame_rate_is_kept(tmp_path: Path) -> None:
    _write(tmp_path / "a.mp4", _pictures(60), fps=Fraction(30_000, 1001))
    info = media.probe(tmp_path / "a.mp4")
    assert info.fps == pytest.approx(30_000 / 1001)
    assert info.num_frames == 51


@pytest.mark.parametrize("seed", range(3))
def test_picked_pictures_decode_to_the_same_bits(tmp_path: Path, seed: int) -> None:
    _write(tmp_path / "a.mp4", _pictures(40), crf=23)
    rng = np.random.default_rng(seed)
    indices = np.sort(rng.integers(0, 40, 50)) if seed else rng.integers(0, 40, 50)
    picked = media.reorder_video((tmp_path / "a.mp4").read_bytes(), indices)
    assert np.array_equal(_yuv(picked), _yuv(tmp_path / "a.mp4")[indices])
    expected = media.read_video(tmp_path / "a.mp4")[indices]
    assert np.array_equal(media.read_video(picked), expected)
    again = media.reorder_video(picked, np.arange(50))
    assert np.array_equal(media.read_video(again), expected)


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuv444p"])
def test_picked_pictures_keep_foreign_colours(tmp_path: Path, pixels: str) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.colorspace = 1  # BT.709
        for picture in _pictures(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    indices = np.array([3, 3, 9, 0])
    expected = media.read_video(path)[indices]
    assert np.array_equal(media.read_video(media.reorder_video(path, indices)), expected)


def test_reorder_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    _write(tmp_path / "a.mp4", _pictures(5))
    for indices in ([5], [-1], []):
        with pytest.raises(ValueError, match="indices"):
            media.reorder_video(tmp_path / "a.mp4", np.array(indices, np.int64))
    path = tmp_path / "deep.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p10le")))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match="yuv420p10le cannot be kept exactly"):
        media.reorder_video(path, np.array([0]))


def test_sound_round_trip() -> None:
    rng = np.random.default_rng(0)
    audio = rng.uniform(-0.99, 0.99, 12_345).astype(np.float32)
    stored = media.encode_sound(audio)
    read = media.read_sound(stored)
    assert read.shape == audio.shape
    assert read.dtype == np.float32
    assert np.abs(read - audio).max() <= 0.5 / 32_768 + 1e-7
    assert media.encode_sound(read) == stored
    assert np.array_equal(media.read_sound(media.encode_sound(np.array([2.0, -2.0]))) * 32_768,
                          [32_767, -32_768])  # fmt: skip


def test_sound_of_any_length() -> None:
    for size in (1, 639, 640, 4096, 4097, 100_000):
        audio = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        assert media.read_sound(media.encode_sound(audio)).shape == (size,)


def test_stored_sound_must_be_16_khz_mono(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    media.write_video(
        path, _pictures(5), np.zeros(9000, np.float32), audio_codec="flac", sample_rate=44_100
    )
    with pytest.raises(DataError, match="1 channel\\(s\\) at 44100 Hz, expected 1 at 16000"):
        media.read_sound(path)
    _write(tmp_path / "mute.mp4", _pictures(5))
    with pytest.raises(DataError, match="holds no sound"):
        media.read_sound(tmp_path / "mute.mp4")
    spoilt = bytearray(media.encode_sound(np.sin(np.arange(50_000)).astype(np.float32)))
    with pytest.raises(DataError):
        media.read_sound(bytes(spoilt[: len(spoilt) // 2]) + bytes(3000))


def test_sound_must_be_sound() -> None:
    with pytest.raises(ValueError, match="finite"):
        media.encode_sound(np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match=r"\(S,\)"):
        media.encode_sound(np.zeros((2, 100)))


def test_nothing_appears_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.mp4"
    with media.VideoWriter(path) as writer:
        writer.write(_pictures(1)[0])
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["a.mp4"]
    before = path.read_bytes()
    with pytest.raises(ValueError, match="uint8"):
        _write(path, _pictures(3).astype(float))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["a.mp4"]


def test_wrong_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(ValueError, match="no pictures"):
        _write(path, _pictures(0))
    with pytest.raises(ValueError, match="after"):
        _write(path, [_pictures(1)[0], _pictures(1, width=62)[0]])
    with pytest.raises(ValueError, match="uint8"):
        _write(path, _pictures(1)[..., 0])
    with pytest.raises(UsageError, match=r"end its name in \.mp4"):
        media.write_video(tmp_path / "a.gif", _pictures(2))
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import hashlib, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, str(Path(sys.argv[2])))
from test_media_write import _pictures, digest_of_everything
print(digest_of_everything(Path(sys.argv[1])))
"""


def digest_of_everything(folder: Path) -> str:
    """Write with every writer and hash all bytes."""
    pictures = _pictures(12, 47, 63)
    audio = (0.3 * np.sin(np.arange(12 * 640) / 11)).astype(np.float32)
    digest = hashlib.sha256()
    for name, codec in (
        ("a.mp4", "aac"), ("b.mp4", "flac"), ("c.mkv", "aac"), ("d.avi", "pcm_s16le"),
        ("e.mov", "pcm_s16le"), ("f.ts", "mp2"),
    ):  # fmt: skip
        media.write_video(folder / name, pictures, audio, audio_codec=codec)
        digest.update((folder / name).read_bytes())
    for lossless in (False, True):
        _write(folder / "w.mp4", pictures, lossless=lossless)
        digest.update((folder / "w.mp4").read_bytes())
    digest.update(media.reorder_video(folder / "w.mp4", np.array([5, 5, 2, 0])))
    digest.update(media.encode_sound(audio))
    return digest.hexdigest()


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    digests = {digest_of_everything(tmp_path / "0")}
    for run in ("1", "2"):
        (tmp_path / run).mkdir()
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / run), str(Path(__file__).parent)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    text = b"".join(path.read_bytes() for path in (tmp_path / "0").iterdir())
    assert b"Lavf6" not in text  # no version of the muxer


def test_bytes_do_not_depend_on_what_memory_held(tmp_path: Path) -> None:
    """Sizes whose rows of blocks do not fill a vector register show an encoder that over-reads."""
    audio = np.zeros(6 * 640, np.float32)
    rng = np.random.default_rng(0)
    for width, height in ((360, 288), (64, 48)):
        pictures = _pictures(6, height, width)
        digests = set()
        for _ in range(20):
            waste = [rng.integers(0, 255, rng.integers(1000, 200_000), np.uint8) for _ in range(5)]
            del waste
            media.write_video(tmp_path / "a.mov", pictures, audio, audio_codec="pcm_s16le")
            digests.add(hashlib.sha256((tmp_path / "a.mov").read_bytes()).hexdigest())
        assert len(digests) == 1


def test_decoder_versions_name_the_libraries() -> None:
    versions = media.decoder_versions()
    assert versions["pyav"] == av.__version__
    assert {"libavcodec", "libavformat", "libswscale", "libswresample"} <= set(versions)
