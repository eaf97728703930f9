from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from avbench.census import SHIFT, WINDOW, count_pairs, take
from avbench.cli import main
from avbench.data import Alignment
from avbench.errors import DataError
from avbench.shards import Sample, ShardWriter, finish_set, open_set

CLIPS = {
    "train": [
        # key, video, file, speaker, frames
        ("a-0", "a", "20130701_172500_bbcone_news.mp4", "anna", 100),
        ("a-1", "a", "20130701_172500_bbcone_news.mp4", "ben", 25),
        ("b-0", "b", "2015-08-31/late.mp4", "anna", 4),
    ],
    "test": [("c-0", "c", "no date 20161399.mp4", "", 50)],
}
DRIFT = np.repeat([0, 1, 3, -1], 25)
"""Frames by which the picture of the first clip runs ahead."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose pictures and sound cannot be read, because nobody is to read them."""
    out = tmp_path_factory.mktemp("set")
    infos = []
    for split, clips in CLIPS.items():
        with ShardWriter(out, "news", split) as writer:
            for number, (key, video, path, speaker, frames) in enumerate(clips):
                info = {"source": {"path": path}, **({"speaker": speaker} if speaker else {})}
                alignment = Alignment.from_offset(2, frames)
                if key == "a-0":
                    alignment = Alignment(np.arange(frames) + DRIFT)
                offset = float("nan") if key == "a-0" else 2.0
                measured = {"sync_offset": number - 1.0, "sync_confidence": 0.15 + 0.1 * number}
                sample = Sample(key, b"not a video", b"not a sound", alignment, info)
                writer.add(sample, video_id=video, offset=offset, **measured)
        infos += writer.shards
    finish_set(out, infos, {"dataset": "news"})
    return out


def stats(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["stats", *map(str, arguments)])


@settings(deadline=None)
@given(st.lists(st.integers(0, 130), min_size=1, max_size=4))
def test_pairs_are_those_that_can_be_listed(lengths: list[int]) -> None:
    beside = sum(len(range(0, n - WINDOW + 1, WINDOW)) for n in lengths)
    starts = [range(n - WINDOW + 1) for n in lengths]
    false = sum(1 for s in starts for v in s for a in s if 0 < abs(v - a) <= SHIFT)
    assert count_pairs(np.array(lengths)) == (beside, sum(map(len, starts)), false)


def test_the_table_counts_each_split(shards: Path) -> None:
    census = take(open_set(shards))
    test, train = census.splits
    assert (test.split, train.split) == ("test", "train")
    assert (train.first, train.last, train.dated) == ("2013-07-01", "2015-08-31", 2)
    assert (test.first, test.dated, test.speakers) == (None, 0, None)
    assert (train.sources, train.speakers, train.clips, train.frames) == (2, 2, 3, 129)
    assert (train.genuine, train.windows) == (20 + 5, 96 + 21)
    assert train.hours == pytest.approx(129 / 25 / 3600)


def test_drift_is_counted_by_frame_and_by_clip(shards: Path) -> None:
    spreads = {spread.name: spread for spread in take(open_set(shards)).spreads}
    drift = spreads["drift over time"]
    assert drift.counts == {"-1": 25, "+0": 25, "+1": 25, "+2": 0, "+3": 25}
    assert drift.of == "frames"
    assert spreads["farthest drift from the start of a clip"].counts == {"+3": 1}
    assert spreads["true offset (positive: sound early)"].counts == {"+2": 3}
    assert spreads["offset measured before any fault"].counts == {"-1": 2, "+0": 1, "+1": 1}
    assert spreads["sync confidence"].counts["0.15 to 0.20"] == 2
    assert spreads["length"].counts == {
        "0 to 1": 1, "1 to 2": 1, "2 to 3": 1, "3 to 4": 0, "4 to 5": 1,
    }  # fmt: skip


def test_the_terminal_gets_table_and_bars(shards: Path) -> None:
    lines = stats(shards).output.splitlines()
    assert lines[0].split() == [
        "set", "split", "dates", "sources", "speakers", "clips", "genuine", "pairs", "every",
        "window", "false", "pairs", "hours",
    ]  # fmt: skip
    assert lines[1].split()[:6] == ["news", "test", "unknown", "1", "-", "1"]
    assert "2013-07-01 to 2015-08-31" in lines[2]
    assert lines[3].split()[1] == "all"
    assert "(2 of 3)" in lines[3]
    assert max(map(len, lines[4:])) <= 100
    assert any(line.split() == ["-1", "2", "#" * 40] for line in lines)


def test_documents_and_programs_get_the_same_numbers(shards: Path, tmp_path: Path) -> None:
    (census,) = json.loads(stats(shards, "--format", "json").output)
    assert [split["windows"] for split in census["splits"]] == [46, 117]
    assert census["splits"][0]["hours"] == pytest.approx(2 / 3600)
    out = tmp_path / "docs" / "DATA.md"
    assert stats(shards, shards, "--format", "md", "--out", out).exit_code == 0
    lines = out.read_text().splitlines()
    table = [line for line in lines if line.startswith("| news")]
    assert [line.count("|") for line in table] == [11] * 6
    assert "| +3 | 25 |" in lines


def test_a_shard_that_is_gone_or_damaged_is_named(shards: Path, tmp_path: Path) -> None:
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tar = tmp_path / "news-test-000000.tar"
    tar.write_bytes(b"x" * 4096)
    with pytest.raises(DataError, match=r"news-test-000000\.tar is damaged"):
        take(open_set(tmp_path))
    tar.unlink()
    done = stats(tmp_path)
    assert done.exit_code == 3
    assert "missing; build it again" in done.output


def test_a_paper_gets_the_table_of_the_paper(shards: Path) -> None:
    lines = stats(shards, "--format", "latex").output.splitlines()
    assert lines[3] == r"Set & Dates & Clips & Pairs & Hours \\"
    train = take(open_set(shards)).splits[1]
    pairs = f"{train.genuine + train.false:,}"
    assert rf"train & 2013-07-01--2015-08-31 & 3 & {pairs} & 0.001 \\" in lines
    assert lines[-1] == r"\end{tabular}"


def test_near_duplicates_are_listed_where_they_were_looked_for(
    shards: Path, tmp_path: Path
) -> None:
    assert "near-duplicates" not in stats(shards).output
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pair = {"key": "a-0", "split": "train", "other": "c-0", "other_split": "test"}
    pair |= {"kind": "both", "later_s": 0.1, "shared_s": 1.25, "differing_bits": 0.01}
    rows = [{**pair, "correlation": float("nan"), "dropped": ""}] * 25
    pd.DataFrame(rows).to_parquet(tmp_path / "duplicates.parquet")
    lines = stats(tmp_path).output.splitlines()
    assert "news: 25 pairs of near-duplicates across splits" in lines
    assert "  a-0 (train) and c-0 (test): same picture and sound for 1.2 s" in lines
    assert "  and 5 more, in duplicates.parquet" in lines
    (census,) = json.loads(stats(tmp_path, "--format", "json").output)
    assert census["duplicates"][0]["correlation"] is None
