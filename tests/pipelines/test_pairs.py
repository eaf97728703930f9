"""Pairs: drawn from a seed and a key, true to the last frame whatever the fault."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from avbench.census import SHIFT, WINDOW, take
from avbench.cli import main
from avbench.data import Alignment
from avbench.distort import alignment_of, drop_duplicate
from avbench.shards import open_set
from pipelines import pairs
from pipelines.build import build
from pipelines.pairs import describe, draw_pairs


@settings(deadline=None)
@given(frames=st.integers(1, 120), offset=st.integers(-20, 20), every=st.integers(1, 40))
def test_a_pair_is_what_it_says_at_any_offset(frames: int, offset: int, every: int) -> None:
    truth = Alignment.from_offset(offset, frames)
    drawn = draw_pairs(truth, every, np.random.default_rng(0))
    assert [pair.genuine for pair in drawn] == [True, False] * (len(drawn) // 2)
    for genuine, false in zip(drawn[::2], drawn[1::2], strict=True):
        assert genuine.video_start - genuine.audio_start == offset
        assert false.video_start == genuine.video_start
        assert false.audio_start - genuine.audio_start == false.shift
        assert 0 < abs(false.shift) <= SHIFT
        for pair in (genuine, false):
            assert 0 <= pair.video_start <= frames - WINDOW
            assert 0 <= pair.audio_start <= frames - WINDOW
    starts = [pair.audio_start for pair in drawn[::2]]
    assert all(np.diff(starts) == every)
    usable = max(frames - abs(offset) - WINDOW + 1, 0) if frames > WINDOW else 0
    assert len(starts) == -(-usable // every)


@pytest.mark.parametrize("law", ["tae2020", "symmetric"])
def test_no_genuine_pair_spans_a_dropped_or_repeated_frame(law: str) -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shown = drop_duplicate(110, rng=rng, law=law)  # type: ignore[arg-type]
        for pair in draw_pairs(alignment_of(shown), 1, rng):
            window = shown[pair.video_start : pair.video_start + WINDOW]
            own = np.arange(pair.audio_start - pair.shift, pair.audio_start - pair.shift + WINDOW)
            assert window.tolist() == own.tolist()
            found += pair.genuine
    assert found > 10


def test_shifts_are_even_over_what_is_within_reach() -> None:
    truth = Alignment.from_offset(0, 2000)
    shifts = np.array([p.shift for p in draw_pairs(truth, 1, np.random.default_rng(1))])[1::2]
    assert set(shifts[100:-100]) == set(range(-SHIFT, SHIFT + 1)) - {0}
    assert abs(shifts.mean()) < 2


def test_pairs_depend_on_seed_and_key_alone() -> None:
    truth = Alignment.from_offset(3, 200)
    one = describe("a", truth, 10, 0)
    assert one == describe("a", truth, 10, 0)
    assert one["video_start"] == describe("b", truth, 10, 0)["video_start"]
    assert one["shift"] != describe("b", truth, 10, 0)["shift"]
    assert one["shift"] != describe("a", truth, 10, 1)["shift"]
    with pytest.raises(ValueError, match="at least 1"):
        draw_pairs(truth, 0, np.random.default_rng(0))


def test_a_set_tells_its_pairs_everywhere_alike(tmp_path: Path) -> None:
    for number in range(4):
        write_source(tmp_path / "films" / f"{number}.mp4", seed=number, frames=90)
    options = {"engine": "local", "sync": "off", "split": "50/0/50", "distort": "drop-duplicate"}
    for name in ("one", "two"):
        build(
            [tmp_path / "films"], tmp_path / name, process=make_process(), pairs=2,
            law="tae2020", **options,
        )  # fmt: skip
    tables = [tmp_path / name / pairs.TABLE for name in ("one", "two")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    table, found = pd.read_parquet(tables[0]), open_set(tmp_path / "one")
    assert table["genuine"].sum() == (~table["genuine"]).sum() > 0
    for sample in found.samples():
        told, rows = sample.info["pairs"], table[table["key"] == sample.key]
        for column in ("video_start", "audio_start", "shift"):
            assert rows[column].tolist() == told[column]
        assert set(rows["split"]) <= {sample.info["split"]}
        genuine = rows[rows["genuine"]]
        assert (
            sample.alignment.video_index[genuine["audio_start"]] == genuine["video_start"]
        ).all()
    card = (tmp_path / "one" / "README.md").read_text("utf-8")
    assert "Drift over time in frames (positive: the sound comes early)" in card
    statistics = found.manifest["recipe"]["statistics"]
    drift = {spread["name"]: spread["counts"] for spread in statistics["spreads"]}
    shown = np.concatenate([s.alignment.video_index for s in found.samples()])
    assert sum(drift["drift over time"].values()) == len(shown)
    assert sum(sum(count.drawn or ()) for count in take(found).splits) == len(table)
    told = CliRunner().invoke(main, ["stats", str(tmp_path / "one")]).output
    assert f"{table['genuine'].sum():,} + {table['genuine'].sum():,}" in told
    build([tmp_path / "films"], tmp_path / "two", process=make_process(), **options)
    assert not tables[1].exists()
