from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from avbench.data import Alignment
from avbench.errors import DataError, UnknownName
from avbench.media import VideoWriter, encode_sound
from avbench.shards import MANIFEST, Sample, ShardWriter, finish_set, open_set, read_clips
from avbench.timing import SAMPLES_PER_FRAME


def sample(folder: Path, number: int, num_frames: int = 6) -> Sample:
    rng = np.random.default_rng(number)
    path = folder / f"{number}.mp4"
    with VideoWriter(path) as writer:
        for _ in range(num_frames):
            writer.write(np.full((32, 32, 3), rng.integers(256), np.uint8))
    sound = rng.uniform(-0.5, 0.5, num_frames * SAMPLES_PER_FRAME).astype(np.float32)
    return Sample(
        key=f"video-{number:04d}-00",
        video=path.read_bytes(),
        sound=encode_sound(sound),
        alignment=Alignment.from_offset(number % 3 - 1, num_frames),
        info={"offset": number % 3 - 1, "source": f"{number}.mp4"},
    )


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    (tmp_path / "made").mkdir()
    return [sample(tmp_path / "made", number) for number in range(5)]


def write(folder: Path, samples: list[Sample], max_count: int = 2) -> Path:
    with ShardWriter(folder, "toy", "test", max_count=max_count) as writer:
        for one in samples:
            writer.add(one, offset=one.info["offset"])
    finish_set(folder, writer.shards, {"name": "toy", "seed": 0})
    return folder


def test_clips_come_back_as_they_went_in(tmp_path: Path, samples: list[Sample]) -> None:
    clips = list(read_clips(write(tmp_path / "set", samples), "test"))
    assert [clip.key for clip in clips] == [one.key for one in samples]
    for clip, one in zip(clips, samples, strict=True):
        assert clip.frames.shape == (6, 32, 32, 3)
        assert clip.alignment is not None
        assert clip.alignment.offset == one.info["offset"]
        assert clip.meta["source"] == one.info["source"]


def test_shards_are_numbered_full_and_indexed(tmp_path: Path, samples: list[Sample]) -> None:
    found = open_set(write(tmp_path / "set", samples))
    assert [info.name for info in found.shards] == [f"toy-test-{n:06d}.tar" for n in range(3)]
    assert [info.samples for info in found.shards] == [2, 2, 1]
    index = found.index("test")
    assert index["key"].tolist() == [one.key for one in samples]
    assert index["offset"].tolist() == [one.info["offset"] for one in samples]
    for info in found.shards:
        data = (found.directory / info.name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == info.sha256
    assert len(list(found.clips(limit=3))) == 3


def test_same_samples_give_same_bytes(tmp_path: Path, samples: list[Sample]) -> None:
    first, second = (write(tmp_path / name, samples) for name in ("a", "b"))
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_plain_webdataset_reads_the_shards(tmp_path: Path, samples: list[Sample]) -> None:
    import webdataset

    folder = write(tmp_path / "set", samples, max_count=10)
    stored = list(webdataset.WebDataset(str(folder / "toy-test-000000.tar"), shardshuffle=False))
    assert [one["__key__"] for one in stored] == [one.key for one in samples]
    assert {"mp4", "flac", "json", "alignment.npy"} <= set(stored[0])
    assert json.loads(stored[1]["json"])["offset"] == 0


def test_a_smaller_rerun_leaves_no_stale_shard(tmp_path: Path, samples: list[Sample]) -> None:
    folder = tmp_path / "set"
    write(folder, samples)
    (folder / "mine-000000.tar").write_bytes(b"somebody else's")
    write(folder, samples[:1])
    assert [info.name for info in open_set(folder).shards] == ["toy-test-000000.tar"]
    assert sorted(path.name for path in folder.glob("*.tar")) == [
        "mine-000000.tar",
        "toy-test-000000.tar",
    ]


def test_an_interrupted_writer_leaves_no_half_shard(tmp_path: Path, samples: list[Sample]) -> None:
    def interrupted() -> None:
        with ShardWriter(tmp_path / "set", "toy", "test") as writer:
            writer.add(samples[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list((tmp_path / "set").iterdir())


def test_mistakes_get_one_sentence(tmp_path: Path, samples: list[Sample]) -> None:
    with pytest.raises(DataError, match="build-shards"):
        open_set(tmp_path)
    folder = write(tmp_path / "set", samples)
    with pytest.raises(UnknownName, match=r"Unknown split 'tset'\. Did you mean 'test'"):
        list(read_clips(folder, "tset"))
    tar = folder / "toy-test-000001.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(DataError, match="toy-test-000001"):
        list(read_clips(folder))
    tar.unlink()
    with pytest.raises(DataError, match="missing"):
        list(read_clips(folder))
    (folder / MANIFEST).write_text("{", "utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        open_set(folder)


@pytest.mark.parametrize("key", ["a.b", "A", "", "a/../b", "_x", "a--b", "x" * 81])
def test_keys_that_readers_would_break_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="a-z0-9-"):
        Sample(key, b"", b"", Alignment.from_offset(0, 1), {})
