from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench import media
from avbench.errors import UnknownName, UsageError
from avbench.shards import decode_sample
from pipelines import pack, units
from pipelines.pack import Distortion, Packed, cut_clip
from pipelines.splits import parse_split, split_of

FRAMES, CONTEXT, START = 60, 25, 100


def test_splits_are_read_and_checked() -> None:
    assert parse_split("50/0/50") == {"train": 0.5, "test": 0.5}
    assert parse_split("val") == {"val": 1.0}
    for wrong in ("80/10", "80/10/20", "a/b/c", "training", "-10/100/10"):
        with pytest.raises(UsageError, match="80/10/10"):
            parse_split(wrong)


def test_shares_hold_on_average_and_a_source_stays_where_it_is() -> None:
    shares = parse_split("80/10/10")
    counts = Counter(split_of(0, f"video-{n}", shares) for n in range(4000))
    assert counts["train"] == pytest.approx(3200, abs=120)
    assert counts["val"] == pytest.approx(400, abs=80)
    moved = sum(split_of(0, f"v{n}", shares) != split_of(1, f"v{n}", shares) for n in range(500))
    assert moved > 50


def test_distortions_are_checked() -> None:
    with pytest.raises(UnknownName, match="distortion"):
        Distortion("shift")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="law"):
        Distortion("drop-duplicate", law="fair")  # type: ignore[arg-type]
    for limit in (4, 26):
        with pytest.raises(UsageError, match="5 to 25"):
            Distortion("global", limit)


@given(
    frames=st.integers(25, 120),
    before=st.integers(0, 25),
    after=st.integers(0, 25),
    limit=st.integers(5, 25),
    seed=st.integers(0, 10_000),
)
def test_an_offset_never_needs_sound_that_does_not_exist(
    frames: int, before: int, after: int, limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    cut = cut_clip(frames, before, after, Distortion("global", limit), rng)
    offset = cut.alignment.offset
    assert offset is not None
    assert abs(offset) <= limit
    assert len(cut.shown) >= 25
    assert np.all(np.diff(cut.shown) == 1)
    assert cut.sound_start >= -before
    assert cut.sound_start + len(cut.shown) <= frames + after
    # Audio frame a is source frame sound_start + a; position a + offset shows that very frame.
    assert cut.sound_start == cut.shown[0] + offset


def test_the_law_of_offsets_does_not_depend_on_the_place_in_the_source() -> None:
    def draw(before: int, after: int) -> list[int | None]:
        return [
            cut_clip(
                80, before, after, Distortion("global", 20), np.random.default_rng(n)
            ).alignment.offset
            for n in range(200)
        ]

    drawn = draw(25, 25)
    assert drawn == draw(0, 0) == draw(3, 25)
    assert {abs(offset or 0) for offset in drawn} >= {0, 20}


def test_a_short_clip_is_not_cut_below_a_second() -> None:
    for seed in range(50):
        cut = cut_clip(27, 0, 0, Distortion("global", 25), np.random.default_rng(seed))
        assert abs(cut.alignment.offset or 0) <= 2
        assert len(cut.shown) >= 25


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip in which source frame n is a picture of grey 4 n + 8 and sound of level n / 200."""
    folder = tmp_path_factory.mktemp("clip")
    with media.VideoWriter(folder / "a-0000-00.mp4", crf=1) as writer:
        for n in range(FRAMES):
            writer.write(np.full((32, 32, 3), 4 * n + 8, np.uint8))
    levels = np.arange(FRAMES + 2 * CONTEXT, dtype=np.float32) / 200
    (folder / "a-0000-00.flac").write_bytes(media.encode_sound(np.repeat(levels, 640)))
    info = {"key": "a-0000-00", "video_id": "a", "shot": 0, "track": 0, "start": START}
    info |= {"stop": START + FRAMES, "context": {"before": 25, "after": 25}}
    info["source"] = {"path": "a.mp4"}
    (folder / "a-0000-00.json").write_text(json.dumps(info))
    return folder


def prepared(clip: Path, out: Path, *, context: int = 25, **distortion: Any) -> Packed:
    folder = clip
    if context != 25:
        folder = out / "tracks"
        folder.mkdir()
        for path in clip.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        info = json.loads((folder / "a-0000-00.json").read_text())
        info["context"] = {"before": context, "after": context}
        (folder / "a-0000-00.json").write_text(json.dumps(info))
    settings = {"kind": "none", "max_offset": 15, "law": "symmetric", **distortion}
    payload = {"facetracks": str(folder), "folder": str(out / "done"), "keys": ["a-0000-00"]}
    pack.prepare_unit({**payload, "seed": 3, "distortion": settings})
    source = {"source": "films", "path": "a.mp4", "sha256": "0" * 64}
    return Packed("a-0000-00", "test", folder, out / "done", source, {"note": "not scored"})


def codes(packed: Packed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which source frame every picture and every 40 ms of sound is, and the truth."""
    clip = decode_sample(pack.load(packed, "set")[0])
    assert clip.alignment is not None
    pictures = np.round(clip.frames.mean(axis=(1, 2, 3)) / 4 - 2).astype(int)
    sounds = np.round(clip.audio.reshape(-1, 640).mean(axis=1) * 200).astype(int) - CONTEXT
    return pictures, sounds, clip.alignment.video_index


@pytest.mark.parametrize("context", [25, 1, 0])
def test_a_stored_offset_is_what_its_label_says(clip: Path, tmp_path: Path, context: int) -> None:
    packed = prepared(clip, tmp_path, context=context, kind="global", max_offset=20)
    pictures, sounds, truth = codes(packed)
    offset = int(truth[0])
    assert abs(offset) > 1
    assert truth.tolist() == (np.arange(len(truth)) + offset).tolist()
    for a, v in enumerate(truth):
        if 0 <= v < len(pictures):
            assert pictures[v] == sounds[a]
    untouched = (packed.facetracks / "a-0000-00.mp4").read_bytes()
    sample, row = pack.load(packed, "set")
    assert (sample.video == untouched) == (len(pictures) == FRAMES) == (context >= abs(offset))
    assert row["offset"] == offset == sample.info["offset"]
    assert ("early" in sample.info["offset_words"]) == (offset > 0)
    spans = (units.read_receipt(packed.prepared) or {})["spans"]["a-0000-00"]
    assert spans == [START + pictures[0], START + pictures[-1] + 1]


def test_an_undistorted_clip_keeps_its_picture_bytes_and_reads_zero(
    clip: Path, tmp_path: Path
) -> None:
    packed = prepared(clip, tmp_path)
    pictures, sounds, truth = codes(packed)
    assert pictures.tolist() == sounds.tolist() == truth.tolist() == list(range(FRAMES))
    sample, row = pack.load(packed, "set")
    assert sample.video == (clip / "a-0000-00.mp4").read_bytes()
    assert sample.info["offset_words"] == "relative to the source: in sync"
    assert np.isnan(row["sync_offset"])
    assert row["sync_note"] == "not scored"


@pytest.mark.parametrize("law", ["symmetric", "tae2020"])
def test_dropped_and_duplicated_frames_are_stored_as_drawn(
    clip: Path, tmp_path: Path, law: str
) -> None:
    packed = prepared(clip, tmp_path, kind="drop-duplicate", law=law)
    pictures, sounds, truth = codes(packed)
    sample, _ = pack.load(packed, "set")
    assert pictures.tolist() == sample.info["distortion"]["shown"]
    assert sounds.tolist() == list(range(len(pictures)))
    assert 0 < len(set(pictures)) < len(pictures)
    # The sound of a frame that survived belongs to a picture of that very frame.
    for a, v in enumerate(truth):
        if a in set(pictures):
            assert pictures[v] == a
    assert sample.info["offset"] is None


def test_shards_hold_the_clips_in_key_order_whatever_the_order_of_arrival(
    clip: Path, tmp_path: Path
) -> None:
    packed = prepared(clip, tmp_path)
    written = []
    for turn, splits in enumerate((["val", "test"], ["test", "val"])):
        out = tmp_path / f"set{turn}"
        clips = [
            Packed("a-0000-00", s, packed.facetracks, packed.prepared, packed.source, {})
            for s in splits
        ]
        written.append(pack.write_shards(clips, out, "set", max_count=10, max_bytes=2**20))
        sums = (out / "SHA256SUMS").read_text().splitlines()
        assert sums == [f"{i.sha256}  {i.name}" for i in written[-1]]
    assert written[0] == written[1]
    assert [info.split for info in written[0]] == ["test", "val"]


def test_only_files_of_the_same_set_are_cleared(tmp_path: Path) -> None:
    ours = ["dataset.json", "set-test-000000.tar", "set-val-000001.parquet.part"]
    theirs = ["other-test-000000.tar", "set-test-000000.zip", "notes.txt", "set-test-1.tar"]
    for name in ours + theirs:
        (tmp_path / name).touch()
    pack.clear(tmp_path, "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(theirs)
